"""Excerpts and passages of an answer as text for people. Only formats."""

import re
import shutil
import textwrap
from collections.abc import Callable, Sequence

import click

from ...answers.plain_text import extract_sentence_text
from ...core.escapes import escape_name
from ...core.types.answers import Answer, Citation, ClosestPassage
from ...core.types.search import Hit
from .terminal import format_link

MAX_WIDTH = 100
MIN_WIDTH = 20
MAX_PASSAGE_LINES = 4

EXCERPT_HEADING = "Best excerpt"
PASSAGES_HEADING = "Closest passages"
NO_ANSWER_HEADING = "Closest passages; none clearly answers this"

_BEST_START, _BEST_END = "»", "«"
_CUT = "…"
_MARKER = re.compile(r"\[\d+\]")
_BREAK = "\n"
_WORD_OR_BREAK = re.compile(r"(\s*\n(?![a-z])\s*)|\S+")
"""A line break, or a word. A line that begins in lower case continues the one before it."""


def format_excerpt(answer: Answer) -> str:
    """Return the excerpt exactly as it is stored, below the header of its table, with the places it is copied from."""
    parts = [format_heading(EXCERPT_HEADING)]
    for sentence in answer.sentences:
        parts += [sentence.context] if sentence.context else []
        parts.append(extract_sentence_text(sentence, answer.citations))
    places = [format_place(citation) for citation in answer.citations]
    return "\n".join([*parts, "", *places])


def format_passages(passages: Sequence[ClosestPassage], heading: str, *, is_colored: bool) -> str:
    """Return a heading, and for each passage its place and a few lines around its best part; empty without passages."""
    if not passages:
        return ""
    blocks = [f"{format_location(passage)}\n{_format_passage(passage, is_colored)}" for passage in passages]
    return "\n".join([format_heading(heading), *blocks])


def format_heading(text: str) -> str:
    """Return a heading, bold on a terminal: elsewhere click removes the style."""
    return click.style(text, bold=True)


def format_place(citation: Citation) -> str:
    """Return the marker of a citation and its place."""
    return f"{style_markers(f'[{citation.marker}]')} {format_location(citation)}"


def style_markers(text: str) -> str:
    """Return text with markers of citations, such as `[1]`, in bold cyan."""
    return _MARKER.sub(lambda marker: click.style(marker[0], fg="cyan", bold=True), text)


def format_location(item: Hit | Citation | ClosestPassage) -> str:
    """Return the document, heading, page and offsets of a span; a hyperlink if its address is set."""
    heading = f" › {item.heading}" if item.heading else ""
    page = f", page {item.page}" if item.page else ""
    place = escape_name(f"{item.uri}{heading}")
    return format_link(f"{place}{page}, characters {item.start}–{item.end}", item.url)


def compute_text_width() -> int:
    """Return the width of indented text in columns."""
    return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size().columns)) - 4


def _format_passage(passage: ClosestPassage, is_colored: bool) -> str:
    """Return the lines around the best part, which is green where colour is used and between » and « elsewhere."""
    start, end = passage.best.start - passage.start, passage.best.end - passage.start
    before, best, after = map(split_words, (passage.text[:start], passage.text[start:end], passage.text[end:]))
    words = [*before, *(best if is_colored else _add_marks(best)), *after]
    green = range(len(before), len(before) + len(best)) if is_colored else range(0)
    return arrange_lines(words, len(before), lambda first, last: _style_words(words, (first, last), green))


def arrange_lines(words: Sequence[str], best: int, format_line: Callable[[int, int], str]) -> str:
    """Return a few indented lines around the word with the number `best`.

    `format_line` gets the number of the first word of a line and the number behind its last, and returns its text.
    """
    lines = _wrap(words)
    best_line = next((i for i, (first, last) in enumerate(lines) if first <= best < last), 0)
    shown = _choose_lines(best_line, len(lines))
    texts = [format_line(*lines[i]) for i in shown]
    if texts and shown.start > 0:
        texts[0] = f"{_CUT} {texts[0]}"
    if texts and shown.stop < len(lines):
        texts[-1] = f"{texts[-1]} {_CUT}"
    return textwrap.indent("\n".join(texts), "    ")


def split_words(text: str) -> list[str]:
    """Return the words, each at most as wide as a line, and `_BREAK` where a list item, row or paragraph begins."""
    width = _compute_line_width() - 2
    tokens = (_BREAK if match[1] else match[0] for match in _WORD_OR_BREAK.finditer(text))
    return [token[start : start + width] for token in tokens for start in range(0, len(token), width)]


def _add_marks(best: Sequence[str]) -> list[str]:
    """Return the words with a mark before the first and behind the last."""
    marked, numbers = list(best), [i for i, word in enumerate(best) if word != _BREAK]
    if numbers:
        marked[numbers[0]] = f"{_BEST_START}{marked[numbers[0]]}"
        marked[numbers[-1]] += _BEST_END
    return marked


def _compute_line_width() -> int:
    """Return the width of a line without the signs of a cut at both ends."""
    return compute_text_width() - 2 * len(f"{_CUT} ")


def _wrap(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return for each line the number of its first word, and the number behind its last."""
    width, lines, start, used = _compute_line_width(), list[tuple[int, int]](), 0, 0
    for i, word in enumerate(words):
        if word == _BREAK or (i > start and used + 1 + len(word) > width):
            lines.append((start, i))
            start, used = i + (word == _BREAK), 0
        used += 0 if word == _BREAK else len(word) + (i > start)
    return [line for line in [*lines, (start, len(words))] if line[0] < line[1]]


def _choose_lines(best_line: int, count: int) -> range:
    """Return the lines to show: one before the best part, then the best part and what follows."""
    first = max(0, min(best_line - 1, count - MAX_PASSAGE_LINES))
    return range(first, min(count, first + MAX_PASSAGE_LINES))


def _style_words(words: Sequence[str], line: tuple[int, int], best: range) -> str:
    """Return a line with the words of the best part in colour."""
    first, last = line
    start, end = max(first, best.start), min(last, best.stop)
    if start >= end:
        return " ".join(words[first:last])
    parts = [" ".join(words[first:start]), click.style(" ".join(words[start:end]), fg="green")]
    return " ".join(filter(None, [*parts, " ".join(words[end:last])]))
