"""The gate in front of all routes: who may knock, how much is read, a request id, and the last net under every error.

Plain ASGI. Knows no route; what it refuses has reached none.
"""

import asyncio
import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.errors import Forbidden, SemsearchError, TooLarge
from . import limits as bounds
from . import problems

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Gone(Exception):
    """The client hung up before its request had come whole."""


_log = logging.getLogger("semsearch.http")


class Gate:
    """Wraps the application; `hosts` are the names, besides the loopback's, under which the service may be called."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in (*LOOPBACK_NAMES, *hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit one request, or answer it with a problem."""
        # routes see the path as it was sent, so that an encoded slash or question mark stays inside its value
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        reply = _Reply(scope, send)
        try:
            await self._admitted(scope, receive, reply)
        except Gone:
            return
        except asyncio.CancelledError:  # the service ends, and this was not to be waited for any longer
            if reply.started:
                return  # the server cuts the connection, as below, and its log is not filled with what was no error
            await reply.problem("unavailable", "the service is ending; send it again")
        except Exception as exc:
            _log.error("request %s failed: %s", scope["state"]["request_id"], type(exc).__name__, exc_info=exc)
            if reply.started:
                raise  # the server cuts the connection, so that nobody takes the half for the whole
            await reply.problem("internal", "an error that nobody foresaw; the log names it by the request id")

    async def _admitted(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        try:
            _check_size(scope)
            self._check_names(scope)
            body = await _body(scope, receive)
        except TimeoutError:
            detail = f"nothing came for {bounds.BODY_WAIT_SECONDS:g} seconds; send it again"
            await reply.refuse(receive, "timeout", detail)
        except SemsearchError as exc:
            await reply.refuse(receive, exc.name, str(exc))
        else:
            await self._app(scope, _replayed(body, receive), reply.send)

    def _check_names(self, scope: Scope) -> None:
        """Keep web pages out that a browser on this machine happens to show."""
        given = _values(scope, b"host")
        host = given[0].lower() if len(given) == 1 else ""
        if _without_port(host) not in self._hosts:
            raise Forbidden(f"this service is not called {host[:100]!r}; call it by {', '.join(sorted(self._hosts))}")
        for origin in _values(scope, b"origin"):
            if _netloc(origin) != host:
                raise Forbidden(f"a page of {origin[:100]!r} may not use this service")


class _Reply:
    """What is sent back: with the request's id on it, and remembering whether it has begun."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = False
        self._scope = scope
        self._send = send
        self._header = (b"x-request-id", scope["state"]["request_id"].encode())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message["headers"], self._header]
        await self._send(message)

    async def problem(self, name: str, detail: str) -> None:
        """Answer with a problem."""
        await problems.response(self._scope, name, detail)(self._scope, _nothing, self.send)

    async def refuse(self, receive: Receive, name: str, detail: str) -> None:
        """Answer with a problem and close the connection, of which part was left unread.

        Not at once: bytes that nobody has read would make the system drop the answer with the connection.
        """
        response = problems.response(self._scope, name, detail, {"Connection": "close"})
        start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(bounds.LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _without_port(host: str) -> str:
    """`[::1]:80` is `[::1]`, `localhost:80` is `localhost`."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _check_size(scope: Scope) -> None:
    sizes = (
        ("path", len(scope["path"]), bounds.PATH_BYTES),
        ("query string", len(scope["query_string"]), bounds.QUERY_STRING_BYTES),
        ("header", sum(len(name) + len(value) for name, value in scope["headers"]), bounds.HEADER_BYTES),
    )
    for what, size, bound in sizes:
        if size > bound:
            raise TooLarge(f"the {what} of the request has {size:,} bytes; at most {bound:,} are read")


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, as far as it keeps to its bound, whatever length it has announced."""
    bound = bounds.body_bytes(scope["method"], scope["path"])
    declared = next(iter(_values(scope, b"content-length")), "")
    if not declared and not _values(scope, b"transfer-encoding"):
        return b""
    if declared.isdigit() and int(declared) > bound:
        raise TooLarge(f"the body has {int(declared):,} bytes; at most {bound:,} are read here")
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        async with asyncio.timeout(bounds.BODY_WAIT_SECONDS):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
        if size > bound:
            raise TooLarge(f"the body has more than the {bound:,} bytes that are read here")
    return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand the body on in one piece; what comes after it is the client's hang-up."""
    pieces = iter([body])

    async def replay() -> Message:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": False}
        message = await receive()
        while message["type"] == "http.request":
            message = await receive()
        return message

    return replay
