"""Requests with an `Idempotency-Key`: one that is sent again gets the response of the first, and changes nothing.

Plain ASGI, behind authentication, the body and admission. A response is kept for its owner for a day, unless it is a
server error, a 409 or 429, was broken off, or is too large.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import ConflictError, InvalidError, SemsearchError
from ...core.types.access import Caller
from ...core.types.kept_responses import KeptResponse
from . import limits, problems
from .auth import get_caller
from .bodies import RequestBody
from .service import Service

_log = logging.getLogger("semsearch.http")

_T = TypeVar("_T")

_HEADER = b"idempotency-key"
_METHODS = ("POST", "PUT", "DELETE")
_SEARCH_PATH = re.compile(r"/v1/collections/[^/]+/search")
_SECRET_PATH = re.compile(r"/v1/(?:keys|sign-in)(?:/.*)?")
_KEY = re.compile(rb"[\x20-\x7e]{1,255}")
_PASSING_STATUSES = (408, 409, 429)
"""Of errors that pass by themselves: the request may succeed when it is sent again."""
_PASSING_HEADERS = (b"retry-after", b"x-request-id", b"date")
_IS_BROKEN_OFF = "is_broken_off"
"""Key of whether a response ended with an error, in the state of a scope."""


class IdempotencyMiddleware:
    """Answer repeated requests with the responses that were kept."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._kept = service.library.kept_responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; with a key only if it is the first one."""
        keys = _find_keys(scope)
        if not keys:
            await self._app(scope, receive, send)
            return
        try:
            key_hash = _hash_key(keys, scope["path"])
            reserved = await self._reserve(scope, key_hash, get_caller(scope))
        except ConflictError as exc:
            await problems.make_response(scope, exc.name, str(exc), {"Retry-After": "1"})(scope, receive, send)
        except SemsearchError as exc:
            await problems.from_exception(scope, exc)(scope, receive, send)
        else:
            if isinstance(reserved, KeptResponse):
                await _replay(reserved, send)
            else:
                await self._serve_first(reserved, scope, receive, send)

    async def _reserve(self, scope: Scope, key_hash: bytes, caller: Caller) -> int | KeptResponse:
        """Return the id of a reservation, or the response that is kept."""

        def reserve() -> int | KeptResponse:
            fingerprint = _make_fingerprint(scope, caller)
            seconds = limits.ASK_TIMEOUT_SECONDS
            return self._kept.reserve_response(caller.owner, key_hash, fingerprint, seconds=seconds)

        return await self._run(reserve)

    async def _serve_first(self, reservation_id: int, scope: Scope, receive: Receive, send: Send) -> None:
        recorder = _Recorder()
        has_ended = False

        async def end_and_send(message: Message) -> None:
            """End the reservation before the end of the response is sent: the client may repeat the request then."""
            nonlocal has_ended
            recorder.add(message)
            if recorder.is_complete:
                has_ended = True
                await self._end(reservation_id, None if _is_broken_off(scope) else recorder.make_response())
            await send(message)

        try:
            await self._app(scope, receive, end_and_send)
        finally:
            if not has_ended:
                await self._end(reservation_id, None)

    async def _end(self, reservation_id: int, response: KeptResponse | None) -> None:
        """Store the response, or free the key if there is none to keep; also if this request is cancelled meanwhile.

        The client gets its response even if that fails: what it asked for has been done.
        """
        cancel = partial(self._kept.cancel_reservation, reservation_id)
        keep = None if response is None else partial(self._kept.keep_response, reservation_id, response)
        try:
            await asyncio.shield(self._run(keep or cancel))
        except SemsearchError as exc:
            _log.warning("the response to a request with an idempotency key is not kept: %s", exc)

    async def _run(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._service.ledger_executor, function)


def mark_broken_off(scope: Scope) -> None:
    """Note that the response of a request ends with an error, although its status says that it succeeded."""
    scope["state"][_IS_BROKEN_OFF] = True


def _is_broken_off(scope: Scope) -> bool:
    return bool(scope["state"].get(_IS_BROKEN_OFF))


class _Recorder:
    """Collects the messages of one response."""

    def __init__(self) -> None:
        self.is_complete = False
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body = bytearray()
        self._is_too_large = False

    def add(self, message: Message) -> None:
        """Add a message."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers", ()))
            return
        part = message.get("body", b"")
        self._is_too_large = self._is_too_large or len(self._body) + len(part) > limits.MAX_KEPT_RESPONSE_BYTES
        if self._is_too_large:
            self._body.clear()
        else:
            self._body += part
        self.is_complete = not message.get("more_body", False)

    def make_response(self) -> KeptResponse | None:
        """Return the response; None if it is not one to keep."""
        if self._is_too_large or self._status >= 500 or self._status in _PASSING_STATUSES:
            return None
        headers = tuple((name, value) for name, value in self._headers if not _is_passing(name.lower()))
        return KeptResponse(self._status, headers, bytes(self._body))


def _find_keys(scope: Scope) -> list[bytes]:
    """Return the keys of a request that may change something; none of a search."""
    if scope["method"] not in _METHODS:
        return []
    keys = [value for name, value in scope["headers"] if name == _HEADER]
    is_covered = keys and scope["path"].startswith("/v1/") and not _SEARCH_PATH.fullmatch(scope["path"])
    return keys if is_covered else []


def _hash_key(keys: list[bytes], path: str) -> bytes:
    """Return the hash of the key; InvalidError if it is not valid, or not allowed at this path."""
    if _SECRET_PATH.fullmatch(path):
        raise InvalidError(
            "Idempotency-Key is not allowed here, because responses with secrets are not kept; send the request"
            " without it"
        )
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidError("Idempotency-Key has 1 to 255 printable ASCII characters, and is sent once")
    return hashlib.sha256(keys[0]).digest()


def _make_fingerprint(scope: Scope, caller: Caller) -> bytes:
    """Return a hash of the request, and of the caller's rights: a response may show what another key may not see."""
    body: RequestBody = scope["state"]["body"]
    body_hash = hashlib.sha256()
    with body.open() as file:
        while part := file.read(limits.MIB):
            body_hash.update(part)
    content_types = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"]
    target = (scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
    collections = None if caller.collections is None else sorted(caller.collections)
    rights = (collections, None if caller.filter is None else dict(caller.filter))
    parts = json.dumps((*target, content_types, body_hash.hexdigest(), *rights), default=str, sort_keys=True)
    return hashlib.sha256(parts.encode()).digest()


def _is_passing(name: bytes) -> bool:
    return name in _PASSING_HEADERS or name.startswith(b"x-ratelimit-")


async def _replay(response: KeptResponse, send: Send) -> None:
    headers = [*response.headers, (b"idempotent-replayed", b"true")]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
