"""Convert the rows of one sheet to titles and tables. Does not open workbooks."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ....core.types.documents import BlockKind, Locator
from ..block_builder import BlockBuilder, format_row

_DEFAULT_SHEET_NAME = re.compile(
    r"(?:sheet|tabelle|feuille?|hoja|foglio|planilha|лист|シート|工作表)\s*\d*", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?[\d.,:/-]*\d[\d.,:/-]*\s?%?")

_NumberedRows = list[tuple[int, Sequence[str]]]


def add_sheet(builder: BlockBuilder, name: str, rows: Iterable[Sequence[str]]) -> None:
    """Append one sheet; empty rows end a table, unless the next row is a record without a header."""
    builder.close_headings()
    if not _DEFAULT_SHEET_NAME.fullmatch(name.strip()):
        builder.add_heading(name, 1, Locator(sheet=name))
    table: _NumberedRows = []
    for region in _split_regions(rows):
        if table and _is_record(region[0][1]) and len(table) > 1:
            table += region
        else:
            _add_rows(builder, name, table)
            table = _add_titles(builder, name, region)
    _add_rows(builder, name, table)


def append_comment(text: str, comment: str) -> str:
    """Return the text of a cell with its comment appended."""
    return f"{text} [Comment: {comment}]".lstrip() if comment else text


def _split_regions(rows: Iterable[Sequence[str]]) -> Iterator[_NumberedRows]:
    """Yield runs of non-empty rows with their numbers."""
    region: _NumberedRows = []
    for number, cells in enumerate(rows, 1):
        if _count_filled_cells(cells):
            region.append((number, cells))
        elif region:
            yield region
            region = []
    if region:
        yield region


def _count_filled_cells(cells: Sequence[str]) -> int:
    return sum(bool(cell and not cell.isspace()) for cell in cells)


def _is_record(cells: Sequence[str]) -> bool:
    """Return whether a row after a gap continues the table: a record has a number where a header has names."""
    return _count_filled_cells(cells) > 1 and any(_NUMBER.fullmatch(cell.strip()) for cell in cells if cell)


def _add_titles(builder: BlockBuilder, name: str, region: _NumberedRows) -> _NumberedRows:
    """Append rows of a single cell before a table as paragraphs; return the other rows, or all of a single column."""
    table_start = next((index for index, (_, cells) in enumerate(region) if _count_filled_cells(cells) > 1), 0)
    for index in range(table_start):
        _add_rows(builder, name, region[index : index + 1])
    return region[table_start:]


def _add_rows(builder: BlockBuilder, name: str, rows: _NumberedRows) -> None:
    if not rows:
        return
    kind: BlockKind = "table" if len(rows) > 1 or _count_filled_cells(rows[0][1]) > 1 else "paragraph"
    left = min(next(column for column, cell in enumerate(cells) if cell and not cell.isspace()) for _, cells in rows)
    text = "\n".join(format_row(cells[left:]) for _, cells in rows)
    builder.add(text, kind, Locator(sheet=name, lines=(rows[0][0], rows[-1][0])))
