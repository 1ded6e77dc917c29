"""Render pages of PDF files and find rectangles on them, in child processes with limits. Caches images in memory."""

import hashlib
import json
import threading
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite
from operator import attrgetter
from typing import Any

from ...core.child_process import count_usable_cores
from ...core.errors import TooLargeError
from ...core.types.pages import PageImage, PageRectangles, PageRun, Rectangle
from ..limits import MAX_READER_MEMORY_BYTES
from .page_turns import PageTurns, Work
from .worker_pool import WorkerPool, check_source_size, refusing_invalid_response

PAGE_TIMEOUT_SECONDS = 20.0
MAX_WORKERS = 2
MAX_IMAGE_BYTES = 24 << 20
MAX_CACHED_BYTES = 64 << 20
MIN_CACHED_IMAGE_BYTES = 1 << 16
"""A small image counts as this much, so that the number of images is bounded too."""

_ImageKey = tuple[str, int, int]


class PagePool:
    """Processes that render pages, started when first needed, and a cache of their images."""

    def __init__(
        self, *, timeout_seconds: float = PAGE_TIMEOUT_SECONDS, memory_bytes: int = MAX_READER_MEMORY_BYTES
    ) -> None:
        worker_count = min(MAX_WORKERS, count_usable_cores())
        self._timeout_seconds = timeout_seconds
        self._workers = WorkerPool(f"{__package__}.page_worker", worker_count, timeout_seconds, memory_bytes)
        self._images: OrderedDict[_ImageKey, PageImage] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()
        self._turns = PageTurns()

    def render(self, data: bytes, sha256: str, page: int, width: int) -> PageImage:
        """Return a page as an image; `sha256` is the hash of the file. NotFoundError if there is no such page.

        The time limit includes the wait for a process, and for other work on the same file.
        """
        key = sha256, page, width
        if (cached := self._look_up(key)) is not None:
            return cached
        check_source_size(data)
        deadline = time.monotonic() + self._timeout_seconds
        with self._turns.take(sha256, [("image", (page,))], self._timeout_seconds):
            if (cached := self._look_up(key)) is not None:  # another thread has just rendered it
                return cached
            request = json.dumps({"page": page, "width": width}).encode()
            image = _decode_image(self._workers.request(request, data, deadline=deadline), page)
            self._add(key, image)
        return image

    def find_rectangles(self, data: bytes, sha256: str, text: str, runs: Sequence[PageRun]) -> list[PageRectangles]:
        """Return where the runs, which are of the stored `text`, are on the pages of a file, in that time too."""
        check_source_size(data)
        deadline = time.monotonic() + self._timeout_seconds
        texts_by_page = [
            (page, [(run.index_start, run.index_count, _get_text(run, text)) for run in page_runs])
            for page, page_runs in groupby(runs, attrgetter("page"))
        ]
        pages = tuple(page for page, _ in texts_by_page)
        works: list[Work] = [("rectangles", pages), *(("rectangles", (page,)) for page in pages)]
        with self._turns.take(sha256, works, self._timeout_seconds):
            response = self._workers.request(json.dumps({"pages": texts_by_page}).encode(), data, deadline=deadline)
            with refusing_invalid_response():
                return [
                    PageRectangles(int(page), *_parse_size(size), [_parse_rectangle(values) for values in rectangles])
                    for page, *size, rectangles in response["pages"]
                ]

    def close(self) -> None:
        """Kill the processes and empty the cache."""
        self._workers.close()
        with self._lock:
            self._images.clear()
            self._cached_bytes = 0

    def _look_up(self, key: _ImageKey) -> PageImage | None:
        with self._lock:
            if key in self._images:
                self._images.move_to_end(key)
            return self._images.get(key)

    def _add(self, key: _ImageKey, image: PageImage) -> None:
        """Cache an image, and drop those that were not used for the longest time."""
        with self._lock:
            if key not in self._images:
                self._cached_bytes += _count_bytes(image)
            self._images[key] = image
            while self._cached_bytes > MAX_CACHED_BYTES:
                self._cached_bytes -= _count_bytes(self._images.popitem(last=False)[1])


def _decode_image(response: Mapping[str, Any], page: int) -> PageImage:
    with refusing_invalid_response():
        png = b64decode(response["png"], validate=True)
    if len(png) > MAX_IMAGE_BYTES:
        raise TooLargeError(f"the image of page {page} has {len(png):,} bytes; ask for a smaller width")
    return PageImage(png, hashlib.sha256(png).hexdigest())


def _count_bytes(image: PageImage) -> int:
    return max(len(image.data), MIN_CACHED_IMAGE_BYTES)


def _get_text(run: PageRun, text: str) -> str:
    return text[run.text_start : run.text_start + run.text_count]


def _parse_numbers(values: Sequence[Any]) -> Sequence[float]:
    numbers = list(map(float, values))
    if not all(map(isfinite, numbers)):
        raise ValueError("not a finite number")
    return numbers


def _parse_size(values: Sequence[Any]) -> tuple[float, float]:
    width, height = _parse_numbers(values)
    return width, height


def _parse_rectangle(values: Sequence[Any]) -> Rectangle:
    left, top, right, bottom = _parse_numbers(values)
    return left, top, right, bottom
