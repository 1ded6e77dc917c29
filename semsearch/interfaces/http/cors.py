"""Cross-origin requests: pages of the origins in the settings may call the API with an access key, without cookies.

`host_check` decides which origins are allowed. Plain ASGI: errors need the headers too, so that scripts can read them.
"""

from collections.abc import Iterable

from starlette.types import Scope, Send

from .security_headers import RawHeader

_CROSS_ORIGIN = "cross_origin"
"""Key of the allowed origin in the state of a scope."""
_MAX_AGE_SECONDS = 600
_RATE_LIMIT_HEADERS = (
    f"x-ratelimit-{kind}-{unit}" for unit in ("requests", "tokens") for kind in ("limit", "remaining", "reset")
)
_EXPOSED_HEADERS = ", ".join(
    ("x-request-id", "retry-after", "idempotent-replayed", "etag", "location", *_RATE_LIMIT_HEADERS)
)
_PREFLIGHT_HEADERS = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type, idempotency-key, traceparent"),
    (b"access-control-max-age", b"%d" % _MAX_AGE_SECONDS),
)


def set_cross_origin(scope: Scope, origin: str | None) -> None:
    """Note the allowed origin of a request whose page is of another origin than the service."""
    if origin is not None:
        scope["state"][_CROSS_ORIGIN] = origin


def get_cross_origin(scope: Scope) -> str | None:
    """Return the allowed origin of a request of a page of another origin; None for all other requests."""
    origin: str | None = scope["state"].get(_CROSS_ORIGIN)
    return origin


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks, before the request itself, whether an allowed origin may send it."""
    return (
        scope["method"] == "OPTIONS"
        and get_cross_origin(scope) is not None
        and any(name == b"access-control-request-method" for name, _ in scope["headers"])
    )


async def send_preflight(send: Send) -> None:
    """Answer that the API may be called. It does not depend on the path: nothing is disclosed."""
    await send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT_HEADERS)})
    await send({"type": "http.response.body", "body": b""})


def add_cors_headers(scope: Scope, headers: Iterable[RawHeader]) -> list[RawHeader]:
    """Return the headers of a response, with those that let the page of an allowed origin read it."""
    origin = get_cross_origin(scope)
    if origin is None:
        return list(headers)
    return [
        *headers,
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-expose-headers", _EXPOSED_HEADERS.encode()),
        (b"vary", b"Origin"),
    ]
