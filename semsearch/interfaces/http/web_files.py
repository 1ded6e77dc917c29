"""The files of the page, in memory, as responses: content types, entity tags, gzip. Does not know the routes."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response

FOLDER = Path(__file__).parent.parent / "web"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types that are served; other files of the folder are for its maintainers."""

_MIN_GZIP_BYTES = 1024
"""Shorter files fit into one packet without it."""


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file with its entity tag, and its compressed form if that is worth its decompression."""

    media_type: str
    body: bytes
    gzip_body: bytes | None
    etag: str


@cache
def load_files() -> Mapping[str, WebFile]:
    """Return the files of the page by their path below its folder. They are read once in a process."""
    paths = (path for path in FOLDER.rglob("*") if path.suffix in _MEDIA_TYPES)
    return {path.relative_to(FOLDER).as_posix(): _load_file(path) for path in paths}


def make_file_response(file: WebFile, request_headers: Headers, headers: Mapping[str, str]) -> Response:
    """Return a file, compressed if the client accepts that; 304 without a body if the client has this version."""
    is_compressed = file.gzip_body is not None and _accepts_gzip(request_headers.get("accept-encoding", ""))
    etag = f'"{file.etag}-gzip"' if is_compressed else f'"{file.etag}"'
    response_headers = {**headers, "ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if _matches_etag(request_headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=response_headers)
    response_headers["Content-Type"] = file.media_type
    if is_compressed:
        response_headers["Content-Encoding"] = "gzip"
    return Response(file.gzip_body if is_compressed else file.body, headers=response_headers)


def _load_file(path: Path) -> WebFile:
    body = path.read_bytes()
    compressed = gzip.compress(body, mtime=0) if len(body) >= _MIN_GZIP_BYTES else None
    return WebFile(_MEDIA_TYPES[path.suffix], body, compressed, hashlib.sha256(body).hexdigest()[:32])


def _accepts_gzip(accept_encoding: str) -> bool:
    """Return whether `gzip` is listed without a weight of zero."""
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" or weight == ""
    return False


def _matches_etag(if_none_match: str, etag: str) -> bool:
    """Return whether the header lists this tag; the weak comparison of RFC 9110 is the one for GET."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return bool(tags & {etag, "*"})
