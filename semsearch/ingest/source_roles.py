"""Recognise text that names many things and explains none, by the structure of its blocks. Does not rank.

Such a text has the words of many questions and the answer to few: changelogs, tables of contents, indexes of terms,
lists of signatures, licences. A rule that is not sure recognises nothing.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
"""From this share of its text on, some roles hold for the whole document, with its introduction and headings."""
_DOCUMENT_ROLES = frozenset(("licence", "changelog", "index"))

_MIN_CHUNK_SHARE = 0.85
"""Share of a chunk that must have the role: the rest may be headings, but not a paragraph that answers a question."""


def assign_roles(document: Document, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
    """Return the chunks, each with its role where nearly all of its text has it."""
    roles = find_block_roles(document)
    if not roles:
        return chunks
    starts = [start for start, _ in document.block_spans]
    return [replace(chunk, role=_choose_role(document, roles, chunk, starts)) for chunk in chunks]


def find_block_roles(document: Document) -> dict[int, SourceRole]:
    """Return the role of each recognised block, by its index."""
    roles: dict[int, SourceRole] = {}
    everything = set(range(len(document.blocks)))
    for role, find_blocks in _RULES:
        block_indices = find_blocks(document)
        if block_indices and role in _DOCUMENT_ROLES:
            characters = count_characters(document, block_indices)
            if characters >= _DOCUMENT_SHARE * count_characters(document, everything):
                return dict.fromkeys(everything, role)
        roles = dict.fromkeys(block_indices, role) | roles
    return roles


def _choose_role(document: Document, roles: Mapping[int, SourceRole], chunk: Chunk, starts: Sequence[int]) -> str:
    """Return the role of a chunk; `starts` are those of the blocks. Separators between blocks do not count."""
    sizes = Counter[SourceRole | None]()
    for index in range(bisect_right(starts, chunk.start) - 1, bisect_left(starts, chunk.end)):
        start, end = document.block_spans[index]
        sizes[roles.get(index)] += max(0, min(end, chunk.end) - max(start, chunk.start))
    role, size = sizes.most_common(1)[0]
    return role if role and size >= _MIN_CHUNK_SHARE * sizes.total() else ""
