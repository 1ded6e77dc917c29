"""Recognise changelogs and release notes: sections, list items and table rows that begin with versions or dates."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ...core.types.documents import Block, Document
from ...text.characters import has_digit
from .lines import clean_heading, get_file_stem, split_items

_MIN_ITEMS = 4
_MIN_SHARE = 0.6
_MAX_ENTRY_CHARACTERS = 100

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}"
    rf"|(?:\d{{1,2}}(?:st|nd|rd|th)?\s+)?{_MONTH}\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?\d{{4}})"
)
_VERSION = r"v?\d{1,4}(?:\.\d{1,4}){1,3}(?:[-.]?(?:a|b|c|rc|alpha|beta|dev|post|pre|p|snapshot|lts)[-.]?\d*)?"
_RELEASE = re.compile(
    rf"""\[?(?:
        (?:[\w.+-]{{1,30}}\s+)?(?:version|release|changes\ in(?:\ version)?)\s+\[?v?\d{{1,4}}(?:\.\d+)*[\w.-]{{0,12}}
        | {_VERSION} | unreleased
    )\]?
    (?:[\s:,;–—-]*+(?:released|unreleased|yanked|stable|current|latest|on)?[\s:,;()\[\]–—-]*+(?P<date>{_DATE})?
    [\s:,;()\[\]–—-]*+(?:released|unreleased|yanked|stable|current|latest)?[\s:,;()\[\]–—-]*+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A heading that is a version, with a date or a state of the release, and nothing else."""
_DATED = re.compile(rf"\[?{_DATE}\]?[\s:,;()–—-]*", re.IGNORECASE)
_NAMED_RELEASE = re.compile(
    r"""(?:what.?s\ new|release\ notes?|change\s?log|news|noteworthy\ changes|release\ series)\b
    (?:\W+(?:\w+\W+){0,4})?v?\d+(?:\.\d+)+
    | \bv?\d+(?:\.\d+)+\W+(?:release\ notes?|change\s?log|news)
    | \brelease\ series\W+changes""",
    re.IGNORECASE | re.VERBOSE,
)
"""A heading that names the changes of one release: "What's new in Python 3.12", "Django 5.2 release notes"."""
_CHANGELOG_TITLE = re.compile(
    r"\bchange\s?logs?\b|\brelease\s?(?:notes?|history)\b|\bwhat.?s\s+new\b"
    r"|\b(?:version|revision|document|change)\s+history\b"
    r"|^(?:changes|releases)$",
    re.IGNORECASE,
)
_STEMS = frozenset(("changelog", "changes", "release-notes", "release_notes", "releasenotes", "whatsnew"))
_PLAIN_ENTRY = re.compile(
    r"[\w.+-]+ \([^()\n]*\d[^()\n]*\) [\w -]+; urgency=|\d{4}-\d\d-\d\d\s{1,3}\S[^\n<]*<\S+@\S+>$", re.MULTILINE
)
"""First lines of entries in the changelogs of Debian and GNU."""
_VERSIONED_ITEM = re.compile(rf"(?:version\s+)?{_VERSION}(?:\s*[:(–—]|\s+-\s|$)|{_DATE}\s*[:–—-]", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\(#\d{1,7}\)|#\d{1,7}\W{0,3}$|\b(?:PR|pull request|issue|bug|fix(?:es|ed)?|close[sd]?) ?#\d{1,7}"
    r"|\{(?:issue|pr)\}`?\d+`?|\b(?:gh|bpo|PR)-?\d{2,7}",
    re.IGNORECASE,
)
_CHANGE_COLUMNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:version|revision|rev\.?|release)",
        r"\bdate\b",
        r"\b(?:changes?|description|notes?|author)\b",
    )
)


def find_changelog(document: Document) -> set[int]:
    """Return the indexes of the blocks of release notes and histories of changes."""
    is_named = get_file_stem(document) in _STEMS or bool(_CHANGELOG_TITLE.search(clean_heading(document.title)))
    paths = _find_release_sections(document.blocks, is_named)
    indices = {
        index for index, block in enumerate(document.blocks) if _is_below(block.locator.headings, paths)
    } | _find_plain_entries(document.blocks)
    for index, block in enumerate(document.blocks):
        if index not in indices and block.kind in ("list", "table") and _is_list_of_changes(block, is_named):
            indices.add(index)
    return indices


def _find_release_sections(blocks: Sequence[Block], is_named: bool) -> set[tuple[str, ...]]:
    """Return the heading paths of the sections that each describe one release."""
    releases: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    sections: set[tuple[str, ...]] = set()
    for block in blocks:
        path = block.locator.headings
        if block.kind != "heading" or not path:
            continue
        text = clean_heading(path[-1])
        if _NAMED_RELEASE.search(text):
            sections.add(path)
        elif _RELEASE.fullmatch(text) or (_DATED.fullmatch(text) and _is_changelog(path[:-1], is_named)):
            releases[path[:-1]].append(path)
    for parent, paths in releases.items():
        if _is_changelog(parent, is_named) or _are_releases([clean_heading(path[-1]) for path in paths]):
            sections.update(paths)
    return sections


def _is_changelog(path: Sequence[str], is_named: bool) -> bool:
    return is_named or any(_CHANGELOG_TITLE.search(clean_heading(heading)) for heading in path)


def _are_releases(headings: Sequence[str]) -> bool:
    """Return whether several versions head their sections: dated, or the newest first, unlike numbered chapters."""
    if len(headings) < 2:
        return False
    dated = sum(bool(match and match["date"]) for match in map(_RELEASE.fullmatch, headings))
    numbers = [[int(part) for part in re.findall(r"\d+", heading)[:3]] for heading in headings]
    falling = sum(left > right for left, right in pairwise(numbers))
    return dated >= _MIN_SHARE * len(headings) or falling >= _MIN_SHARE * (len(headings) - 1)


def _is_below(path: tuple[str, ...], sections: set[tuple[str, ...]]) -> bool:
    return bool(sections) and any(path[:length] in sections for length in range(1, len(path) + 1))


def _find_plain_entries(blocks: Sequence[Block]) -> set[int]:
    """Return the paragraphs below the first lines of entries in a plain text, if it has several."""
    indices, is_entry, entry_count = set[int](), False, 0
    for index, block in enumerate(blocks):
        if block.kind == "heading":
            is_entry = False
        elif _is_plain_entry(block.text):
            is_entry, entry_count = True, entry_count + 1
        if is_entry:
            indices.add(index)
    return indices if entry_count >= 2 else set()


def _is_plain_entry(text: str) -> bool:
    first_line = text[: _MAX_ENTRY_CHARACTERS + 1].partition("\n")[0].strip()
    if not (len(first_line) <= _MAX_ENTRY_CHARACTERS and has_digit(first_line)):
        return False
    release = _RELEASE.fullmatch(first_line)
    return bool(
        _PLAIN_ENTRY.match(text) or (release and release["date"]) or _NAMED_RELEASE.match(first_line.strip("* "))
    )


def _is_list_of_changes(block: Block, is_named: bool) -> bool:
    if block.kind == "table":
        header = block.text[:400].partition("\n")[0]
        return "\n" in block.text and all(column.search(header) for column in _CHANGE_COLUMNS)
    is_below_title = _is_changelog(block.locator.headings, is_named)
    items = list(_iter_top_items(block)) if is_below_title or "#" in block.text or ")" in block.text else []
    if len(items) < _MIN_ITEMS:
        return False
    versions = sum(bool(_VERSIONED_ITEM.match(item)) for item in items)
    references = sum(bool(_REFERENCE.search(item)) for item in items)
    return (is_below_title and versions >= _MIN_SHARE * len(items)) or references >= _MIN_SHARE * len(items)


def _iter_top_items(block: Block) -> Iterator[str]:
    for line, item in zip(filter(str.strip, block.text.split("\n")), split_items(block.text), strict=True):
        if not line[:1].isspace():
            yield item
