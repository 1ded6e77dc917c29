"""Errors as HTTP problems (RFC 9457): format, status and title of each. Does not decide what is an error.

{"type": "/problems/not_found", "title": ..., "status": 404, "detail": ..., "instance": path, "request_id": ...}
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Scope

from ...core.errors import BudgetError, RateLimitedError, SemsearchError
from ...core.escapes import escape_name
from .private_paths import hide_paths
from .remedies import add_remedy
from .request_ids import make_request_id
from .security_headers import add_security_headers

if TYPE_CHECKING:
    from starlette.responses import Response

_log = logging.getLogger("semsearch.http")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
"""Sent with a 503."""

SHUTDOWN_DETAIL = "the service is shutting down; send the request again"

PROBLEMS = {
    "malformed": (400, "The request cannot be parsed"),
    "unauthorized": (401, "The request has no valid access key"),
    "forbidden": (403, "The request is refused"),
    "not_found": (404, "The resource does not exist"),
    "method_not_allowed": (405, "The method is not allowed at this path"),
    "timeout": (408, "The request took too long to arrive"),
    "conflict": (409, "The request conflicts with the stored state"),
    "locked": (409, "Another process holds the lock"),
    "too_large": (413, "The request is too large"),
    "unsupported_media": (415, "This media type cannot be read"),
    "invalid": (422, "A value is not allowed"),
    "rate_limited": (429, "Too many requests"),
    "budget": (429, "The request could exceed the budget"),
    "internal": (500, "Internal error"),
    "upstream": (502, "A model server returned an error or an invalid response"),
    "unavailable": (503, "The service or a model server is unavailable"),
    "deadline": (504, "The deadline has passed"),
    "storage": (507, "The data cannot be written or read"),
}
"""Status and title of each problem, by its name."""

_STATUS_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_AFTER_SECONDS)}}

_MAX_DETAIL_CHARACTERS = 2_000

DATA_FOLDER = "data_folder"
"""Key of the data directory in the state of a scope, whose value the lifespan sets."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a client gets it: `type` is stable, `detail` says what failed, the cause and the remedy."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


PROBLEM_SCHEMA = {
    "title": "Problem",
    "type": "object",
    "description": "An error (RFC 9457): `type` is stable, `detail` says what failed, the cause and the remedy.",
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
"""The schema of `Problem`, the component that every error response refers to."""

_SCHEMA_REFERENCE = {"$ref": "#/components/schemas/Problem"}


def make_problem(scope: Scope, name: str, detail: str) -> Problem:
    """Return the problem `name` for the request of `scope`."""
    status, title = PROBLEMS[name]
    scope["state"]["problem"] = name
    return Problem(
        type=f"/problems/{name}",
        title=title,
        status=status,
        detail=truncate(make_public(scope, detail), _MAX_DETAIL_CHARACTERS),
        instance=truncate(scope["path"], 200),
        request_id=scope["state"]["request_id"],
    )


def make_public(scope: Scope, detail: str) -> str:
    """Return the detail of an error without absolute paths, which then are in the log under the id of the request."""
    state = scope["state"]
    public = hide_paths(detail, state.get(DATA_FOLDER))
    if public != detail:
        _log.error("request %s: %s", state["request_id"], escape_name(detail))
    return public


def make_response(scope: Scope, name: str, detail: str, headers: Mapping[str, str] | None = None) -> "Response":
    """Return the problem `name` as a response."""
    from starlette.responses import Response  # late: a search without errors does not need it

    problem = make_problem(scope, name, detail)
    status_headers = _STATUS_HEADERS.get(problem.status, {})
    return Response(orjson.dumps(problem), problem.status, {**status_headers, **(headers or {})}, MEDIA_TYPE)


def from_exception(scope: Scope, exc: SemsearchError) -> "Response":
    """Return an error as a response."""
    return make_response(scope, exc.name, add_remedy(exc), make_retry_headers(exc))


def make_retry_headers(exc: SemsearchError) -> dict[str, str]:
    """Return the headers of an error: a 429 says in Retry-After when more is allowed, if ever."""
    retry_seconds = exc.retry_after_seconds if isinstance(exc, BudgetError | RateLimitedError) else None
    return {} if retry_seconds is None else {"Retry-After": str(max(1, ceil(retry_seconds)))}


def error_responses(*names: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these problems and of those that every route can return."""
    selected = dict.fromkeys(
        (
            "malformed",
            "unauthorized",
            "forbidden",
            "rate_limited",
            "timeout",
            "too_large",
            "invalid",
            "internal",
            "unavailable",
            *names,
        )
    )
    responses: dict[int | str, dict[str, Any]] = {}
    for name, (status, title) in PROBLEMS.items():
        if name in selected:
            prefix = responses[status]["description"] + " · " if status in responses else ""
            responses[status] = {
                "description": f"{prefix}`{name}`: {title}",
                "content": {MEDIA_TYPE: {"schema": _SCHEMA_REFERENCE, "example": _make_example(name)}},
            }
    return responses


def truncate(text: str, max_characters: int) -> str:
    """Return at most `max_characters` of a text, as valid UTF-8."""
    truncated = text if len(text) <= max_characters else f"{text[:max_characters]}…"
    return truncated.encode(errors="replace").decode()


def _make_example(name: str) -> dict[str, object]:
    status, title = PROBLEMS[name]
    return {
        "type": f"/problems/{name}",
        "title": title,
        "status": status,
        "detail": "What failed, the cause and the remedy.",
        "instance": "/v1/collections/handbook",
        "request_id": "5f0c9a7be1d24c38",
    }


def make_raw_response(name: str, detail: str) -> bytes:
    """Return a complete HTTP response for bytes that are no valid request. The connection is closed after it."""
    request_id = make_request_id()
    scope = {"path": "", "state": {"request_id": request_id}}
    response = make_response(scope, name, detail, {"X-Request-Id": request_id, "Connection": "close"})
    headers = b"".join(b"%s: %s\r\n" % header for header in add_security_headers(response.raw_headers))
    status_line = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n".encode()
    return b"%s%s\r\n%s" % (status_line, headers, bytes(response.body))
