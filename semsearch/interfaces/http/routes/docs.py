"""Route of the API documentation, with assets of this machine and the headers of the page."""

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from ..page_headers import make_headers_for

ASSETS_PATH = "/static-offline-docs"
"""Where fastapi_offline serves the files of Swagger UI."""

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def get_docs(request: Request) -> Response:
    """Return the documentation of the API."""
    page = get_swagger_ui_html(
        openapi_url=request.app.openapi_url,
        title=f"{request.app.title}: API",
        oauth2_redirect_url=None,
        swagger_js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS_PATH}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS_PATH}/favicon.png",
    )
    page.headers.update(make_headers_for(bytes(page.body).decode()))
    return page


def serve_whole_assets(app: FastAPI) -> None:
    """Let the files of Swagger UI ignore `Range`, as all other routes do: the errors of a range are no problems."""
    for route in app.routes:
        if isinstance(route, Mount) and route.path == ASSETS_PATH:
            route.app = _ignore_range(route.app)


def _ignore_range(app: ASGIApp) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await app({**scope, "headers": headers}, receive, send)

    return serve
