"""Routes that look into a collection: search, and ask."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from ....core.types.answers import Answer, Event, Wishes
from .. import limits as bounds
from ..dependencies import CollectionDep, answered
from ..json_route import JsonRoute
from ..problems import documented
from ..requests import Ask, Search
from ..responses import Found
from ..search import found
from ..sse import EventStream, unless_gone

router = APIRouter(prefix="/v1/collections/{name}", route_class=JsonRoute)

_ERRORS = ("not_found", "conflict", "unsupported_media", "budget", "storage", "unavailable", "upstream", "deadline")
_PLACE: dict[str, Any] = {
    "chunk_id": 17,
    "uri": "docs/leave.md",
    "title": "Leave",
    "heading": "Leave › Parents",
    "page": None,
    "start": 310,
    "end": 347,
}
_SENTENCE = "Parents take up to 26 weeks of leave."
_HIT = {
    **_PLACE,
    "text": _SENTENCE,
    "score": 0.93,
    "metadata": {"team": "hr"},
    "sentence": {"start": 310, "end": 347, "text": _SENTENCE},
    "explanation": None,
}
ANSWER = {
    "id": "ans_3f9c21",
    "answer": f"{_SENTENCE[:-1]} [1].",
    "answered": True,
    "reason": None,
    "sentences": [{"text": _SENTENCE, "support": "supported", "citations": [1]}],
    "citations": [{"marker": 1, **_PLACE, "quote": _SENTENCE, "content_sha256": "9f2c..."}],
    "hits": [_HIT],
    "usage": {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "embedding_tokens": 0,
        "cached_tokens": 0,
        "cost_usd": 0.0,
        "estimated": False,
    },
    "model": "extractive",
    "warnings": [],
    "session_id": None,
    "complete": True,
    "handed_off": False,
}
_STREAMED = (
    'event: sources\ndata: {"hits":[...]}\n\nevent: delta\ndata: {"text":"..."}\n\nevent: answer\ndata: {...}\n\n'
)


@router.post(
    "/search",
    tags=["search"],
    summary="Search",
    response_model=Found,
    responses={
        200: {"content": {"application/json": {"example": {"hits": [_HIT], "took_ms": 1.4}}}},
        **documented(*_ERRORS),
    },
)
async def search(
    request: Request,
    collection: CollectionDep,
    body: Annotated[Search, Body(examples=[{"query": "parental leave", "k": 3, "filter": {"team": "hr"}}])],
) -> Response:
    """Return the chunks that fit a question best, best first; scores compare within one reply only."""
    search = found(collection, body.wanted())
    return answered(await (search if collection.is_prompt(body.query) else unless_gone(request.receive, search)))


@router.post(
    "/ask",
    tags=["ask"],
    summary="Ask",
    response_model=Answer,
    responses={
        200: {
            "description": "The answer; with `stream` the events `sources`, `delta`, `answer` and `error`.",
            "content": {
                "application/json": {"example": ANSWER},
                "text/event-stream": {"schema": {"type": "string"}, "example": _STREAMED},
            },
        },
        **documented(*_ERRORS),
    },
)
async def ask(
    request: Request,
    collection: CollectionDep,
    body: Annotated[Ask, Body(examples=[{"question": "How long is parental leave?", "stream": False}])],
) -> Response:
    """Answer a question, each citation checked to the character; not to know is an answer too, with its reason."""
    wishes = Wishes(body.model, body.tokens, body.temperature, body.system, body.policy, body.profile)
    events = collection.stream(
        body.question,
        k=body.k,
        filter=body.filter,
        wishes=wishes,
        session=body.session_id,
        deadline=time.monotonic() + bounds.ASK_SECONDS,
    )
    return EventStream(events) if body.stream else answered(await unless_gone(request.receive, _last(events)))


async def _last(events: AsyncGenerator[Event, None]) -> Event:
    """The last event, which is the whole answer."""
    async with aclosing(events) as all_events:
        async for event in all_events:
            last = event
    return last
