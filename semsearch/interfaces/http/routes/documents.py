"""Routes of documents: store files and texts, list, read, remove."""

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Body, Query, Request, Response
from starlette.types import Scope

from ....collection import Collection
from ....core.errors import InvalidError, NotFoundError, SemsearchError, UnsupportedMediaError
from ....core.types.documents import Failure, PutResult, Skip, Source
from ....core.types.filters import RawFilter
from ....core.types.stored_documents import StoredDocument
from ....ingest.document_uris import validate_uri
from ....ingest.loading import IngestResult
from ....ingest.media_types import guess_media_type
from ....ingest.sources import text_source
from ....text.cleaning import clean
from ....text.metadata import validate_metadata
from ...strict_json import parse_json
from .. import limits, problems
from ..bodies import RequestBody
from ..dependencies import CollectionDep, ServiceDep, UriDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import DeleteDocumentsBody, DocumentBody, DocumentsBody, FileParams, PageParams
from ..responses import (
    DeleteDocumentsResponse,
    DocumentsResponse,
    FailedDocument,
    ProblemSummary,
    StoreDocumentsResponse,
)
from ..service import Service

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["documents"], route_class=JsonRoute)

# What clients send by default: the last one is curl's type for any bytes.
_UNSPECIFIED_MEDIA_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")
_STORE_ERRORS = (
    "not_found",
    "conflict",
    "locked",
    "unsupported_media",
    "budget",
    "storage",
    "unavailable",
    "upstream",
    "deadline",
)
_READ_ERRORS = ("not_found", "conflict", "storage", "unavailable")

_INFO_EXAMPLE = {
    "uri": "docs/leave.md",
    "title": "Leave",
    "media_type": "text/markdown",
    "language": "en",
    "chunks": 12,
    "characters": 5480,
    "metadata": {"team": "hr"},
}
_PAGE_EXAMPLE = {"documents": [_INFO_EXAMPLE], "total": 17, "next_cursor": "ZG9jcy9sZWF2ZS5tZA"}
_RESULTS_EXAMPLE = [
    {"uri": "docs/leave.md", "status": "added", "chunks": 1},
    {"uri": "", "status": "failed", "error": {"type": "/problems/invalid", "detail": "a document needs a uri"}},
]


async def _store(service: Service, collection: Collection, sources: Sequence[Source], size: int) -> list[IngestResult]:
    """Store the sources of `size` bytes together, within the deadline of a request; return the result of each."""
    deadline = time.monotonic() + limits.PUT_TIMEOUT_SECONDS
    return await service.run_upload(partial(collection.upsert, sources, deadline=deadline), size)


@router.post(
    "",
    summary="Store many texts",
    response_model=StoreDocumentsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"results": _RESULTS_EXAMPLE}}}},
        **error_responses(*_STORE_ERRORS),
    },
)
async def put_documents(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    body: Annotated[
        DocumentsBody, Body(examples=[{"documents": [{"uri": "docs/leave.md", "text": "Parents take 26 weeks."}]}])
    ],
) -> Response:
    """Store up to 1,000 texts. An error in one appears in its own result, and does not affect the others."""
    sources_or_errors = _make_sources(body.documents)
    sources = [source for source in sources_or_errors if isinstance(source, Source)]
    size = sum(len(document.text) for document in body.documents)
    results_by_uri = {result.uri: result for result in await _store(service, collection, sources, size)}
    results = [
        _make_result(
            request.scope, document.uri, results_by_uri[document.uri] if isinstance(source, Source) else source
        )
        for document, source in zip(body.documents, sources_or_errors, strict=True)
    ]
    return json_response(StoreDocumentsResponse(results))


@router.get(
    "",
    summary="List documents",
    response_model=DocumentsResponse,
    responses={
        200: {"content": {"application/json": {"example": _PAGE_EXAMPLE}}},
        **error_responses(*_READ_ERRORS),
    },
)
async def list_documents(
    service: ServiceDep, collection: CollectionDep, page: Annotated[PageParams, Query()]
) -> Response:
    """List documents by uri, without their texts, one page at a time; `total` counts those of all pages."""
    return json_response(await service.run_read(partial(_list_documents, collection, page)))


@router.post(
    "/delete",
    summary="Remove documents by filter",
    response_model=DeleteDocumentsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"removed": 1, "uris": ["docs/leave.md"]}}}},
        **error_responses("not_found", "conflict", "locked", "unsupported_media", "storage"),
    },
)
async def delete_documents(
    service: ServiceDep,
    collection: CollectionDep,
    body: Annotated[DeleteDocumentsBody, Body(examples=[{"filter": {"team": "hr"}}])],
) -> Response:
    """Remove all documents that match a filter, or none if an error occurs. `uris` has the first 1,000 of them."""
    uris = await service.run_write(partial(collection.remove_matching, body.filter))
    return json_response(DeleteDocumentsResponse(len(uris), uris[: limits.MAX_REMOVED_URIS]))


@router.put(
    "/{uri:path}",
    summary="Store a file",
    response_model=PutResult,
    responses={
        200: {"content": {"application/json": {"example": {"uri": "docs/leave.md", "status": "added", "chunks": 12}}}},
        **error_responses(*_STORE_ERRORS),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The bytes of the file. `Content-Type`, such as `text/markdown` or `application/pdf`, names"
            " their format; with `application/octet-stream` the end of the uri does.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_document(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    uri: UriDep,
    params: Annotated[FileParams, Query()],
) -> Response:
    """Store one file under this uri. It replaces the document there; an unchanged one costs nothing."""
    content_type = request.headers.get("content-type", "")
    media_type = (
        guess_media_type(uri)
        if content_type.partition(";")[0].strip().lower() in _UNSPECIFIED_MEDIA_TYPES
        else content_type
    )
    metadata = _validate_metadata(None if params.metadata is None else parse_json(params.metadata))
    body: RequestBody = request.scope["state"]["body"]  # a large one is a file, which is read when its turn comes
    source = Source(validate_uri(uri), media_type, body.open, title=_validate_title(params.title), metadata=metadata)
    [result] = await _store(service, collection, [source], body.size)
    if isinstance(result, Failure):
        return problems.make_response(request.scope, result.type, result.error)
    if isinstance(result, Skip):
        return problems.make_response(request.scope, UnsupportedMediaError.name, result.reason)
    return json_response(result)


@router.get(
    "/{uri:path}",
    summary="Read a document",
    response_model=StoredDocument,
    responses={
        200: {
            "content": {
                "application/json": {"example": {**_INFO_EXAMPLE, "text": "Leave\n\n...", "content_sha256": "9f2c..."}}
            }
        },
        **error_responses(*_READ_ERRORS),
    },
)
async def get_document(service: ServiceDep, collection: CollectionDep, uri: UriDep) -> Response:
    """Return the stored text with its metadata. `text[start:end]` is the quote of a citation, counted in characters."""
    return json_response(await service.run_read(partial(collection.document, uri)))


@router.delete(
    "/{uri:path}",
    summary="Remove a document",
    status_code=204,
    responses=error_responses("not_found", "conflict", "locked", "storage", "unavailable"),
)
async def delete_document(service: ServiceDep, collection: CollectionDep, uri: UriDep) -> Response:
    """Remove one document. No search finds it after the response."""
    if not await service.run_write(partial(collection.remove, [uri])):
        raise _document_not_found(collection, uri)
    return Response(status_code=204)


def _list_documents(collection: Collection, page: PageParams) -> DocumentsResponse:
    filter = cast("RawFilter | None", page.parse_filter())  # the parser of filters refuses all other values
    infos = collection.get_document_page(page.limit, _decode_cursor(page.cursor), filter=filter)
    is_full = len(infos) == page.limit
    return DocumentsResponse(
        infos, collection.count_documents(filter), _encode_cursor(infos[-1].uri) if is_full else None
    )


def _document_not_found(collection: Collection, uri: str) -> NotFoundError:
    remedy = f"GET /v1/collections/{collection.name}/documents"
    return NotFoundError(f"{collection.name} has no document {uri[:200]!r}; list them: {remedy}")


def _make_sources(documents: Sequence[DocumentBody]) -> list[Source | SemsearchError]:
    """Return the source of each document, or the error in it, in the same order."""
    seen_uris: set[str] = set()
    sources: list[Source | SemsearchError] = []
    for document in documents:
        try:
            sources.append(_make_source(document, seen_uris))
        except SemsearchError as exc:
            sources.append(exc)
    return sources


def _make_source(document: DocumentBody, seen_uris: set[str]) -> Source:
    if document.uri in seen_uris:
        raise InvalidError("this uri is in the request twice; only the first document of it was stored")
    if len(document.text) > limits.MAX_TEXT_CHARACTERS:
        raise InvalidError(
            f"the text has {len(document.text):,} characters; the limit is {limits.MAX_TEXT_CHARACTERS:,}"
        )
    title, metadata = _validate_title(document.title), _validate_metadata(document.metadata)
    source = text_source(document.uri, document.text, title=title, metadata=metadata)
    seen_uris.add(document.uri)
    return source


def _validate_title(title: str | None) -> str | None:
    if title is not None and len(title) > limits.MAX_TITLE_CHARACTERS:
        raise InvalidError(f"the title has {len(title):,} characters; the limit is {limits.MAX_TITLE_CHARACTERS:,}")
    return title and clean(title)


def _validate_metadata(raw: object) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InvalidError('metadata is an object, such as {"team": "hr"}')
    metadata = validate_metadata(raw)
    size = len(orjson.dumps(metadata))
    if size > limits.MAX_METADATA_BYTES:
        raise InvalidError(f"the metadata has {size:,} bytes; the limit is {limits.MAX_METADATA_BYTES:,}")
    return metadata


def _make_result(scope: Scope, uri: str, result: IngestResult | SemsearchError) -> PutResult | FailedDocument:
    if isinstance(result, PutResult):
        return result
    if isinstance(result, Skip):
        result = UnsupportedMediaError(result.reason)
    name, detail = (result.type, result.error) if isinstance(result, Failure) else (result.name, str(result))
    return FailedDocument(uri, ProblemSummary(f"/problems/{name}", problems.make_public(scope, detail)))


def _encode_cursor(uri: str) -> str:
    return base64.urlsafe_b64encode(uri.encode()).rstrip(b"=").decode()


def _decode_cursor(cursor: str | None) -> str:
    padded = (cursor or "").encode() + b"=" * (-len(cursor or "") % 4)
    try:
        return base64.b64decode(padded, b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise InvalidError("the cursor is not one that this list returned") from exc
