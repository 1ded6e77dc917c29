"""How synchronous code waits for what runs on the event loop."""

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
    """A loop with a thread of its own."""
    made = EventLoopThread()
    yield made
    made.close()


async def double(number: int) -> int:
    """Something that is awaited."""
    await asyncio.sleep(0)
    return 2 * number


def test_waiting_gives_the_result(loop: EventLoopThread) -> None:
    """Whoever waits, on whatever thread, gets the result; and an error is raised where it is waited for."""
    assert loop.wait(double(4)) == 8

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        loop.wait(fail())


def test_a_deadline_cancels_the_work(loop: EventLoopThread) -> None:
    """When the time is over the work is cancelled, not left behind."""
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


def test_a_generator_is_closed_when_nobody_wants_more(loop: EventLoopThread) -> None:
    """Values come one by one; leaving early closes the generator on its loop."""
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
    events = count()  # held, so that nothing else closes it when it is dropped
    values = loop.iterate(events)
    assert next(values) == 1
    values.close()
    assert closed.wait(5)


def test_waiting_on_the_loop_itself_is_refused(loop: EventLoopThread) -> None:
    """What would never end is an error that names the way out."""

    async def inside() -> None:
        loop.wait(double(1))

    with pytest.raises(RuntimeError, match="asearch"):
        loop.wait(inside())


def test_an_adopted_loop_is_used(loop: EventLoopThread) -> None:
    """A server's own loop runs the work, and closing leaves it alone."""

    async def serve() -> int:
        running = asyncio.get_running_loop()
        loop.use_loop(running)
        return await asyncio.to_thread(lambda: loop.wait(double(21)))

    assert asyncio.run(serve()) == 42


def test_a_loop_that_is_adopted_later_is_left_alone_too(loop: EventLoopThread) -> None:
    """What was done before has begun a private one: that is ended, and the server's loop goes on."""
    assert loop.wait(double(1)) == 2

    async def serve() -> int:
        loop.use_loop(asyncio.get_running_loop())
        assert await asyncio.to_thread(lambda: loop.wait(double(2))) == 4
        closing = threading.Thread(target=loop.close, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, 5)
        assert not closing.is_alive()
        return await double(3)

    assert asyncio.run(serve()) == 6


def test_an_adopted_loop_is_closed_from_within_where_nothing_is_left(loop: EventLoopThread) -> None:
    """Who serves may close on its own loop; only what would have to be waited for is refused."""

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="stop the loop"):
            loop.wait(double(1))
        loop.close()

    asyncio.run(asyncio.wait_for(serve(), 5))


UNREAD = """
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
def test_a_process_ends_whose_answer_was_not_read_to_its_end(tmp_path: Path, end: str) -> None:
    """Whether the library was closed or not, and nothing is said of it."""
    command = [sys.executable, "-c", UNREAD, str(tmp_path), end]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "read enough\n", "")


def test_closing_ends_what_is_under_way() -> None:
    """Generators are closed, who waits is told, and so is who comes later; only then the last works run."""
    loop, happened = EventLoopThread(), list[str]()

    async def count() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            happened.append("closed")

    async def last() -> None:
        happened.append("last")

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
    assert happened == ["closed", "last"]
    with pytest.raises(UnavailableError, match="closed"):
        loop.wait(double(1))
    values.close()
    loop.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_of_the_process_is_told(loop: EventLoopThread) -> None:
    """The thread that ran things stayed with the parent, which goes on."""
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


def test_what_is_slow_to_end_is_closed_after_ctrl_c(loop: EventLoopThread) -> None:
    """A generator books and closes what it has begun; the interruption is told, not that this takes a moment."""
    happened = list[str]()

    async def answer() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            happened.append("closed")

    values = loop.iterate(answer())
    assert next(values) == 1
    with pytest.raises(KeyboardInterrupt):
        next(values)
    assert happened == ["closed"]


def test_giving_up_tells_who_waits_on_a_server_s_loop(loop: EventLoopThread) -> None:
    """Also who waits for something that goes on beside; and nothing more is begun."""

    def beside(began: threading.Event) -> int:
        with loop.running(sleep(began)) as task:
            return task.result()

    async def sleep(began: threading.Event) -> int:
        began.set()
        await asyncio.sleep(60)
        return 1

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        events = threading.Event(), threading.Event()
        waiting = [
            asyncio.ensure_future(asyncio.to_thread(work))
            for work in (lambda: loop.wait(sleep(events[0])), lambda: beside(events[1]))
        ]
        for event in events:
            assert await asyncio.to_thread(event.wait, 5)
        loop.cancel_all()
        for each in waiting:
            with pytest.raises(UnavailableError, match="closed"):
                await asyncio.wait_for(each, 5)
        with pytest.raises(UnavailableError, match="closed"):
            await asyncio.to_thread(lambda: loop.wait(double(1)))

    asyncio.run(serve())


@pytest.mark.parametrize("adopted", [False, True], ids=["private", "adopted"])
def test_what_is_given_up_comes_to_its_end_before_the_loop_closes(loop: EventLoopThread, adopted: bool) -> None:
    """It is cancelled once: what it books then is neither cancelled too nor left behind by the last works."""
    happened, began = list[str](), threading.Event()

    async def book() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            happened.append("booked")

    async def last() -> None:
        happened.append("last")

    def waiting() -> None:
        with pytest.raises(UnavailableError, match="closed"):
            loop.wait(book())

    def live() -> None:
        with ThreadPoolExecutor(1) as threads:
            told = threads.submit(waiting)
            assert began.wait(5)
            loop.cancel_all()
            told.result(5)
            loop.close(last())

    async def serve() -> None:
        loop.use_loop(asyncio.get_running_loop())
        await asyncio.to_thread(live)

    asyncio.run(serve()) if adopted else live()
    assert happened == ["booked", "last"]


def test_what_begins_while_the_loop_is_closed_is_told(loop: EventLoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be left behind on a loop that runs no more, and waited for without end."""
    assert loop.wait(double(1)) == 2
    begin, closing = asyncio.run_coroutine_threadsafe, threading.Thread(target=loop.close)

    def late(work: Coroutine[Any, Any, int], running: asyncio.AbstractEventLoop) -> Future[int]:
        if threading.current_thread() is threading.main_thread():
            closing.start()
            closing.join(0.2)
        return begin(work, running)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
    with pytest.raises(UnavailableError, match="closed"):
        loop.wait(asyncio.sleep(60, 1))
    closing.join()
