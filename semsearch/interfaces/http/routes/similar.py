"""Route of the documents that are like one document."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ....core.types.recommendations import Example, RecommendationRequest
from .. import limits
from ..dependencies import CollectionDep, ServiceDep, UriDep, json_response
from ..json_route import JsonRoute
from ..links import make_links
from ..problems import error_responses
from ..requests import SimilarParams
from ..responses import RecommendationsResponse
from .query import HIT_EXAMPLE

router = APIRouter(prefix="/v1/collections/{name}/documents", tags=["search"], route_class=JsonRoute)


@router.get(
    "/{uri}/similar",
    summary="Find similar documents",
    response_model=RecommendationsResponse,
    responses={
        200: {"content": {"application/json": {"example": {"hits": [HIT_EXAMPLE]}}}},
        **error_responses("not_found", "conflict", "storage", "unavailable"),
    },
)
async def find_similar(
    request: Request,
    service: ServiceDep,
    collection: CollectionDep,
    uri: UriDep,
    params: Annotated[SimilarParams, Query()],
) -> Response:
    """Return a passage of each of the documents that are most like this one, best first."""
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS
    hits = await collection.arecommend(RecommendationRequest([Example(uri)], k=params.k), deadline=deadline)
    make_links(service, request.scope, collection.name).set_urls(hits)
    return json_response(RecommendationsResponse(hits))
