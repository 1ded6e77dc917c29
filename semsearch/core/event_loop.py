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

from .errors import Deadline, Unavailable

_T = TypeVar("_T")


class Loop:
    """Where coroutines of the upstream side run, whoever waits for them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._process = os.getpid()
        self._closed = False
        self._waited_for: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._given_up: set[Coroutine[Any, Any, Any]] = set()

    @property
    def is_inherited(self) -> bool:
        """Whether this process is a fork of the one that made it: then its threads stayed there."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Unavailable, if nothing can run here any more."""
        if self.is_inherited:
            raise Unavailable("this process was forked from the one that opened this library; open another one in it")
        if self._closed:
            raise Unavailable("this library is closed; open another one")

    def adopt(self, running: asyncio.AbstractEventLoop) -> None:
        """Use the server's loop from now on; a private one that was begun before goes on until both are closed."""
        with self._starting:
            self._loop = running

    def wait(self, work: Coroutine[Any, Any, _T], seconds: float | None = None) -> _T:
        """Run `work` on the loop and return its result; Deadline after `seconds`, and the work is cancelled.

        RuntimeError if it is called on the loop itself, which could then never finish.
        """
        with self.under_way(work) as task:
            try:
                return task.result(seconds)
            except TimeoutError as exc:
                if seconds is None:  # it is the work's own
                    raise
                raise Deadline(f"this took longer than the {seconds:g} seconds allowed") from exc

    @contextmanager
    def under_way(self, work: Coroutine[Any, Any, _T]) -> Iterator[Future[_T]]:
        """Run `work` on the loop while the block goes on; what is not done at its end is cancelled."""
        try:
            task = self._begun(work)
        except (RuntimeError, Unavailable):
            work.close()
            raise
        try:
            yield task
        except CancelledError:
            self.check()  # closing has cancelled it
            raise
        finally:
            self._waited_for.pop(task, None)
            task.cancel()  # no effect on what is done; on Ctrl-C and on a deadline nothing goes on behind our back

    def each(self, events: AsyncGenerator[_T, None]) -> Generator[_T, None, None]:
        """What an asynchronous generator yields, one by one, as it comes."""
        turn = asyncio.Lock()  # what Ctrl-C has cancelled takes a moment to end, and cannot be closed before
        try:
            while (event := self.wait(_next(events, turn))) is not None:
                yield event
        finally:
            with suppress(Unavailable):  # to close the loop was to close this too
                self.wait(_close(events, turn))

    def give_up(self) -> None:
        """Begin nothing more, and cancel what threads wait for, whosever loop it runs on."""
        with self._starting:
            self._closed = True
        for task, work in dict(self._waited_for).items():
            self._given_up.add(work)
            task.cancel()

    def close(self, *last: Coroutine[Any, Any, None]) -> None:
        """End what is under way on the private loop, if there is one, do the `last`, and end the loop."""
        if self.is_inherited:
            return
        with self._starting:
            self._closed = True
            loop, own, thread = self._loop, self._own, self._thread
            self._loop = self._own = self._thread = None
        if own is not None:
            atexit.unregister(self.close)
            asyncio.run_coroutine_threadsafe(_ended(self._given_up), own).result()
        if last and loop is not None and loop.is_running():
            _check_elsewhere(loop)
            asyncio.run_coroutine_threadsafe(_all(last, self._given_up), loop).result()
        for work in last:
            work.close()  # no effect on what is done; what never ran has nothing to end
        if own is not None and thread is not None:
            own.call_soon_threadsafe(own.stop)
            thread.join()
            own.close()

    def _begun(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Begin it where nothing is closed, in one go: what begins while the loop is closed would never end."""
        with self._starting:
            self.check()
            if self._loop is None:
                self._loop = self._own = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="semsearch-loop", daemon=True)
                self._thread.start()
                atexit.register(self.close)  # while threads can still be waited for
            _check_elsewhere(self._loop)
            task = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._waited_for[task] = work
        return task


async def _next(events: AsyncGenerator[_T, None], turn: asyncio.Lock) -> _T | None:
    async with turn:
        return await anext(events, None)


async def _close(events: AsyncGenerator[Any, None], turn: asyncio.Lock) -> None:
    async with turn:
        await events.aclose()


async def _ended(given_up: Set[Coroutine[Any, Any, Any]]) -> None:
    """Cancel all that is under way, and close the generators that nobody has read to their end."""
    await _let_end(given_up)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def _all(works: Sequence[Coroutine[Any, Any, None]], given_up: Set[Coroutine[Any, Any, Any]]) -> None:
    await _let_end(given_up)
    for work in works:
        await work


async def _let_end(given_up: Set[Coroutine[Any, Any, Any]]) -> None:
    """Wait for what is cancelled already: it books what it did cost, and a second time would cut that short."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_coro() in given_up), return_exceptions=True)


def _check_elsewhere(loop: asyncio.AbstractEventLoop) -> None:
    """RuntimeError, if this thread is the one that runs the loop."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:  # none runs here
        return
    if running is loop:
        raise RuntimeError("waiting here would stop the loop that is waited for; use asearch or stream")
