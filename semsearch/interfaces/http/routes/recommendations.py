"""Route of recommendations: documents that are like examples, a query or a session."""

import time
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from .. import limits
from ..admission import wait_for_model
from ..dependencies import CollectionDep, ServiceDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import RecommendBody
from ..responses import RecommendationsResponse
from ..sse import cancel_on_disconnect
from .query import HIT_EXAMPLE

router = APIRouter(prefix="/v1/collections/{name}", route_class=JsonRoute)

_ERRORS = ("not_found", "conflict", "unsupported_media", "budget", "storage", "unavailable", "upstream", "deadline")


@router.post(
    "/recommend",
    tags=["search"],
    summary="Recommend documents",
    response_model=RecommendationsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"hits": [HIT_EXAMPLE]}}}},
        **error_responses(*_ERRORS),
    },
)
async def recommend(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    body: Annotated[
        RecommendBody, Body(examples=[{"positive": [{"uri": "docs/leave.md"}], "exclude": ["docs/travel.md"], "k": 3}])
    ],
) -> Response:
    """Return passages of the documents that are most like the positive examples and least like the negative ones.

    An example is a document, a chunk or a text. The documents of examples, and those in `exclude`, are not recommended.
    An example that you may not see is a 404, as if it did not exist.
    """
    recommendation_request = body.to_request()
    if not collection.recommends_locally(recommendation_request):
        wait_for_model(request.scope, service.admission)
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS
    coroutine = collection.arecommend(recommendation_request, deadline=deadline)
    hits = await cancel_on_disconnect(request.receive, coroutine)
    make_links(service, request.scope, collection.name).set_urls(hits)
    return json_response(RecommendationsResponse(hits))
