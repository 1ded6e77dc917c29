"""The library and the threads that routes use: one for writes, two for reads, more for uploads and pages of PDF files.

No route blocks the event loop with a disk access.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ...collection import Collection
from ...core.cancellation import call_with_event
from ...core.errors import DeadlineError, UnavailableError
from ...core.types.access import Caller
from ...library import Library
from . import limits
from .admission import Admission

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Service:
    """A library, and the executors that run its blocking calls."""

    library: Library
    read_executor: ThreadPoolExecutor
    write_executor: ThreadPoolExecutor
    small_upload_executor: ThreadPoolExecutor
    large_upload_executor: ThreadPoolExecutor
    page_executor: ThreadPoolExecutor
    ledger_executor: ThreadPoolExecutor
    """For responses that are kept."""
    page_slots: threading.BoundedSemaphore
    shutdown_started: threading.Event = field(default_factory=threading.Event)
    """Set when the service has got a stop signal; it still answers for some seconds."""
    admission: Admission = field(default_factory=Admission)
    """The bounded queues of its requests."""

    async def run_read(self, function: Callable[[], _T]) -> _T:
        """Run a read on a thread; DeadlineError if no thread was free in time."""
        return await _run_in_time(self.read_executor, function, limits.READ_WAIT_SECONDS)

    async def run_write(self, function: Callable[[], _T]) -> _T:
        """Run a write on the thread of all writes, one after the other; DeadlineError if its turn did not come."""
        return await _run_in_time(self.write_executor, function, limits.PUT_TIMEOUT_SECONDS)

    async def run_upload(self, function: Callable[[], _T], size: int) -> _T:
        """Store documents of `size` bytes together. Large ones have threads of their own, so that small ones pass them.

        DeadlineError if their turn did not come. Reader processes parse the documents, and the store lets one writer
        commit at a time.
        """
        is_large = size > limits.MAX_SMALL_UPLOAD_BYTES
        executor = self.large_upload_executor if is_large else self.small_upload_executor
        return await _run_in_time(executor, function, limits.PUT_TIMEOUT_SECONDS)

    async def run_page_work(self, function: Callable[[], _T]) -> _T:
        """Run work on a page, which may take seconds, on a thread of its own; UnavailableError if too many wait.

        It is dropped if this coroutine is cancelled, or the time is over, before the work has begun.
        """
        if not self.page_slots.acquire(blocking=False):
            raise UnavailableError("too many pages are being rendered; try again in a few seconds")
        abandoned = threading.Event()
        future = self.page_executor.submit(call_with_event, abandoned, function)
        future.add_done_callback(lambda _: self.page_slots.release())  # work that has begun keeps its slot
        try:
            async with asyncio.timeout(limits.PAGE_REQUEST_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError as exc:
            raise UnavailableError("too many pages are being rendered; try again in a few seconds") from exc
        finally:
            abandoned.set()

    async def open_collection(self, name: str, caller: Caller) -> Collection:
        """Return a collection as `caller` may see it, without a thread if it is open already."""
        if (collection := self.library.get_if_open(name, caller=caller)) is not None:
            return collection
        return await self.run_read(partial(self.library.open, name, caller=caller))

    def close(self) -> None:
        """Wait for running calls and stop the threads."""
        self.read_executor.shutdown()
        self.write_executor.shutdown()
        self.small_upload_executor.shutdown()
        self.large_upload_executor.shutdown()
        self.page_executor.shutdown()
        self.ledger_executor.shutdown()


def make_service(library: Library) -> Service:
    """Return a service with its own threads, which start at the first call."""
    return Service(
        library,
        ThreadPoolExecutor(2, "semsearch-read"),
        ThreadPoolExecutor(1, "semsearch-write"),
        ThreadPoolExecutor(limits.SMALL_UPLOAD_THREADS, "semsearch-upload"),
        ThreadPoolExecutor(limits.LARGE_UPLOAD_THREADS, "semsearch-large-upload"),
        ThreadPoolExecutor(6, "semsearch-page"),
        ThreadPoolExecutor(1, "semsearch-ledger"),
        threading.BoundedSemaphore(limits.MAX_PAGE_REQUESTS),
        admission=Admission(library.metrics),
    )


async def _run_in_time(executor: ThreadPoolExecutor, function: Callable[[], _T], seconds: float) -> _T:
    """Run a call on a thread of the executor, unless it waits longer than `seconds` for one."""
    deadline, context = time.monotonic() + seconds, copy_context()  # the thread belongs to the trace of the request

    def run() -> _T:
        if time.monotonic() > deadline:
            raise DeadlineError(
                f"the request waited {seconds:g} seconds for its turn and was not started; send it again later"
            )
        return context.run(function)

    return await asyncio.get_running_loop().run_in_executor(executor, run)
