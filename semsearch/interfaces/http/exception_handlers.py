"""Exception handlers: return what a route or the framework raises as a problem. `problems` has its format."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from ...core.errors import SemsearchError
from . import problems
from .problems import PROBLEMS, truncate

_NAME_BY_STATUS = {status: name for name, (status, _) in reversed(PROBLEMS.items())}
_MAX_LISTED_ERRORS = 3


def install(app: FastAPI) -> None:
    """Install the handlers for every error that a route raises."""
    app.add_exception_handler(SemsearchError, _handle_semsearch_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)


async def _handle_semsearch_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, SemsearchError)
    return problems.from_exception(request.scope, exc)


async def _handle_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    return problems.make_response(request.scope, "invalid", _format_errors(exc.errors()))


async def _handle_http_exception(request: Request, exc: Exception) -> Response:
    """Handle errors of the framework: no such route, no such method."""
    assert isinstance(exc, HTTPException)
    name = _NAME_BY_STATUS.get(exc.status_code, "malformed" if exc.status_code < 500 else "internal")
    if name == "method_not_allowed":
        allowed = ", ".join(_list_allowed_methods(request))
        return problems.make_response(
            request.scope, name, f"{request.method} is not allowed at this path; allowed: {allowed}", {"Allow": allowed}
        )
    detail = "there is no route at this path; /docs lists the routes" if name == "not_found" else exc.detail
    return problems.make_response(request.scope, name, detail, exc.headers)


def _list_allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes at this path; the framework gives only those of the first."""
    routes = (route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL)
    return sorted({method for route in routes for method in route.methods or ()})


def _format_errors(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the first errors with their field names. Does not repeat the values that were sent."""
    lines = [
        f"{_format_field(error['loc'])}: {error['msg'].removeprefix('Value error, ')}"
        for error in errors[:_MAX_LISTED_ERRORS]
    ]
    omitted_count = len(errors) - len(lines)
    return "; ".join(lines) + (f"; and {omitted_count} more" if omitted_count else "")


def _format_field(location: Sequence[str | int]) -> str:
    """Return `documents.3.text` for ("body", "documents", 3, "text"), and for a whole body `the body`."""
    field = ".".join(truncate(str(part), 60) for part in location[1:])
    return field or {"query": "the query string", "body": "the body"}.get(str(location[0]), str(location[0]))
