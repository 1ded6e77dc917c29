"""Batch concurrent searches of one store. Does not validate queries, and does not rank.

Searches that arrive on an event loop at the same time run interleaved: the more there are, the less CPU time each
takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NamedTuple

from ..core.metrics import Metrics, NoMetrics
from ..core.ports import Store
from ..core.types.filters import Filter
from ..core.types.search import Hit
from .ranking import RERANK_DEPTH
from .retrieval import Search, run_searches

MAX_BATCH_CHUNKS = 32 * RERANK_DEPTH
"""Approximate number of chunks of one batch: they are in memory together, and the batch blocks the event loop."""

SKIP_BATCHING_AFTER = 16
"""After this many searches that were alone in their batch, the next one does not wait for others."""

SearchEmbedder = Callable[[Search], Awaitable[Search]]
"""Returns a search with the vectors of its queries."""


class _PendingSearch(NamedTuple):
    search: Search
    embed: SearchEmbedder
    on_ranked: Callable[[], None] | None


class SearchBatcher:
    """Runs the searches of a store; the executor has the thread for searches that must first read new writes."""

    def __init__(self, store: Store, executor: Executor, metrics: Metrics | None = None) -> None:
        self._store = store
        self._metrics = metrics or NoMetrics()
        self._executor = executor
        self._open_batch: _Batch | None = None
        self._single_search_count = SKIP_BATCHING_AFTER
        """Number of consecutive searches that were alone in their batch."""
        self._has_skipped_batching = False
        """Whether a search has skipped batching in the current iteration of the event loop."""

    def search(self, searches: Sequence[Search]) -> list[list[Hit]]:
        """Return the hits of each search, all from the same commit."""
        with self._store.snapshot() as snapshot:
            return run_searches(snapshot, searches)

    async def submit(
        self, search: Search, embed: SearchEmbedder, on_ranked: Callable[[], None] | None = None
    ) -> list[Hit]:
        """Return the hits of a search; it runs in one batch with the searches that arrive at the same time.

        `on_ranked` is called when the batch has its hits: unless it ran on the executor, before the event loop reads
        from its connections again, so a caller that bounds the waiting searches can admit as many new ones.
        """
        if not all(self._store.is_filter_cached(filter) for filter in _collect_filters(search)):
            await asyncio.get_running_loop().run_in_executor(self._executor, self._prefetch_filters, search)
        pending = _PendingSearch(search, embed, on_ranked)
        if self._has_skipped_batching:
            self._single_search_count = 0
        elif self._single_search_count >= SKIP_BATCHING_AFTER:
            self._has_skipped_batching = True
            asyncio.get_running_loop().call_soon(self._reset_skip)
            return (await self._run([pending]))[0]
        batch, index = self._join(pending)
        await asyncio.wait([batch.task])
        if batch.task.exception() is None:
            return batch.task.result()[index]
        return (await self._run([pending]))[0]  # repeat it alone, so that only the search at fault gets the error

    def _prefetch_filters(self, search: Search) -> None:
        """Evaluate the filters of a search; that may take seconds and must not delay other searches."""
        with self._store.snapshot() as snapshot:
            for filter in _collect_filters(search):
                snapshot.matching_ids(filter)

    def _reset_skip(self) -> None:
        self._has_skipped_batching = False

    def _join(self, pending: _PendingSearch) -> tuple[_Batch, int]:
        """Add a search to the open batch, or to a new one; return the batch and the index of the search."""
        loop, batch, size = asyncio.get_running_loop(), self._open_batch, max(pending.search.k, RERANK_DEPTH)
        if batch is not None and batch.loop is loop and batch.chunk_count + size <= MAX_BATCH_CHUNKS:
            batch.pending.append(pending)
            batch.chunk_count += size
        else:
            batch = self._open_batch = _Batch(loop, [pending], size)
            batch.task = loop.create_task(self._collect_and_run(batch))
        return batch, len(batch.pending) - 1

    async def _collect_and_run(self, batch: _Batch) -> list[list[Hit]]:
        """Run a batch once an iteration of the event loop has added no search, or the batch is full."""
        self._has_skipped_batching, size = False, 0  # a loop that stopped in that iteration never called `_reset_skip`
        while self._open_batch is batch and size < batch.chunk_count:
            size = batch.chunk_count
            await asyncio.sleep(0)
        if self._open_batch is batch:
            self._open_batch = None
        self._single_search_count = 0 if len(batch.pending) > 1 else self._single_search_count + 1
        return await self._run(batch.pending)

    async def _run(self, pending: Sequence[_PendingSearch]) -> list[list[Hit]]:
        searches = [await one.embed(one.search) for one in pending]
        started = time.perf_counter()
        hits = await self._retrieve(searches)
        seconds = time.perf_counter() - started
        for one in pending:
            if one.on_ranked is not None:
                one.on_ranked()
            self._metrics.observe("stage_seconds", ("search", "retrieve"), seconds)  # each waits for the whole batch
        return hits

    async def _retrieve(self, searches: Sequence[Search]) -> list[list[Hit]]:
        with self._store.try_snapshot() as snapshot:
            if snapshot is not None:  # waking another thread would take longer than the search
                return run_searches(snapshot, searches)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.search, searches)


def _collect_filters(search: Search) -> list[Filter]:
    return [query.filter for query in search.queries if query.filter is not None]


@dataclass(slots=True, eq=False)
class _Batch:
    """Searches that one task runs together."""

    loop: asyncio.AbstractEventLoop
    pending: list[_PendingSearch]
    chunk_count: int
    task: asyncio.Task[list[list[Hit]]] = field(init=False)
