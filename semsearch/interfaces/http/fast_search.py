"""Searches past the framework: what is asked most often takes a straight way, and only where nothing is amiss.

Plain ASGI, behind the gate. Whatever is not an ordinary search, or the question whether the service is alive, goes on
to the route, which answers it or says what is wrong with it: so no request has two meanings.
"""

import re
from typing import get_args

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import Invalid, SemsearchError
from ...core.types.search import Mode
from ..strict_json import decoded
from . import limits as bounds
from . import problems
from .responses import Found, Health
from .search import DEFAULT_K, Wanted, found
from .service import Service

_PATH = re.compile(r"/v1/collections/([a-z0-9][a-z0-9_-]{0,62})/search")
ALIVE = "/healthz"
_USUAL = frozenset(("query", "k", "filter", "mode"))
_MODES = get_args(Mode)
_HEADERS = [(b"content-type", b"application/json")]


class Shortcut:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ordinary search, and leave the rest to the application."""
        if scope["path"] == ALIVE and scope["method"] in ("GET", "HEAD"):
            await _send(send, Health())
            return
        path = _PATH.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if path is None or scope["query_string"] or _kinds(scope) != [b"application/json"]:
            await self._app(scope, receive, send)
            return
        message = await receive()
        wanted = _wanted(message.get("body", b""))
        try:
            result = wanted and await _searched(self._service, path[1], wanted)
        except Invalid:  # nothing was searched yet
            result = None
        except SemsearchError as exc:  # as the route would: to let it try again would take as long once more
            await problems.raised(scope, exc)(scope, receive, send)
            return
        if result is None:
            await self._app(scope, _again(message, receive), send)
            return
        await _send(send, result)


def _kinds(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"content-type"]


async def _send(send: Send, value: object) -> None:
    body = orjson.dumps(value)
    headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _wanted(body: bytes) -> Wanted | None:
    """What an ordinary search wants; None for all else."""
    try:
        return ordinary(decoded(body))
    except SemsearchError:
        return None


async def _searched(service: Service, name: str, wanted: Wanted) -> Found | None:
    """What is found; None where that waits for a server."""
    collection = await service.collection(name, service.caller())
    return await found(collection, wanted) if collection.is_prompt(wanted.query) else None


def ordinary(asked: object) -> Wanted | None:
    """What a search with nothing but the usual fields wants; None for all else, and for what is amiss."""
    if type(asked) is not dict or not asked.keys() <= _USUAL:
        return None
    query, k = asked.get("query"), asked.get("k", DEFAULT_K)
    where, mode = asked.get("filter"), asked.get("mode", "hybrid")
    if type(query) is not str or len(query) > bounds.QUERY_CHARACTERS or type(k) is not int or not 1 <= k <= bounds.K:
        return None
    if mode not in _MODES or not (where is None or type(where) is dict):
        return None
    return Wanted(query, k, where, mode)


def _again(message: Message, receive: Receive) -> Receive:
    messages = iter([message])

    async def replay() -> Message:
        for first in messages:
            return first
        return await receive()

    return replay
