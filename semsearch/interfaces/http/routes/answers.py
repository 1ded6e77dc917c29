"""Routes of recorded answers, and of the feedback on them."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from ....core.types.access import Caller
from ....core.types.answers import encode_fields
from ....core.types.feedback import Feedback
from ....core.types.sessions import AnswerRecord, CitationChange
from ....library import Library
from ..dependencies import CallerDep, IdParam, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import FeedbackBody
from ..responses import AnswerResponse, FeedbackResponse, make_feedback_response, to_utc
from .query import ANSWER_EXAMPLE

router = APIRouter(prefix="/v1/answers", tags=["ask"], route_class=JsonRoute)

_FEEDBACK_EXAMPLE = {
    "answer_id": ANSWER_EXAMPLE["id"],
    "helpful": False,
    "wrong_marker": 1,
    "right_chunk_id": None,
    "comment": "That is the rule of last year.",
    "created": "2025-11-24T16:02:00Z",
}
_ANSWER_RECORD_EXAMPLE = {
    "answer": ANSWER_EXAMPLE,
    "collection": "handbook",
    "question": "How long is parental leave?",
    "created": "2025-11-24T16:01:00Z",
    "changes": [{"marker": 1, "uri": "docs/leave.md", "change": "edited"}],
    "feedback": _FEEDBACK_EXAMPLE,
}


@router.get(
    "/{answer_id}",
    summary="Read an answer",
    response_model=AnswerResponse,
    responses={
        200: {"content": {"application/json": {"example": _ANSWER_RECORD_EXAMPLE}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def get_answer(request: Request, service: ServiceDep, caller: CallerDep, answer_id: IdParam) -> Response:
    """Return one of your answers as it was sent, which of its sources have changed since, and your feedback on it."""
    record, changes, feedback = await service.run_read(partial(_load_answer, service.library, answer_id, caller))
    answer = make_links(service, request.scope, record.collection).link_answer(record.answer)
    response = AnswerResponse(
        answer,
        record.collection,
        record.question,
        to_utc(record.created),
        changes,
        None if feedback is None else make_feedback_response(feedback),
    )
    return json_response({**encode_fields(response), "answer": encode_fields(answer)})


@router.post(
    "/{answer_id}/feedback",
    summary="Give feedback on an answer",
    status_code=201,
    response_model=FeedbackResponse,
    responses={
        201: {"content": {"application/json": {"example": _FEEDBACK_EXAMPLE}}},
        **error_responses("not_found", "conflict", "locked", "storage", "unavailable"),
    },
)
async def add_feedback(
    service: ServiceDep,
    caller: CallerDep,
    answer_id: IdParam,
    body: Annotated[FeedbackBody, Body(examples=[{"helpful": True}, {"helpful": False, "wrong_marker": 1}])],
) -> Response:
    """Say whether one of your answers helped, which citation is wrong, or which passage is right.

    A field replaces its earlier value, the others stay. The response is all that you have said about the answer.
    """
    add = partial(service.library.add_feedback, answer_id, **body.model_dump(), caller=caller)
    return json_response(make_feedback_response(await service.run_write(add)), 201)


def _load_answer(
    library: Library, answer_id: str, caller: Caller
) -> tuple[AnswerRecord, list[CitationChange], Feedback | None]:
    record, changes = library.get_answer(answer_id, caller=caller)
    return record, changes, library.get_feedback(answer_id, caller=caller)
