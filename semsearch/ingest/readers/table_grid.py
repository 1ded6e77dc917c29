"""A table whose cells may span columns and rows, as every row reads by itself. Does not parse any markup."""

from dataclasses import dataclass, field

from .block_builder import format_table

MAX_CELL_SPAN = 50
MAX_COLUMNS = 1_000
"""A cell that stands further to the right is not repeated."""
MAX_REPEATED_CHARACTERS = 200
"""A longer text in a spanning cell stands in its first row only."""


@dataclass(slots=True)
class TableGrid:
    """The rows so far; a cell that spans several is repeated in each, so that no row needs the one above it."""

    rows: list[list[str]] = field(default_factory=list)
    _row_spans: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Column to how many more rows its text reaches down."""

    def open_row(self) -> None:
        """Start a row."""
        if self.rows:
            self._fill_spanned_cells()
        self.rows.append([])

    def is_row_full(self, width: int) -> bool:
        """Whether the row that is open, if one is, has this many cells."""
        if self.rows:
            self._fill_spanned_cells()
        return not self.rows or len(self.rows[-1]) >= width

    def add_cell(self, text: str, column_span: int = 1, row_span: int = 1) -> None:
        """Add a cell to the row that is open."""
        if not self.rows:
            self.rows.append([])
        self._fill_spanned_cells()
        repeated = text if len(text) <= MAX_REPEATED_CHARACTERS else ""
        for number in range(max(1, min(column_span, MAX_CELL_SPAN, MAX_COLUMNS - len(self.rows[-1])))):
            if row_span > 1 and len(self.rows[-1]) < MAX_COLUMNS:
                self._row_spans[len(self.rows[-1])] = (row_span - 1, repeated)
            self.rows[-1].append(repeated if number else text)

    def get_text_above(self) -> str:
        """The text above the cell to come, as far as it may be repeated."""
        column = len(self.rows[-1]) if self.rows else 0
        text = self.rows[-2][column] if len(self.rows) > 1 and column < len(self.rows[-2]) else ""
        return text if len(text) <= MAX_REPEATED_CHARACTERS else ""

    def _fill_spanned_cells(self) -> None:
        """Add the cells that reach down from the rows above."""
        cells = self.rows[-1]
        while len(cells) in self._row_spans:
            column = len(cells)
            rows, text = self._row_spans.pop(column)
            if rows > 1:
                self._row_spans[column] = (rows - 1, text)
            cells.append(text)

    def to_text(self) -> str:
        """The text of a table block."""
        if self.rows:
            self._fill_spanned_cells()
        return format_table(self.rows)
