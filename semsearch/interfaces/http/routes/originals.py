"""Route of originals: the bytes from which a document was made, so that no browser executes them."""

from functools import partial
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from ....collection import Collection
from ....core.types.originals import Original
from ..dependencies import CollectionDep, ServiceDep, UriDep
from ..json_route import JsonRoute
from ..problems import error_responses

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["documents"], route_class=JsonRoute)

_INLINE_MEDIA_TYPES = ("application/pdf", "text/plain")
"""Types that a browser shows and that cannot execute; it stores all others, HTML and SVG included, as a file."""

_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_PDF_POLICY = "frame-ancestors 'none'"
"""Chrome does not show a PDF file in a sandbox; its viewer runs no script of the file in our origin."""


@router.get(
    "/{uri:path}/original",
    summary="Read the original of a document",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes of the source, with its media type; `ETag` is their SHA-256.",
            "content": {
                # the second for any other media type: generators of clients know the first one
                media_type: {"schema": {"type": "string", "format": "binary"}, "example": "# Leave..."}
                for media_type in ("application/octet-stream", "*/*")
            },
        },
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def get_original(request: Request, service: ServiceDep, collection: CollectionDep, uri: UriDep) -> Response:
    """Return the file from which a document was made, byte for byte, or 304 if `If-None-Match` has its `ETag`.

    404 says why there is none, such as for a text; 409 that the file has changed since it was ingested.
    """
    return await service.run_read(partial(_read, collection, uri, request.headers.get("if-none-match", "")))


def _read(collection: Collection, uri: str, known_tags: str) -> Response:
    original = collection.get_original(uri)
    tag = f'"{original.content_sha256}"'
    if tag in [known_tag.strip().removeprefix("W/") for known_tag in known_tags.split(",")]:
        return Response(status_code=304, headers={**_HEADERS, "ETag": tag})
    headers = {
        "Content-Type": _format_content_type(original),
        "Content-Disposition": _format_disposition(original),
        "Content-Security-Policy": _PDF_POLICY if original.media_type == "application/pdf" else _POLICY,
    }
    return Response(original.data, headers={**_HEADERS, "ETag": tag, **headers})


def _format_content_type(original: Original) -> str:
    """Return the media type; that of a text with its charset if it is UTF-8, else the client must guess it."""
    if original.media_type.startswith("text/"):
        try:
            original.data.decode()
            return f"{original.media_type}; charset=utf-8"
        except UnicodeDecodeError:
            pass
    return original.media_type


def _format_disposition(original: Original) -> str:
    kind = "inline" if original.media_type in _INLINE_MEDIA_TYPES else "attachment"
    return f"{kind}; filename*=UTF-8''{quote(original.filename, safe='')}"
