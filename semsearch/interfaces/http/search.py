"""Run the search of a request, whether it came through a route or through the fast path."""

import time

from ...collection import Collection
from ...core.types.search import SearchRequest
from . import limits
from .responses import SearchResponse


async def run_search(collection: Collection, request: SearchRequest) -> SearchResponse:
    """Search a collection, within the deadline of a request."""
    started_at = time.perf_counter()
    hits = await collection.asearch(request, deadline=time.monotonic() + limits.SEARCH_TIMEOUT_SECONDS)
    return SearchResponse(hits, round((time.perf_counter() - started_at) * 1000, 3))
