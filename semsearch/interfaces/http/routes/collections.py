"""Routes of collections: list, create, read, delete."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from ....core.errors import ForbiddenError
from ....core.types.stored_documents import CollectionInfo
from ....models.embedders import is_local_path
from ..caller_view import CALLER_EXAMPLE, view_caller
from ..dependencies import CallerDep, CollectionDep, NameDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import CreateCollectionBody
from ..responses import CollectionResponse, CollectionsResponse

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=JsonRoute)

_INFO_EXAMPLE = {"name": "handbook", "embedder": "local", "documents": 17, "chunks": 214}
_INDEX_EXAMPLE = {"state": "current", "indexed_chunks": 200, "pending_chunks": 14}


@router.get(
    "",
    summary="List collections",
    response_model=CollectionsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"collections": [_INFO_EXAMPLE], "caller": CALLER_EXAMPLE}}}},
        **error_responses("storage", "unavailable"),
    },
)
async def list_collections(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """List the collections that you may see, by name, with who you are as `GET /v1/me` returns it."""
    infos = await service.run_read(partial(service.library.collections, caller=caller))
    return json_response(CollectionsResponse(list(map(_hide_model_path, infos)), view_caller(request.scope, caller)))


@router.put(
    "/{name}",
    summary="Create a collection",
    response_model=CollectionInfo,
    responses={
        200: {"content": {"application/json": {"example": _INFO_EXAMPLE}}},
        **error_responses(
            "forbidden",
            "conflict",
            "locked",
            "unsupported_media",
            "budget",
            "storage",
            "unavailable",
            "upstream",
            "deadline",
        ),
    },
)
async def create_collection(
    service: ServiceDep,
    name: NameDep,
    caller: CallerDep,
    body: Annotated[CreateCollectionBody | None, Body(examples=[{"embedder": "local"}])] = None,
) -> Response:
    """Create a collection. One that exists is returned; if it has another embedder, that is a conflict."""
    embedder = body.embedder if body else None
    if embedder is not None and is_local_path(embedder):  # else a client could probe for files on this machine
        raise ForbiddenError(
            "a model in a folder cannot be chosen over HTTP; the operator can make the collection with it"
        )
    create = partial(service.library.create, name, embedder=embedder, caller=caller)
    return json_response(_hide_model_path(await service.run_write(lambda: create().info())))


@router.get(
    "/{name}",
    summary="Read a collection",
    response_model=CollectionResponse,
    responses={
        200: {"content": {"application/json": {"example": {**_INFO_EXAMPLE, "index": _INDEX_EXAMPLE}}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def get_collection(service: ServiceDep, collection: CollectionDep) -> Response:
    """Return the embedder of a collection, how many documents and chunks it holds, and the state of its index."""
    info, index = await service.run_read(lambda: (collection.info(), collection.index_state()))
    return json_response(CollectionResponse(**asdict(_hide_model_path(info)), index=index))


@router.delete(
    "/{name}",
    summary="Delete a collection",
    status_code=204,
    responses=error_responses("not_found", "conflict", "locked", "storage", "unavailable"),
)
async def delete_collection(service: ServiceDep, name: NameDep, caller: CallerDep) -> Response:
    """Delete a collection with all its documents."""
    await service.run_write(partial(service.library.delete, name, caller=caller))
    return Response(status_code=204)


def _hide_model_path(info: CollectionInfo) -> CollectionInfo:
    """Return the info with the name of a model folder only, without its path."""
    if not is_local_path(info.embedder):
        return info
    kind, _, folder = info.embedder.partition(":")
    return replace(info, embedder=f"{kind}:{PurePath(folder).name}")
