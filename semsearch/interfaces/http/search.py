"""Run the searches of a request, whether it came through a route or through the fast path."""

import asyncio
import time
from collections.abc import Sequence

from ...collection import Collection
from ...core.types.search import SearchRequest
from . import limits
from .responses import SearchResponse, SearchResultsResponse


async def run_search(
    collection: Collection, request: SearchRequest, offset: int = 0, deadline: float | None = None
) -> SearchResponse:
    """Search a collection, within the deadline of a request; return the hits from `offset` on."""
    started_at = time.perf_counter()
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS if deadline is None else deadline
    hits = await collection.asearch(request, deadline=deadline)
    return SearchResponse(hits[offset:], round((time.perf_counter() - started_at) * 1000, 3))


async def run_searches(collection: Collection, requests: Sequence[SearchRequest], offset: int) -> SearchResultsResponse:
    """Run several searches at once, with one request for all their embeddings; the first error is that of all."""
    deadline = time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS
    await collection.aembed_queries(requests, deadline=deadline)
    searches = (run_search(collection, request, offset, deadline) for request in requests)
    return SearchResultsResponse(await asyncio.gather(*searches))
