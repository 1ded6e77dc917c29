"""Pages of PDF files: runs of a map from stored text to characters on a page, rectangles, and images."""

from dataclasses import dataclass
from typing import NamedTuple

MIN_WIDTH_PIXELS = 200
MAX_WIDTH_PIXELS = 2_000
DEFAULT_WIDTH_PIXELS = 1_000
"""Widths of an image."""
MAX_SPAN_CHARACTERS = 20_000
"""Of a span whose rectangles are asked for."""

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom in points; the origin is the top left corner of the page as it is shown."""


class PageRun(NamedTuple):
    """Characters of the stored text and the characters of the page that they stand for, as PDFium counts them.

    Where both counts are equal, the n-th character of the text is the n-th of the page. Where they differ, the run is
    one unit, such as the two letters that a ligature stands for.
    """

    page: int
    """From 1."""
    text_start: int
    text_count: int
    index_start: int
    index_count: int


@dataclass(frozen=True, slots=True)
class PageRectangles:
    """Where a span of the text is on one page.

    >>> handbook.get_rectangles("docs/leave.md", 0, 5)
    Traceback (most recent call last):
    semsearch.core.errors.UnsupportedMediaError: docs/leave.md is text/markdown; only PDF files have pages
    """

    page: int
    """From 1."""
    width: float
    height: float
    """In points, as the page is shown: rotation and crop box are applied."""
    rectangles: list[Rectangle]


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page of a PDF file as an image."""

    data: bytes
    """A PNG file."""
    sha256: str
    """Hash of `data`, in hexadecimal."""

    def __repr__(self) -> str:
        """Return a short description."""
        return f"PageImage({len(self.data):,} bytes)"
