"""A route class that reads strict JSON, and refuses other media types and parameters that the route does not have."""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ...core.errors import InvalidError, UnsupportedMediaError
from ..strict_json import parse_json

_JSON_MEDIA_TYPE = re.compile(r"application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)


class _StrictJsonRequest(Request):
    content: object = None

    async def json(self) -> object:
        return self.content


class JsonRoute(APIRoute):
    """A route whose body, if it has one, is strict JSON with a JSON content type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that reads the body before the framework does."""
        handle = super().get_route_handler()
        if not self.dependant.query_params:  # the models of other routes refuse what they do not know
            handle = _without_query_string(handle)
        return handle if self.body_field is None else _with_strict_json(handle)


def _without_query_string(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def check_and_handle(request: Request) -> Response:
        if request.scope["query_string"]:
            raise InvalidError("this route takes no parameters after a question mark; /docs describes its fields")
        return await handler(request)

    return check_and_handle


def _with_strict_json(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def read_and_handle(request: Request) -> Response:
        json_request = _StrictJsonRequest(request.scope, request.receive)
        if data := await json_request.body():
            media_type = json_request.headers.get("content-type", "")
            if not _JSON_MEDIA_TYPE.match(media_type):
                raise UnsupportedMediaError(
                    f"the body has the type {media_type[:60] or '(none)'}; send Content-Type: application/json"
                )
            json_request.content = parse_json(data)
        return await handler(json_request)

    return read_and_handle
