"""Searches past the framework: what is asked most often takes a straight way, and only where nothing is amiss.

Plain ASGI, behind the gate. Whatever is not an ordinary search, or the question whether the service is alive, goes on
to the route, which answers it or says what is wrong: so there is one place for errors, and no request has two meanings.
"""

import re
from typing import get_args

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...accounts import LOCAL
from ...errors import SemsearchError
from ...types import Mode
from . import bounds
from .answers import Found, Health
from .searching import DEFAULT_K, Wanted, found
from .service import Service
from .strict_json import cleaned, decoded

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
        if scope["path"] == ALIVE and scope["method"] == "GET":
            await _send(send, Health())
            return
        path = _PATH.fullmatch(scope["path"]) if scope["method"] == "POST" else None
        if path is None or scope["query_string"] or _kinds(scope) != [b"application/json"]:
            await self._app(scope, receive, send)
            return
        message = await receive()
        result = await _searched(self._service, path[1], message.get("body", b""))
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


async def _searched(service: Service, name: str, body: bytes) -> Found | None:
    """What an ordinary search finds; None where it is none."""
    try:
        wanted = ordinary(decoded(body))
        if wanted is None:
            return None
        collection = await service.collection(name, LOCAL)
        return await found(collection, wanted) if collection.is_prompt(wanted.query) else None
    except SemsearchError:
        return None


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
    return Wanted(query, k, where and cleaned(where), mode)


def _again(message: Message, receive: Receive) -> Receive:
    messages = iter([message])

    async def replay() -> Message:
        for first in messages:
            return first
        return await receive()

    return replay
