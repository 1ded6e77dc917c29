"""A search as a request says, the same by whatever way it came."""

import time

from ...collection import Collection
from . import bounds
from .answers import Found
from .bodies import Search


async def found(collection: Collection, body: Search) -> Found:
    """Search as a request says."""
    began = time.perf_counter()
    hits = await collection.asearch(
        body.query,
        body.k,
        filter=body.filter,
        mode=body.mode,
        history=body.history,
        diversity=body.diversity,
        explain=body.explain,
        deadline=time.monotonic() + bounds.SEARCH_SECONDS,
    )
    return Found(hits, round((time.perf_counter() - began) * 1000, 3))
