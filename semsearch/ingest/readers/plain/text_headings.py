"""Recognise the headings of plain text: underlined, numbered, or in title case. Prefers precision to recall."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_HEADING_WORDS = 10
MAX_HEADING_CHARACTERS = 80
MIN_CONFIRMED_SHARE = 2 / 3
"""Where fewer of the lines that look like headings have text below them, the text is a list or a poem."""
MAX_LOG_SHARE = 1 / 4
MIN_BODY_WORDS = 8
"""A heading without an underline is followed by text of at least so many words."""

TITLE_LEVEL = 1
SUBTITLE_LEVEL = 2
NUMBERED_LEVEL = 2
"""Level of a heading with one number; each further number is one level deeper."""
PLAIN_LEVEL = 2

_UNDERLINE = re.compile(r"(=|-|~|\*)\1{2,}")
_NUMBERED = re.compile(
    r"(?:(?:chapter|section|article|part|appendix)\s+)?(?P<number>\d{1,2}(?:\.\d{1,2}){0,4}|[IVX]{1,5}(?=\.))"
    r"[.)]?:?\s+(?P<text>\S.*)",
    re.IGNORECASE,
)
_NOT_IN_HEADING = re.compile(r"[.!?;,]$|[|<>{}=@\\\t_\[\]]|://|\s{3,}|^\W|\d{1,2}:\d\d|\d{4}-\d\d|\d{5,}")
_ORDINARY_ENDS = re.compile(r"[.!?:;)”\"']$")
_LOG_ENTRY = re.compile(r"\W{0,2}(?:\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|(?:DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b)")
_SMALL_WORDS = frozenset(
    "a an and as at but by de der for from in into la le nor of off on or over per so the to und up via with".split()
)


@dataclass(frozen=True, slots=True)
class TextPart:
    """A run of lines between blank lines, or a heading in it, with the number of its first line."""

    first_line: int
    lines: list[str]
    level: int = 0
    """Level of a heading; 0 for text."""


def split_headings(runs: Sequence[tuple[int, list[str]]]) -> Iterator[TextPart]:
    """Yield the runs of a text, with its headings as parts of their own; no line is lost."""
    plain = _find_plain_headings(runs)
    for index, (first, lines) in enumerate(runs):
        if index in plain:
            yield TextPart(first, lines, plain[index])
        else:
            yield from _split_underlined(first, lines)


def _split_underlined(first: int, lines: list[str]) -> Iterator[TextPart]:
    """Yield the heading that a line of === or --- underlines at the start of a run, and the text below it."""
    if len(lines) < 2 or not _is_underlined(lines[0], lines[1]):
        yield TextPart(first, lines)
        return
    yield TextPart(first, lines[:2], TITLE_LEVEL if lines[1].strip()[0] in "=*" else SUBTITLE_LEVEL)
    if len(lines) > 2:
        yield TextPart(first + 2, lines[2:])


def _is_underlined(text: str, rule: str) -> bool:
    """Return whether a rule has about the length of the line above it, which is no row of a table."""
    text, rule = text.strip(), rule.strip()
    if not _UNDERLINE.fullmatch(rule) or not any(map(str.isalpha, text)) or len(text) > MAX_HEADING_CHARACTERS:
        return False
    return abs(len(text) - len(rule)) <= max(2, len(text) // 5) and "|" not in text and "  " not in text


def _find_plain_headings(runs: Sequence[tuple[int, list[str]]]) -> dict[int, int]:
    """Return the level of each run that is a heading without an underline, by its index."""
    if sum(_LOG_ENTRY.match(lines[0]) is not None for _, lines in runs) > MAX_LOG_SHARE * len(runs):
        return {}
    candidates = {
        index: level
        for index, (_, lines) in enumerate(runs)
        if len(lines) == 1 and (level := _get_plain_level(lines[0]))
    }
    confirmed = {
        index: level for index, level in candidates.items() if index + 1 < len(runs) and _is_prose(runs[index + 1][1])
    }
    if len(confirmed) < MIN_CONFIRMED_SHARE * len(candidates):
        return {}
    has_title = len(confirmed) > 1 and 0 in candidates and 1 in confirmed
    return {0: TITLE_LEVEL, **confirmed} if has_title else confirmed


def _get_plain_level(line: str) -> int:
    """Return the level of a line that looks like a heading; 0 if it does not."""
    if line[0].isspace() or len(line) > MAX_HEADING_CHARACTERS:
        return 0
    numbered = _NUMBERED.fullmatch(line)
    text = numbered["text"] if numbered else line
    words = text.split()
    if len(words) > MAX_HEADING_WORDS or _NOT_IN_HEADING.search(text) or not text[0].isupper():
        return 0
    if numbered and numbered["number"][0].isdigit():
        return NUMBERED_LEVEL + numbered["number"].count(".") if _is_heading_text(text) else 0
    return PLAIN_LEVEL if _is_title(text, words) else 0


def _is_heading_text(text: str) -> bool:
    return sum(map(str.isalpha, text)) >= max(3, len(text) // 2)


def _is_title(text: str, words: Sequence[str]) -> bool:
    """Return whether a line is in title case or capitals; a line of one word may be a name or a signature."""
    letters = [word for word in words if word[0].isalpha()]
    if len(letters) < 2 or len(letters) < len(words) - 1 or text.endswith(":") or not _is_heading_text(text):
        return text.isupper() and text.isalpha() and len(text) > 4
    return all(word[0].isupper() or word.lower() in _SMALL_WORDS for word in letters)


def _is_prose(lines: Sequence[str]) -> bool:
    """Return whether a run of lines is text: sentences, not rows, items or an address."""
    words = sum(len(line.split()) for line in lines)
    average_words = words / len(lines)
    if words < MIN_BODY_WORDS or average_words < 5 or any("|" in line or "\t" in line for line in lines):
        return False
    return _ORDINARY_ENDS.search(lines[-1]) is not None
