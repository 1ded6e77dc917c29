"""Plain text and source code: pieces between blank lines, with the lines they stand on. Does not parse any language."""

from collections.abc import Iterator

from ....core.types.documents import Content, Kind, Locator
from ..block_builder import Outline
from ..encodings import decode

MAX_CODE_LINES = 60
"""Pieces of code smaller than this are joined, so that a function keeps the blank lines inside it."""


def read(data: bytes) -> Content:
    """Read paragraphs, which blank lines separate; line breaks inside them are kept."""
    return _content(pieces(decode(data)), "paragraph")


def read_code(data: bytes) -> Content:
    """Read source code, cut at blank lines; preferably at those before a line that is not indented."""
    return _content(_joined(pieces(decode(data))), "code")


def pieces(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each run of lines that are not blank, with the number of its first line."""
    run: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace():
            run.append(line.rstrip())
        elif run:
            yield number - len(run), run
            run = []
    if run:
        yield number - len(run) + 1, run


def _joined(parts: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    first, lines = 0, list[str]()
    for start, part in parts:
        if lines and (start + len(part) - first > MAX_CODE_LINES or not part[0][0].isspace()):
            yield first, lines
            lines = []
        if lines:
            part = [""] * (start - first - len(lines)) + part
        else:
            first = start
        lines = lines + part
    if lines:
        yield first, lines


def _content(parts: Iterator[tuple[int, list[str]]], kind: Kind) -> Content:
    outline = Outline()
    for first, lines in parts:
        outline.add("\n".join(lines), kind, Locator(lines=(first, first + len(lines) - 1)))
    return outline.content()
