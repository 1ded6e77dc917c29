"""Reads sources in child processes, which a hostile file may crash, hang or fill without harm. Knows no format.

Children are started when first needed and reused; one that dies or overruns its time is replaced alone.
"""

import json
import threading
from contextlib import suppress
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Self

from ...core.child_process import Child
from ...core.errors import Deadline, SemsearchError, TooLarge, Unavailable, UnsupportedMedia
from ...core.types.documents import Content
from . import MAX_SOURCE_BYTES
from .wire_format import unpacked

SECONDS = 60.0
MEMORY_BYTES = 2 << 30


class Children:
    """A pool of reader children; several threads may read at once, and each borrows one child."""

    def __init__(self, count: int, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._started: set[_Reader] = set()
        self._idle: LifoQueue[_Reader | None] = LifoQueue()  # the child used last comes first, so that few are started
        for _ in range(count):
            self._idle.put(None)

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
        for child in tuple(self._started):
            child.process.kill()  # one that is reading is ended by the thread that borrowed it
        idle = []
        with suppress(Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for child_or_none in idle:
            self._end(child_or_none)
            self._idle.put(None)  # for those who wait, to find the pool closed

    def read(self, data: bytes, media_type: str) -> Content:
        """Read one source in a child; SemsearchError, saying why, if that fails, whatever becomes of the child."""
        if len(data) > MAX_SOURCE_BYTES:
            raise TooLarge(f"it has {len(data):,} bytes, more than the {MAX_SOURCE_BYTES:,} that are read; split it")
        child = self._idle.get()
        fit = False
        try:
            child = self._fit(child)
            answer = child.ask(media_type.encode(errors="replace"), data)
            fit = not self._closed
        except SemsearchError as exc:
            if self._closed:
                raise Unavailable("the readers were closed") from exc
            raise
        finally:
            if not fit:  # an interruption too leaves a child in the middle of a request
                self._end(child)
                child = None
            self._idle.put(child)
        return _content(answer)

    def _fit(self, child: "_Reader | None") -> "_Reader":
        """Return this child if it lives, else a new one."""
        if child is not None and child.alive():
            return child
        self._end(child)
        with self._lock:
            if self._closed:
                raise Unavailable("the readers were closed")
            child = _Reader(self._seconds, self._memory_bytes)
            self._started.add(child)
            return child

    def _end(self, child: "_Reader | None") -> None:
        if child is not None:
            self._started.discard(child)
            child.end()


class _Reader(Child):
    """One that answers in time or not at all."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        super().__init__(f"{__package__}.worker", str(seconds), str(memory_bytes))
        self.seconds = seconds

    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, *request: bytes) -> bytes:
        """Send one request and return its answer; the child is killed when time is up, and that ends either."""
        with self.within(self.seconds) as late:
            answer = self.receive() if self.send(*request) else None
        if answer is not None:
            return answer
        if late.is_set():
            raise Deadline(f"it took longer than {self.seconds:g} s to read; split it")
        raise UnsupportedMedia("the reader died on it, out of memory perhaps; split it, or repair the file")


_ERRORS = {kind.__name__: kind for kind in SemsearchError.__subclasses__()}


def _content(answer: bytes) -> Content:
    """What a child answered; it has read a hostile file, so that even its form is not trusted."""
    try:
        value = json.loads(answer)
        if "error" not in value:
            return unpacked(value)
        error = _ERRORS[value["error"]](str(value["message"]))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
        raise UnsupportedMedia("the reader gave no answer that makes sense; the file may be hostile") from exc
    raise error
