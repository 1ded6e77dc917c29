"""Admission of requests: a bounded queue for each kind of work. A full queue refuses with 503 at once.

Health checks, the page and the documentation have no queue. `early_refusal` refuses before a request is parsed.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import UnavailableError
from ...core.metrics import Metrics, NoMetrics
from . import limits, problems
from .bodies import ClientDisconnectedError
from .query_paths import parse_query_path

_API_PREFIX = "/v1/"
_RECOMMEND_PATH = re.compile(r"/v1/collections/[^/]+/recommend")
"""Path of a POST that is a read."""


@dataclass(slots=True)
class WorkQueue:
    """The requests of one kind that are being served or wait."""

    kind: str
    limits: limits.QueueLimits
    get_time: Callable[[], float] = time.monotonic
    count: int = 0
    is_overloaded: bool = False
    """Whether it has refused a request lately, so that the lower limit applies."""
    _refused_at: float = 0.0
    metrics: Metrics = field(default_factory=NoMetrics)

    def enter(self) -> bool:
        """Count a request, and return True; or return False if the queue is full."""
        if self.is_full():
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        """Take back what `enter` counted."""
        self.count -= 1

    def is_full(self, arriving: int = 0) -> bool:
        """Return whether the queue refuses a request that comes after `arriving` uncounted ones."""
        if self.is_overloaded and self.get_time() - self._refused_at > limits.OVERLOAD_SECONDS:
            self.is_overloaded = False
        if self.count + arriving < (self.limits.overload if self.is_overloaded else self.limits.burst):
            return False
        self.is_overloaded, self._refused_at = True, self.get_time()
        return True

    def refusal(self) -> UnavailableError:
        """Count a request that the queue refuses, and return its error."""
        self.count_refusals()
        return UnavailableError(self.refusal_detail)

    def count_refusals(self, count: int = 1) -> None:
        """Count requests that the queue refuses."""
        self.metrics.count("http_shed", (self.kind,), count)

    @property
    def refusal_detail(self) -> str:
        """Detail of the problem that a refused client gets."""
        return _REFUSALS[self.kind]


_REFUSALS = {
    "search": "the service has more searches than it can answer in time",
    "ask": "the service has more questions than it can answer in time",
    "model": "the service waits for model servers with as many requests as it can",
    "read": "the service has more requests than it can answer in time",
    "write": "the service has more changes waiting than it can make in time",
}
_REFUSALS = {
    kind: f"{text}; send the request again after the seconds in Retry-After" for kind, text in _REFUSALS.items()
}


class Admission:
    """The queues of one process."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.queues = {
            kind: WorkQueue(kind, bounds, metrics=metrics or NoMetrics()) for kind, bounds in limits.QUEUES.items()
        }

    def find_queue(self, method: str, path: str) -> WorkQueue | None:
        """Return the queue of a request by its path as it was sent, or None for requests without one."""
        query = parse_query_path(path)
        if query is not None:
            return self.queues[query.kind]
        if not path.startswith(_API_PREFIX):
            return None
        is_read = method in ("GET", "HEAD") or _RECOMMEND_PATH.fullmatch(path) is not None
        return self.queues["read" if is_read else "write"]

    def validate_before_body(self, scope: Scope) -> None:
        """Refuse a request with a large body before it is read, if its queue is full."""
        queue = self.find_queue(scope["method"], scope["path"])
        if queue is not None and queue.is_full() and _may_have_large_body(scope):
            raise queue.refusal()


class Place:
    """The place of one request in a queue."""

    __slots__ = ("_queue",)

    def __init__(self, queue: WorkQueue) -> None:
        self._queue: WorkQueue | None = queue

    def leave(self) -> None:
        """Free the place; a second call does nothing."""
        if self._queue is not None:
            self._queue.leave()
            self._queue = None

    def move(self, queue: WorkQueue) -> None:
        """Change to a place in another queue; UnavailableError if that is full."""
        if not queue.enter():
            raise queue.refusal()
        self.leave()
        self._queue = queue


class AdmissionMiddleware:
    """Plain ASGI, behind the guard, which has read the body: a slow upload holds no place."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with a place in its queue, or refuse it."""
        queue = self._admission.find_queue(scope["method"], scope["path"])
        if queue is None:
            await self._app(scope, receive, send)
            return
        if not queue.enter():
            await problems.from_exception(scope, queue.refusal())(scope, receive, send)
            return
        place = scope["state"]["place"] = Place(queue)
        is_stream = False

        async def send_and_leave(message: Message) -> None:
            """Free the place when the response starts: a client that does not read it must not hold the place."""
            nonlocal is_stream
            if message["type"] == "http.response.start":
                is_stream = queue.kind != "search" and _is_event_stream(message)
                if not is_stream:
                    place.leave()
            await (_send_in_time(send, message) if is_stream else send(message))

        try:
            await self._app(scope, receive, send_and_leave)
        finally:
            place.leave()


def wait_for_model(scope: Scope, admission: Admission) -> None:
    """Move a request that will wait for a model server to the queue of those; UnavailableError if that is full."""
    place: Place = scope["state"]["place"]
    place.move(admission.queues["model"])


def _may_have_large_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > limits.UNREAD_BODY_BYTES


def _is_event_stream(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"])


async def _send_in_time(send: Send, message: Message) -> None:
    try:
        async with asyncio.timeout(limits.STREAM_SEND_TIMEOUT_SECONDS):
            await send(message)
    except TimeoutError as exc:
        raise ClientDisconnectedError from exc
