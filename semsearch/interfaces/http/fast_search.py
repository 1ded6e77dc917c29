"""Simple searches and the health check, answered without the framework.

Plain ASGI, behind the guard middleware. A search that is not simple, or that is invalid, goes to the route, which
answers it or returns the problem. So the route alone decides what a request means.
"""

import re
from typing import get_args
from urllib.parse import parse_qsl

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import InvalidError, SemsearchError
from ...core.types.search import DEFAULT_K, SearchMode, SearchRequest
from ..strict_json import parse_json
from . import limits, problems
from .admission import Place
from .auth import get_caller
from .links import make_links
from .query_paths import parse_query_path
from .responses import HealthResponse, SearchResponse
from .search import run_search
from .service import Service

HEALTH_PATH = "/healthz"
_DECIMAL = re.compile(r"[0-9]{1,3}")
_SIMPLE_FIELDS = frozenset(("query", "k", "filter", "mode"))
_MODES = get_args(SearchMode)
_JSON_HEADERS = [(b"content-type", b"application/json")]


class FastSearchMiddleware:
    """Answer simple searches; pass every other request to the wrapped application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a simple search or the health check, or call the application."""
        if scope["path"] == HEALTH_PATH and scope["method"] in ("GET", "HEAD"):
            await _send_json(send, HealthResponse())
            return
        path = parse_query_path(scope["path"])
        if path is None or path.kind != "search" or not (scope["method"] == "GET" or _has_json_body(scope)):
            await self._app(scope, receive, send)
            return
        message = await receive()
        is_get = scope["method"] == "GET"
        request = _parse_query_string(scope["query_string"]) if is_get else _parse_body(message.get("body", b""))
        try:
            response = request and await _search_locally(self._service, scope, path.collection, request)
        except InvalidError:  # nothing was searched yet, so the route may try
            response = None
        except SemsearchError as exc:  # the route would fail in the same way, and take the same time again
            await problems.from_exception(scope, exc)(scope, receive, send)
            return
        if response is None:
            await self._app(scope, _replay_message(message, receive), send)
            return
        await _send_json(send, response)


def parse_simple_search(body: object) -> SearchRequest | None:
    """Return the request of a body that has only the usual fields, all valid; else None."""
    if type(body) is not dict or not body.keys() <= _SIMPLE_FIELDS:
        return None
    query, k = body.get("query"), body.get("k", DEFAULT_K)
    raw_filter, mode = body.get("filter"), body.get("mode", "hybrid")
    if (
        type(query) is not str
        or len(query) > limits.MAX_QUERY_CHARACTERS
        or type(k) is not int
        or not 1 <= k <= limits.MAX_K
    ):
        return None
    if mode not in _MODES or not (raw_filter is None or type(raw_filter) is dict):
        return None
    return SearchRequest(query, k, raw_filter, mode)


def _has_json_body(scope: Scope) -> bool:
    """Return whether this is a POST of JSON without anything that the route would have to check."""
    content_types = [value for name, value in scope["headers"] if name == b"content-type"]
    return scope["method"] == "POST" and not scope["query_string"] and content_types == [b"application/json"]


async def _send_json(send: Send, value: object) -> None:
    body = orjson.dumps(value)
    headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _parse_query_string(query_string: bytes) -> SearchRequest | None:
    """Return the request of `q`, `k` and `mode`, each at most once; else None."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    params: dict[str, object] = dict(pairs)
    if len(params) < len(pairs) or "query" in params or not _DECIMAL.fullmatch(str(params.get("k", DEFAULT_K))):
        return None
    if "q" in params:
        params["query"] = params.pop("q")
    return parse_simple_search({**params, "k": int(str(params.get("k", DEFAULT_K)))})


def _parse_body(body: bytes) -> SearchRequest | None:
    try:
        return parse_simple_search(parse_json(body))
    except SemsearchError:
        return None


async def _search_locally(service: Service, scope: Scope, name: str, request: SearchRequest) -> SearchResponse | None:
    """Return the hits, or None if the search needs a request to a model server."""
    collection = await service.open_collection(name, get_caller(scope))
    if not collection.embeds_locally(request.query):
        return None
    place: Place = scope["state"]["place"]
    return await run_search(collection, request, make_links(service, scope, name), on_ranked=place.leave)


def _replay_message(message: Message, receive: Receive) -> Receive:
    """Return a `receive` that gives `message` once more, then what comes after it."""
    messages = iter([message])

    async def replay() -> Message:
        for first in messages:
            return first
        return await receive()

    return replay
