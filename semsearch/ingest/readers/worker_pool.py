"""Read sources in child processes, so that a hostile file can crash or block only its own reader. Knows no format.

Workers start when they are first needed and are reused; one that dies or exceeds its time is replaced.
"""

import json
import threading
from contextlib import suppress
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Self

from ...core.child_process import ChildProcess
from ...core.errors import (
    DeadlineError,
    NothingToIndexError,
    SemsearchError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaError,
)
from ...core.plugins import Plugin
from ...core.types.documents import ParsedContent
from . import MAX_SOURCE_BYTES
from .wire_format import decode_content, encode_plugin

READ_TIMEOUT_SECONDS = 60.0
MAX_MEMORY_BYTES = 2 << 30


class ReaderPool:
    """A pool of reader processes; several threads may read at once, each with a worker of its own."""

    def __init__(
        self, worker_count: int, *, timeout_seconds: float = READ_TIMEOUT_SECONDS, memory_bytes: int = MAX_MEMORY_BYTES
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._workers: set[_ReaderWorker] = set()
        # LIFO: the worker used last is reused first, so that few are started; None is a worker that is not started yet
        self._idle_workers: LifoQueue[_ReaderWorker | None] = LifoQueue()
        for _ in range(worker_count):
            self._idle_workers.put(None)

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool."""
        self.close()

    def close(self) -> None:
        """Kill the workers; reads that are running, and all later ones, raise UnavailableError."""
        with self._lock:
            self._closed = True
        for worker in tuple(self._workers):
            worker.process.kill()  # a busy worker is removed by the thread that reads with it
        idle_workers = []
        with suppress(Empty):
            while True:
                idle_workers.append(self._idle_workers.get_nowait())
        for idle_worker in idle_workers:
            self._end_worker(idle_worker)
            self._idle_workers.put(None)  # wakes waiting threads, which then see that the pool is closed

    def read(self, data: bytes, media_type: str, plugin: Plugin | None = None) -> ParsedContent:
        """Return the content of one source, read in a worker; raise SemsearchError if that fails or the worker dies."""
        if len(data) > MAX_SOURCE_BYTES:
            raise TooLargeError(f"it has {len(data):,} bytes, more than the limit of {MAX_SOURCE_BYTES:,}; split it")
        worker = self._idle_workers.get()
        is_reusable = False
        try:
            worker = self._ensure_alive(worker)
            response = worker.request(media_type.encode(errors="replace"), encode_plugin(plugin), data)
            is_reusable = not self._closed
        except SemsearchError as exc:
            if self._closed:
                raise UnavailableError("the reader pool is closed") from exc
            raise
        finally:
            if not is_reusable:  # also after an interruption, which leaves the worker in the middle of a request
                self._end_worker(worker)
                worker = None
            self._idle_workers.put(worker)
        return _parse_response(response)

    def _ensure_alive(self, worker: "_ReaderWorker | None") -> "_ReaderWorker":
        """Return this worker if it is running, else a new one."""
        if worker is not None and worker.is_alive():
            return worker
        self._end_worker(worker)
        with self._lock:
            if self._closed:
                raise UnavailableError("the reader pool is closed")
            worker = _ReaderWorker(self._timeout_seconds, self._memory_bytes)
            self._workers.add(worker)
            return worker

    def _end_worker(self, worker: "_ReaderWorker | None") -> None:
        if worker is not None:
            self._workers.discard(worker)
            worker.kill_and_wait()


class _ReaderWorker(ChildProcess):
    """A reader process that is killed if it exceeds its time."""

    def __init__(self, timeout_seconds: float, memory_bytes: int) -> None:
        super().__init__(f"{__package__}.worker", str(timeout_seconds), str(memory_bytes))
        self.timeout_seconds = timeout_seconds

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def request(self, *frames: bytes) -> bytes:
        """Send one request and return its response; killing the process on timeout ends a blocked send or receive."""
        with self.kill_after(self.timeout_seconds) as timed_out:
            response = self.receive() if self.send(*frames) else None
        if response is not None:
            return response
        if timed_out.is_set():
            raise DeadlineError(f"it took longer than {self.timeout_seconds:g} s to read; split it")
        raise UnsupportedMediaError("the reader process died, perhaps out of memory; split the file, or repair it")


_ERROR_TYPES = {kind.__name__: kind for kind in (*SemsearchError.__subclasses__(), NothingToIndexError)}


def _parse_response(response: bytes) -> ParsedContent:
    """Return the content of a response, or raise its error. The format is not trusted: the file may be hostile."""
    try:
        parsed = json.loads(response)
        if "error" not in parsed:
            return decode_content(parsed)
        error = _ERROR_TYPES[parsed["error"]](str(parsed["message"]))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
        raise UnsupportedMediaError("the reader process sent an invalid response; the file may be hostile") from exc
    raise error
