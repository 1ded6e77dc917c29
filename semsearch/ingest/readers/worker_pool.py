"""Reads sources in child processes, which a hostile file may crash, hang or fill without harm. Knows no format.

Children are started when first needed and reused; one that dies or overruns its time is replaced alone.
"""

import json
import threading
from contextlib import suppress
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Self

from ...core.child_process import ChildProcess
from ...core.errors import DeadlineError, SemsearchError, TooLargeError, UnavailableError, UnsupportedMediaError
from ...core.types.documents import ParsedContent
from . import MAX_SOURCE_BYTES
from .wire_format import decode_content

READ_TIMEOUT_SECONDS = 60.0
MAX_MEMORY_BYTES = 2 << 30


class ReaderPool:
    """A pool of reader children; several threads may read at once, and each borrows one child."""

    def __init__(
        self, worker_count: int, *, timeout_seconds: float = READ_TIMEOUT_SECONDS, memory_bytes: int = MAX_MEMORY_BYTES
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._workers: set[_ReaderWorker] = set()
        self._idle_workers: LifoQueue[_ReaderWorker | None] = (
            LifoQueue()
        )  # the child used last comes first, so that few are started
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
        """End the children at once; what they were reading, and all reading afterwards, is Unavailable."""
        with self._lock:
            self._closed = True
        for child in tuple(self._workers):
            child.process.kill()  # one that is reading is ended by the thread that borrowed it
        idle = []
        with suppress(Empty):
            while True:
                idle.append(self._idle_workers.get_nowait())
        for child_or_none in idle:
            self._end_worker(child_or_none)
            self._idle_workers.put(None)  # for those who wait, to find the pool closed

    def read(self, data: bytes, media_type: str) -> ParsedContent:
        """Read one source in a child; SemsearchError, saying why, if that fails, whatever becomes of the child."""
        if len(data) > MAX_SOURCE_BYTES:
            raise TooLargeError(
                f"it has {len(data):,} bytes, more than the {MAX_SOURCE_BYTES:,} that are read; split it"
            )
        child = self._idle_workers.get()
        fit = False
        try:
            child = self._ensure_alive(child)
            answer = child.request(media_type.encode(errors="replace"), data)
            fit = not self._closed
        except SemsearchError as exc:
            if self._closed:
                raise UnavailableError("the readers were closed") from exc
            raise
        finally:
            if not fit:  # an interruption too leaves a child in the middle of a request
                self._end_worker(child)
                child = None
            self._idle_workers.put(child)
        return _parse_response(answer)

    def _ensure_alive(self, worker: "_ReaderWorker | None") -> "_ReaderWorker":
        """Return this child if it lives, else a new one."""
        if worker is not None and worker.is_alive():
            return worker
        self._end_worker(worker)
        with self._lock:
            if self._closed:
                raise UnavailableError("the readers were closed")
            worker = _ReaderWorker(self._timeout_seconds, self._memory_bytes)
            self._workers.add(worker)
            return worker

    def _end_worker(self, worker: "_ReaderWorker | None") -> None:
        if worker is not None:
            self._workers.discard(worker)
            worker.kill_and_wait()


class _ReaderWorker(ChildProcess):
    """One that answers in time or not at all."""

    def __init__(self, timeout_seconds: float, memory_bytes: int) -> None:
        super().__init__(f"{__package__}.worker", str(timeout_seconds), str(memory_bytes))
        self.timeout_seconds = timeout_seconds

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def request(self, *frames: bytes) -> bytes:
        """Send one request and return its answer; the child is killed when time is up, and that ends either."""
        with self.kill_after(self.timeout_seconds) as late:
            answer = self.receive() if self.send(*frames) else None
        if answer is not None:
            return answer
        if late.is_set():
            raise DeadlineError(f"it took longer than {self.timeout_seconds:g} s to read; split it")
        raise UnsupportedMediaError("the reader died on it, out of memory perhaps; split it, or repair the file")


_ERROR_TYPES = {kind.__name__: kind for kind in SemsearchError.__subclasses__()}


def _parse_response(answer: bytes) -> ParsedContent:
    """What a child answered; it has read a hostile file, so that even its form is not trusted."""
    try:
        value = json.loads(answer)
        if "error" not in value:
            return decode_content(value)
        error = _ERROR_TYPES[value["error"]](str(value["message"]))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
        raise UnsupportedMediaError("the reader gave no answer that makes sense; the file may be hostile") from exc
    raise error
