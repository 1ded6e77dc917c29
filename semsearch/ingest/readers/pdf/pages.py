"""Render pages of PDF files, and find the rectangles of characters on them. Runs in a child process with limits."""

import ctypes
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from math import isfinite, pi
from typing import Any, NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from ....core.errors import NotFoundError, TooLargeError, UnsupportedMediaError
from ....core.types.pages import PageRectangles, Rectangle
from .alignment import have_equal_letters
from .files import load_codes, open_document

MAX_HEIGHT_PIXELS = 6_000
"""A longer page is rendered narrower than asked for."""
MAX_RECTANGLES = 10_000
_MAX_POINTS = 200_000.0
"""Longest side of a page; PDF allows 14,400."""
_DEVICE_UNITS_PER_POINT = 100
_COMPRESSION_LEVEL = 6
_WHITE = 0xFFFFFFFF
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MIN_LINE_OVERLAP_RATIO = 0.5
"""Characters are on one line if their boxes overlap by this share of the lower one."""
_MAX_GAP_RATIO = 2.0
"""A gap wider than this many line heights, such as between table cells, ends a rectangle."""

RunText = tuple[int, int, str]
"""First character of a run on its page, number of its characters, and the text that they stand for."""


def render_page(data: bytes, number: int, width: int) -> bytes:
    """Return page `number`, from 1, as a PNG file `width` pixels wide; NotFoundError if there is no such page."""
    with closing(open_document(data)) as document, _open_page(document, number) as page:
        page_width, page_height = _get_size(page)
        scale = min(width / page_width, MAX_HEIGHT_PIXELS / page_height)
        columns, rows = max(1, round(page_width * scale)), max(1, round(page_height * scale))
        return _encode_png(_render_pixels(page, columns, rows), columns, rows)


def _render_pixels(page: Any, columns: int, rows: int) -> bytes:
    """Return the pixels on white, three bytes each (red, green, blue), row by row."""
    bitmap = pypdfium2.PdfBitmap.new_native(columns, rows, pdfium.FPDFBitmap_BGR, rev_byteorder=True)
    with closing(bitmap):
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, columns, rows, _WHITE)
        flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, columns, rows, 0, flags)
        return bytes(bitmap.buffer)


def find_rectangles(data: bytes, runs_by_page: Sequence[tuple[int, Sequence[RunText]]]) -> list[PageRectangles]:
    """Return the rectangles of runs of characters, page by page, one for each line of text.

    Runs whose characters are not those of their text have none: another version of PDFium may count differently.
    """
    with closing(open_document(data)) as document:
        return [_find_on_page(document, number, runs) for number, runs in runs_by_page]


def _find_on_page(document: Any, number: int, runs: Sequence[RunText]) -> PageRectangles:
    with _open_page(document, number) as page:
        geometry = _load_geometry(page)
        with closing(page.get_textpage()) as text:
            indexes = _iter_indexes(text, runs)
            boxes = [box for index in indexes if (box := _find_box(text.raw, index, geometry)) is not None]
    return PageRectangles(number, geometry.width, geometry.height, _merge_boxes(boxes)[:MAX_RECTANGLES])


def _iter_indexes(text: Any, runs: Sequence[RunText]) -> Iterator[int]:
    """Yield the characters of the runs that are on the page with the same text."""
    count = text.count_chars()
    for start, run_count, run_text in runs:
        is_on_page = 0 <= start <= start + run_count <= count
        if is_on_page and have_equal_letters(run_text, load_codes(text.raw, run_count, start)):
            yield from range(start, start + run_count)


@contextmanager
def _open_page(document: Any, number: int) -> Iterator[Any]:
    if not 1 <= number <= len(document):
        pages = f"{len(document)} page{'s' * (len(document) != 1)}"
        raise NotFoundError(f"it has {pages}, and no page {number}")
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError as exc:
        raise UnsupportedMediaError(f"its page {number} is damaged") from exc
    with closing(page):
        yield page


def _get_size(page: Any) -> tuple[float, float]:
    """Return width and height in points, as the page is shown."""
    width, height = page.get_size()
    if not (isfinite(width) and isfinite(height) and 0 < width <= _MAX_POINTS and 0 < height <= _MAX_POINTS):
        raise TooLargeError(f"the page measures {width:g} by {height:g} points, and cannot be shown")
    return width, height


class _CharacterBox(NamedTuple):
    """Where a character is on the shown page."""

    ink: Rectangle
    line_box: Rectangle
    """As high as a line of its font, so that a comma and a quotation mark overlap."""
    is_vertical: bool
    """Whether its line runs up or down."""


class _Geometry(NamedTuple):
    """How coordinates of the PDF become those of the shown page: an affine map, then a clip."""

    width: float
    height: float
    quarter_turns: int
    origin: tuple[float, float]
    x_step: tuple[float, float]
    y_step: tuple[float, float]

    def convert(self, left: float, bottom: float, right: float, top: float) -> Rectangle:
        """Return the rectangle of a box."""
        xs, ys = (
            [
                min(max(self.origin[axis] + x * self.x_step[axis] + y * self.y_step[axis], 0.0), limit)
                for x, y in ((left, bottom), (right, top))
            ]
            for axis, limit in ((0, self.width), (1, self.height))
        )
        return min(xs), min(ys), max(xs), max(ys)


def _load_geometry(page: Any) -> _Geometry:
    width, height = _get_size(page)
    columns, rows = (max(1, round(length * _DEVICE_UNITS_PER_POINT)) for length in (width, height))

    def convert(x: float, y: float) -> tuple[float, float]:
        column, row = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, columns, rows, 0, x, y, column, row)
        return column.value / columns * width, row.value / rows * height

    reach = max(width, height)  # long, as the result is rounded
    origin = convert(0, 0)
    x_step, y_step = (
        ((x - origin[0]) / reach, (y - origin[1]) / reach) for x, y in (convert(reach, 0), convert(0, reach))
    )
    return _Geometry(width, height, pdfium.FPDFPage_GetRotation(page), origin, x_step, y_step)


def _find_box(text: Any, index: int, geometry: _Geometry) -> _CharacterBox | None:
    """Return the box of a character; None if it has no ink on the page, as a space."""
    left, right, bottom, top = ctypes.c_double(), ctypes.c_double(), ctypes.c_double(), ctypes.c_double()
    if not pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top):
        return None
    ink = geometry.convert(left.value, bottom.value, right.value, top.value)
    if ink[0] >= ink[2] or ink[1] >= ink[3]:
        return None
    loose = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, index, loose)
    line_box = geometry.convert(loose.left, loose.bottom, loose.right, loose.top)
    turns = round(pdfium.FPDFText_GetCharAngle(text, index) / (pi / 2)) + geometry.quarter_turns
    return _CharacterBox(ink, _unite(ink, line_box), turns % 2 == 1)


def _merge_boxes(boxes: Sequence[_CharacterBox]) -> list[Rectangle]:
    """Return one rectangle for the characters of each line, in reading order."""
    merged: list[Rectangle] = []
    line: _CharacterBox | None = None
    for box in boxes:
        if line is not None and _is_same_line(line, box):
            line = _CharacterBox(_unite(line.ink, box.ink), _unite(line.line_box, box.line_box), box.is_vertical)
            merged[-1] = line.ink
        else:
            line = box
            merged.append(box.ink)
    return [(round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)) for x0, y0, x1, y1 in merged]


def _is_same_line(line: _CharacterBox, box: _CharacterBox) -> bool:
    if line.is_vertical != box.is_vertical:
        return False
    along, across = (1, 0) if line.is_vertical else (0, 1)
    first, second = line.line_box, box.line_box
    height = min(first[across + 2] - first[across], second[across + 2] - second[across])
    overlap = min(first[across + 2], second[across + 2]) - max(first[across], second[across])
    gap = max(first[along], second[along]) - min(first[along + 2], second[along + 2])
    return overlap >= _MIN_LINE_OVERLAP_RATIO * height and gap <= _MAX_GAP_RATIO * height


def _unite(first: Rectangle, second: Rectangle) -> Rectangle:
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def _encode_png(pixels: bytes, columns: int, rows: int) -> bytes:
    """Return RGB pixels as a PNG file; a picture without colours has one byte for a pixel."""
    red, channels = pixels[::3], 3
    if red == pixels[1::3] == pixels[2::3]:
        pixels, channels = red, 1
    row_bytes = columns * channels
    lines = b"".join([b"\0" + pixels[row * row_bytes : (row + 1) * row_bytes] for row in range(rows)])
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, _COMPRESSION_LEVEL)), (b"IEND", b"")
    return _PNG_SIGNATURE + b"".join(_encode_chunk(name, body) for name, body in chunks)


def _encode_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
