"""Limits of streamed answers at the same time, over all workers."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from support.billing import Clock
from support.limit_workers import make_caller

from semsearch.access.stream_slots import StreamSlots
from semsearch.core.errors import RateLimitedError
from semsearch.storage.limits_file import SLOT_SECONDS, LimitsFile


@pytest.fixture
def clock() -> Clock:
    """A clock that is moved by hand."""
    return Clock(1_000.0)


async def is_free(slots: StreamSlots, limit: int) -> bool:
    """Return whether another stream may begin; end it at once."""
    try:
        async with slots.hold(make_caller(streams=limit)):
            return True
    except RateLimitedError:
        return False


def test_streams_are_counted_over_all_workers_until_they_end(tmp_path: Path, clock: Clock) -> None:
    """A third stream is refused in either worker, and admitted when one of the two has ended, by whatever cause."""

    async def run() -> None:
        first, second = [StreamSlots(LimitsFile(tmp_path, clock=clock)) for _ in range(2)]
        caller = make_caller(streams=2)
        async with first.hold(caller):
            with suppress(ZeroDivisionError):
                async with second.hold(caller):
                    assert not await is_free(first, 2)
                    assert not await is_free(second, 2)
                    raise ZeroDivisionError
            assert await is_free(first, 2)
        async with AsyncExitStack() as stack:
            for _ in range(50):
                await stack.enter_async_context(first.hold(make_caller()))  # a key without a limit

    asyncio.run(run())


def test_slots_of_a_killed_worker_expire_and_those_of_a_running_one_do_not(tmp_path: Path, clock: Clock) -> None:
    """A slot is renewed for as long as its answer is streamed."""

    async def run() -> None:
        running = StreamSlots(LimitsFile(tmp_path, clock=clock), renewal_seconds=0.005)
        killed, other = [StreamSlots(LimitsFile(tmp_path, clock=clock)) for _ in range(2)]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(killed.hold(make_caller(streams=2)))  # it renews nothing in this time
            await stack.enter_async_context(running.hold(make_caller(streams=2)))
            assert not await is_free(other, 2)
            clock.now += SLOT_SECONDS - 1
            await asyncio.sleep(0.05)
            assert not await is_free(other, 2)
            clock.now += 2
            assert await is_free(other, 2)
            assert not await is_free(other, 1)

    asyncio.run(run())


def test_slots_from_before_a_restart_of_the_system_are_free(tmp_path: Path, clock: Clock) -> None:
    """The clock of the system then begins at 0 again."""

    async def run() -> None:
        async with StreamSlots(LimitsFile(tmp_path, clock=clock)).hold(make_caller(streams=1)):
            clock.now = 20.0
            assert await is_free(StreamSlots(LimitsFile(tmp_path, clock=clock)), 1)

    asyncio.run(run())


def test_each_worker_counts_its_streams_without_a_file(tmp_path: Path) -> None:
    """A file that cannot be used refuses no stream that the worker alone would allow."""

    async def run() -> None:
        slots = StreamSlots(LimitsFile(tmp_path / "missing"))
        async with slots.hold(make_caller(streams=1)):
            assert not await is_free(slots, 1)
        assert await is_free(slots, 1)

    asyncio.run(run())
