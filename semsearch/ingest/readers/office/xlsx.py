"""Excel workbooks, sheet by sheet, with the values that were last computed. Does not compute formulas."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from lxml import etree

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content, Locator
from ..block_builder import Outline, line
from ..zip_archive import local
from .chart_data import add_chart
from .opc import Package, reference
from .sheet_blocks import add_sheet, commented

MAX_ROWS = 1_048_576
"""As many as Excel has; a row may claim any number, and all before it would be made up."""

_DAMAGE = (LookupError, ValueError, TypeError, AttributeError, OSError, EOFError, SyntaxError, etree.LxmlError)
"""What the library raises on a workbook that breaks its rules."""

_FORMULA = re.compile(rb"<(?:\w{1,20}:)?f[\s>/]")
_UNCOMPUTED = etree.XPath(
    "*[local-name() = 'c'][not(@t = 'str')][*[local-name() = 'f'][text()]][not(*[local-name() = 'v'][text()])]"
)
"""Cells of a row; one of type `str` has an empty text for its value."""
_THREADED = "[Threaded comment]"
"""How a comment begins that says first that a newer Excel shows it better."""

_Cells = dict[int, dict[int, str]]
"""Row to column to text."""


def read(data: bytes) -> Content:
    """Read all sheets, hidden ones too; the title is the one in the properties."""
    import openpyxl

    package = Package(data)
    package.archive.refuse_document_types()
    outline = Outline(title=package.title())
    parts = _parts(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which do not matter here
        try:
            workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()  # many programs state them wrongly
                part = parts.get(sheet.title, "")
                add_sheet(outline, sheet.title, _rows(sheet, _formulas(package, part), _comments(package, part)))
                _add_drawings(outline, package, part, Locator(sheet=sheet.title))
        except _DAMAGE as exc:
            raise UnsupportedMedia(f"it is damaged: {exc}") from exc
    return outline.content()


def _parts(package: Package) -> dict[str, str]:
    """The sheets' parts by the sheets' names."""
    main = package.main()
    relations = package.relations(main)
    sheets = package.archive.xml(main).iter("{*}sheet")
    return {sheet.get("name", ""): relations.get(reference(sheet), ("", ""))[1] for sheet in sheets}


def _add_drawings(outline: Outline, package: Package, part: str, at: Locator) -> None:
    """Text boxes, and charts as the tables behind them; what a shape stands in for is not text."""
    for kind, drawing in package.relations(part).values():
        if kind == "drawing" and package.archive.has(drawing):
            for shape in package.archive.xml(drawing).iter("{*}sp"):
                if not any(local(around) == "Fallback" for around in shape.iterancestors()):
                    paragraphs = ("".join(text.text or "" for text in p.iter("{*}t")) for p in shape.iter("{*}p"))
                    outline.add(line(" ".join(paragraphs)), "paragraph", at)
            for chart in package.related(drawing, "chart"):
                add_chart(outline, chart, at)


def _formulas(package: Package, part: str) -> _Cells:
    """The formulas that no program has computed yet, by row and column."""
    formulas: _Cells = defaultdict(dict)
    data = package.archive.read(part) if package.archive.has(part) else b""
    if _FORMULA.search(data):
        for _, cells in etree.iterparse(BytesIO(data), tag="{*}row", resolve_entities=False, no_network=True):
            for cell in _UNCOMPUTED(cells):
                row, column = _place(cell.get("r"))
                formulas[row][column] = f"={line(cell.findtext('{*}f'))}"
            cells.clear()
    return formulas


def _comments(package: Package, part: str) -> _Cells:
    comments: _Cells = defaultdict(dict)
    for root in package.related(part, "comments"):
        for comment in root.iter("{*}comment"):
            text = line("".join(text.text or "" for text in comment.iter("{*}t")))
            row, column = _place(comment.get("ref"))
            comments[row][column] = text.partition("Comment:")[2].strip() if text.startswith(_THREADED) else text
    return comments


def _place(name: str | None) -> tuple[int, int]:
    """Row and column of a cell: B3 is (3, 2)."""
    from openpyxl.utils.cell import coordinate_to_tuple

    row, column = coordinate_to_tuple(name or "A0")
    return row, column


def _rows(sheet: Any, formulas: _Cells, comments: _Cells) -> Iterator[list[str]]:
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > MAX_ROWS:
            raise UnsupportedMedia(f"it is damaged: a sheet of it claims more than {MAX_ROWS:,} rows")
        if number in formulas or number in comments:
            yield _completed([_shown(value) for value in values], formulas.get(number, {}), comments.get(number, {}))
        else:
            yield [] if values.count(None) == len(values) else [_shown(value) for value in values]


def _completed(cells: list[str], formulas: dict[int, str], comments: dict[int, str]) -> list[str]:
    """A row with the formulas and comments that belong to its cells; comments on cells that it has not are last."""
    whole = [
        commented(cell or formulas.get(column, ""), comments.get(column, "")) for column, cell in enumerate(cells, 1)
    ]
    return whole + [commented("", comment) for column, comment in comments.items() if column > len(cells)]


def _shown(value: object) -> str:
    """A value as its cell most likely shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)
