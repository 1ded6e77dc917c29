"""Read Excel workbooks by sheet, with the values that were last computed. Does not compute formulas."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from lxml import etree

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..zip_archive import local_name
from .chart_data import add_chart
from .opc import OpcPackage, get_relationship_id
from .sheet_blocks import add_sheet, append_comment

MAX_ROWS = 1_048_576
"""Excel's limit. A row may claim any number, and openpyxl would generate all rows before it."""

_WORKBOOK_ERRORS = (LookupError, ValueError, TypeError, AttributeError, OSError, EOFError, SyntaxError, etree.LxmlError)
"""Errors that openpyxl raises on an invalid workbook."""

_FORMULA_TAG = re.compile(rb"<(?:\w{1,20}:)?f[\s>/]")
_UNCOMPUTED_CELLS = etree.XPath(
    "*[local-name() = 'c'][not(@t = 'str')][*[local-name() = 'f'][text()]][not(*[local-name() = 'v'][text()])]"
)
"""Cells with a formula but no value; not those of type `str`, whose computed value may be an empty text."""
_THREADED_COMMENT_PREFIX = "[Threaded comment]"
"""Start of a threaded comment, which begins with a notice for older versions of Excel."""

_CellTexts = dict[int, dict[int, str]]
"""Row number to column number to text."""


def read(data: bytes) -> ParsedContent:
    """Read all sheets, including hidden ones; the title is that of the properties."""
    import openpyxl

    package = OpcPackage(data)
    package.archive.validate_no_document_types()
    builder = BlockBuilder(title=package.read_title())
    parts = _map_sheet_parts(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about styles and extensions, which are not read
        try:
            workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()  # many programs write wrong dimensions
                part = parts.get(sheet.title, "")
                add_sheet(
                    builder,
                    sheet.title,
                    _iter_rows(sheet, _read_formulas(package, part), _read_comments(package, part)),
                )
                _add_drawings(builder, package, part, Locator(sheet=sheet.title))
        except _WORKBOOK_ERRORS as exc:
            raise UnsupportedMediaError(f"it is damaged: {exc}") from exc
    return builder.build()


def _map_sheet_parts(package: OpcPackage) -> dict[str, str]:
    """Return sheet name to part name."""
    main = package.find_main_part()
    relationships = package.read_relationships(main)
    sheets = package.archive.read_xml(main).iter("{*}sheet")
    return {sheet.get("name", ""): relationships.get(get_relationship_id(sheet), ("", ""))[1] for sheet in sheets}


def _add_drawings(builder: BlockBuilder, package: OpcPackage, part: str, locator: Locator) -> None:
    """Add the text boxes and charts of a sheet; fallback shapes repeat others and are skipped."""
    for kind, drawing in package.read_relationships(part).values():
        if kind == "drawing" and package.archive.has_member(drawing):
            for shape in package.archive.read_xml(drawing).iter("{*}sp"):
                if not any(local_name(ancestor) == "Fallback" for ancestor in shape.iterancestors()):
                    paragraphs = ("".join(text.text or "" for text in p.iter("{*}t")) for p in shape.iter("{*}p"))
                    builder.add(collapse_whitespace(" ".join(paragraphs)), "paragraph", locator)
            for chart in package.read_related_parts(drawing, "chart"):
                add_chart(builder, chart, locator)


def _read_formulas(package: OpcPackage, part: str) -> _CellTexts:
    """Return the formulas that have no computed value, by row and column."""
    formulas: _CellTexts = defaultdict(dict)
    data = package.archive.read(part) if package.archive.has_member(part) else b""
    if _FORMULA_TAG.search(data):
        for _, cells in etree.iterparse(BytesIO(data), tag="{*}row", resolve_entities=False, no_network=True):
            for cell in _UNCOMPUTED_CELLS(cells):
                row, column = _parse_cell_reference(cell.get("r"))
                formulas[row][column] = f"={collapse_whitespace(cell.findtext('{*}f'))}"
            cells.clear()
    return formulas


def _read_comments(package: OpcPackage, part: str) -> _CellTexts:
    comments: _CellTexts = defaultdict(dict)
    for root in package.read_related_parts(part, "comments"):
        for comment in root.iter("{*}comment"):
            text = collapse_whitespace("".join(text.text or "" for text in comment.iter("{*}t")))
            row, column = _parse_cell_reference(comment.get("ref"))
            comments[row][column] = (
                text.partition("Comment:")[2].strip() if text.startswith(_THREADED_COMMENT_PREFIX) else text
            )
    return comments


def _parse_cell_reference(reference: str | None) -> tuple[int, int]:
    """Return row and column of a cell: B3 is (3, 2)."""
    from openpyxl.utils.cell import coordinate_to_tuple

    row, column = coordinate_to_tuple(reference or "A0")
    return row, column


def _iter_rows(sheet: Any, formulas: _CellTexts, comments: _CellTexts) -> Iterator[list[str]]:
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > MAX_ROWS:
            raise UnsupportedMediaError(f"it is damaged: a sheet claims more than {MAX_ROWS:,} rows")
        if number in formulas or number in comments:
            yield _complete_row(
                [_format_value(value) for value in values], formulas.get(number, {}), comments.get(number, {})
            )
        else:
            yield [] if values.count(None) == len(values) else [_format_value(value) for value in values]


def _complete_row(cells: list[str], formulas: dict[int, str], comments: dict[int, str]) -> list[str]:
    """Return a row with the formulas and comments of its cells; comments on missing cells are appended."""
    completed = [
        append_comment(cell or formulas.get(column, ""), comments.get(column, ""))
        for column, cell in enumerate(cells, 1)
    ]
    return completed + [append_comment("", comment) for column, comment in comments.items() if column > len(cells)]


def _format_value(value: object) -> str:
    """Return a value as its cell most likely shows it."""
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
