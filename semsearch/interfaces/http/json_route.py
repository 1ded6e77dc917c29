"""Routes that take strict JSON, and refuse a body that does not say that it is JSON."""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from ...core.errors import UnsupportedMediaError
from ..strict_json import parse_json

_JSON_MEDIA_TYPE = re.compile(r"application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)


class _StrictJsonRequest(Request):
    content: object = None

    async def json(self) -> object:
        return self.content


class JsonRoute(APIRoute):
    """A route whose body, if it has one, is strict JSON and says so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read the body before the framework does."""
        handle = super().get_route_handler()
        return handle if self.body_field is None else _with_strict_json(handle)


def _with_strict_json(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def read_and_handle(request: Request) -> Response:
        strict = _StrictJsonRequest(request.scope, request.receive)
        if data := await strict.body():
            media_type = strict.headers.get("content-type", "")
            if not _JSON_MEDIA_TYPE.match(media_type):
                raise UnsupportedMediaError(
                    f"the body is {media_type[:60] or 'of no type'}; send Content-Type: application/json"
                )
            strict.content = parse_json(data)
        return await handler(strict)

    return read_and_handle
