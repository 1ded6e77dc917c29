"""PDF files, page by page, through PDFium. Does not recognise characters in pictures."""

import ctypes
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import pi
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content
from ..block_builder import Outline
from ..office.opc import sensible_title
from .layout import Line, add_pages

_NEW_LINE = (10, 13)
_SPACES = (9, 32, 160)
_HYPHEN = 2
"""What PDFium writes for a hyphen at the end of a line, and for the end of that line too."""
_SAMPLED_LETTERS = 200
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
    turns = _turns(text, codes)
    for end in range(count + 1):
        cut = end < count and codes[end] == _HYPHEN and pdfium.FPDFText_IsHyphen(text, end) == 1
        if cut:
            codes[end] = ord("-")
        if cut or end == count or codes[end] in _NEW_LINE:
            seen = [index for index in range(start, end + cut) if codes[index] not in _SPACES]
            if seen:
                yield _line(text, codes, seen, turns)
            start = end + 1


def _turns(text: Any, codes: list[int]) -> int:
    """How many quarters of a circle, counter-clockwise, bring most of the page's text upright."""
    blank = {*_NEW_LINE, *_SPACES}  # PDFium makes some of these up, and they stand upright
    letters = [index for index, code in enumerate(codes) if code not in blank]
    sample = letters[:: len(letters) // _SAMPLED_LETTERS + 1]
    turns = Counter(round(pdfium.FPDFText_GetCharAngle(text, index) / (pi / 2)) % 4 for index in sample)
    return turns.most_common(1)[0][0] if turns else 0


def _line(text: Any, codes: list[int], seen: list[int], turns: int) -> Line:
    left, bottom, right, top = _box(text, seen[0], turns)
    height = max(top - bottom, 0.1)
    parts = [chr(codes[seen[0]])]
    for before, index in pairwise(seen):
        if index > before + 1:
            one, other = _box(text, before, turns), _box(text, index, turns)
            wide = max(other[0] - one[2], one[0] - other[2]) > _GAP * height  # the second where text runs to the left
            parts.append("\t" if wide else " ")
        parts.append(chr(codes[index]))
    last = _box(text, seen[-1], turns)
    # PDFium gives a letter beyond U+FFFF in two halves
    whole = "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return Line(whole, min(left, last[0]), bottom, max(right, last[2]), height)


def _box(text: Any, index: int, turns: int) -> tuple[float, float, float, float]:
    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, index, ctypes.byref(box))
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    for _ in range(turns):
        left, bottom, right, top = -top, left, -bottom, right
    return left, bottom, right, top
