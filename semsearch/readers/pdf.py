"""PDF files, page by page, through PDFium. Does not recognise characters in pictures."""

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from ..errors import UnsupportedMedia
from ..types import Content
from .layout import Line, add_pages
from .outline import Outline
from .packages import sensible_title

_NEW_LINE = (10, 13)
_SPACES = (9, 32, 160)
_GAP = 1.5
"""A gap as wide as this many times the height of the letters stands between two cells, not between two words."""


def read(data: bytes) -> Content:
    """Read the text layer of every page; the title is the one in the properties, if a person may have written it."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower():
            raise UnsupportedMedia("it is encrypted; save it without a password") from exc
        raise UnsupportedMedia(f"it is damaged: {exc}") from exc
    try:
        outline = Outline(title=sensible_title(document.get_metadata_value("Title")))
        pages = [_page(document, number) for number in range(len(document))]
    finally:
        document.close()
    if not any(pages):
        raise UnsupportedMedia(
            f"none of its {len(pages)} pages has a text layer: a scan? run text recognition on it first"
        )
    add_pages(outline, pages)
    return outline.content()


def _page(document: Any, number: int) -> list[Line]:
    """The lines of one page; of a page that cannot be loaded, none."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return []
    try:
        text = page.get_textpage()
        try:
            return list(_lines(text.raw, text.count_chars()))
        finally:
            text.close()
    finally:
        page.close()


def _lines(text: Any, count: int) -> Iterator[Line]:
    start = 0
    codes = [pdfium.FPDFText_GetUnicode(text, index) for index in range(count)]
    for end in range(count + 1):
        if end == count or codes[end] in _NEW_LINE:
            seen = [index for index in range(start, end) if codes[index] not in _SPACES]
            if seen:
                yield _line(text, codes, seen)
            start = end + 1


def _line(text: Any, codes: list[int], seen: list[int]) -> Line:
    left, bottom, right, top = _box(text, seen[0])
    height = max(top - bottom, 0.1)
    parts = [chr(codes[seen[0]])]
    for before, index in pairwise(seen):
        if index > before + 1:
            one, other = _box(text, before), _box(text, index)
            wide = max(other[0] - one[2], one[0] - other[2]) > _GAP * height  # the second where text runs to the left
            parts.append("\t" if wide else " ")
        parts.append(chr(codes[index]))
    last = _box(text, seen[-1])
    return Line("".join(parts), min(left, last[0]), bottom, max(right, last[2]), height)


def _box(text: Any, index: int) -> tuple[float, float, float, float]:
    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, index, ctypes.byref(box))
    return box.left, box.bottom, box.right, box.top
