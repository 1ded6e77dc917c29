"""Count requests by route, method and status, and time searches and answers. Serve /metrics.

Plain ASGI. The label of a route is its template, never a path.
"""

import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.metrics import Metrics
from . import limits
from .fast_search import HEALTH_PATH
from .query_paths import parse_query_path

METRICS_PATH = "/metrics"
MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""Label of requests that reached no route, and of methods that no route has."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
_QUERY_ROUTES = {kind: f"/v1/collections/{{name}}/{kind}" for kind in ("search", "ask")}
_OPERATIONS = {route: kind for kind, route in _QUERY_ROUTES.items()}
_STATUS_CLASSES = {number: f"{number}xx" for number in range(1, 6)}
_NO_STATUS = "none"


class RequestMetricsMiddleware:
    """Count each request, in front of all other middleware. A streamed response is counted at its end."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and count it."""
        started = time.perf_counter()
        status = 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            route = count_request(self._metrics, scope, status)
            if status == 200 and (operation := _OPERATIONS.get(route)) is not None:
                self._metrics.observe("stage_seconds", (operation, "total"), time.perf_counter() - started)


class MetricsEndpoint:
    """Answer GET /metrics, without the framework: a service that only searches does not load it."""

    def __init__(self, app: ASGIApp, render: Callable[[], Awaitable[bytes]]) -> None:
        self._app = app
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scrape, or call the application."""
        if scope["path"] != METRICS_PATH or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        body = await self._render()
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def count_request(metrics: Metrics, scope: Scope, status: int) -> str:
    """Count a request that ended with this status (0: its client left before the response), and return its route."""
    route = find_route(scope)
    method = scope["method"] if scope["method"] in _METHODS else OTHER
    status_class = _STATUS_CLASSES.get(status // 100, _NO_STATUS)
    metrics.count("http_requests", (route, method, status_class))
    if status == 429:
        is_budget = scope["state"].get("problem") == "budget"
        metrics.count("http_rate_limited", ("budget" if is_budget else "rate_limited",))
    return route


def count_refused_query(metrics: Metrics, method: str, kind: str, count: int) -> None:
    """Count searches or questions that were refused with 503."""
    metrics.count("http_requests", (_QUERY_ROUTES[kind], method, _STATUS_CLASSES[5]), count)


def count_unparsed_request(metrics: Metrics, status: int) -> None:
    """Count bytes that were refused with this status before there was a request."""
    metrics.count("http_requests", (OTHER, OTHER, _STATUS_CLASSES[status // 100]))


def find_route(scope: Scope) -> str:
    """Return the template of the route that a request reached, or would have reached for searches and questions."""
    template = getattr(scope.get("route"), "path", None)
    if isinstance(template, str):
        return template
    path = scope["path"]
    if len(path) > limits.MAX_PATH_BYTES:  # refused, and too long for a cache
        return OTHER
    if (query := parse_query_path(path)) is not None:
        return _QUERY_ROUTES[query.kind]
    return path if path in (HEALTH_PATH, METRICS_PATH) else OTHER
