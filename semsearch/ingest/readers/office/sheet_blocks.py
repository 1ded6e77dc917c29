"""The rows of one sheet as titles and tables. Does not open workbooks."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ....core.types.documents import Kind, Locator
from ..block_builder import Outline, row

_NAMED_BY_PROGRAM = re.compile(
    r"(?:sheet|tabelle|feuille?|hoja|foglio|planilha|лист|シート|工作表)\s*\d*", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?[\d.,:/-]*\d[\d.,:/-]*\s?%?")

_Rows = list[tuple[int, Sequence[str]]]


def add_sheet(outline: Outline, name: str, rows: Iterable[Sequence[str]]) -> None:
    """Append one sheet; empty rows end a table, unless what follows has no header of its own."""
    outline.close_headings()
    if not _NAMED_BY_PROGRAM.fullmatch(name.strip()):
        outline.heading(name, 1, Locator(sheet=name))
    table: _Rows = []
    for region in _regions(rows):
        if table and _is_record(region[0][1]) and len(table) > 1:
            table += region
        else:
            _add(outline, name, table)
            table = _without_titles(outline, name, region)
    _add(outline, name, table)


def commented(text: str, comment: str) -> str:
    """The text of a cell with what was noted about it."""
    return f"{text} [Comment: {comment}]".lstrip() if comment else text


def _regions(rows: Iterable[Sequence[str]]) -> Iterator[_Rows]:
    """Runs of rows that are not empty, with their numbers."""
    region: _Rows = []
    for number, cells in enumerate(rows, 1):
        if _width(cells):
            region.append((number, cells))
        elif region:
            yield region
            region = []
    if region:
        yield region


def _width(cells: Sequence[str]) -> int:
    return sum(bool(cell and not cell.isspace()) for cell in cells)


def _is_record(cells: Sequence[str]) -> bool:
    """Whether a row after a gap is one more record: it has a number where a header would have a name."""
    return _width(cells) > 1 and any(_NUMBER.fullmatch(cell.strip()) for cell in cells if cell)


def _without_titles(outline: Outline, name: str, region: _Rows) -> _Rows:
    """Append the single cells in front of a table as paragraphs; return the rest. A single column is left as it is."""
    first = next((index for index, (_, cells) in enumerate(region) if _width(cells) > 1), 0)
    for index in range(first):
        _add(outline, name, region[index : index + 1])
    return region[first:]


def _add(outline: Outline, name: str, rows: _Rows) -> None:
    if not rows:
        return
    kind: Kind = "table" if len(rows) > 1 or _width(rows[0][1]) > 1 else "paragraph"
    left = min(next(column for column, cell in enumerate(cells) if cell and not cell.isspace()) for _, cells in rows)
    text = "\n".join(row(cells[left:]) for _, cells in rows)
    outline.add(text, kind, Locator(sheet=name, lines=(rows[0][0], rows[-1][0])))
