"""Routes that tell who the caller is, and that sign the page in and out with a cookie."""

from fastapi import APIRouter, Request, Response

from ....access.secrets import make_cookie_value
from ....core.errors import InvalidError
from ..auth import COOKIE, read_key
from ..caller_view import CALLER_EXAMPLE, CallerResponse, view_caller
from ..dependencies import CallerDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses

router = APIRouter(prefix="/v1", tags=["keys"], route_class=JsonRoute)

COOKIE_SECONDS = 30 * 86_400
"""Time for which a browser keeps the cookie; it loses its effect with the key."""


@router.get(
    "/me",
    summary="Read the caller",
    response_model=CallerResponse,
    responses={200: {"content": {"application/json": {"example": CALLER_EXAMPLE}}}, **error_responses()},
)
async def get_me(request: Request, caller: CallerDep) -> Response:
    """Return your owner, what you may do, and which collections you may see; null means all."""
    return json_response(view_caller(request.scope, caller))


@router.post(
    "/sign-in",
    summary="Sign the page in",
    status_code=204,
    responses=error_responses(),
)
async def sign_in(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Exchange your access key, sent in `Authorization`, for a cookie that the page's scripts cannot read."""
    key = read_key(request.scope)
    if key is None or caller.key is None:
        raise InvalidError("there is nothing to sign in with: this service has no access keys, or none was sent")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        make_cookie_value(key),
        max_age=COOKIE_SECONDS,
        secure=_is_https(request, service.library.settings.public_url),
        httponly=True,
        samesite="strict",
    )
    return response


@router.delete("/sign-in", summary="Sign the page out", status_code=204, responses=error_responses())
async def sign_out() -> Response:
    """Delete the cookie. The key stays valid; a cookie that was stolen ends when the key is rotated or revoked."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _is_https(request: Request, public_url: str | None) -> bool:
    """Return whether the browser uses https: its Origin says so, also behind a proxy that ends TLS."""
    origin = request.headers.get("origin", "")
    return origin.startswith("https://") or (not origin and (public_url or "").startswith("https://"))
