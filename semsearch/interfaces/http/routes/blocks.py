"""Route of the blocks of a document around a span, which shows a passage in its place."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response

from ....core.errors import InvalidError
from ....core.types.stored_documents import DocumentPart
from .. import limits
from ..dependencies import CollectionDep, ServiceDep, UriDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import BlocksParams

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["documents"], route_class=JsonRoute)

_EXAMPLE = {
    "uri": "docs/leave.md",
    "title": "Leave",
    "media_type": "text/markdown",
    "language": "en",
    "chunks": 12,
    "characters": 5480,
    "metadata": {"team": "hr"},
    "content_sha256": "9f2c...",
    "blocks": [{"start": 0, "end": 5, "text": "Leave", "kind": "heading", "level": 1}],
    "contents": [{"start": 0, "title": "Leave", "level": 1}],
}


@router.get(
    "/{uri}/blocks",
    summary="Read a part of a document",
    response_model=DocumentPart,
    responses={
        200: {"content": {"application/json": {"example": _EXAMPLE}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def get_blocks(
    service: ServiceDep, collection: CollectionDep, uri: UriDep, params: Annotated[BlocksParams, Query()]
) -> Response:
    """Return the headings, paragraphs, lists, tables and code that overlap a span, and the table of contents.

    At least one block is returned. Of a block of more than 8,000 characters at either end of the span, only whole lines
    inside the span are returned; `header` is the first row of a table whose part does not have it.
    """
    limit = params.start + limits.MAX_PART_CHARACTERS
    end = limit if params.end is None else min(params.end, limit)
    if end < params.start:
        raise InvalidError("end is before start; give the offsets of a citation, or none")
    return json_response(await service.run_read(partial(collection.get_blocks, uri, params.start, end)))
