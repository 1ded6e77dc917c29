"""Reader processes: a hostile file cannot harm the parent process."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from support.processes import has_exited

from semsearch.core.cancellation import call_with_event
from semsearch.core.errors import DeadlineError, SemsearchError, TooLargeError, UnavailableError, UnsupportedMediaError
from semsearch.core.settings import INSTRUCTION_VARIABLES
from semsearch.ingest.readers import MAX_SOURCE_BYTES, read
from semsearch.ingest.readers.worker_pool import ReaderPool

pytestmark = pytest.mark.slow

SLOW_MARKDOWN = b"[" * 3_000_000
"""Markdown that its parser needs minutes for."""


@pytest.fixture(scope="module")
def reader_pool() -> Iterator[ReaderPool]:
    """A pool of two workers."""
    with ReaderPool(2) as pool:
        yield pool


def get_pids(pool: ReaderPool) -> list[int]:
    """Return the process ids of a pool."""
    return [worker.process.pid for worker in pool._workers]


def test_worker_reads_the_same_content(reader_pool: ReaderPool) -> None:
    """Blocks, kinds, locators and titles are the same as when read in this process."""
    text = (
        b"# Title\n\nWords\nof one line.\n\n- a\n- b\n\n## Sub\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"
    )
    assert reader_pool.read(text, "text/markdown") == read(text, "text/markdown")


def test_error_of_a_worker_is_raised_unchanged(reader_pool: ReaderPool) -> None:
    """An error of a worker is raised with its class and message."""
    with pytest.raises(UnsupportedMediaError, match="no reader for image/png"):
        reader_pool.read(b"\x89PNG", "image/png")
    with pytest.raises(TooLargeError, match="67,108,865 bytes"):
        reader_pool.read(bytes(MAX_SOURCE_BYTES + 1), "text/plain")


def test_workers_start_on_demand_and_are_reused() -> None:
    """A pool starts no process before its first read, and one thread needs only one."""
    with ReaderPool(3) as pool:
        assert get_pids(pool) == []
        for _ in range(5):
            pool.read(b"x", "text/plain")
        assert len(get_pids(pool)) == 1


def test_threads_share_the_pool(reader_pool: ReaderPool) -> None:
    """Each of more threads than workers gets the content of its own source."""
    with ThreadPoolExecutor(6) as threads:
        texts = [f"text number {number}" for number in range(60)]
        contents = list(threads.map(lambda text: reader_pool.read(text.encode(), "text/plain"), texts))
    assert [content.blocks[0].text for content in contents] == texts
    assert len(get_pids(reader_pool)) <= 2


def test_slow_source_raises_deadline_error() -> None:
    """A read that exceeds its time raises DeadlineError, its worker is killed, and the next source is read."""
    with ReaderPool(1, timeout_seconds=0.6) as pool:
        with pytest.raises(DeadlineError, match=r"longer than 0\.6 s"):
            pool.read(SLOW_MARKDOWN, "text/markdown")
        assert get_pids(pool) == []
    with ReaderPool(1) as pool:
        assert pool.read(b"next", "text/plain").blocks


def test_worker_that_dies_while_reading_fails_only_that_source() -> None:
    """If a worker is killed, its read fails and the next source is read by another worker."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        os.kill(pid, signal.SIGSTOP)  # holds the worker in the middle of its source
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(pool.read, b"y", "text/plain")
            os.kill(pid, signal.SIGKILL)
            error = future.exception()
        assert error is None or isinstance(error, UnsupportedMediaError)
        assert pool.read(b"z", "text/plain").blocks[0].text == "z"
        assert get_pids(pool) != [pid]


def test_worker_that_dies_while_receiving_fails_only_that_source() -> None:
    """A worker that dies while it receives a large source is an error of that read only."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(pool.read, b"y" * 8_000_000, "text/plain")
            while not pool._idle_workers.empty():
                os.sched_yield()
            os.kill(pid, signal.SIGKILL)
            error = future.exception()
        assert error is None or isinstance(error, UnsupportedMediaError)


def test_idle_worker_that_died_is_replaced() -> None:
    """If a worker dies between two reads, neither fails."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (worker,) = pool._workers
        worker.process.kill()
        worker.process.wait()
        assert pool.read(b"y", "text/plain").blocks[0].text == "y"


def test_memory_is_limited() -> None:
    """A source that needs more memory than a worker may use is refused, and the next one is read."""
    nested = b"[" + b"[1]," * 2_000_000 + b"1]"
    with ReaderPool(1, memory_bytes=200 * 1024 * 1024) as pool:
        with pytest.raises((TooLargeError, UnsupportedMediaError), match="memory"):
            pool.read(nested, "application/json")
        assert pool.read(b"[1, 2]", "application/json").blocks[0].text == "1, 2"


def test_environment_of_a_worker_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the parent's environment are not; the variables that choose the instructions of numpy are."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("SEMSEARCH_CHAT__API_KEY", "sk-secret")
    for name in INSTRUCTION_VARIABLES:
        monkeypatch.setenv(name, "")
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"secret" not in environment
    assert {line.partition(b"=")[0] for line in environment.split(b"\0") if line} == {
        b"PYTHONPATH",
        b"PYTHONUTF8",
        b"PYTHONDONTWRITEBYTECODE",
        b"OPENBLAS_NUM_THREADS",
        *(name.encode() for name in INSTRUCTION_VARIABLES),
    }


def test_worker_has_resource_limits_and_no_inherited_files(tmp_path: Path) -> None:
    """A worker may not write files or dump core, has few file descriptors, and inherits none of the parent's."""
    with ReaderPool(1) as pool, (tmp_path / "open.txt").open("w"):
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        limits = Path(f"/proc/{pid}/limits").read_text()
        files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    limit_values = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    assert (limit_values["Max file size"], limit_values["Max core file size"], limit_values["Max open files"]) == (
        "0",
        "0",
        "64",
    )
    assert limit_values["Max address space"] == str(2 << 30)
    assert limit_values["Max cpu time"] != "unlimited"
    assert all(file.startswith("pipe:") or file == "/dev/null" for file in files)


def test_worker_survives_ctrl_c() -> None:
    """SIGINT does not interrupt a worker."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        os.kill(pid, signal.SIGINT)
        pool.read(b"y", "text/plain")
        assert get_pids(pool) == [pid]
        assert os.getpgid(pid) != os.getpgid(0)


def test_worker_exits_when_stdin_closes() -> None:
    """A worker whose stdin is closed exits."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (worker,) = pool._workers
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(timeout=10) == 0


def test_close_kills_all_workers() -> None:
    """`close` kills all workers; running and later reads raise UnavailableError."""
    pool = ReaderPool(2)
    errors: list[SemsearchError] = []

    def read_slowly() -> None:
        try:
            pool.read(SLOW_MARKDOWN, "text/markdown")
        except SemsearchError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=read_slowly) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(pool._workers) < 2:
        os.sched_yield()
    old_pids = get_pids(pool)
    pool.close()
    for thread in threads:
        thread.join(timeout=10)
    assert [type(error) for error in errors] == [UnavailableError] * 4
    assert all(map(has_exited, old_pids))
    with pytest.raises(UnavailableError):
        pool.read(b"x", "text/plain")
    pool.close()


def test_output_of_a_library_is_not_a_response(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that a library prints is discarded, and an exception in a parser is an error with its class name."""
    package = tmp_path / "markdown_it"
    package.mkdir()
    (package / "__init__.py").write_text("print('noise' * 1000, flush=True)\nclass MarkdownIt:\n    pass\n")
    (package / "rules_block.py").write_text("class StateBlock:\n    pass\n\n\ndef reference():\n    pass\n")
    (package / "token.py").write_text("class Token:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with ReaderPool(1) as pool, pytest.raises(UnsupportedMediaError, match=r"damaged.*TypeError"):
        pool.read(b"# x", "text/markdown")


def test_wait_for_a_worker_counts_against_the_deadline() -> None:
    """A request that got no worker in time is refused, and one that nobody waits for any more is not begun."""
    with ReaderPool(1) as pool, ThreadPoolExecutor(2) as threads:
        pool.read(b"x", "text/plain")
        (pid,) = get_pids(pool)
        os.kill(pid, signal.SIGSTOP)
        running = threads.submit(pool.read, b"y", "text/plain")
        while not pool._idle_workers.empty():
            time.sleep(0.001)
        abandoned = threading.Event()
        request = partial(pool.request, b"", b"", b"", deadline=time.monotonic() + 20.0)
        dropped = threads.submit(call_with_event, abandoned, request)
        with pytest.raises(UnavailableError, match="busy"):
            pool.request(b"", b"", b"", deadline=time.monotonic() + 0.05)
        abandoned.set()
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(UnavailableError, match="nobody waits"):
            dropped.result()
        assert running.result().blocks[0].text == "y"
        assert get_pids(pool) == [pid]
