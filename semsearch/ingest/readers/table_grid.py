"""Expand cells that span columns and rows, so that every row is readable by itself. Does not parse markup."""

from dataclasses import dataclass, field

from .block_builder import format_table

MAX_CELL_SPAN = 50
MAX_COLUMNS = 1_000
"""A cell further to the right is not repeated."""
MAX_REPEATED_CHARACTERS = 200
"""A longer text of a spanning cell is added to its first cell only."""


@dataclass(slots=True)
class TableGrid:
    """The rows of a table; a spanning cell is repeated in each row and column, so that no row needs another one."""

    rows: list[list[str]] = field(default_factory=list)
    _row_spans: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Column to (number of further rows, text) of the cells that span down."""

    def open_row(self) -> None:
        """Start a row."""
        if self.rows:
            self._fill_spanned_cells()
        self.rows.append([])

    def is_row_full(self, width: int) -> bool:
        """Return whether the current row has at least this many cells, or no row is open."""
        if self.rows:
            self._fill_spanned_cells()
        return not self.rows or len(self.rows[-1]) >= width

    def add_cell(self, text: str, column_span: int = 1, row_span: int = 1) -> None:
        """Add a cell to the current row."""
        if not self.rows:
            self.rows.append([])
        self._fill_spanned_cells()
        repeated_text = text if len(text) <= MAX_REPEATED_CHARACTERS else ""
        for offset in range(max(1, min(column_span, MAX_CELL_SPAN, MAX_COLUMNS - len(self.rows[-1])))):
            if row_span > 1 and len(self.rows[-1]) < MAX_COLUMNS:
                self._row_spans[len(self.rows[-1])] = (row_span - 1, repeated_text)
            self.rows[-1].append(repeated_text if offset else text)

    def get_text_above(self) -> str:
        """Return the text above the next cell, or an empty string if it is too long to repeat."""
        column = len(self.rows[-1]) if self.rows else 0
        text = self.rows[-2][column] if len(self.rows) > 1 and column < len(self.rows[-2]) else ""
        return text if len(text) <= MAX_REPEATED_CHARACTERS else ""

    def _fill_spanned_cells(self) -> None:
        """Add the cells that span down from the rows above."""
        cells = self.rows[-1]
        while len(cells) in self._row_spans:
            column = len(cells)
            row_count, text = self._row_spans.pop(column)
            if row_count > 1:
                self._row_spans[column] = (row_count - 1, text)
            cells.append(text)

    def to_text(self) -> str:
        """Return the text of a table block."""
        if self.rows:
            self._fill_spanned_cells()
        return format_table(self.rows)
