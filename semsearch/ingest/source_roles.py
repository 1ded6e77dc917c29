"""Recognise text that names many things and explains none, by the structure of its blocks. Does not rank.

Such a text has the words of many questions and the answer to few: changelogs, tables of contents, indexes of terms,
lists of signatures, licences. A rule that is not sure recognises nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..core.types.documents import Chunk, Document, SourceRole
from .role_rules.changelog import find_changelog
from .role_rules.licence import find_licence
from .role_rules.lines import count_characters
from .role_rules.listings import find_api_list, find_contents, find_index

VERSION = "1"
"""Increased whenever the same document would get other roles."""

_RULES: tuple[tuple[SourceRole, Callable[[Document], set[int]]], ...] = (
    ("licence", find_licence),
    ("changelog", find_changelog),
    ("index", find_index),
    ("contents", find_contents),
    ("api_list", find_api_list),
)
"""The first rule that recognises a block decides."""

_DOCUMENT_SHARE = 0.75
"""From this share of its text on, a role holds for the whole document: introductions and tiny sections are included."""


def assign_roles(document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
    """Return the chunks, with a role where more than half of the text of a chunk has it."""
    roles = find_block_roles(document)
    if not roles:
        return chunks
    spans = [(*document.block_spans[index], role) for index, role in sorted(roles.items())]
    return [replace(chunk, role=_choose_role(chunk, spans)) for chunk in chunks]


def find_block_roles(document: Document) -> dict[int, SourceRole]:
    """Return the role of each recognised block, by its index."""
    roles: dict[int, SourceRole] = {}
    everything = set(range(len(document.blocks)))
    for role, find_blocks in _RULES:
        found = find_blocks(document)
        if found and count_characters(document, found) >= _DOCUMENT_SHARE * count_characters(document, everything):
            return dict.fromkeys(everything, role)
        roles = dict.fromkeys(found, role) | roles
    return roles


def _choose_role(chunk: Chunk, spans: Sequence[tuple[int, int, SourceRole]]) -> str:
    covered: dict[SourceRole, int] = {}
    for start, end, role in spans:
        overlap = min(end, chunk.end) - max(start, chunk.start)
        if overlap > 0:
            covered[role] = covered.get(role, 0) + overlap
    return next((role for role, size in covered.items() if 2 * size > chunk.end - chunk.start), "")
