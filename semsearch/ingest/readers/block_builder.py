"""Collects blocks in reading order under the headings above them. Does not read any format.

Every reader fills one outline, so that headings nest, rows look and sizes are bounded in the same way everywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...core.errors import TooLargeError
from ...core.types.documents import Block, BlockKind, Locator, ParsedContent

MAX_TEXT_CHARACTERS = 64 * 1024 * 1024
"""A small file can name the same long text a million times; this is where its reader stops."""
MAX_BLOCKS = 1_000_000
MAX_HEADING_CHARACTERS = 300
"""A longer heading is a paragraph in heading's clothes: it would be repeated in front of every chunk below it."""

CELL_SEPARATOR = " | "

EMPTY_LOCATOR = Locator()
"""For formats that know no place but the headings."""


def collapse_whitespace(text: str) -> str:
    r"""Return `text` on one line: every run of white space becomes one space.

    >>> line(" a\n  b ")
    'a b'
    """
    return " ".join(text.split())


def format_row(cells: Iterable[str]) -> str:
    """Return one line of a table, or nothing if all cells are empty."""
    texts = [collapse_whitespace(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return CELL_SEPARATOR.join(texts)


def format_table(rows: Iterable[Sequence[str]]) -> str:
    """Return the text of a table block, without its empty rows."""
    return "\n".join(filter(None, map(format_row, rows)))


@dataclass(slots=True)
class BlockBuilder:
    """The blocks so far, and the headings that are open."""

    blocks: list[Block] = field(default_factory=list)
    title: str | None = None
    _open_headings: list[tuple[int, str]] = field(default_factory=list)
    _heading_path: tuple[str, ...] = ()
    _character_count: int = 0

    def add_heading(self, text: str, level: int, locator: Locator = EMPTY_LOCATOR) -> None:
        """Close the headings of this level and below, and open this one."""
        text = collapse_whitespace(text)
        if not text or len(text) > MAX_HEADING_CHARACTERS:
            return self.add(text, "paragraph", locator)
        self._open_headings = [*(opened for opened in self._open_headings if opened[0] < level), (level, text)]
        self._heading_path = tuple(heading for _, heading in self._open_headings)
        return self.add(text, "heading", locator)

    def add(self, text: str, kind: BlockKind = "paragraph", locator: Locator = EMPTY_LOCATOR) -> None:
        """Append a block below the open headings; an empty one is left out."""
        if not text or text.isspace():
            return
        self._character_count += len(text)
        if self._character_count > MAX_TEXT_CHARACTERS or len(self.blocks) >= MAX_BLOCKS:
            bounds = f"{MAX_TEXT_CHARACTERS:,} characters or {MAX_BLOCKS:,} paragraphs"
            raise TooLargeError(f"it holds more text than {bounds}; split it")
        place = (
            Locator(self._heading_path, locator.page, locator.sheet, locator.lines)
            if self._heading_path or locator.headings
            else locator
        )
        self.blocks.append(Block(text, kind, place))

    def close_headings(self) -> None:
        """Let what follows stand under no heading, as on a new slide."""
        self._open_headings, self._heading_path = [], ()

    def build(self) -> ParsedContent:
        """What was collected; the title is the stated one, else the first heading of the first level."""
        return ParsedContent(tuple(self.blocks), self.title and collapse_whitespace(self.title))
