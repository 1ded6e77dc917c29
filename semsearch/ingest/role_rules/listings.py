"""Recognise tables of contents, indexes of terms and lists of signatures: lines that name what other places explain."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ...core.types.documents import Block, Document
from .lines import count_characters, get_file_stem, normalize_title, split_items

_CONTENTS_TITLES = frozenset(
    "contents|table of contents|toc|in this chapter|in this section|on this page|navigation|related topics|site map"
    "|sitemap|indices and tables|inhalt|inhaltsverzeichnis|sommaire|table des matières|índice|contenido|indice|sommario"
    "|inhoud|inhoudsopgave|spis treści|оглавление|содержание|目录|目錄|目次|목차".split("|")
)
_CONTENTS_STEMS = frozenset(("summary", "toc", "contents", "sitemap", "_sidebar", "nav", "navigation"))
_LEADER = re.compile(r"(?<!\.)(?<!\.[ \t])(?:\.[ \t]?){4,}+[ \t]*+\d{1,4}\b|(?<!…)…{2,}+\s*+\d{1,4}\b")
"""Dots between a title and its page. Matching takes linear time, also in a file of dots."""
_SENTENCE_END = re.compile(r"[.;:,。]$")
_MAX_TITLE_WORDS = 10
_MIN_OWN_TITLES = 4
_MIN_CONTENTS_ITEMS = 6
_MIN_NESTED_ITEMS = 30

_INDEX_REFERENCE = re.compile(
    r"\((?:in module [\w.]+|class in [\w.]+|module|built-in \w+"
    r"|[\w.:]+ (?:(?:class |static )?method|attribute|property)"
    r"|C (?:function|macro|type|member|struct|enum|var))\)"
)
_PAGE_REFERENCE = re.compile(r"[^\d\s|].{1,80},\s\d{1,4}(?:[–-]\d{1,4})?(?:,\s*\d{1,4}(?:[–-]\d{1,4})?)*")
_MAX_CHARACTERS_PER_REFERENCE = 70
_MIN_REFERENCES = 5
_MIN_PAGE_LINES = 8

_SIGNATURE = re.compile(
    r"(?:[a-z]+\s+){0,4}[A-Za-z_~$][\w.:~$<>]*\s?\([^()]*(?:\([^()]*\)[^()]*)*\)\s*"
    r"(?:(?:->|→|=>|:)\s*[\w.\[\], |\"'<>&*:]{1,80})?[;:]?"
)
_MIN_SIGNATURES = 8
_MIN_SHARE = 0.75
_MAX_CELL_WORDS = 4
_MAX_BLOCK_CHARACTERS = 100_000
"""A larger list or table is data."""


def find_contents(document: Document) -> set[int]:
    """Return the indexes of the blocks of tables of contents and of navigation."""
    listings = [(index, block) for index, block in enumerate(document.blocks) if block.kind not in ("heading", "code")]
    indices = {index for index, block in listings if _has_page_leaders(block.text)}
    titles = {normalize_title(block.text) for block in document.blocks if block.kind == "heading"}
    indices |= {index for index, block in listings if block.kind != "paragraph" and _lists_titles(block, titles)}
    return indices | _find_site_contents(document)


def _has_page_leaders(text: str) -> bool:
    count = len(_LEADER.findall(text)) if "...." in text or ". . ." in text or "……" in text else 0
    return count >= 3 and len(text) <= 120 * count


def _lists_titles(block: Block, titles: set[str]) -> bool:
    """Return whether a list names sections of its own document, or is a list of titles below such a heading."""
    headings = block.locator.headings
    is_named = bool(headings) and normalize_title(headings[-1]) in _CONTENTS_TITLES
    if (len(titles) < _MIN_OWN_TITLES and not is_named) or len(block.text) > _MAX_BLOCK_CHARACTERS:
        return False
    items = split_items(block.text)
    if is_named and len(items) >= _MIN_CONTENTS_ITEMS and _count_titles(items) >= _MIN_SHARE * len(items):
        return True
    own = sum(normalize_title(item) in titles for item in items)
    return own >= _MIN_OWN_TITLES and own >= _MIN_SHARE * len(items)


def _find_site_contents(document: Document) -> set[int]:
    """Return the lists and titles of a document that is little but a nested list of titles, as a book's summary."""
    lists = [block for block in document.blocks if block.kind == "list"]
    lines = [line for block in lists for line in block.text.split("\n")]
    is_named = get_file_stem(document) in _CONTENTS_STEMS or normalize_title(document.title) in _CONTENTS_TITLES
    if len(lines) < (_MIN_CONTENTS_ITEMS if is_named else _MIN_NESTED_ITEMS):
        return set()
    characters = count_characters(document, set(range(len(document.blocks))))
    items = [item for block in lists for item in split_items(block.text)]
    nested = sum(line[:1].isspace() for line in lines)
    if (
        sum(len(block.text) for block in lists) < 0.85 * characters
        or _count_titles(items) < (_MIN_SHARE if is_named else 0.9) * len(items)
        or not (is_named or nested >= 0.25 * len(lines))
    ):
        return set()
    return {
        index
        for index, block in enumerate(document.blocks)
        if block.kind == "list" or len(block.text.split()) <= _MAX_TITLE_WORDS
    }


def _count_titles(items: Sequence[str]) -> int:
    """Return how many items may be titles: short, and no sentences or explained terms."""
    return sum(
        len(item.split()) <= _MAX_TITLE_WORDS and not _SENTENCE_END.search(item) and ": " not in item[:-1]
        for item in items
    )


def find_index(document: Document) -> set[int]:
    """Return the indexes of the blocks of alphabetical indexes: terms with pages or modules, but no explanations."""
    return {index for index, block in enumerate(document.blocks) if block.kind != "code" and _is_index(block)}


def _is_index(block: Block) -> bool:
    if ")" in block.text:
        references = len(_INDEX_REFERENCE.findall(block.text))
        if references >= _MIN_REFERENCES and len(block.text) <= _MAX_CHARACTERS_PER_REFERENCE * references:
            return True
    if not (block.text[-1:].isdigit() and len(block.text) <= _MAX_BLOCK_CHARACTERS):
        return False
    lines = split_items(block.text)
    terms = [line.casefold() for line in lines if _PAGE_REFERENCE.fullmatch(line)]
    ascending = sum(left <= right for left, right in pairwise(terms))
    return len(terms) >= max(_MIN_PAGE_LINES, 0.6 * len(lines)) and ascending >= _MIN_SHARE * (len(terms) - 1)


def find_api_list(document: Document) -> set[int]:
    """Return the indexes of the blocks of long runs of signatures without prose."""
    indices: set[int] = set()
    for run in _iter_signature_runs(document.blocks):
        if sum(document.blocks[index].text.count("\n") + 1 for index in run) >= _MIN_SIGNATURES:
            indices.update(run)
    return indices


def _iter_signature_runs(blocks: Sequence[Block]) -> Iterator[list[int]]:
    run: list[int] = []
    for index, block in enumerate(blocks):
        if block.kind != "code" and "(" in block.text and _has_only_signatures(block.text):
            run.append(index)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _has_only_signatures(text: str) -> bool:
    """Return whether most lines are signatures, of which half have parameters."""
    if len(text) > _MAX_BLOCK_CHARACTERS or not all(map(_is_signature, split_items(text[:400])[:1])):
        return False
    signatures = list(filter(_is_signature, lines := split_items(text)))
    return len(signatures) >= _MIN_SHARE * len(lines) and 2 * sum("()" in line for line in signatures) <= len(
        signatures
    )


def _is_signature(line: str) -> bool:
    declaration, *cells = line.split(" | ")
    if sum(len(cell.split()) for cell in cells) > _MAX_CELL_WORDS or len(declaration) > 300:
        return False
    return bool(_SIGNATURE.fullmatch(declaration))
