"""How synchronous code waits for what runs on the event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from semsearch.errors import Deadline
from semsearch.loops import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop with a thread of its own."""
    made = Loop()
    yield made
    made.close()


async def double(number: int) -> int:
    """Something that is awaited."""
    await asyncio.sleep(0)
    return 2 * number


def test_waiting_gives_the_result(loop: Loop) -> None:
    """Whoever waits, on whatever thread, gets the result; and an error is raised where it is waited for."""
    assert loop.wait(double(4)) == 8

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        loop.wait(fail())


def test_a_deadline_cancels_the_work(loop: Loop) -> None:
    """When the time is over the work is cancelled, not left behind."""
    cancelled = threading.Event()

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(Deadline, match=r"0\.01 seconds"):
        loop.wait(sleep(), 0.01)
    assert cancelled.wait(5)


def test_a_generator_is_closed_when_nobody_wants_more(loop: Loop) -> None:
    """Values come one by one; leaving early closes the generator on its loop."""
    closed = threading.Event()

    async def count() -> AsyncGenerator[int, None]:
        try:
            for number in range(1, 100):
                yield number
        finally:
            closed.set()

    assert list(zip(range(3), loop.each(count()), strict=False)) == [(0, 1), (1, 2), (2, 3)]
    values = loop.each(count())
    assert next(values) == 1
    values.close()  # type: ignore[attr-defined]  # a generator, though it is typed as an iterator
    assert closed.wait(5)


def test_waiting_on_the_loop_itself_is_refused(loop: Loop) -> None:
    """What would never end is an error that names the way out."""

    async def inside() -> None:
        loop.wait(double(1))

    with pytest.raises(RuntimeError, match="asearch"):
        loop.wait(inside())


def test_an_adopted_loop_is_used(loop: Loop) -> None:
    """A server's own loop runs the work, and closing leaves it alone."""

    async def serve() -> int:
        running = asyncio.get_running_loop()
        loop.adopt(running)
        return await asyncio.to_thread(lambda: loop.wait(double(21)))

    assert asyncio.run(serve()) == 42
