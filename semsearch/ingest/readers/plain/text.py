"""Read plain text and source code: blocks between blank lines, with line numbers. Does not parse any language."""

from collections.abc import Iterator

from ....core.types.documents import BlockKind, Locator, ParsedContent
from ..block_builder import BlockBuilder
from ..encodings import decode
from .text_headings import TITLE_LEVEL, split_headings

MAX_CODE_LINES = 60
"""Blocks of code are joined up to this size, so that a function keeps the blank lines inside it."""


def read(data: bytes) -> ParsedContent:
    """Read headings, and paragraphs with their line breaks; the title is the first heading of level 1."""
    builder = BlockBuilder()
    for part in split_headings(list(split_at_blank_lines(decode(data)))):
        locator = Locator(lines=(part.first_line, part.first_line + len(part.lines) - 1))
        if part.level:
            if part.level == TITLE_LEVEL and builder.title is None:
                builder.title = part.lines[0]
            builder.add_heading(part.lines[0], part.level, locator)
        else:
            builder.add("\n".join(part.lines), "paragraph", locator)
    return builder.build()


def read_code(data: bytes) -> ParsedContent:
    """Read source code, split at blank lines, preferably before a line that is not indented."""
    return _build_content(_join_code(split_at_blank_lines(decode(data))), "code")


def split_at_blank_lines(text: str) -> Iterator[tuple[int, list[str]]]:
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


def _join_code(parts: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
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


def _build_content(parts: Iterator[tuple[int, list[str]]], kind: BlockKind) -> ParsedContent:
    builder = BlockBuilder()
    for first, lines in parts:
        builder.add("\n".join(lines), kind, Locator(lines=(first, first + len(lines) - 1)))
    return builder.build()
