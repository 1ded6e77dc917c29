"""Excel workbooks, sheet by sheet, with the values that were last computed. Does not compute formulas."""

import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from lxml import etree

from ..errors import UnsupportedMedia
from ..types import Content
from .outline import Outline
from .packages import Package
from .sheets import add_sheet

_DAMAGE = (KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, EOFError, SyntaxError, etree.LxmlError)
"""What the library raises on a workbook that breaks its rules."""


def read(data: bytes) -> Content:
    """Read all sheets, hidden ones too; the title is the one in the properties."""
    import openpyxl

    package = Package(data)
    package.archive.refuse_document_types()
    outline = Outline(title=package.title())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which do not matter here
        try:
            workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()  # many programs state them wrongly
                add_sheet(outline, sheet.title, _rows(sheet))
        except _DAMAGE as exc:
            raise UnsupportedMedia(f"it is damaged: {exc}") from exc
    return outline.content()


def _rows(sheet: Any) -> Iterator[list[str]]:  # noqa: ANN401, openpyxl has no types
    for values in sheet.iter_rows(values_only=True):
        yield [_shown(value) for value in values]


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
