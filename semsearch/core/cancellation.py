"""End work that waits for a child process, at a deadline or when its owner stops, and tell work on a thread that nobody
waits for its result any more. Starts no thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from .errors import DeadlineError, UnavailableError

_T = TypeVar("_T")
_ABANDONED: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)


class Cancellation:
    """The deadline of one run, and what ends it early. Several threads may use it."""

    def __init__(self, deadline: float | None = None) -> None:
        """`deadline` is a time of `time.monotonic()`, or None."""
        self.is_cancelled = False
        self._deadline = deadline
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """End what runs, and refuse what comes later."""
        with self._lock:
            self.is_cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise UnavailableError after `cancel`, DeadlineError after the deadline."""
        if self.is_cancelled:
            raise UnavailableError("the service is stopping; send it again later")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise DeadlineError("the time of this request has passed; send less at once, or split the file")

    def get_timeout(self, seconds: float) -> float:
        """Return the seconds that are left, at most `seconds`."""
        return seconds if self._deadline is None else max(0.0, min(seconds, self._deadline - time.monotonic()))

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` if `cancel` is called during the block; raise what `check` raises."""
        with self._lock:
            self._callbacks.append(callback)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)


def call_with_event(abandoned: threading.Event, function: Callable[[], _T]) -> _T:
    """Return the result of `function`, in which `is_abandoned` tells whether this event is set."""
    context = copy_context()
    context.run(_ABANDONED.set, abandoned)
    return context.run(function)


def is_abandoned() -> bool:
    """Return whether nobody waits for the running call any more."""
    event = _ABANDONED.get()
    return event is not None and event.is_set()
