"""Routes of access keys: create, list, rotate and revoke them."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from ...key_view import KeyView, NewKeyView, view_key, view_new_key
from ..dependencies import CallerDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..key_requests import CreateKeyBody, RotateKeyBody
from ..problems import error_responses
from ..responses import KeysResponse

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=JsonRoute)

KeyIdParam = Annotated[str, Path(description="Id of the key.", pattern="^[0-9a-z]{12}$", examples=["k3v9x0q2m7ab"])]

_KEY_EXAMPLE = {
    "id": "k3v9x0q2m7ab",
    "name": "intranet search",
    "owner": "intranet",
    "scopes": ["ask", "search"],
    "collections": ["handbook"],
    "filter": {"team": {"$in": ["hr", "all"]}},
    "limits": {"requests_per_minute": 60, "tokens_per_minute": None, "streams": None, "day_usd": 2.5},
    "created": "2025-11-24T16:00:00Z",
    "expires": "2026-02-22T16:00:00Z",
    "revoked": None,
    "rotated_until": None,
}
_NEW_KEY_EXAMPLE = {**_KEY_EXAMPLE, "key": "sk_k3v9x0q2m7ab_shown-only-once"}


@router.post(
    "",
    summary="Create a key",
    status_code=201,
    response_model=NewKeyView,
    responses={
        201: {"content": {"application/json": {"example": _NEW_KEY_EXAMPLE}}},
        **error_responses("locked", "storage"),
    },
)
async def create_key(
    service: ServiceDep,
    caller: CallerDep,
    body: Annotated[CreateKeyBody, Body(examples=[{"name": "intranet search", "collections": ["handbook"]}])],
) -> Response:
    """Create an access key. The response is the only place where its secret is shown."""
    create = partial(service.library.create_key, body.make_grants(), caller=caller)
    return json_response(view_new_key(*await service.run_write(create)), 201)


@router.get(
    "",
    summary="List keys",
    response_model=KeysResponse,
    responses={
        200: {"content": {"application/json": {"example": {"keys": [_KEY_EXAMPLE]}}}},
        **error_responses("storage"),
    },
)
async def list_keys(service: ServiceDep, caller: CallerDep) -> Response:
    """List the access keys, the oldest first, revoked and expired ones included."""
    keys = await service.run_read(partial(service.library.list_keys, caller=caller))
    return json_response(KeysResponse(list(map(view_key, keys))))


@router.post(
    "/{key_id}/rotate",
    summary="Rotate a key",
    response_model=NewKeyView,
    responses={
        200: {"content": {"application/json": {"example": _NEW_KEY_EXAMPLE}}},
        **error_responses("not_found", "conflict", "locked", "storage"),
    },
)
async def rotate_key(
    service: ServiceDep,
    caller: CallerDep,
    key_id: KeyIdParam,
    body: Annotated[RotateKeyBody | None, Body(examples=[{"overlap_seconds": 3600}])] = None,
) -> Response:
    """Give a key a new secret. The old one stays valid for the overlap, by default a day."""
    overlap = (body or RotateKeyBody()).overlap_seconds
    rotate = partial(service.library.rotate_key, key_id, overlap_seconds=overlap, caller=caller)
    return json_response(view_new_key(*await service.run_write(rotate)))


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    response_model=KeyView,
    responses={
        200: {"content": {"application/json": {"example": {**_KEY_EXAMPLE, "revoked": "2025-12-01T09:00:00Z"}}}},
        **error_responses("not_found", "locked", "storage"),
    },
)
async def revoke_key(service: ServiceDep, caller: CallerDep, key_id: KeyIdParam) -> Response:
    """Refuse a key from the next request on, in every worker. It stays in the list."""
    key = await service.run_write(partial(service.library.revoke_key, key_id, caller=caller))
    return json_response(view_key(key))
