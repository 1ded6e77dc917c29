"""Run coroutines on an event loop from synchronous code.

A server passes its own loop; other programs get a private loop on a thread, which starts when it is first needed.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Sequence, Set
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from .errors import DeadlineError, UnavailableError

_T = TypeVar("_T")


class EventLoopThread:
    """Runs coroutines on one event loop and lets any thread wait for their results."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._state_lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._running: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._cancelled: set[Coroutine[Any, Any, Any]] = set()
        self._cancel_callbacks: list[Callable[[], None]] = []

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that created the object; a fork lacks the loop's thread."""
        return os.getpid() != self._pid

    def check_open(self) -> None:
        """Raise UnavailableError if the loop is closed, or belongs to another process."""
        if self.is_forked:
            raise UnavailableError(
                "this process was forked from the one that opened this library; open a new library in this process"
            )
        if self._closed:
            raise UnavailableError("this library is closed; open a new one")

    def use_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the server's loop from now on; a private loop that already runs stays until `close`."""
        with self._state_lock:
            self._loop = loop

    def wait(self, coroutine: Coroutine[Any, Any, _T], timeout_seconds: float | None = None) -> _T:
        """Run a coroutine on the loop and return its result; after `timeout_seconds` cancel it and raise DeadlineError.

        RuntimeError if it is called on the loop's own thread, because the loop could then never continue.
        """
        with self.running(coroutine) as task:
            try:
                return task.result(timeout_seconds)
            except TimeoutError as exc:
                if timeout_seconds is None:  # raised by the coroutine itself
                    raise
                raise DeadlineError(f"this took longer than the {timeout_seconds:g} seconds allowed") from exc

    @contextmanager
    def running(self, coroutine: Coroutine[Any, Any, _T]) -> Iterator[Future[_T]]:
        """Run a coroutine on the loop during the block; cancel it if it has not finished when the block ends."""
        try:
            task = self._submit(coroutine)
        except (RuntimeError, UnavailableError):
            coroutine.close()
            raise
        try:
            yield task
        except CancelledError:
            self.check_open()  # `close` or `cancel_all` has cancelled the task
            raise
        finally:
            self._running.pop(task, None)
            task.cancel()  # no effect on a finished task; after Ctrl-C or a timeout the coroutine must not continue

    def iterate(self, generator: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
        """Yield the items of an asynchronous generator as they come; close the generator at the end."""
        lock = asyncio.Lock()  # after Ctrl-C, closing must wait until the cancelled step has ended
        try:
            while (item := self.wait(_next_item(generator, lock))) is not None:
                yield item
        finally:
            with suppress(UnavailableError):  # closing the loop has closed the generator too
                self.wait(_close_generator(generator, lock))

    @contextmanager
    def calling_on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` if `cancel_all` or `close` is called during the block."""
        with self._state_lock:
            self.check_open()
            self._cancel_callbacks.append(callback)
        try:
            yield
        finally:
            self._cancel_callbacks.remove(callback)

    def cancel_all(self) -> None:
        """Accept no new coroutines, and cancel those that threads wait for, on a private or a server's loop."""
        with self._state_lock:
            self._closed = True
        for task, coroutine in dict(self._running).items():
            self._cancelled.add(coroutine)
            task.cancel()
        self._call_cancel_callbacks()

    def _call_cancel_callbacks(self) -> None:
        for callback in list(self._cancel_callbacks):
            callback()

    def close(self, *final_coroutines: Coroutine[Any, Any, None]) -> None:
        """Cancel the tasks of a private loop, run the `final_coroutines` in order, and stop the private loop."""
        if self.is_forked:
            return
        with self._state_lock:
            self._closed = True
            loop, own_loop, thread = self._loop, self._own_loop, self._thread
            self._loop = self._own_loop = self._thread = None
        self._call_cancel_callbacks()
        if own_loop is not None:
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(_cancel_remaining(self._cancelled), own_loop).result()
        if final_coroutines and loop is not None and loop.is_running():
            _check_not_on_loop(loop)
            asyncio.run_coroutine_threadsafe(_run_in_order(final_coroutines, self._cancelled), loop).result()
        for coroutine in final_coroutines:
            coroutine.close()  # no effect if it has run; otherwise asyncio would warn that it was never awaited
        if own_loop is not None and thread is not None:
            own_loop.call_soon_threadsafe(own_loop.stop)
            thread.join()
            own_loop.close()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start a coroutine under the lock: one that starts while the loop is closing would never end."""
        with self._state_lock:
            self.check_open()
            if self._loop is None:
                self._loop = self._own_loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="semsearch-loop", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # runs while threads can still be joined
            _check_not_on_loop(self._loop)
            task = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._running[task] = coroutine
        return task


async def _next_item(generator: AsyncGenerator[_T, None], lock: asyncio.Lock) -> _T | None:
    async with lock:
        return await anext(generator, None)


async def _close_generator(generator: AsyncGenerator[Any, None], lock: asyncio.Lock) -> None:
    async with lock:
        await generator.aclose()


async def _cancel_remaining(cancelled: Set[Coroutine[Any, Any, Any]]) -> None:
    """Cancel all other tasks, and close the generators that were not read to their end."""
    await _wait_for_cancelled(cancelled)
    other_tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in other_tasks:
        task.cancel()
    await asyncio.gather(*other_tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def _run_in_order(
    coroutines: Sequence[Coroutine[Any, Any, None]], cancelled: Set[Coroutine[Any, Any, Any]]
) -> None:
    await _wait_for_cancelled(cancelled)
    for coroutine in coroutines:
        await coroutine


async def _wait_for_cancelled(cancelled: Set[Coroutine[Any, Any, Any]]) -> None:
    """Wait for tasks that are already cancelled: they settle their cost, and a second cancel would interrupt that."""
    await asyncio.gather(
        *(task for task in asyncio.all_tasks() if task.get_coro() in cancelled), return_exceptions=True
    )


def _check_not_on_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise RuntimeError if this thread runs the loop."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:  # no loop runs on this thread
        return
    if running is loop:
        raise RuntimeError("waiting on the event loop's own thread would stop the loop; use asearch or stream")
