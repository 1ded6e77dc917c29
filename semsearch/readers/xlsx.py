"""Excel workbooks, sheet by sheet, with the values that were last computed. Does not compute formulas."""

import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from lxml import etree

from ..errors import UnsupportedMedia
from ..types import Content, Locator
from .charts import add_chart
from .outline import Outline
from .packages import Package, reference
from .sheets import add_sheet

MAX_ROWS = 1_048_576
"""As many as Excel has; a row may claim any number, and all before it would be made up."""

_DAMAGE = (LookupError, ValueError, TypeError, AttributeError, OSError, EOFError, SyntaxError, etree.LxmlError)
"""What the library raises on a workbook that breaks its rules."""


def read(data: bytes) -> Content:
    """Read all sheets, hidden ones too; the title is the one in the properties."""
    import openpyxl

    package = Package(data)
    package.archive.refuse_document_types()
    outline = Outline(title=package.title())
    charts = _charts(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which do not matter here
        try:
            workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()  # many programs state them wrongly
                add_sheet(outline, sheet.title, _rows(sheet))
                for chart in charts.get(sheet.title, ()):
                    add_chart(outline, chart, Locator(sheet=sheet.title))
        except _DAMAGE as exc:
            raise UnsupportedMedia(f"it is damaged: {exc}") from exc
    return outline.content()


def _charts(package: Package) -> dict[str, list[Any]]:
    """The charts on each sheet, by the sheet's name."""
    main = package.main()
    relations = package.relations(main)
    charts = {}
    for sheet in package.archive.xml(main).iter("{*}sheet"):
        _, part = relations.get(reference(sheet), ("", ""))
        drawings = [name for kind, name in package.relations(part).values() if kind == "drawing"]
        charts[sheet.get("name", "")] = [root for name in drawings for root in package.related(name, "chart")]
    return charts


def _rows(sheet: Any) -> Iterator[list[str]]:
    for number, values in enumerate(sheet.iter_rows(values_only=True)):
        if number == MAX_ROWS:
            raise UnsupportedMedia(f"it is damaged: a sheet of it claims more than {MAX_ROWS:,} rows")
        yield [] if values.count(None) == len(values) else [_shown(value) for value in values]


def _shown(value: object) -> str:
    """A value as its cell most likely shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)
