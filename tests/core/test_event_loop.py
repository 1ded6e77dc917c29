"""Running coroutines on an event loop from synchronous code."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from semsearch.core.errors import DeadlineError, UnavailableError
from semsearch.core.event_loop import EventLoopThread


@pytest.fixture
def loop() -> Iterator[EventLoopThread]:
    """A private loop on its own thread."""
    loop_thread = EventLoopThread()
    yield loop_thread
    loop_thread.close()


async def double(number: int) -> int:
    """Return twice the number, after one iteration of the loop."""
    await asyncio.sleep(0)
    return 2 * number


def test_wait_returns_the_result(loop: EventLoopThread) -> None:
    """An error of the coroutine is raised by `wait`."""
    assert loop.wait(double(4)) == 8

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        loop.wait(fail())


def test_timeout_cancels_the_coroutine(loop: EventLoopThread) -> None:
    """After the timeout the coroutine does not continue."""
    cancelled = threading.Event()

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(DeadlineError, match=r"0\.01 seconds"):
        loop.wait(sleep(), 0.01)
    assert cancelled.wait(5)


def test_generator_is_closed_when_iteration_ends_early(loop: EventLoopThread) -> None:
    """Items come one by one; the generator is closed on its loop."""
    closed = threading.Event()

    async def count() -> AsyncGenerator[int, None]:
        try:
            for number in range(1, 100):
                yield number
        finally:
            closed.set()

    assert list(zip(range(3), loop.iterate(count()), strict=False)) == [(0, 1), (1, 2), (2, 3)]
    assert closed.wait(5)
    closed.clear()
    generator = count()  # the reference keeps the garbage collector from closing it
    values = loop.iterate(generator)
    assert next(values) == 1
    values.close()
    assert closed.wait(5)


def test_waiting_on_the_loop_itself_is_refused(loop: EventLoopThread) -> None:
    """It would never end; the message names the async methods."""

    async def inside() -> None:
        loop.wait(double(1))

    with pytest.raises(RuntimeError, match="asearch"):
        loop.wait(inside())


def test_server_loop_is_used(loop: EventLoopThread) -> None:
    """A server's own loop runs the coroutines, and `close` does not stop it."""

    async def serve() -> int:
        running = asyncio.get_running_loop()
        loop.use_loop(running)
        return await asyncio.to_thread(lambda: loop.wait(double(21)))

    assert asyncio.run(serve()) == 42


def test_server_loop_that_is_set_later_is_not_stopped(loop: EventLoopThread) -> None:
    """An earlier `wait` has started a private loop: `close` stops it, and the server's loop continues."""
    assert loop.wait(double(1)) == 2

    async def serve() -> int:
        loop.use_loop(asyncio.get_running_loop())
        assert await asyncio.to_thread(lambda: loop.wait(double(2))) == 4
        closer = threading.Thread(target=loop.close, daemon=True)
        closer.start()
        await asyncio.to_thread(closer.join, 5)
        assert not closer.is_alive()
        return await double(3)

    assert asyncio.run(serve()) == 6


def test_server_may_close_on_its_own_loop(loop: EventLoopThread) -> None:
    """`close` without final coroutines needs no waiting; `wait` on the loop is refused."""

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="stop the loop"):
            loop.wait(double(1))
        loop.close()

    asyncio.run(asyncio.wait_for(serve(), 5))


UNREAD_STREAM_SCRIPT = """
import sys
from semsearch import Library, text_source

library = Library(sys.argv[1])
collection = library.create("hb")
collection.upsert([text_source("a.txt", "The lamp is lit at dusk.")])
events = collection.stream("When is the lamp lit?")
next(events)
if sys.argv[2] == "close":
    library.close()
print("read enough", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["close", "exit"])
def test_process_with_an_unread_stream_ends(tmp_path: Path, end: str) -> None:
    """It ends without output to stderr, whether the library was closed or not."""
    command = [sys.executable, "-c", UNREAD_STREAM_SCRIPT, str(tmp_path), end]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (0, "read enough\n", "")


def test_close_ends_running_coroutines() -> None:
    """Generators are closed, current and later waits get UnavailableError, and the final coroutines run last."""
    loop, events = EventLoopThread(), list[str]()

    async def count() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            events.append("closed")

    async def last() -> None:
        events.append("last")

    values = loop.iterate(count())
    assert next(values) == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(loop.wait, asyncio.sleep(60))
        while not waiting.running():
            time.sleep(0.01)
        time.sleep(0.05)
        loop.close(last())
        with pytest.raises(UnavailableError, match="closed"):
            waiting.result()
    assert events == ["closed", "last"]
    with pytest.raises(UnavailableError, match="closed"):
        loop.wait(double(1))
    values.close()
    loop.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_of_the_process_gets_an_error(loop: EventLoopThread) -> None:
    """The fork has no copy of the loop's thread; the parent process can continue."""
    assert loop.wait(double(1)) == 2
    child = os.fork()
    if not child:
        try:
            with pytest.raises(UnavailableError, match="forked"):
                loop.wait(double(1))
            loop.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.wait(double(2)) == 4


def test_slow_generator_is_closed_after_ctrl_c(loop: EventLoopThread) -> None:
    """KeyboardInterrupt is raised, not an error because the generator is still running."""
    events = list[str]()

    async def answer() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            events.append("closed")

    values = loop.iterate(answer())
    assert next(values) == 1
    with pytest.raises(KeyboardInterrupt):
        next(values)
    assert events == ["closed"]


def test_cancel_all_ends_waits_on_a_server_loop(loop: EventLoopThread) -> None:
    """It also ends coroutines of `running`, and no new coroutine is accepted."""

    def run_in_background(started: threading.Event) -> int:
        with loop.running(sleep(started)) as task:
            return task.result()

    async def sleep(started: threading.Event) -> int:
        started.set()
        await asyncio.sleep(60)
        return 1

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        events = threading.Event(), threading.Event()
        waits = [
            asyncio.ensure_future(asyncio.to_thread(call))
            for call in (lambda: loop.wait(sleep(events[0])), lambda: run_in_background(events[1]))
        ]
        for event in events:
            assert await asyncio.to_thread(event.wait, 5)
        loop.cancel_all()
        for wait in waits:
            with pytest.raises(UnavailableError, match="closed"):
                await asyncio.wait_for(wait, 5)
        with pytest.raises(UnavailableError, match="closed"):
            await asyncio.to_thread(lambda: loop.wait(double(1)))

    asyncio.run(serve())


@pytest.mark.parametrize("uses_server_loop", [False, True], ids=["private", "server"])
def test_cancelled_coroutine_ends_before_the_final_ones(loop: EventLoopThread, uses_server_loop: bool) -> None:
    """It is cancelled only once, so that it can settle its cost, and the final coroutines wait for it."""
    events, started = list[str](), threading.Event()

    async def settle() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            events.append("settled")

    async def last() -> None:
        events.append("last")

    def wait() -> None:
        with pytest.raises(UnavailableError, match="closed"):
            loop.wait(settle())

    def cancel_and_close() -> None:
        with ThreadPoolExecutor(1) as threads:
            future = threads.submit(wait)
            assert started.wait(5)
            loop.cancel_all()
            future.result(5)
            loop.close(last())

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        await asyncio.to_thread(cancel_and_close)

    asyncio.run(serve()) if uses_server_loop else cancel_and_close()
    assert events == ["settled", "last"]


def test_coroutine_that_starts_during_close_gets_an_error(
    loop: EventLoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait forever on a loop that has stopped."""
    assert loop.wait(double(1)) == 2
    run_coroutine, closer = asyncio.run_coroutine_threadsafe, threading.Thread(target=loop.close)

    def run_late(coroutine: Coroutine[Any, Any, int], running: asyncio.AbstractEventLoop) -> Future[int]:
        if threading.current_thread() is threading.main_thread():
            closer.start()
            closer.join(0.2)
        return run_coroutine(coroutine, running)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", run_late)
    with pytest.raises(UnavailableError, match="closed"):
        loop.wait(asyncio.sleep(60, 1))
    closer.join()
