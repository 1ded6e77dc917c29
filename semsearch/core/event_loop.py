"""The one event loop of a process, and how plain synchronous code waits for what runs on it. Runs nothing itself.

A server gives its own loop; a shell or a program gets a private one, on a thread that starts when it is first needed.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator, Sequence, Set
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from .errors import DeadlineError, UnavailableError

_T = TypeVar("_T")


class EventLoopThread:
    """Where coroutines of the upstream side run, whoever waits for them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._state_lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._running: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._cancelled: set[Coroutine[Any, Any, Any]] = set()

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that made it: then its threads stayed there."""
        return os.getpid() != self._pid

    def check_open(self) -> None:
        """Unavailable, if nothing can run here any more."""
        if self.is_forked:
            raise UnavailableError(
                "this process was forked from the one that opened this library; open another one in it"
            )
        if self._closed:
            raise UnavailableError("this library is closed; open another one")

    def use_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use the server's loop from now on; a private one that was begun before goes on until both are closed."""
        with self._state_lock:
            self._loop = loop

    def wait(self, coroutine: Coroutine[Any, Any, _T], timeout_seconds: float | None = None) -> _T:
        """Run `work` on the loop and return its result; Deadline after `seconds`, and the work is cancelled.

        RuntimeError if it is called on the loop itself, which could then never finish.
        """
        with self.running(coroutine) as task:
            try:
                return task.result(timeout_seconds)
            except TimeoutError as exc:
                if timeout_seconds is None:  # it is the work's own
                    raise
                raise DeadlineError(f"this took longer than the {timeout_seconds:g} seconds allowed") from exc

    @contextmanager
    def running(self, coroutine: Coroutine[Any, Any, _T]) -> Iterator[Future[_T]]:
        """Run `work` on the loop while the block goes on; what is not done at its end is cancelled."""
        try:
            task = self._submit(coroutine)
        except (RuntimeError, UnavailableError):
            coroutine.close()
            raise
        try:
            yield task
        except CancelledError:
            self.check_open()  # closing has cancelled it
            raise
        finally:
            self._running.pop(task, None)
            task.cancel()  # no effect on what is done; on Ctrl-C and on a deadline nothing goes on behind our back

    def iterate(self, generator: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
        """What an asynchronous generator yields, one by one, as it comes."""
        lock = asyncio.Lock()  # what Ctrl-C has cancelled takes a moment to end, and cannot be closed before
        try:
            while (event := self.wait(_next_item(generator, lock))) is not None:
                yield event
        finally:
            with suppress(UnavailableError):  # to close the loop was to close this too
                self.wait(_close_generator(generator, lock))

    def cancel_all(self) -> None:
        """Begin nothing more, and cancel what threads wait for, whosever loop it runs on."""
        with self._state_lock:
            self._closed = True
        for task, work in dict(self._running).items():
            self._cancelled.add(work)
            task.cancel()

    def close(self, *final_coroutines: Coroutine[Any, Any, None]) -> None:
        """End what is under way on the private loop, if there is one, do the `last`, and end the loop."""
        if self.is_forked:
            return
        with self._state_lock:
            self._closed = True
            loop, own_loop, thread = self._loop, self._own_loop, self._thread
            self._loop = self._own_loop = self._thread = None
        if own_loop is not None:
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(_cancel_remaining(self._cancelled), own_loop).result()
        if final_coroutines and loop is not None and loop.is_running():
            _check_not_on_loop(loop)
            asyncio.run_coroutine_threadsafe(_run_in_order(final_coroutines, self._cancelled), loop).result()
        for work in final_coroutines:
            work.close()  # no effect on what is done; what never ran has nothing to end
        if own_loop is not None and thread is not None:
            own_loop.call_soon_threadsafe(own_loop.stop)
            thread.join()
            own_loop.close()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Begin it where nothing is closed, in one go: what begins while the loop is closed would never end."""
        with self._state_lock:
            self.check_open()
            if self._loop is None:
                self._loop = self._own_loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="semsearch-loop", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # while threads can still be waited for
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
    """Cancel all that is under way, and close the generators that nobody has read to their end."""
    await _wait_for_cancelled(cancelled)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def _run_in_order(
    coroutines: Sequence[Coroutine[Any, Any, None]], cancelled: Set[Coroutine[Any, Any, Any]]
) -> None:
    await _wait_for_cancelled(cancelled)
    for work in coroutines:
        await work


async def _wait_for_cancelled(cancelled: Set[Coroutine[Any, Any, Any]]) -> None:
    """Wait for what is cancelled already: it books what it did cost, and a second time would cut that short."""
    await asyncio.gather(
        *(task for task in asyncio.all_tasks() if task.get_coro() in cancelled), return_exceptions=True
    )


def _check_not_on_loop(loop: asyncio.AbstractEventLoop) -> None:
    """RuntimeError, if this thread is the one that runs the loop."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:  # none runs here
        return
    if running is loop:
        raise RuntimeError("waiting here would stop the loop that is waited for; use asearch or stream")
