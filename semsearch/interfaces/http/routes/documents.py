"""Routes of documents: store files and texts, list, look, remove."""

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Query, Request, Response

from ....collection import Collection
from ....core.errors import Invalid, NotFound, SemsearchError
from ....core.types.documents import Failure, Source, Stored, StoredDocument
from ....ingest.loading import Outcome
from ....ingest.media_types import media_type_of
from ....ingest.sources import bytes_source, text_source
from ....text.cleaning import clean
from ....text.metadata import checked_metadata
from ...strict_json import decoded
from .. import limits as bounds
from .. import problems
from ..dependencies import CollectionDep, ServiceDep, UriDep, answered
from ..json_route import JsonRoute
from ..problems import documented
from ..requests import About, Page, Text, Texts
from ..responses import Documents, Error, Failed, Results
from ..service import Service

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["documents"], route_class=JsonRoute)

# What clients say who have not been told what they send: the last is what curl says of any bytes.
_UNSAID = ("", "application/octet-stream", "application/x-www-form-urlencoded")
_STORES = (
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
_READS = ("not_found", "conflict", "storage", "unavailable")

_INFO = {
    "uri": "docs/leave.md",
    "title": "Leave",
    "media_type": "text/markdown",
    "language": "en",
    "chunks": 12,
    "characters": 5480,
    "metadata": {"team": "hr"},
}
_FILES = ("text/plain", "text/markdown", "text/html", "application/pdf", "application/octet-stream")
_RESULTS = [
    {"uri": "docs/leave.md", "status": "added", "chunks": 1},
    {"uri": "", "status": "failed", "error": {"type": "/problems/invalid", "detail": "a document needs a uri"}},
]


async def _stored(service: Service, collection: Collection, sources: Sequence[Source]) -> list[Outcome]:
    """What became of each, by the time that somebody waits for it."""
    deadline = time.monotonic() + bounds.PUT_SECONDS
    return await service.write(partial(collection.put, sources, deadline=deadline))


@router.post(
    "",
    summary="Store many texts",
    response_model=Results,
    responses={200: {"content": {"application/json": {"example": {"results": _RESULTS}}}}, **documented(*_STORES)},
)
async def store_texts(
    service: ServiceDep,
    collection: CollectionDep,
    body: Annotated[
        Texts, Body(examples=[{"documents": [{"uri": "docs/leave.md", "text": "Parents take 26 weeks."}]}])
    ],
) -> Response:
    """Store up to 1,000 texts; what is wrong with one of them harms no other and is said in its own result."""
    prepared = _prepared(body.documents)
    sources = [source for source in prepared if isinstance(source, Source)]
    outcomes = {outcome.uri: outcome for outcome in await _stored(service, collection, sources)}
    results = [
        _result(text.uri, outcomes[text.uri] if isinstance(source, Source) else source)
        for text, source in zip(body.documents, prepared, strict=True)
    ]
    return answered(Results(results))


@router.get(
    "",
    summary="List documents",
    response_model=Documents,
    responses={
        200: {"content": {"application/json": {"example": {"documents": [_INFO], "cursor": "ZG9jcy9sZWF2ZS5tZA"}}}},
        **documented(*_READS),
    },
)
async def list_documents(service: ServiceDep, collection: CollectionDep, page: Annotated[Page, Query()]) -> Response:
    """List documents by uri, without their texts, page by page."""
    found = await service.read(partial(collection.documents, page.limit, _after(page.cursor)))
    return answered(Documents(found, _cursor(found[-1].uri) if len(found) == page.limit else None))


@router.put(
    "/{uri:path}",
    summary="Store a file",
    response_model=Stored,
    responses={
        200: {"content": {"application/json": {"example": {"uri": "docs/leave.md", "status": "added", "chunks": 12}}}},
        **documented(*_STORES),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The bytes of the file. `Content-Type` says how to read them; otherwise the uri does.",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _FILES},
        }
    },
)
async def store_file(
    request: Request, service: ServiceDep, collection: CollectionDep, uri: UriDep, about: Annotated[About, Query()]
) -> Response:
    """Store one file under this uri, in place of what it held; an unchanged one costs nothing."""
    said = request.headers.get("content-type", "")
    media_type = media_type_of(uri) if said.partition(";")[0].strip().lower() in _UNSAID else said
    metadata = _metadata(None if about.metadata is None else decoded(about.metadata))
    source = bytes_source(uri, await request.body(), media_type, title=_title(about.title), metadata=metadata)
    [outcome] = await _stored(service, collection, [source])
    if isinstance(outcome, Failure):
        return problems.response(request.scope, outcome.type, outcome.error)
    return answered(outcome)


@router.get(
    "/{uri:path}",
    summary="Read a document",
    response_model=StoredDocument,
    responses={
        200: {
            "content": {"application/json": {"example": {**_INFO, "text": "Leave\n\n...", "content_sha256": "9f2c..."}}}
        },
        **documented(*_READS),
    },
)
async def read_document(service: ServiceDep, collection: CollectionDep, uri: UriDep) -> Response:
    """Return the stored text with its metadata: `text[start:end]` is what a citation quotes, counted in characters."""
    return answered(await service.read(partial(collection.document, uri)))


@router.delete(
    "/{uri:path}",
    summary="Remove a document",
    status_code=204,
    responses=documented("not_found", "conflict", "locked", "storage", "unavailable"),
)
async def remove_document(service: ServiceDep, collection: CollectionDep, uri: UriDep) -> Response:
    """Remove one document; it is found no more when this answers."""
    if not await service.write(partial(collection.remove, [uri])):
        raise _absent(collection, uri)
    return Response(status_code=204)


def _absent(collection: Collection, uri: str) -> NotFound:
    way = f"GET /v1/collections/{collection.name}/documents"
    return NotFound(f"{collection.name} holds no document {uri[:200]!r}; list them: {way}")


def _prepared(texts: Sequence[Text]) -> list[Source | SemsearchError]:
    """What can be stored, or what is wrong with it, in the same order."""
    seen: set[str] = set()
    prepared: list[Source | SemsearchError] = []
    for text in texts:
        try:
            prepared.append(_source(text, seen))
        except SemsearchError as exc:
            prepared.append(exc)
    return prepared


def _source(text: Text, seen: set[str]) -> Source:
    if text.uri in seen:
        raise Invalid("its uri stands twice in this request, and only the first was taken")
    if len(text.text) > bounds.TEXT_CHARACTERS:
        raise Invalid(f"its text has {len(text.text):,} characters; at most {bounds.TEXT_CHARACTERS:,} are taken")
    source = text_source(text.uri, text.text, title=_title(text.title), metadata=_metadata(text.metadata))
    seen.add(text.uri)
    return source


def _title(title: str | None) -> str | None:
    if title is not None and len(title) > bounds.TITLE_CHARACTERS:
        raise Invalid(f"the title has {len(title):,} characters; at most {bounds.TITLE_CHARACTERS:,} are taken")
    return title and clean(title)


def _metadata(raw: object) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise Invalid('metadata is an object, such as {"team": "hr"}')
    metadata = checked_metadata(raw)
    size = len(orjson.dumps(metadata))
    if size > bounds.METADATA_BYTES:
        raise Invalid(f"the metadata has {size:,} bytes; at most {bounds.METADATA_BYTES:,} are kept")
    return metadata


def _result(uri: str, outcome: Stored | Failure | SemsearchError) -> Stored | Failed:
    if isinstance(outcome, Stored):
        return outcome
    name, detail = (outcome.type, outcome.error) if isinstance(outcome, Failure) else (outcome.name, str(outcome))
    return Failed(uri, Error(f"/problems/{name}", detail))


def _cursor(uri: str) -> str:
    return base64.urlsafe_b64encode(uri.encode()).rstrip(b"=").decode()


def _after(cursor: str | None) -> str:
    try:
        padded = (cursor or "").encode() + b"=" * (-len(cursor or "") % 4)
        return base64.b64decode(padded, b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise Invalid("cursor is not one that this list has given") from exc
