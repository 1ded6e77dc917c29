"""Collect blocks in reading order, each with the path of its headings. Does not parse any format.

All readers use one builder, so that nesting of headings, format of rows and size limits are the same everywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...core.errors import TooLargeError
from ...core.types.documents import Block, BlockKind, Locator, ParsedContent
from ..limits import MAX_BLOCKS, MAX_TEXT_CHARACTERS, check_cell_count

MAX_HEADING_CHARACTERS = 300
"""A longer heading is added as a paragraph: a heading is repeated in front of every chunk below it."""

CELL_SEPARATOR = " | "

EMPTY_LOCATOR = Locator()
"""For formats without pages, sheets or lines."""


def collapse_whitespace(text: str) -> str:
    r"""Return `text` on one line: every run of white space becomes one space.

    >>> collapse_whitespace(" a\n  b ")
    'a b'
    """
    return " ".join(text.split())


def format_row(cells: Iterable[str]) -> str:
    """Return one line of a table, or an empty string if all cells are empty."""
    texts = [collapse_whitespace(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return CELL_SEPARATOR.join(texts)


def format_table(rows: Iterable[Sequence[str]]) -> str:
    """Return the text of a table block, without its empty rows."""
    return "\n".join(filter(None, map(format_row, rows)))


@dataclass(slots=True)
class BlockBuilder:
    """Collect blocks and keep track of the open headings."""

    blocks: list[Block] = field(default_factory=list)
    title: str | None = None
    _open_headings: list[tuple[int, str]] = field(default_factory=list)
    _heading_path: tuple[str, ...] = ()
    _character_count: int = 0
    _cell_count: int = 0

    def add_heading(self, text: str, level: int, locator: Locator = EMPTY_LOCATOR) -> None:
        """Close the open headings of this level and deeper levels, and open this one."""
        text = collapse_whitespace(text)
        if not text or len(text) > MAX_HEADING_CHARACTERS:
            return self.add(text, "paragraph", locator)
        self._open_headings = [*(opened for opened in self._open_headings if opened[0] < level), (level, text)]
        self._heading_path = tuple(heading for _, heading in self._open_headings)
        return self.add(text, "heading", locator)

    def add(self, text: str, kind: BlockKind = "paragraph", locator: Locator = EMPTY_LOCATOR) -> None:
        """Append a block below the open headings; empty text adds no block."""
        if not text or text.isspace():
            return
        self._character_count += len(text)
        if self._character_count > MAX_TEXT_CHARACTERS or len(self.blocks) >= MAX_BLOCKS:
            limits = f"{MAX_TEXT_CHARACTERS:,} characters or {MAX_BLOCKS:,} paragraphs"
            raise TooLargeError(f"it contains more text than {limits}; split it")
        if kind == "table":
            self._cell_count += text.count(CELL_SEPARATOR) + text.count("\n") + 1
            check_cell_count(self._cell_count)
        full_locator = (
            Locator(self._heading_path, locator.page, locator.sheet, locator.lines)
            if self._heading_path or locator.headings
            else locator
        )
        self.blocks.append(Block(text, kind, full_locator))

    def close_headings(self) -> None:
        """Close all headings, as at a new slide."""
        self._open_headings, self._heading_path = [], ()

    def build(self) -> ParsedContent:
        """Return the collected blocks and the title, if one was set."""
        return ParsedContent(tuple(self.blocks), self.title and collapse_whitespace(self.title))
