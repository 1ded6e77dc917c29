"""What every error looks like over HTTP (RFC 9457), and which status it has. Does not decide what is an error.

{"type": "/problems/not_found", "title": ..., "status": 404, "detail": ..., "instance": path, "request_id": ...}
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Scope

from ...core.errors import BudgetError, SemsearchError

if TYPE_CHECKING:
    from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
"""After which what cannot be reached may be tried again."""

PROBLEMS = {
    "malformed": (400, "The request cannot be parsed"),
    "forbidden": (403, "The request is refused"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "timeout": (408, "The request took too long to arrive"),
    "conflict": (409, "The request contradicts what is stored"),
    "locked": (409, "Something else holds the lock"),
    "too_large": (413, "The request is too large"),
    "unsupported_media": (415, "This media type cannot be read"),
    "invalid": (422, "A value is not allowed"),
    "budget": (429, "It could cost more than may still be spent"),
    "internal": (500, "The service has failed"),
    "upstream": (502, "A model server answered wrongly"),
    "unavailable": (503, "The service, or one it needs, cannot be reached"),
    "deadline": (504, "The time allowed has passed"),
    "storage": (507, "The data cannot be stored or read"),
}
"""Status and title of each, by its name."""

_MAX_DETAIL_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a client reads it: `type` is stable, `detail` says what happened and the way out."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


_SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "enum": [f"/problems/{name}" for name in PROBLEMS]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
    },
}


def make_problem(scope: Scope, name: str, detail: str) -> Problem:
    """The problem called `name` in the request that `scope` describes."""
    status, title = PROBLEMS[name]
    return Problem(
        type=f"/problems/{name}",
        title=title,
        status=status,
        detail=truncate(detail, _MAX_DETAIL_CHARACTERS),
        instance=truncate(scope["path"], 200),
        request_id=scope["state"]["request_id"],
    )


def make_response(scope: Scope, name: str, detail: str, headers: Mapping[str, str] | None = None) -> "Response":
    """The problem as a response."""
    from starlette.responses import Response  # late: a search that finds needs none, and starting none of what it loads

    body = make_problem(scope, name, detail)
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if body.status == 503 else {}
    return Response(orjson.dumps(body), body.status, {**retry, **(headers or {})}, MEDIA_TYPE)


def from_exception(scope: Scope, exc: SemsearchError) -> "Response":
    """An error of ours as a response; one over a budget says when there is room again, if ever."""
    seconds = exc.retry_after_seconds if isinstance(exc, BudgetError) else None
    return make_response(
        scope, exc.name, str(exc), None if seconds is None else {"Retry-After": str(max(1, ceil(seconds)))}
    )


def error_responses(*names: str) -> dict[int | str, dict[str, Any]]:
    """These problems, and those that every route can answer, as OpenAPI wants them."""
    selected = dict.fromkeys(("malformed", "forbidden", "timeout", "too_large", "invalid", "internal", *names))
    responses: dict[int | str, dict[str, Any]] = {}
    for name, (status, title) in PROBLEMS.items():
        if name in selected:
            prefix = responses[status]["description"] + " · " if status in responses else ""
            responses[status] = {
                "description": f"{prefix}`{name}`: {title}",
                "content": {MEDIA_TYPE: {"schema": _SCHEMA, "example": _make_example(name)}},
            }
    return responses


def truncate(text: str, max_characters: int) -> str:
    """So many characters of a text at most, whatever it holds."""
    truncated = text if len(text) <= max_characters else f"{text[:max_characters]}…"
    return truncated.encode(errors="replace").decode()


def _make_example(name: str) -> dict[str, object]:
    status, title = PROBLEMS[name]
    return {
        "type": f"/problems/{name}",
        "title": title,
        "status": status,
        "detail": "What happened, to which thing, and the way out.",
        "instance": "/v1/collections/handbook",
        "request_id": "5f0c9a7be1d24c38",
    }


def make_raw_response(name: str, detail: str) -> bytes:
    """A whole HTTP response for bytes that are no request, after which the connection is closed."""
    request_id = secrets.token_hex(8)
    scope = {"path": "", "state": {"request_id": request_id}}
    reply = make_response(scope, name, detail, {"X-Request-Id": request_id, "Connection": "close"})
    head = b"".join(b"%s: %s\r\n" % header for header in reply.raw_headers)
    line = f"HTTP/1.1 {reply.status_code} {HTTPStatus(reply.status_code).phrase}\r\n".encode()
    return b"%s%s\r\n%s" % (line, head, bytes(reply.body))
