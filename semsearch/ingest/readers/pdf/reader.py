"""Read PDF files page by page with PDFium. Does not do OCR."""

import ctypes
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import pi
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder
from ..content_cleaning import clean_content
from ..office.opc import filter_title
from .alignment import map_pages
from .files import load_codes, open_document
from .layout import Line, add_pages

_NEW_LINE_CODES = (10, 13)
_SPACE_CODES = (9, 32, 160)
_HYPHEN_CODE = 2
"""PDFium's code for a hyphen at the end of a line; it replaces the line end too."""
_MAX_SAMPLED_LETTERS = 200
_MIN_CELL_GAP_RATIO = 1.5
"""A gap wider than this many letter heights separates table cells, not words."""


class _Page(NamedTuple):
    """What the text layer of a page contains."""

    lines: list[Line]
    codes: Sequence[int]
    """UTF-16 code units, as PDFium counts characters."""


_EMPTY_PAGE = _Page([], ())


def read(data: bytes) -> ParsedContent:
    """Read the text layer of every page; the title is that of the properties, if a person may have written it."""
    document = open_document(data)
    try:
        builder = BlockBuilder(title=filter_title(document.get_metadata_value("Title")))
        pages = [_read_page(document, number) for number in range(len(document))]
    finally:
        document.close()
    if not any(page.lines for page in pages):
        raise UnsupportedMediaError(
            f"none of its {len(pages)} pages has a text layer; if it is a scan, run OCR (text recognition) on it first"
        )
    add_pages(builder, [page.lines for page in pages])
    content = clean_content(builder.build())  # the map is that of the text which is stored
    return replace(content, page_map=map_pages(content.blocks, [page.codes for page in pages]))


def _read_page(document: Any, number: int) -> _Page:
    """Return the text of one page; none if the page cannot be loaded."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return _EMPTY_PAGE
    try:
        text = page.get_textpage()
        try:
            codes = load_codes(text.raw, text.count_chars())
            lines = list(_iter_lines(text.raw, codes))
            return _Page(lines, array("I", codes))
        finally:
            text.close()
    finally:
        page.close()


def _iter_lines(text: Any, codes: list[int]) -> Iterator[Line]:
    """Yield the lines; in `codes`, PDFium's code for a hyphen becomes a hyphen."""
    start, count = 0, len(codes)
    quarter_turns = _count_quarter_turns(text, codes)
    for end in range(count + 1):
        is_hyphen = end < count and codes[end] == _HYPHEN_CODE and pdfium.FPDFText_IsHyphen(text, end) == 1
        if is_hyphen:
            codes[end] = ord("-")
        if is_hyphen or end == count or codes[end] in _NEW_LINE_CODES:
            visible_indexes = [index for index in range(start, end + is_hyphen) if codes[index] not in _SPACE_CODES]
            if visible_indexes:
                yield _build_line(text, codes, visible_indexes, quarter_turns)
            start = end + 1


def _count_quarter_turns(text: Any, codes: list[int]) -> int:
    """Return how many quarter turns, counter-clockwise, make most of the page's text upright."""
    blank_codes = {*_NEW_LINE_CODES, *_SPACE_CODES}  # PDFium inserts some of these, always upright
    letters = [index for index, code in enumerate(codes) if code not in blank_codes]
    sample = letters[:: len(letters) // _MAX_SAMPLED_LETTERS + 1]
    turns = Counter(round(pdfium.FPDFText_GetCharAngle(text, index) / (pi / 2)) % 4 for index in sample)
    return turns.most_common(1)[0][0] if turns else 0


def _build_line(text: Any, codes: list[int], visible_indexes: list[int], quarter_turns: int) -> Line:
    left, bottom, right, top = _get_box(text, visible_indexes[0], quarter_turns)
    height = max(top - bottom, 0.1)
    parts = [chr(codes[visible_indexes[0]])]
    for previous_index, index in pairwise(visible_indexes):
        if index > previous_index + 1:
            previous, current = _get_box(text, previous_index, quarter_turns), _get_box(text, index, quarter_turns)
            gap = max(current[0] - previous[2], previous[0] - current[2])  # the second for right-to-left text
            parts.append("\t" if gap > _MIN_CELL_GAP_RATIO * height else " ")
        parts.append(chr(codes[index]))
    last = _get_box(text, visible_indexes[-1], quarter_turns)
    # PDFium returns a character above U+FFFF as two surrogates
    line_text = "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return Line(line_text, min(left, last[0]), bottom, max(right, last[2]), height)


def _get_box(text: Any, index: int, quarter_turns: int) -> tuple[float, float, float, float]:
    box = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, index, ctypes.byref(box))
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    for _ in range(quarter_turns):
        left, bottom, right, top = -top, left, -bottom, right
    return left, bottom, right, top
