"""Run the searches of a request, whether it came through a route or through the fast path."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from ...collection import Collection
from ...core.types.search import FacetValue, SearchRequest
from ..links import PageLinks
from . import limits
from .responses import FacetedSearchResponse, SearchResponse, SearchResultsResponse
from .service import Service


async def run_search(
    collection: Collection,
    request: SearchRequest,
    links: PageLinks,
    offset: int = 0,
    deadline: float | None = None,
    on_ranked: Callable[[], None] | None = None,
) -> SearchResponse:
    """Search a collection, within the deadline of a request; return the hits from `offset` on, with their addresses."""
    started_at = time.perf_counter()
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS if deadline is None else deadline
    hits = await collection.asearch(request, deadline=deadline, on_ranked=on_ranked)
    took_ms = round((time.perf_counter() - started_at) * 1000, 3)
    hits = hits[offset:]
    links.set_urls(hits)
    return SearchResponse(hits, took_ms)


async def run_searches(
    collection: Collection, requests: Sequence[SearchRequest], links: PageLinks, offset: int
) -> SearchResultsResponse:
    """Run several searches at once, with one request for all their embeddings; the first error is that of all."""
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS
    await collection.aembed_queries(requests, deadline=deadline)
    searches = (run_search(collection, request, links, offset, deadline) for request in requests)
    return SearchResultsResponse(await asyncio.gather(*searches))


async def run_faceted_search(
    service: Service, collection: Collection, request: SearchRequest, links: PageLinks, offset: int, fields: list[str]
) -> FacetedSearchResponse:
    """Search a collection, and count the values of these fields over the documents that match the filter."""
    facets = await service.run_read(partial(_count_facets, collection, fields, request))
    response = await run_search(collection, request, links, offset)
    return FacetedSearchResponse(response.hits, response.took_ms, facets)


def _count_facets(collection: Collection, fields: list[str], request: SearchRequest) -> dict[str, list[FacetValue]]:
    """Return the counts of these fields, or of those worth counting if none is named."""
    return collection.facets(fields or collection.facet_fields(request.filter), request.filter)
