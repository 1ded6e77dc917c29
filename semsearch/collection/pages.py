"""Pages of PDF files: their images, and where a span of a stored text is on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import InvalidError, NotFoundError, SemsearchError, StorageError, UnsupportedMediaError
from ..core.types.pages import (
    DEFAULT_WIDTH_PIXELS,
    MAX_SPAN_CHARACTERS,
    MAX_WIDTH_PIXELS,
    MIN_WIDTH_PIXELS,
    PageImage,
    PageRectangles,
)
from .documents import DocumentOperations
from .originals import OriginalOperations

_PDF = "application/pdf"


class PageOperations(DocumentOperations, OriginalOperations):
    """The operations on the pages of PDF files. A child process with limits parses the file."""

    __slots__ = ()

    def render_page(self, uri: str, page: int, width: int = DEFAULT_WIDTH_PIXELS) -> PageImage:
        """Return a page of a PDF file, from 1, as a PNG image that is `width` pixels wide, 200 to 2,000.

        A page that would need more than 6,000 rows is narrower. NotFoundError if there is no such page or no original,
        UnsupportedMediaError if it is no PDF, ConflictError if the file has changed since it was ingested.

        >>> handbook.render_page("docs/leave.md", 1)
        Traceback (most recent call last):
        semsearch.core.errors.UnsupportedMediaError: docs/leave.md is text/markdown; only PDF files have pages
        """
        if not MIN_WIDTH_PIXELS <= width <= MAX_WIDTH_PIXELS:
            raise InvalidError(f"width is between {MIN_WIDTH_PIXELS} and {MAX_WIDTH_PIXELS:,} pixels, not {width}")
        original = self.get_original(uri)
        _check_media_type(uri, original.media_type)
        if page < 1:
            raise NotFoundError(f"{uri[:200]} has no page {page}; pages are numbered from 1")
        with _naming(uri):
            return self.backends.get_page_pool().render(original.data, original.content_sha256, page, width)

    def get_rectangles(self, uri: str, start: int, end: int) -> list[PageRectangles]:
        """Return where the characters from `start` to `end` of the stored text are on the pages of its PDF file.

        There is one rectangle for each line of text on a page, in points from the top left corner of the shown page; a
        wide gap, as between cells of a table, begins another. The list is empty if the document was stored before such
        positions were, or read by a plugin; ingest it again. Errors are those of `render_page`.

        >>> handbook.get_rectangles("docs/leave.md", 0, 5)
        Traceback (most recent call last):
        semsearch.core.errors.UnsupportedMediaError: docs/leave.md is text/markdown; only PDF files have pages
        """
        from ..ingest.page_map import InvalidPageMapError, select_runs

        if not 0 <= start <= end <= start + MAX_SPAN_CHARACTERS:
            raise InvalidError(
                f"start and end are offsets of the stored text, at most {MAX_SPAN_CHARACTERS:,} characters apart,"
                f" not {start} and {end}"
            )
        document = self.document(uri)
        _check_media_type(uri, document.media_type)
        page_map = self.backends.store.page_map(uri, self._visible_filter(None))
        if not page_map:
            return []
        try:
            runs = select_runs(page_map, start, end)
        except InvalidPageMapError as exc:
            raise StorageError(f"{uri[:200]}: {exc}; ingest it again") from exc
        if not runs:
            return []
        original = self.get_original(uri)
        with _naming(uri):
            pool = self.backends.get_page_pool()
            return pool.find_rectangles(original.data, original.content_sha256, document.text, runs)


def _check_media_type(uri: str, media_type: str) -> None:
    if media_type != _PDF:
        raise UnsupportedMediaError(f"{uri[:200]} is {media_type}; only PDF files have pages")


@contextmanager
def _naming(uri: str) -> Iterator[None]:
    """Put the uri before the message of an error of a page process."""
    try:
        yield
    except SemsearchError as exc:
        raise type(exc)(f"{uri[:200]}: {exc}") from exc
