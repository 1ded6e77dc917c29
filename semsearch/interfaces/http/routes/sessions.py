"""Routes of what was said: conversations, and answers that were given."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from ....core.types.sessions import Session
from ..dependencies import CallerDep, ServiceDep, answered
from ..json_route import JsonRoute
from ..problems import documented
from ..requests import NewSession
from ..responses import Recorded
from .query import ANSWER

router = APIRouter(prefix="/v1", route_class=JsonRoute)

_IdDep = Annotated[str, Path(description="The id that was given.", pattern="^[a-z]{3}_[0-9A-Za-z]{1,64}$")]
_SESSION = {
    "id": "ses_k3f9qa",
    "collection": "handbook",
    "created": 1764000000.0,
    "last_used": 1764000060.0,
    "profile": None,
    "collection_made": "2026-11-01 09:30:00.123456+00:00",
    "turns": [{"question": "How long is parental leave?", "answer": "Parents take up to 26 weeks of leave."}],
}
_RECORDED = {
    "answer": ANSWER,
    "collection": "handbook",
    "question": "How long is parental leave?",
    "created": 1764000060.0,
    "changes": [{"marker": 1, "uri": "docs/leave.md", "change": "edited"}],
}


@router.post(
    "/sessions",
    tags=["sessions"],
    summary="Begin a conversation",
    status_code=201,
    response_model=Session,
    responses={
        201: {"content": {"application/json": {"example": {**_SESSION, "turns": []}}}},
        **documented("not_found", "conflict", "locked", "storage", "unavailable"),
    },
)
async def begin(
    service: ServiceDep, caller: CallerDep, body: Annotated[NewSession, Body(examples=[{"collection": "handbook"}])]
) -> Response:
    """Begin a conversation with a collection; `ask` continues it when it is given its id."""
    collection = await service.read(partial(service.library.open, body.collection, caller=caller))
    begun = await service.write(partial(collection.begin, body.profile))
    return answered(begun, 201)


@router.get(
    "/sessions/{session_id}",
    tags=["sessions"],
    summary="Look at a conversation",
    response_model=Session,
    responses={
        200: {"content": {"application/json": {"example": _SESSION}}},
        **documented("not_found", "storage", "unavailable"),
    },
)
async def look(service: ServiceDep, caller: CallerDep, session_id: _IdDep) -> Response:
    """Return all that was asked and answered in a conversation of yours."""
    return answered(await service.read(partial(service.library.session, session_id, caller=caller)))


@router.delete(
    "/sessions/{session_id}",
    tags=["sessions"],
    summary="Forget a conversation",
    status_code=204,
    responses=documented("not_found", "locked", "storage", "unavailable"),
)
async def forget(service: ServiceDep, caller: CallerDep, session_id: _IdDep) -> Response:
    """Delete a conversation; the answers in it stay on record."""
    await service.write(partial(service.library.end, session_id, caller=caller))
    return Response(status_code=204)


@router.get(
    "/answers/{answer_id}",
    tags=["ask"],
    summary="Look up an answer",
    response_model=Recorded,
    responses={
        200: {"content": {"application/json": {"example": _RECORDED}}},
        **documented("not_found", "conflict", "storage", "unavailable"),
    },
)
async def look_up(service: ServiceDep, caller: CallerDep, answer_id: _IdDep) -> Response:
    """Return an answer as you were given it, and which of its sources have changed since."""
    record, changes = await service.read(partial(service.library.answer, answer_id, caller=caller))
    return answered(Recorded(record.answer, record.collection, record.question, record.created, changes))
