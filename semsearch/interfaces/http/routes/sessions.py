"""Routes of sessions."""

import re
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from ....core.errors import InvalidError
from ....core.types.sessions import SessionPosition
from ..dependencies import CallerDep, IdParam, ServiceDep, json_response
from ..json_route import JsonRoute
from ..problems import error_responses
from ..requests import CreateSessionBody, SessionParams
from ..responses import SessionResponse, SessionsResponse, make_session_response, make_session_summary

router = APIRouter(prefix="/v1", route_class=JsonRoute)

_CURSOR = re.compile(r"([0-9]{1,12}\.[0-9]{1,20})_([0-9A-Za-z_]{1,80})")
_SESSION_EXAMPLE = {
    "id": "ses_k3f9qa",
    "collection": "handbook",
    "created": "2025-11-24T16:00:00Z",
    "last_used": "2025-11-24T16:01:00Z",
    "profile": None,
    "collection_created_at": "2025-11-01T09:30:00.123456Z",
    "turns": [
        {
            "question": "How long is parental leave?",
            "answer": "Parents take up to 26 weeks of leave.",
            "answer_id": "ans_7d1c0e",
        }
    ],
}
_SUMMARY_EXAMPLE = {
    "id": "ses_k3f9qa",
    "collection": "handbook",
    "created": "2025-11-24T16:00:00Z",
    "last_used": "2025-11-24T16:01:00Z",
    "profile": None,
    "turns": 1,
    "title": "How long is parental leave?",
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
    "/sessions",
    tags=["sessions"],
    summary="List sessions",
    response_model=SessionsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"sessions": [_SUMMARY_EXAMPLE], "next_cursor": None}}}},
        **error_responses("conflict", "storage", "unavailable"),
    },
)
async def list_sessions(service: ServiceDep, caller: CallerDep, params: Annotated[SessionParams, Query()]) -> Response:
    """List your sessions without their turns, the last used one first, one page at a time.

    A session that is used while you page moves to the front.
    """
    after = None if params.cursor is None else _decode_cursor(params.cursor)
    list_page = partial(service.library.sessions, params.collection, limit=params.limit, after=after, caller=caller)
    infos = await service.run_read(list_page)
    next_cursor = _encode_cursor(infos[-1].position) if len(infos) == params.limit else None
    return json_response(SessionsResponse([make_session_summary(info) for info in infos], next_cursor))


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


def _encode_cursor(position: SessionPosition) -> str:
    last_used, session_id = position
    return f"{last_used!r}_{session_id}"


def _decode_cursor(cursor: str) -> SessionPosition:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidError("the cursor is not one that this list returned")
    return float(match[1]), match[2]
