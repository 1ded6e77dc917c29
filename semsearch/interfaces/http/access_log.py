"""The access log: a line on stderr for each request, without query string, headers and texts.

2026-11-29T18:41:05Z POST /v1/collections/handbook/search 200 3.2 ms 5f0c9a7be1d24c38
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MAX_PATH_CHARACTERS = 300
_STDERR = 2


def write_line(line: str) -> None:
    """Write a line with one system call, so that lines of several workers do not mix; ignore a closed stderr."""
    with suppress(OSError):
        os.write(_STDERR, f"{line}\n".encode())


class AccessLogMiddleware:
    """Plain ASGI, in front of all other middleware. A streamed response is logged at its end."""

    def __init__(self, app: ASGIApp, write: Callable[[str], None] = write_line) -> None:
        self._app = app
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it; the status is `-` where the client left before the response."""
        started = time.perf_counter()
        status = "-"

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            self._write(format_line(scope, status, time.perf_counter() - started))


def format_line(scope: Scope, status: str, seconds: float) -> str:
    """Return the line of a request. The path is percent-encoded as it was sent, so it contains no line break."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = scope["raw_path"].decode("ascii", "replace")[:_MAX_PATH_CHARACTERS]
    request_id = scope.get("state", {}).get("request_id", "-")
    return f"{now} {scope['method']} {path} {status} {seconds * 1000:.1f} ms {request_id}"
