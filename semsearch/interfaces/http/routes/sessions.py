"""Routes of sessions and of recorded answers."""

import re
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response

from ....core.errors import InvalidError
from ....core.types.answers import encode_fields
from ....core.types.sessions import SessionPosition
from ..dependencies import CallerDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import CreateSessionBody, SessionParams
from ..responses import (
    AnswerResponse,
    SessionResponse,
    SessionsResponse,
    make_session_response,
    make_session_summary,
    to_utc,
)
from .query import ANSWER_EXAMPLE

router = APIRouter(prefix="/v1", route_class=JsonRoute)

_IdParam = Annotated[str, Path(description="Id from an earlier response.", pattern="^[a-z]{3}_[0-9A-Za-z]{1,64}$")]
_CURSOR = re.compile(r"([0-9]{1,12}\.[0-9]{1,20})_([0-9A-Za-z_]{1,80})")
_SESSION_EXAMPLE = {
    "id": "ses_k3f9qa",
    "collection": "handbook",
    "created": "2025-11-24T16:00:00Z",
    "last_used": "2025-11-24T16:01:00Z",
    "profile": None,
    "collection_created_at": "2025-11-01T09:30:00.123456Z",
    "turns": [{"question": "How long is parental leave?", "answer": "Parents take up to 26 weeks of leave."}],
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
_ANSWER_RECORD_EXAMPLE = {
    "answer": ANSWER_EXAMPLE,
    "collection": "handbook",
    "question": "How long is parental leave?",
    "created": "2025-11-24T16:01:00Z",
    "changes": [{"marker": 1, "uri": "docs/leave.md", "change": "edited"}],
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
async def get_session(service: ServiceDep, caller: CallerDep, session_id: _IdParam) -> Response:
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
async def delete_session(service: ServiceDep, caller: CallerDep, session_id: _IdParam) -> Response:
    """Delete a session. Its answers stay recorded."""
    await service.run_write(partial(service.library.delete_session, session_id, caller=caller))
    return Response(status_code=204)


@router.get(
    "/answers/{answer_id}",
    tags=["ask"],
    summary="Read an answer",
    response_model=AnswerResponse,
    responses={
        200: {"content": {"application/json": {"example": _ANSWER_RECORD_EXAMPLE}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def get_answer(request: Request, service: ServiceDep, caller: CallerDep, answer_id: _IdParam) -> Response:
    """Return one of your answers as it was sent, and which of its sources have changed since."""
    record, changes = await service.run_read(partial(service.library.get_answer, answer_id, caller=caller))
    answer = make_links(service, request.scope, record.collection).link_answer(record.answer)
    response = AnswerResponse(answer, record.collection, record.question, to_utc(record.created), changes)
    return json_response({**encode_fields(response), "answer": encode_fields(answer)})


def _encode_cursor(position: SessionPosition) -> str:
    last_used, session_id = position
    return f"{last_used!r}_{session_id}"


def _decode_cursor(cursor: str) -> SessionPosition:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidError("the cursor is not one that this list returned")
    return float(match[1]), match[2]
