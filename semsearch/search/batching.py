"""The searches of one store, alone or many at once. Does not check what is asked, and does not know how it is found.

Those that meet on an event loop are made in step: so each takes less of the processor the more there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from ..core.ports import Store
from ..core.types.filters import Filter
from ..core.types.search import Hit
from .ranking import RERANK_DEPTH
from .retrieval import Search, run_searches

MAX_BATCH_CHUNKS = 32 * RERANK_DEPTH
"""Chunks that are looked at in step, about: so many are in memory together, and nothing else goes on meanwhile."""

SKIP_BATCHING_AFTER = 16
"""After so many searches that met no other, the next is not kept waiting."""

SearchEmbedder = Callable[[Search], Awaitable[Search]]
"""Gives a search its vectors."""

_PendingSearch = tuple[Search, SearchEmbedder]


class SearchBatcher:
    """What is looked for in a store; the executor has the thread for searches that must first take in new writes."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._open_batch: _Batch | None = None
        self._solo_streak = SKIP_BATCHING_AFTER
        """How many searches in a row met no other."""
        self._is_bypassing = False
        """Whether one that did not wait is in this turn of the loop."""

    def search(self, searches: Sequence[Search]) -> list[list[Hit]]:
        """The hits of each search, all of one commit."""
        with self._store.snapshot() as snapshot:
            return run_searches(snapshot, searches)

    async def submit(self, search: Search, embed: SearchEmbedder) -> list[Hit]:
        """The hits of a search, which is made in step with all that come at the same moment."""
        if not all(self._store.is_filter_cached(where) for where in _collect_filters(search)):
            await asyncio.get_running_loop().run_in_executor(self._executor, self._prefetch_filters, search)
        asked = search, embed
        if self._is_bypassing:
            self._solo_streak = 0
        elif self._solo_streak >= SKIP_BATCHING_AFTER:
            self._is_bypassing = True
            asyncio.get_running_loop().call_soon(self._end_bypass)
            return (await self._run([asked]))[0]
        batch, place = self._join(asked)
        await asyncio.wait([batch.task])
        if batch.task.exception() is None:
            return batch.task.result()[place]
        return (await self._run([asked]))[0]  # whose fault it was, is told nobody else

    def _prefetch_filters(self, search: Search) -> None:
        """What passes its filters: that may take seconds, for which nobody else is to wait."""
        with self._store.snapshot() as snapshot:
            for where in _collect_filters(search):
                snapshot.matching_ids(where)

    def _end_bypass(self) -> None:
        self._is_bypassing = False

    def _join(self, pending: _PendingSearch) -> tuple[_Batch, int]:
        """The batch that this search has joined, and its place there."""
        loop, batch, size = asyncio.get_running_loop(), self._open_batch, max(pending[0].k, RERANK_DEPTH)
        if batch is not None and batch.loop is loop and batch.chunk_count + size <= MAX_BATCH_CHUNKS:
            batch.pending.append(pending)
            batch.chunk_count += size
        else:
            batch = self._open_batch = _Batch(loop, [pending], size)
            batch.task = loop.create_task(self._collect_and_run(batch))
        return batch, len(batch.pending) - 1

    async def _collect_and_run(self, batch: _Batch) -> list[list[Hit]]:
        """Begins when a turn of the loop has brought no other search, or there is no room for more."""
        self._is_bypassing, size = False, 0  # a loop that was ended in that turn has never said so
        while self._open_batch is batch and size < batch.chunk_count:
            size = batch.chunk_count
            await asyncio.sleep(0)
        if self._open_batch is batch:
            self._open_batch = None
        self._solo_streak = 0 if len(batch.pending) > 1 else self._solo_streak + 1
        return await self._run(batch.pending)

    async def _run(self, pending: Sequence[_PendingSearch]) -> list[list[Hit]]:
        searches = [await embedded(search) for search, embedded in pending]
        with self._store.try_snapshot() as snapshot:
            if snapshot is not None:  # then another thread would take longer to wake than the search takes
                return run_searches(snapshot, searches)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.search, searches)


def _collect_filters(search: Search) -> list[Filter]:
    return [query.filter for query in search.queries if query.filter is not None]


@dataclass(slots=True, eq=False)
class _Batch:
    """Searches that are made together by one task."""

    loop: asyncio.AbstractEventLoop
    pending: list[_PendingSearch]
    chunk_count: int
    task: asyncio.Task[list[list[Hit]]] = field(init=False)
