"""Routes of sessions."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Response

from ..dependencies import CallerDep, IdParam, ServiceDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import CreateSessionBody
from ..responses import SessionResponse, make_session_response

router = APIRouter(prefix="/v1", route_class=JsonRoute)

_SESSION_EXAMPLE = {
    "id": "ses_k3f9qa",
    "collection": "handbook",
    "created": "2025-11-24T16:00:00Z",
    "last_used": "2025-11-24T16:01:00Z",
    "profile": None,
    "collection_created_at": "2025-11-01T09:30:00.123456Z",
    "turns": [{"question": "How long is parental leave?", "answer": "Parents take up to 26 weeks of leave."}],
}


@router.post(
    "/sessions",
    tags=["sessions"],
    summary="Begin a session",
    status_code=201,
    response_model=SessionResponse,
    responses={
        201: {"content": {"application/json": {"example": {**_SESSION_EXAMPLE, "turns": []}}}},
        **error_responses("not_found", "conflict", "locked", "storage", "unavailable"),
    },
)
async def create_session(
    service: ServiceDep,
    caller: CallerDep,
    body: Annotated[CreateSessionBody, Body(examples=[{"collection": "handbook"}])],
) -> Response:
    """Begin a session with a collection. Send its id with `ask` to continue it."""
    collection = await service.run_read(partial(service.library.open, body.collection, caller=caller))
    session = await service.run_write(partial(collection.create_session, body.profile))
    return json_response(make_session_response(session), 201)


@router.get(
    "/sessions/{session_id}",
    tags=["sessions"],
    summary="Read a session",
    response_model=SessionResponse,
    responses={
        200: {"content": {"application/json": {"example": _SESSION_EXAMPLE}}},
        **error_responses("not_found", "storage", "unavailable"),
    },
)
async def get_session(service: ServiceDep, caller: CallerDep, session_id: IdParam) -> Response:
    """Return one of your sessions with all its turns."""
    session = await service.run_read(partial(service.library.get_session, session_id, caller=caller))
    return json_response(make_session_response(session))


@router.delete(
    "/sessions/{session_id}",
    tags=["sessions"],
    summary="Delete a session",
    status_code=204,
    responses=error_responses("not_found", "locked", "storage", "unavailable"),
)
async def delete_session(service: ServiceDep, caller: CallerDep, session_id: IdParam) -> Response:
    """Delete a session. Its answers stay recorded."""
    await service.run_write(partial(service.library.delete_session, session_id, caller=caller))
    return Response(status_code=204)
