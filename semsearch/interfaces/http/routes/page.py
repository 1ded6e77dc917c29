"""Routes of the page and of its files. Every address of the page returns the same document; its script reads the rest.

They are not part of the API, so the OpenAPI document does not list them.
"""

from fastapi import APIRouter, Request, Response

from ....core.errors import NotFoundError
from ..page_headers import PAGE_HEADERS
from ..web_files import load_files, make_file_response

router = APIRouter(include_in_schema=False)

PAGE_PATHS = ("/", "/ask", "/documents", "/usage", "/gaps", "/keys", "/view/{collection}/{uri}")
"""The addresses of the page; a uri is one percent-encoded value."""


async def get_page(request: Request) -> Response:
    """Return the document of the page."""
    return make_file_response(load_files()["index.html"], request.headers, PAGE_HEADERS)


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
async def get_static_file(request: Request, path: str) -> Response:
    """Return a script or style of the page."""
    file = load_files().get(path)
    if file is None or path == "index.html":
        raise NotFoundError("the page has no such file; reload the page to get the files of this version")
    return make_file_response(file, request.headers, PAGE_HEADERS)


for _path in PAGE_PATHS:
    router.add_api_route(_path, get_page, methods=["GET", "HEAD"])
