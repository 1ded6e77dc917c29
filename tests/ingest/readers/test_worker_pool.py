"""Reader children: what a hostile file can do to the process that asked, which is nothing."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.processes import has_exited

from semsearch.core.errors import DeadlineError, SemsearchError, TooLargeError, UnavailableError, UnsupportedMediaError
from semsearch.ingest.readers import MAX_SOURCE_BYTES, read
from semsearch.ingest.readers.worker_pool import ReaderPool

pytestmark = pytest.mark.slow

ENDLESS = b"[" * 3_000_000
"""Markdown that takes its parser minutes."""


@pytest.fixture(scope="module")
def children() -> Iterator[ReaderPool]:
    """A pool of two."""
    with ReaderPool(2) as pool:
        yield pool


def pids(pool: ReaderPool) -> list[int]:
    """The processes of a pool."""
    return [child.process.pid for child in pool._workers]


def test_a_child_reads_what_this_process_would_read(children: ReaderPool) -> None:
    """Blocks, kinds, places and titles survive the way through the pipe."""
    text = (
        b"# Title\n\nWords\nof one line.\n\n- a\n- b\n\n## Sub\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"
    )
    assert children.read(text, "text/markdown") == read(text, "text/markdown")


def test_an_error_of_a_child_is_the_same_error(children: ReaderPool) -> None:
    """A named error crosses the pipe with its name and its words."""
    with pytest.raises(UnsupportedMediaError, match="no reader for image/png"):
        children.read(b"\x89PNG", "image/png")
    with pytest.raises(TooLargeError, match="67,108,865 bytes"):
        children.read(bytes(MAX_SOURCE_BYTES + 1), "text/plain")


def test_children_start_late_and_are_used_again() -> None:
    """A pool without work has no process, and one thread needs only one."""
    with ReaderPool(3) as pool:
        assert pids(pool) == []
        for _ in range(5):
            pool.read(b"x", "text/plain")
        assert len(pids(pool)) == 1


def test_threads_share_the_pool(children: ReaderPool) -> None:
    """More threads than children all get their own answer."""
    with ThreadPoolExecutor(6) as threads:
        texts = [f"text number {number}" for number in range(60)]
        found = list(threads.map(lambda text: children.read(text.encode(), "text/plain"), texts))
    assert [content.blocks[0].text for content in found] == texts
    assert len(pids(children)) <= 2


def test_a_slow_document_is_a_deadline() -> None:
    """A document over its time is given up, its child is killed, and the next one is read."""
    with ReaderPool(1, timeout_seconds=0.6) as pool:
        with pytest.raises(DeadlineError, match=r"longer than 0\.6 s"):
            pool.read(ENDLESS, "text/markdown")
        assert pids(pool) == []
    with ReaderPool(1) as pool:
        assert pool.read(b"next", "text/plain").blocks


def test_a_child_that_dies_while_reading_harms_only_that_document() -> None:
    """Whoever kills a child gets an error for its document; the next one is read by another child."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = pids(pool)
        os.kill(pid, signal.SIGSTOP)  # it is in the middle of its document for as long as we like
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(pool.read, b"y", "text/plain")
            os.kill(pid, signal.SIGKILL)
            outcome = reading.exception()
        assert outcome is None or isinstance(outcome, UnsupportedMediaError)
        assert pool.read(b"z", "text/plain").blocks[0].text == "z"
        assert pids(pool) != [pid]


def test_a_child_that_dies_before_it_has_read_all_is_an_error() -> None:
    """A pipe that breaks while a large document is sent is the death of the child, not of the program."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = pids(pool)
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as thread:
            reading = thread.submit(pool.read, b"y" * 8_000_000, "text/plain")
            while not pool._idle_workers.empty():
                os.sched_yield()
            os.kill(pid, signal.SIGKILL)
            outcome = reading.exception()
        assert outcome is None or isinstance(outcome, UnsupportedMediaError)


def test_a_child_that_died_idle_is_replaced() -> None:
    """A child that dies between two documents costs neither."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (child,) = pool._workers
        child.process.kill()
        child.process.wait()
        assert pool.read(b"y", "text/plain").blocks[0].text == "y"


def test_memory_is_bounded() -> None:
    """A document that needs more memory than a child may have is refused, and the program goes on."""
    nested = b"[" + b"[1]," * 2_000_000 + b"1]"
    with ReaderPool(1, memory_bytes=300 * 1024 * 1024) as pool:
        with pytest.raises((TooLargeError, UnsupportedMediaError), match="memory"):
            pool.read(nested, "application/json")
        assert pool.read(b"[1, 2]", "application/json").blocks[0].text == "1, 2"


def test_the_environment_of_a_child_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the environment of the program are not in that of a child that parses a stranger's file."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("SEMSEARCH_CHAT__API_KEY", "sk-secret")
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = pids(pool)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"secret" not in environment
    assert {line.partition(b"=")[0] for line in environment.split(b"\0") if line} == {
        b"PYTHONPATH",
        b"PYTHONUTF8",
        b"PYTHONDONTWRITEBYTECODE",
        b"OPENBLAS_NUM_THREADS",
    }


def test_a_child_has_limits_and_no_file_of_ours(tmp_path: Path) -> None:
    """A child may not write files or dump core, has few descriptors, and inherits none of the program's."""
    with ReaderPool(1) as pool, (tmp_path / "open.txt").open("w"):
        pool.read(b"x", "text/plain")
        (pid,) = pids(pool)
        limits = Path(f"/proc/{pid}/limits").read_text()
        files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    bounds = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    assert (bounds["Max file size"], bounds["Max core file size"], bounds["Max open files"]) == ("0", "0", "64")
    assert bounds["Max address space"] == str(2 << 30)
    assert bounds["Max cpu time"] != "unlimited"
    assert all(file.startswith("pipe:") or file == "/dev/null" for file in files)


def test_a_child_outlives_ctrl_c_at_the_terminal() -> None:
    """A child is not interrupted; the parent decides."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (pid,) = pids(pool)
        os.kill(pid, signal.SIGINT)
        pool.read(b"y", "text/plain")
        assert pids(pool) == [pid]
        assert os.getpgid(pid) != os.getpgid(0)


def test_a_child_ends_with_its_parent() -> None:
    """A child whose stdin closes ends by itself."""
    with ReaderPool(1) as pool:
        pool.read(b"x", "text/plain")
        (child,) = pool._workers
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(timeout=10) == 0


def test_closing_ends_all_children_at_once() -> None:
    """After `close` no child is left, what was being read and what comes later is Unavailable."""
    pool = ReaderPool(2)
    outcomes: list[SemsearchError] = []

    def slow() -> None:
        try:
            pool.read(ENDLESS, "text/markdown")
        except SemsearchError as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=slow) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(pool._workers) < 2:
        os.sched_yield()
    started = pids(pool)
    pool.close()
    for thread in threads:
        thread.join(timeout=10)
    assert [type(outcome) for outcome in outcomes] == [UnavailableError] * 4
    assert all(map(has_exited, started))
    with pytest.raises(UnavailableError):
        pool.read(b"x", "text/plain")
    pool.close()


def test_what_a_library_prints_is_not_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text on the child's stdout goes nowhere, and a crash deep in a parser is an error by name."""
    package = tmp_path / "markdown_it"
    package.mkdir()
    (package / "__init__.py").write_text("print('noise' * 1000, flush=True)\nclass MarkdownIt:\n    pass\n")
    (package / "rules_block.py").write_text("class StateBlock:\n    pass\n\n\ndef reference():\n    pass\n")
    (package / "token.py").write_text("class Token:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with ReaderPool(1) as pool, pytest.raises(UnsupportedMediaError, match=r"damaged.*TypeError"):
        pool.read(b"# x", "text/markdown")
