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

from ...core.errors import ForbiddenError, SemsearchError, TooLargeError
from . import limits as bounds
from . import problems

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class ClientDisconnectedError(Exception):
    """The client hung up before its request had come whole."""


_log = logging.getLogger("semsearch.http")


class GuardMiddleware:
    """Wraps the application; `hosts` are the names, besides the loopback's, under which the service may be called."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed_hosts = frozenset(name.lower() for name in (*LOOPBACK_NAMES, *allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit one request, or answer it with a problem."""
        # routes see the path as it was sent, so that an encoded slash or question mark stays inside its value
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        reply = _Reply(scope, send)
        try:
            await self._admit(scope, receive, reply)
        except ClientDisconnectedError:
            return
        except asyncio.CancelledError:  # the service ends, and this was not to be waited for any longer
            if reply.has_started:
                return  # the server cuts the connection, as below, and its log is not filled with what was no error
            await reply.send_problem("unavailable", "the service is ending; send it again")
        except Exception as exc:
            _log.error("request %s failed: %s", scope["state"]["request_id"], type(exc).__name__, exc_info=exc)
            if reply.has_started:
                raise  # the server cuts the connection, so that nobody takes the half for the whole
            await reply.send_problem("internal", "an error that nobody foresaw; the log names it by the request id")

    async def _admit(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        try:
            _validate_head_size(scope)
            self._validate_hosts(scope)
            body = await _read_body(scope, receive)
        except TimeoutError:
            detail = f"nothing came for {bounds.BODY_TIMEOUT_SECONDS:g} seconds; send it again"
            await reply.refuse_and_close(receive, "timeout", detail)
        except SemsearchError as exc:
            await reply.refuse_and_close(receive, exc.name, str(exc))
        else:
            await self._app(scope, _replay_body(body, receive), reply.send)

    def _validate_hosts(self, scope: Scope) -> None:
        """Keep web pages out that a browser on this machine happens to show."""
        host_headers = _get_header_values(scope, b"host")
        host = host_headers[0].lower() if len(host_headers) == 1 else ""
        if _strip_port(host) not in self._allowed_hosts:
            raise ForbiddenError(
                f"this service is not called {host[:100]!r}; call it by {', '.join(sorted(self._allowed_hosts))}"
            )
        for origin in _get_header_values(scope, b"origin"):
            if _parse_netloc(origin) != host:
                raise ForbiddenError(f"a page of {origin[:100]!r} may not use this service")


class _Reply:
    """What is sent back: with the request's id on it, and remembering whether it has begun."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.has_started = False
        self._scope = scope
        self._send = send
        self._header = (b"x-request-id", scope["state"]["request_id"].encode())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            message["headers"] = [*message["headers"], self._header]
        await self._send(message)

    async def send_problem(self, name: str, detail: str) -> None:
        """Answer with a problem."""
        await problems.make_response(self._scope, name, detail)(self._scope, _receive_disconnect, self.send)

    async def refuse_and_close(self, receive: Receive, name: str, detail: str) -> None:
        """Answer with a problem and close the connection, of which part was left unread.

        Not at once: bytes that nobody has read would make the system drop the answer with the connection.
        """
        response = problems.make_response(self._scope, name, detail, {"Connection": "close"})
        start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": response.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(bounds.LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _receive_disconnect() -> Message:
    return {"type": "http.disconnect"}


def _get_header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _strip_port(host: str) -> str:
    """`[::1]:80` is `[::1]`, `localhost:80` is `localhost`."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _parse_netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _validate_head_size(scope: Scope) -> None:
    sizes = (
        ("path", len(scope["path"]), bounds.MAX_PATH_BYTES),
        ("query string", len(scope["query_string"]), bounds.MAX_QUERY_STRING_BYTES),
        ("header", sum(len(name) + len(value) for name, value in scope["headers"]), bounds.MAX_HEADER_BYTES),
    )
    for part, size, bound in sizes:
        if size > bound:
            raise TooLargeError(f"the {part} of the request has {size:,} bytes; at most {bound:,} are read")


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, as far as it keeps to its bound, whatever length it has announced."""
    bound = bounds.get_max_body_bytes(scope["method"], scope["path"])
    declared = next(iter(_get_header_values(scope, b"content-length")), "")
    if not declared and not _get_header_values(scope, b"transfer-encoding"):
        return b""
    if declared.isdigit() and int(declared) > bound:
        raise TooLargeError(f"the body has {int(declared):,} bytes; at most {bound:,} are read here")
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        async with asyncio.timeout(bounds.BODY_TIMEOUT_SECONDS):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
        if size > bound:
            raise TooLargeError(f"the body has more than the {bound:,} bytes that are read here")
    return b"".join(pieces)


def _replay_body(body: bytes, receive: Receive) -> Receive:
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
