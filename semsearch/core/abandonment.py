"""Tell work on a thread that nobody waits for its result any more, so that it does not begin what takes long."""

import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import TypeVar

_T = TypeVar("_T")
_ABANDONED: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)


def call_with_event(abandoned: threading.Event, function: Callable[[], _T]) -> _T:
    """Return the result of `function`, in which `is_abandoned` tells whether this event is set."""
    context = copy_context()
    context.run(_ABANDONED.set, abandoned)
    return context.run(function)


def is_abandoned() -> bool:
    """Return whether nobody waits for the running call any more."""
    event = _ABANDONED.get()
    return event is not None and event.is_set()
