"""Routes that query a collection: search and ask."""

import time
from collections.abc import Coroutine, Sequence
from contextlib import closing
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from ....collection import Collection
from ....core.types.answers import Answer, encode_fields
from ....core.types.search import SearchRequest
from .. import limits
from ..admission import wait_for_model
from ..dependencies import CallerDep, CollectionDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import AskBody, SearchBody, SearchParams
from ..responses import FacetedSearchResponse, SearchResponse, SearchResultsResponse
from ..search import run_faceted_search, run_search, run_searches
from ..service import Service
from ..sse import EventStream, cancel_on_disconnect

router = APIRouter(prefix="/v1/collections/{name}", route_class=JsonRoute)

_SearchCoroutine = Coroutine[Any, Any, FacetedSearchResponse | SearchResponse | SearchResultsResponse]

_ERRORS = ("not_found", "conflict", "unsupported_media", "budget", "storage", "unavailable", "upstream", "deadline")
_SPAN_EXAMPLE: dict[str, Any] = {
    "chunk_id": 17,
    "uri": "docs/leave.md",
    "title": "Leave",
    "heading": "Leave › Parents",
    "page": None,
    "start": 310,
    "end": 347,
}
_URL_EXAMPLE = "http://localhost:8765/view/handbook/docs%2Fleave.md?start=310&end=347"
_SENTENCE_EXAMPLE = "Parents take up to 26 weeks of leave."
HIT_EXAMPLE = {
    **_SPAN_EXAMPLE,
    "text": _SENTENCE_EXAMPLE,
    "score": 0.93,
    "metadata": {"team": "hr"},
    "sentence": {"start": 310, "end": 347, "text": _SENTENCE_EXAMPLE},
    "explanation": None,
    "url": _URL_EXAMPLE,
}
_SEARCH_EXAMPLE = {"hits": [HIT_EXAMPLE], "took_ms": 1.4}
_PASSAGE_EXAMPLE = {
    **{name: value for name, value in _SPAN_EXAMPLE.items() if name != "chunk_id"},
    "text": _SENTENCE_EXAMPLE,
    "best": {"start": 310, "end": 347},
    "url": _URL_EXAMPLE,
}
ANSWER_EXAMPLE = {
    "id": "ans_3f9c21",
    "kind": "excerpt",
    "answer": f"{_SENTENCE_EXAMPLE} [1]",
    "answered": True,
    "confidence": 0.87,
    "reason": None,
    "sentences": [
        {"text": f"{_SENTENCE_EXAMPLE} [1]", "context": "", "support": "verbatim", "citations": [1]},
    ],
    "citations": [
        {
            "marker": 1,
            **_SPAN_EXAMPLE,
            "quote": _SENTENCE_EXAMPLE,
            "content_sha256": "9f2c...",
            "url": _URL_EXAMPLE,
        },
    ],
    "hits": [HIT_EXAMPLE],
    "passages": [_PASSAGE_EXAMPLE],
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
    "escalated": False,
    "approved": None,
}
_STREAM_EXAMPLE = (
    'event: sources\ndata: {"hits":[...]}\n\nevent: passages\ndata: {"passages":[...]}\n\n'
    'event: delta\ndata: {"text":"..."}\n\nevent: answer\ndata: {...}\n\n'
)


@router.post(
    "/search",
    tags=["search"],
    summary="Search",
    response_model=FacetedSearchResponse | SearchResponse | SearchResultsResponse,
    responses={200: {"content": {"application/json": {"example": _SEARCH_EXAMPLE}}}, **error_responses(*_ERRORS)},
)
async def search(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    body: Annotated[SearchBody, Body(examples=[{"query": "parental leave", "k": 3, "filter": {"team": "hr"}}])],
) -> Response:
    """Return the chunks that match a query best, best first; scores compare within one response only.

    With `queries` the response is `{"results": [...]}`: one `{"hits", "took_ms"}` for each query. If one
    of them is invalid, none is run, and the error names its index. With `facets` the response also has
    `{"facets": {field: [{"value", "count"}]}}`, counted over the documents that match the filter, not over the hits.
    """
    requests, links = body.to_requests(), make_links(service, request.scope, collection.name)
    coroutine: _SearchCoroutine
    if body.queries is not None:
        coroutine = run_searches(collection, requests, links, body.offset)
    elif body.facets is not None:
        coroutine = run_faceted_search(service, collection, requests[0], links, body.offset, body.facets)
    else:
        coroutine = run_search(collection, requests[0], links, body.offset)
    return await _search(request, service, collection, requests, coroutine)


@router.get(
    "/search",
    tags=["search"],
    summary="Search without a body",
    response_model=SearchResponse,
    responses={200: {"content": {"application/json": {"example": _SEARCH_EXAMPLE}}}, **error_responses(*_ERRORS)},
)
async def simple_search(
    request: Request, service: ServiceDep, collection: CollectionDep, params: Annotated[SearchParams, Query()]
) -> Response:
    """Return the chunks that match a query best; filters and all other options need the POST."""
    search_request, links = params.to_request(), make_links(service, request.scope, collection.name)
    coroutine = run_search(collection, search_request, links)
    return await _search(request, service, collection, [search_request], coroutine)


async def _search(
    request: Request,
    service: Service,
    collection: Collection,
    requests: Sequence[SearchRequest],
    coroutine: _SearchCoroutine,
) -> Response:
    """Return the response of a search; cancel one that waits for a model server when the client disconnects."""
    if all(collection.embeds_locally(search.query) for search in requests):
        return json_response(await coroutine)
    with closing(coroutine):
        wait_for_model(request.scope, service.admission)
        return json_response(await cancel_on_disconnect(request.receive, coroutine))


@router.post(
    "/ask",
    tags=["ask"],
    summary="Ask",
    response_model=Answer,
    responses={
        200: {
            "description": "The answer; with `stream` the events `sources`, `passages`, `delta`, `answer` and `error`.",
            "content": {
                "application/json": {"example": ANSWER_EXAMPLE},
                "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE},
            },
        },
        **error_responses(*_ERRORS),
    },
)
async def ask(
    request: Request,
    service: ServiceDep,
    caller: CallerDep,
    collection: CollectionDep,
    body: Annotated[AskBody, Body(examples=[{"question": "How long is parental leave?", "stream": False}])],
) -> Response:
    """Answer a question, with verified citations; the closest passages follow every answer.

    `kind` is `generated` (text of a chat model), `excerpt` (one span of a document, copied) or `passages`: none of them
    clearly answers the question. That is a 200 too, with `answered: false`.
    """
    deadline = time.monotonic() + limits.ASK_TIMEOUT_SECONDS
    links = make_links(service, request.scope, collection.name)
    if service.library.settings.chat_model or not collection.embeds_locally(body.question):
        wait_for_model(request.scope, service.admission)
    if body.stream:
        slot = service.library.stream_slots.hold(caller)
        return EventStream(collection.astream(body.to_request(), deadline=deadline), links.link_event, slot)
    answer = await cancel_on_disconnect(request.receive, collection.aask(body.to_request(), deadline=deadline))
    return json_response(encode_fields(links.link_answer(answer)))
