"""Parse sources in child processes, so that a hostile file can crash or block only its own worker. Knows no format.

Workers start when they are first needed and are reused; one that dies or exceeds its time is replaced.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Any, Self

from ...core.cancellation import Cancellation, is_abandoned
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
from ..limits import MAX_READER_MEMORY_BYTES, MAX_SOURCE_BYTES, READ_TIMEOUT_SECONDS
from .document_frames import Header, decode_header
from .wire_format import decode_content, encode_plugin

_BUSY = "other files keep all reader processes busy; try again in a few seconds"


class WorkerPool:
    """A pool of child processes that run one module; several threads may send requests, each to a worker of its own."""

    def __init__(self, module: str, worker_count: int, timeout_seconds: float, memory_bytes: int) -> None:
        self._module = module
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._workers: set[_Worker] = set()
        # LIFO: the worker used last is reused first, so that few are started; None is a worker that is not started yet
        self._idle_workers: LifoQueue[_Worker | None] = LifoQueue()
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

    def request(self, *frames: bytes, deadline: float | None = None) -> dict[str, Any]:
        """Return the response of a worker, not yet validated; raise its SemsearchError, or one if the worker dies.

        `deadline`, of `time.monotonic`, includes the wait for a worker: UnavailableError if that takes too long.
        """
        first = self.request_parts(frames, lambda part: None, Cancellation(), deadline=deadline)
        with refusing_invalid_response():
            response: dict[str, Any] = json.loads(first)
            return response

    def request_parts(
        self,
        request: Sequence[bytes],
        add_part: Callable[[bytes], None],
        cancellation: Cancellation,
        *,
        deadline: float | None = None,
    ) -> bytes:
        """Return the first frame of the response, and pass the others to `add_part`; errors are those of `request`."""
        worker = self._take_worker(deadline)
        seconds = self._timeout_seconds if deadline is None else min(self._timeout_seconds, deadline - time.monotonic())
        is_reusable = False
        try:
            worker = self._ensure_alive(worker)
            response = worker.request(request, add_part, cancellation, seconds)
            is_reusable = not self._closed
        except SemsearchError as exc:
            if self._closed:
                raise UnavailableError("the reader pool is closed") from exc
            if isinstance(exc, DeadlineError) and seconds < self._timeout_seconds / 2:
                raise UnavailableError(_BUSY) from exc
            raise
        finally:
            if not is_reusable:  # also after an interruption, which leaves the worker in the middle of a request
                self._end_worker(worker)
                worker = None
            self._idle_workers.put(worker)
        if isinstance(response, SemsearchError):
            raise response
        return response

    def _take_worker(self, deadline: float | None) -> "_Worker | None":
        """Wait for an idle worker; UnavailableError if that takes too long, or nobody waits for the result any more."""
        try:
            worker = self._idle_workers.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty as exc:
            raise UnavailableError(_BUSY) from exc
        if is_abandoned():
            self._idle_workers.put(worker)
            raise UnavailableError("nobody waits for the result any more")
        return worker

    def _ensure_alive(self, worker: "_Worker | None") -> "_Worker":
        """Return this worker if it is running, else a new one."""
        if worker is not None and worker.is_alive():
            return worker
        self._end_worker(worker)
        with self._lock:
            if self._closed:
                raise UnavailableError("the reader pool is closed")
            worker = _Worker(self._module, str(self._timeout_seconds), str(self._memory_bytes))
            self._workers.add(worker)
            return worker

    def _end_worker(self, worker: "_Worker | None") -> None:
        if worker is not None:
            self._workers.discard(worker)
            worker.kill_and_wait()


class ReaderPool(WorkerPool):
    """A pool of reader processes."""

    def __init__(
        self,
        worker_count: int,
        *,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
        memory_bytes: int = MAX_READER_MEMORY_BYTES,
    ) -> None:
        super().__init__(f"{__package__}.worker", worker_count, timeout_seconds, memory_bytes)

    def read(self, data: bytes, media_type: str, plugin: Plugin | None = None) -> ParsedContent:
        """Return the content of one source, read in a worker; raise SemsearchError if that fails or the worker dies."""
        check_source_size(data)
        response = self.request(media_type.encode(errors="replace"), encode_plugin(plugin), b"", data)
        with refusing_invalid_response():
            return decode_content(response)

    def read_document(
        self,
        data: bytes,
        media_type: str,
        plugin: Plugin | None,
        *,
        uri: str,
        title: str | None,
        add_part: Callable[[bytes], None],
        cancellation: Cancellation,
    ) -> Header:
        """Read and chunk one source in a worker: pass each part to `add_part`, and return the header.

        The parts are not validated. Raise SemsearchError if it fails, if the worker dies, or by the cancellation.
        """
        check_source_size(data)
        head = json.dumps([uri, title]).encode()
        request = media_type.encode(errors="replace"), encode_plugin(plugin), head, data
        first = self.request_parts(request, add_part, cancellation)
        with refusing_invalid_response():
            return decode_header(first)


def check_source_size(data: bytes) -> None:
    """Raise TooLargeError if a source is too large for a worker."""
    if len(data) > MAX_SOURCE_BYTES:
        raise TooLargeError(f"it has {len(data):,} bytes, more than the limit of {MAX_SOURCE_BYTES:,}; split it")


class _Worker(ChildProcess):
    """A worker process that is killed if it exceeds its time."""

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def request(
        self, request: Sequence[bytes], add_part: Callable[[bytes], None], cancellation: Cancellation, seconds: float
    ) -> bytes | SemsearchError:
        """Send a request and return the first frame of its response, or the error in it.

        Killing the process after these seconds ends a blocked send or receive.
        """
        seconds = cancellation.get_timeout(seconds)
        with cancellation.calling(self.process.kill), self.kill_after(seconds) as timed_out:
            response = self._receive_response(add_part) if self.send(*request) else None
        if response is not None:
            return response
        cancellation.check()
        if timed_out.is_set():
            raise DeadlineError(f"it took longer than {seconds:.3g} s to read; split it")
        raise UnsupportedMediaError("the reader process died, perhaps out of memory; split the file, or repair it")

    def _receive_response(self, add_part: Callable[[bytes], None]) -> bytes | SemsearchError | None:
        """Return the first frame or the error, and pass the other frames on; None if the process has ended."""
        first: bytes | SemsearchError | None = None
        while frame := self.receive():
            if frame.startswith(_ERROR_START):
                first = _parse_error(frame)
            elif first is None:
                first = frame
            else:
                add_part(frame)
        return None if frame is None else first


_ERROR_START = b'{"error": '
_ERROR_TYPES = {kind.__name__: kind for kind in (*SemsearchError.__subclasses__(), NothingToIndexError)}


def _parse_error(frame: bytes) -> SemsearchError:
    """Return the error of a frame."""
    with refusing_invalid_response():
        fields = json.loads(frame)
        error: SemsearchError = _ERROR_TYPES[fields["error"]](str(fields["message"]))
        return error


@contextmanager
def refusing_invalid_response() -> Iterator[None]:
    """Raise UnsupportedMediaError where a response is not valid. It is not trusted: the file may be hostile."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
        raise UnsupportedMediaError("the reader process sent an invalid response; the file may be hostile") from exc
