"""The one event loop of a process, and how plain synchronous code waits for what runs on it. Runs nothing itself.

A server gives its own loop; a shell or a program gets a private one, on a thread that starts when it is first needed.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from .errors import Deadline

_T = TypeVar("_T")


class Loop:
    """Where coroutines of the upstream side run, whoever waits for them."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def adopt(self, running: asyncio.AbstractEventLoop) -> None:
        """Use the server's loop from now on."""
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
        loop = self._running()
        if _is_running(loop):
            work.close()
            raise RuntimeError("waiting here would stop the loop that is waited for; use asearch or stream")
        task = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            yield task
        finally:
            task.cancel()  # no effect on what is done; on Ctrl-C and on a deadline nothing goes on behind our back

    def each(self, events: AsyncGenerator[_T, None]) -> Iterator[_T]:
        """What an asynchronous generator yields, one by one, as it comes."""
        try:
            while (event := self.wait(_next(events))) is not None:
                yield event
        finally:
            self.wait(events.aclose())

    def close(self) -> None:
        """End the private loop, if there is one."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="semsearch-loop", daemon=True)
                self._thread.start()
            return self._loop


async def _next(events: AsyncGenerator[_T, None]) -> _T | None:
    return await anext(events, None)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this thread is the one that runs the loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
