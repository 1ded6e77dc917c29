"""Searches past the framework: what is asked most often takes a straight way, and only where nothing is amiss.

Plain ASGI, behind the gate. Whatever is not an ordinary search, or the question whether the service is alive, goes on
to the route, which answers it or says what is wrong with it: so no request has two meanings.
"""

import re
from typing import get_args

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import InvalidError, SemsearchError
from ...core.names import NAME_PATTERN
from ...core.types.search import SearchMode
from ..strict_json import parse_json
from . import limits as bounds
from . import problems
from .responses import HealthResponse, SearchResponse
from .search import DEFAULT_K, SearchParams, run_search
from .service import Service

_SEARCH_PATH = re.compile(rf"/v1/collections/({NAME_PATTERN})/search")
HEALTH_PATH = "/healthz"
_SIMPLE_FIELDS = frozenset(("query", "k", "filter", "mode"))
_MODES = get_args(SearchMode)
_JSON_HEADERS = [(b"content-type", b"application/json")]


class FastSearchMiddleware:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ordinary search, and leave the rest to the application."""
        if scope["path"] == HEALTH_PATH and scope["method"] in ("GET", "HEAD"):
            await _send_json(send, HealthResponse())
            return
        path = _SEARCH_PATH.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if path is None or scope["query_string"] or _content_types(scope) != [b"application/json"]:
            await self._app(scope, receive, send)
            return
        message = await receive()
        params = _parse_body(message.get("body", b""))
        try:
            result = params and await _search_locally(self._service, path[1], params)
        except InvalidError:  # nothing was searched yet
            result = None
        except SemsearchError as exc:  # as the route would: to let it try again would take as long once more
            await problems.from_exception(scope, exc)(scope, receive, send)
            return
        if result is None:
            await self._app(scope, _replay_message(message, receive), send)
            return
        await _send_json(send, result)


def _content_types(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"content-type"]


async def _send_json(send: Send, value: object) -> None:
    body = orjson.dumps(value)
    headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _parse_body(body: bytes) -> SearchParams | None:
    """What an ordinary search wants; None for all else."""
    try:
        return parse_simple_search(parse_json(body))
    except SemsearchError:
        return None


async def _search_locally(service: Service, name: str, params: SearchParams) -> SearchResponse | None:
    """What is found; None where that waits for a server."""
    collection = await service.open_collection(name, service.get_caller())
    return await run_search(collection, params) if collection.embeds_locally(params.query) else None


def parse_simple_search(body: object) -> SearchParams | None:
    """What a search with nothing but the usual fields wants; None for all else, and for what is amiss."""
    if type(body) is not dict or not body.keys() <= _SIMPLE_FIELDS:
        return None
    query, k = body.get("query"), body.get("k", DEFAULT_K)
    raw_filter, mode = body.get("filter"), body.get("mode", "hybrid")
    if (
        type(query) is not str
        or len(query) > bounds.MAX_QUERY_CHARACTERS
        or type(k) is not int
        or not 1 <= k <= bounds.MAX_K
    ):
        return None
    if mode not in _MODES or not (raw_filter is None or type(raw_filter) is dict):
        return None
    return SearchParams(query, k, raw_filter, mode)


def _replay_message(message: Message, receive: Receive) -> Receive:
    messages = iter([message])

    async def replay() -> Message:
        for first in messages:
            return first
        return await receive()

    return replay
