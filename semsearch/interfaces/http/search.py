"""A search as a request says, the same by whatever way it came."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...collection import Collection
from ...core.types.search import Mode
from . import limits as bounds
from .responses import Found

DEFAULT_K = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request looks for."""

    query: str
    k: int = DEFAULT_K
    filter: dict[str, Any] | None = None
    mode: Mode = "hybrid"
    history: Sequence[str] = ()
    diversity: float = 0.0
    explain: bool = False


async def found(collection: Collection, wanted: Wanted) -> Found:
    """Search as a request says."""
    began = time.perf_counter()
    hits = await collection.asearch(
        wanted.query,
        wanted.k,
        filter=wanted.filter,
        mode=wanted.mode,
        history=wanted.history,
        diversity=wanted.diversity,
        explain=wanted.explain,
        deadline=time.monotonic() + bounds.SEARCH_SECONDS,
    )
    return Found(hits, round((time.perf_counter() - began) * 1000, 3))
