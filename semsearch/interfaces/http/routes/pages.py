"""Routes of the pages of PDF files: images, and rectangles of spans of the stored text."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from .. import limits
from ..dependencies import CollectionDep, ServiceDep, UriDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import PageImageParams, RectanglesParams
from ..responses import RectanglesResponse
from ..sse import cancel_on_disconnect

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["documents"], route_class=JsonRoute)

_ERRORS = ("not_found", "conflict", "unsupported_media", "storage", "unavailable", "deadline")
_RECTANGLES_EXAMPLE = {
    "pages": [{"page": 3, "width": 612.0, "height": 792.0, "rectangles": [[72.0, 96.5, 310.4, 105.2]]}]
}


@router.get(
    "/{uri:path}/pages/{page}.png",
    summary="Render a page",
    response_class=Response,
    responses={
        200: {
            "description": "A PNG file, sent as `image/png`; its `ETag` is sent again as `If-None-Match`.",
            # not image/png: generators of clients leave out operations with types that they do not know
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary"},
                    "example": "\x89PNG...",
                }
            },
        },
        304: {"description": "The image has not changed."},
        **error_responses(*_ERRORS),
    },
)
async def render_page(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    uri: UriDep,
    page: Annotated[int, Path(description="From 1.", ge=0, le=limits.MAX_PAGE_NUMBER, examples=[3])],
    params: Annotated[PageImageParams, Query()],
) -> Response:
    """Return a page of a PDF file as a PNG image. A page that would need more than 6,000 rows is narrower."""
    image = await cancel_on_disconnect(
        request.receive, service.run_page_work(partial(collection.render_page, uri, page, params.width))
    )
    # a cache asks again each time: the file or the access to it may have changed
    headers = {
        "ETag": f'"{image.sha256}"',
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(image.data, headers=headers, media_type="image/png")


@router.get(
    "/{uri:path}/rectangles",
    summary="Find a span on pages",
    response_model=RectanglesResponse,
    responses={
        200: {"content": {"application/json": {"example": _RECTANGLES_EXAMPLE}}},
        **error_responses(*_ERRORS),
    },
)
async def get_rectangles(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    uri: UriDep,
    params: Annotated[RectanglesParams, Query()],
) -> Response:
    """Return where a span of the stored text is on the pages of its PDF file: a rectangle for each line of text.

    Left, top, right and bottom are in points from the top left corner of the page as it is shown, `width` by `height`
    points. `pages` is empty for a document that was stored before positions were kept; store it again.
    """
    pages = await cancel_on_disconnect(
        request.receive,
        service.run_page_work(partial(collection.get_rectangles, uri, params.start, params.end)),
    )
    return json_response(RectanglesResponse(pages))
