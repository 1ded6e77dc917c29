"""Routes of collections: list, make, look, delete."""

from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Body, Response

from ....core.errors import Forbidden
from ....core.types.documents import CollectionInfo
from ....models.embedders import of_folder
from ..dependencies import CallerDep, CollectionDep, NameDep, ServiceDep, answered
from ..json_route import JsonRoute
from ..problems import documented
from ..requests import NewCollection
from ..responses import Collections

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=JsonRoute)

_INFO = {"name": "handbook", "embedder": "local", "documents": 17, "chunks": 214}


@router.get(
    "",
    summary="List collections",
    response_model=Collections,
    responses={
        200: {"content": {"application/json": {"example": {"collections": [_INFO]}}}},
        **documented("storage", "unavailable"),
    },
)
async def list_collections(service: ServiceDep, caller: CallerDep) -> Response:
    """List the collections that you may see, by name."""
    found = await service.read(partial(service.library.collections, caller=caller))
    return answered(Collections([_shown(info) for info in found]))


@router.put(
    "/{name}",
    summary="Make a collection",
    response_model=CollectionInfo,
    responses={
        200: {"content": {"application/json": {"example": _INFO}}},
        **documented(
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
async def make_collection(
    service: ServiceDep,
    name: NameDep,
    caller: CallerDep,
    body: Annotated[NewCollection | None, Body(examples=[{"embedder": "local"}])] = None,
) -> Response:
    """Make a collection, or find it made; one with another embedder is a conflict that names both."""
    embedder = body.embedder if body else None
    if embedder is not None and of_folder(embedder):  # else anybody could look for files on this machine
        raise Forbidden("a model in a folder is chosen at the shell: semsearch ingest PATH -c NAME --embedder SPEC")
    make = partial(service.library.create, name, embedder=embedder, caller=caller)
    return answered(_shown(await service.write(lambda: make().info())))


@router.get(
    "/{name}",
    summary="Look at a collection",
    response_model=CollectionInfo,
    responses={
        200: {"content": {"application/json": {"example": _INFO}}},
        **documented("not_found", "conflict", "storage", "unavailable"),
    },
)
async def look_at_collection(service: ServiceDep, collection: CollectionDep) -> Response:
    """Say what a collection holds, and which embedder it was made with."""
    return answered(_shown(await service.read(collection.info)))


@router.delete(
    "/{name}",
    summary="Delete a collection",
    status_code=204,
    responses=documented("not_found", "conflict", "locked", "storage", "unavailable"),
)
async def delete_collection(service: ServiceDep, name: NameDep, caller: CallerDep) -> Response:
    """Delete a collection with all its documents."""
    await service.write(partial(service.library.delete, name, caller=caller))
    return Response(status_code=204)


def _shown(info: CollectionInfo) -> CollectionInfo:
    """Without where on this machine a model lies."""
    if not of_folder(info.embedder):
        return info
    kind, _, folder = info.embedder.partition(":")
    return replace(info, embedder=f"{kind}:{PurePath(folder).name}")
