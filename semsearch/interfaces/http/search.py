"""A search as a request says, the same by whatever way it came."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...collection import Collection
from ...core.types.search import SearchMode
from . import limits as bounds
from .responses import SearchResponse

DEFAULT_K = 10


@dataclass(frozen=True, slots=True)
class SearchParams:
    """What a request looks for."""

    query: str
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    mode: SearchMode = "hybrid"
    history: Sequence[str] = ()
    diversity: float = 0.0
    explain: bool = False


async def run_search(collection: Collection, params: SearchParams) -> SearchResponse:
    """Search as a request says."""
    started_at = time.perf_counter()
    hits = await collection.asearch(
        params.query,
        params.k,
        filter=params.filter,
        mode=params.mode,
        history=params.history,
        diversity=params.diversity,
        explain=params.explain,
        deadline=time.monotonic() + bounds.SEARCH_TIMEOUT_SECONDS,
    )
    return SearchResponse(hits, round((time.perf_counter() - started_at) * 1000, 3))
