"""Page processes: a hostile PDF cannot harm the parent process, and images are cached within bounds."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.pdf_files import make_pdf, place_lines

from semsearch.core.child_process import count_usable_cores
from semsearch.core.errors import DeadlineError, NotFoundError, TooLargeError, UnsupportedMediaError
from semsearch.core.types.pages import PageRun
from semsearch.ingest.readers import page_pool
from semsearch.ingest.readers.page_pool import PagePool

pytestmark = pytest.mark.slow

FILE = make_pdf(place_lines("A lamp in the fog."))
HEAVY_PAGE = make_pdf([(0, 0, 10, "x) Tj ET 0 0 800 800 re " + "0 0 m 800 800 790 10 5 700 c " * 400_000 + "S BT (x")])
"""A page of 400,000 curves that overlap, in one stroke."""


@pytest.fixture
def pool() -> Iterator[PagePool]:
    """A pool with its default limits."""
    pool = PagePool()
    yield pool
    pool.close()


def get_pids(pool: PagePool) -> list[int]:
    """Return the process ids of a pool."""
    return [worker.process.pid for worker in pool._workers._workers]


def test_image_is_rendered_once(pool: PagePool) -> None:
    """A repeated request gets the cached image, without a process; another width or file is another image."""
    first = pool.render(FILE, "a", 1, 300)
    assert first.data.startswith(b"\x89PNG")
    pids = get_pids(pool)
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGSTOP)
    assert pool.render(FILE, "a", 1, 300) is first
    os.kill(pids[0], signal.SIGCONT)
    assert pool.render(FILE, "a", 1, 301).data != first.data


def test_cache_of_images_is_bounded(pool: PagePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image that was not used for the longest time is dropped."""
    monkeypatch.setattr(page_pool, "MAX_CACHED_BYTES", 2 * page_pool.MIN_CACHED_IMAGE_BYTES)
    first, second = pool.render(FILE, "a", 1, 300), pool.render(FILE, "b", 1, 300)
    assert pool.render(FILE, "a", 1, 300) is first
    pool.render(FILE, "c", 1, 300)
    assert pool.render(FILE, "a", 1, 300) is first
    assert pool.render(FILE, "b", 1, 300) is not second


def test_page_that_takes_too_long_raises_deadline_error() -> None:
    """Its process is killed, and the next page is rendered by another one."""
    pool = PagePool(timeout_seconds=1.0)
    try:
        with pytest.raises(DeadlineError, match="longer than 1 s"):
            pool.render(HEAVY_PAGE, "heavy", 1, 2_000)
        assert get_pids(pool) == []
        start = time.monotonic()
        with pytest.raises(DeadlineError, match="longer than 1 s"):
            pool.render(HEAVY_PAGE, "heavy", 1, 1_000)
        assert time.monotonic() - start < 0.5  # the error was remembered
    finally:
        pool.close()


def test_concurrent_requests_for_an_image_render_it_once(pool: PagePool) -> None:
    """The others get the same image."""
    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(lambda _: pool.render(FILE, "a", 1, 300), range(4)))
    assert all(image is images[0] for image in images)
    assert len(get_pids(pool)) == 1


@pytest.mark.skipif(count_usable_cores() == 1, reason="one core has one process for all files")
def test_slow_page_keeps_one_process(pool: PagePool) -> None:
    """Its second request waits for the error of the first one, and another file has a process meanwhile."""
    pool.render(FILE, "slow", 1, 300)
    (pid,) = get_pids(pool)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(pool.render, FILE, "slow", 1, width) for width in (400, 500)]
        while pool._workers._idle_workers.qsize() > 1:
            time.sleep(0.001)
        assert pool.render(FILE, "a", 1, 300).data
        assert not any(future.done() for future in slow)
        os.kill(pid, signal.SIGKILL)
        errors = [str(future.exception()) for future in slow]
    assert errors[0] == errors[1]
    assert "died" in errors[0]


def test_process_that_dies_fails_only_its_page(pool: PagePool) -> None:
    """It is not tried again for a while. The next file is rendered by another process."""
    pool.render(FILE, "a", 1, 300)
    (pid,) = get_pids(pool)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(pool.render, FILE, "a", 1, 400)
        with pytest.raises(TimeoutError):  # killed before it has the request, it would only be replaced
            future.result(timeout=1.0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(UnsupportedMediaError, match="died"):
            future.result()
    with pytest.raises(UnsupportedMediaError, match="died"):
        pool.render(FILE, "a", 1, 400)
    assert pool.render(FILE, "b", 1, 400).data


@pytest.mark.parametrize("data", [b"no pdf", FILE[:300], b"%PDF-1.7\n" + bytes(1_000)])
def test_damaged_file_is_an_error(pool: PagePool, data: bytes) -> None:
    """It raises the error of the process, for images and for rectangles."""
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        pool.render(data, "a", 1, 300)
    with pytest.raises(UnsupportedMediaError, match="damaged"):
        pool.find_rectangles(data, "a", "A lamp", [PageRun(1, 2, 4, 2, 4)])


def test_page_of_absurd_size_is_refused(pool: PagePool) -> None:
    """PDF allows 14,400 points; a page of a million is no page."""
    data = FILE.replace(b"[0 0 800 800] /CropBox [0 0 800 800]", b"[0 0 999999 999999] /CropBox [0 0 999999 999999]")
    with pytest.raises(TooLargeError, match="cannot be shown"):
        pool.render(data, "a", 1, 300)


def test_rectangles_of_a_page_that_does_not_exist(pool: PagePool) -> None:
    """A map that a hostile process wrote may name any page."""
    with pytest.raises(NotFoundError, match="no page 7"):
        pool.find_rectangles(FILE, "a", "A lamp", [PageRun(7, 2, 4, 2, 4)])
