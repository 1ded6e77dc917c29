"""Routes of approved answers: approve an answer, remove its approval, and list those of a collection."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field

from ....answers.approved_answers import MAX_TEXT_CHARACTERS
from ...approval_view import ApprovedAnswerView, view_approved
from ..dependencies import CallerDep, CollectionDep, IdParam, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import RequestModel
from .query import ANSWER_EXAMPLE

router = APIRouter(prefix="/v1", tags=["ask"], route_class=JsonRoute)

_EXAMPLE = {
    "id": ANSWER_EXAMPLE["id"],
    "collection": "handbook",
    "question": "How long is parental leave?",
    "answer": ANSWER_EXAMPLE["answer"],
    "kind": "excerpt",
    "citations": ANSWER_EXAMPLE["citations"],
    "approved": "2025-11-24T16:05:00Z",
    "owner": "hr",
    "stale": False,
    "reason": None,
    "lost": [],
}


class ApproveBody(RequestModel):
    """What replaces the question and the text of the answer."""

    question: Annotated[str, Field(min_length=1)] | None = Field(None, description="Default: the one that was asked.")
    answer: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)] | None = Field(
        None, description="Another text, with the citation numbers of the answer.", examples=["Half a year [1]."]
    )


@dataclass(frozen=True, slots=True)
class ApprovedAnswersResponse:
    """The approved answers of a collection, the oldest first."""

    approved: list[ApprovedAnswerView]


@router.post(
    "/answers/{answer_id}/approve",
    summary="Approve an answer",
    status_code=201,
    response_model=ApprovedAnswerView,
    responses={
        201: {"content": {"application/json": {"example": _EXAMPLE}}},
        **error_responses("not_found", "conflict", "locked", "storage", "unavailable"),
    },
)
async def approve_answer(
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    answer_id: IdParam,
    body: Annotated[ApproveBody | None, Body(examples=[{"question": "How long is parental leave?"}])] = None,
) -> Response:
    """Return one of your answers from now on for its question, as long as its quotes stand in the documents.

    It replaces what you approved for the same question before.
    """
    options = {} if body is None else body.model_dump()
    approve = partial(service.library.approve, answer_id, **options, caller=caller)
    approved = await service.run_write(approve)
    return json_response(view_approved(approved, make_links(service, request.scope, approved.collection)), 201)


@router.delete(
    "/answers/{answer_id}/approve",
    summary="Remove the approval of an answer",
    status_code=204,
    responses=error_responses("not_found", "locked", "storage", "unavailable"),
)
async def remove_approval(service: ServiceDep, caller: CallerDep, answer_id: IdParam) -> Response:
    """Return an answer that you approved no longer."""
    await service.run_write(partial(service.library.remove_approval, answer_id, caller=caller))
    return Response(status_code=204)


@router.get(
    "/collections/{name}/approved",
    summary="List approved answers",
    response_model=ApprovedAnswersResponse,
    responses={
        200: {"content": {"application/json": {"example": {"approved": [_EXAMPLE]}}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def list_approved_answers(request: Request, service: ServiceDep, collection: CollectionDep) -> Response:
    """List the approved answers of all owners, the oldest first; `stale` ones are not returned to anyone."""
    approved = await service.run_read(collection.approved_answers)
    links = make_links(service, request.scope, collection.name)
    return json_response(ApprovedAnswersResponse([view_approved(each, links) for each in approved]))
