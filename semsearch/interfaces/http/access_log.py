"""The access log: a line on stderr for each request, without query string, headers and texts.

2026-11-29T18:41:05Z POST /v1/collections/handbook/search 200 3.2 ms 5f0c9a7be1d24c38 k3v9x0q2m7ab
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...core.settings import LogFormat
from .auth import CALLER
from .log_lines import format_json, write_line

_MAX_PATH_CHARACTERS = 300

EntryFormat = Callable[[Scope, int | None, float], str]
"""Returns the line of a request from its scope, its status and its seconds."""


def format_line(scope: Scope, status: int | None, seconds: float) -> str:
    """Return the line of a request as text, with the id of its access key if it has one."""
    now = _format_time(int(time.time()))
    state = scope.get("state", {})
    key = _get_key_id(state)
    line = f"{now} {scope['method']} {_get_path(scope)} {status or '-'} {seconds * 1000:.1f} ms"
    return f"{line} {state.get('request_id', '-')}{f' {key}' if key else ''}"


def format_json_line(scope: Scope, status: int | None, seconds: float) -> str:
    """Return the line of a request as JSON; what it lacks is null."""
    state = scope.get("state", {})
    client = state.get("client_address") or (scope.get("client") or [None])[0]
    return format_json(
        "info",
        "request",
        request_id=state.get("request_id"),
        trace_id=state.get("trace_id"),
        key=_get_key_id(state),
        client=client,
        method=scope["method"],
        path=_get_path(scope),
        status=status,
        ms=round(seconds * 1000, 1),
    )


ENTRY_FORMATS: Mapping[LogFormat, EntryFormat] = {"text": format_line, "json": format_json_line}


class AccessLogMiddleware:
    """Plain ASGI, in front of all checks. A streamed response is logged at its end."""

    def __init__(
        self, app: ASGIApp, write: Callable[[str], None] = write_line, format_entry: EntryFormat = format_line
    ) -> None:
        self._app = app
        self._write = write
        self._format_entry = format_entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it, without a status where the client left before the response."""
        started = time.perf_counter()
        status: int | None = None

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            self._write(self._format_entry(scope, status, time.perf_counter() - started))


@lru_cache(maxsize=1)
def _format_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _get_path(scope: Scope) -> str:
    """Return the path, percent-encoded as it was sent, so that it contains no line break."""
    path: str = scope["raw_path"].decode("ascii", "replace")
    return path[:_MAX_PATH_CHARACTERS]


def _get_key_id(state: Mapping[str, object]) -> str | None:
    return getattr(state.get(CALLER), "key", None)
