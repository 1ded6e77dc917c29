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
from .ranking import RERANKED
from .retrieval import Search, hits

AT_ONCE = 32 * RERANKED
"""Chunks that are looked at in step, about: so many are in memory together, and nothing else goes on meanwhile."""

ALONE = 16
"""After so many searches that met no other, the next is not kept waiting."""

Embedding = Callable[[Search], Awaitable[Search]]
"""Gives a search its vectors."""

_Asked = tuple[Search, Embedding]


class Searches:
    """What is looked for in a store; the executor has the thread for searches that must first take in new writes."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._open: _Batch | None = None
        self._alone = ALONE
        """How many searches in a row met no other."""
        self._passing = False
        """Whether one that did not wait is in this turn of the loop."""

    def hits(self, searches: Sequence[Search]) -> list[list[Hit]]:
        """The hits of each search, all of one commit."""
        with self._store.snapshot() as snapshot:
            return hits(snapshot, searches)

    async def ahits(self, search: Search, embedded: Embedding) -> list[Hit]:
        """The hits of a search, which is made in step with all that come at the same moment."""
        if not all(self._store.has_at_hand(where) for where in _filters(search)):
            await asyncio.get_running_loop().run_in_executor(self._executor, self._look_up, search)
        asked = search, embedded
        if self._passing:
            self._alone = 0
        elif self._alone >= ALONE:
            self._passing = True
            asyncio.get_running_loop().call_soon(self._passed)
            return (await self._made([asked]))[0]
        batch, place = self._join(asked)
        await asyncio.wait([batch.task])
        if batch.task.exception() is None:
            return batch.task.result()[place]
        return (await self._made([asked]))[0]  # whose fault it was, is told nobody else

    def _look_up(self, search: Search) -> None:
        """What passes its filters: that may take seconds, for which nobody else is to wait."""
        with self._store.snapshot() as snapshot:
            for where in _filters(search):
                snapshot.allowed(where)

    def _passed(self) -> None:
        self._passing = False

    def _join(self, asked: _Asked) -> tuple[_Batch, int]:
        """The batch that this search has joined, and its place there."""
        loop, batch, size = asyncio.get_running_loop(), self._open, max(asked[0].k, RERANKED)
        if batch is not None and batch.loop is loop and batch.size + size <= AT_ONCE:
            batch.asked.append(asked)
            batch.size += size
        else:
            batch = self._open = _Batch(loop, [asked], size)
            batch.task = loop.create_task(self._closed(batch))
        return batch, len(batch.asked) - 1

    async def _closed(self, batch: _Batch) -> list[list[Hit]]:
        """Begins when a turn of the loop has brought no other search, or there is no room for more."""
        self._passing, size = False, 0  # a loop that was ended in that turn has never said so
        while self._open is batch and size < batch.size:
            size = batch.size
            await asyncio.sleep(0)
        if self._open is batch:
            self._open = None
        self._alone = 0 if len(batch.asked) > 1 else self._alone + 1
        return await self._made(batch.asked)

    async def _made(self, asked: Sequence[_Asked]) -> list[list[Hit]]:
        searches = [await embedded(search) for search, embedded in asked]
        with self._store.glance() as snapshot:
            if snapshot is not None:  # then another thread would take longer to wake than the search takes
                return hits(snapshot, searches)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.hits, searches)


def _filters(search: Search) -> list[Filter]:
    return [query.where for query in search.queries if query.where is not None]


@dataclass(slots=True, eq=False)
class _Batch:
    """Searches that are made together by one task."""

    loop: asyncio.AbstractEventLoop
    asked: list[_Asked]
    size: int
    task: asyncio.Task[list[list[Hit]]] = field(init=False)
