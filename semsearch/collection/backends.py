"""The store, embedder and search of one collection, shared by all its callers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..core.errors import NotFoundError, StorageError, UnavailableError
from ..core.event_loop import EventLoopThread
from ..core.metrics import Metrics, NoMetrics, Operation
from ..core.ports import ApprovedAnswers, Embedder, Ledger, Meter, Store
from ..core.types.search import ResultOptions, SearchMode
from ..core.types.usage import RequestContext
from ..search.batching import SearchBatcher
from ..search.query_cache import QueryVectorCache
from ..search.retrieval import Search

if TYPE_CHECKING:
    from ..answers.answerers import AnswererDeps
    from ..ingest.readers.page_pool import PagePool

MIN_LARGE_WRITE_CHUNKS = 1_000
"""A write of as many new chunks ends when they are indexed. Those of smaller writes are indexed within a second."""

RESPONSE_SECONDS = 5.0
"""Time before the deadline of a request at which its write ends without waiting any longer."""

_log = logging.getLogger("semsearch.collection")


@dataclass(frozen=True, slots=True)
class CollectionBackends:
    """The backends that the methods of a collection use."""

    store: Store
    embedder: Embedder
    search_batcher: SearchBatcher
    result_options: ResultOptions
    answerer_deps: AnswererDeps
    ledger: Ledger
    approvals: ApprovedAnswers
    get_meter: Callable[[], Meter]
    query_cache: QueryVectorCache
    loop: EventLoopThread
    search_executor: Executor
    index_executor: Executor
    """Its thread rebuilds indexes while searches and writes go on."""
    get_page_pool: Callable[[], PagePool]
    """Return the processes that render pages, which all collections share."""
    answer_mode: SearchMode = "hybrid"
    """How passages for an answer are searched."""
    metrics: Metrics = field(default_factory=NoMetrics)

    async def embed_search(self, search: Search, context: RequestContext, operation: Operation = "search") -> Search:
        """Return the search with a vector for each query whose mode needs one."""
        queries = [query for query in search.queries if query.vector is None and query.mode != "lexical"]
        if not queries:
            return search
        started = time.perf_counter()
        vectors = await self.query_cache.embed(self.embedder, [query.text for query in queries], context)
        self.metrics.observe("stage_seconds", (operation, "embed"), time.perf_counter() - started)
        return replace(
            search, queries=[replace(query, vector=vector) for query, vector in zip(queries, vectors, strict=True)]
        )

    def refresh_index_later(self, name: str) -> None:
        """Refresh the index of the collection `name` on the index thread, if it is due."""
        with suppress(RuntimeError):  # the executor is shut down: the library closes, and the next write refreshes
            self.index_executor.submit(self._refresh_index, name, False)

    def refresh_index_after(self, name: str, chunk_count: int, deadline: float | None) -> None:
        """Refresh the index after a write of so many new chunks.

        A large write waits for it until `deadline`, a time of `time.monotonic()`: else the next search would wait.
        """
        if chunk_count < MIN_LARGE_WRITE_CHUNKS:
            self.refresh_index_later(name)
            return
        timeout = None if deadline is None else max(0.0, deadline - RESPONSE_SECONDS - time.monotonic())
        is_ready = threading.Event()
        with suppress(RuntimeError, UnavailableError), self.loop.calling_on_cancel(is_ready.set):
            task = self.index_executor.submit(self._refresh_index, name, True)
            task.add_done_callback(lambda _: is_ready.set())
            is_ready.wait(timeout)

    def _refresh_index(self, name: str, read_new_chunks: bool) -> None:
        """Refresh the index if it is due. A failure is logged only: the next write tries again."""
        try:
            if self.store.refresh_index():
                self.metrics.count("index_generations")
            if read_new_chunks:
                with self.store.snapshot():
                    pass
        except (StorageError, NotFoundError) as exc:
            _log.warning("the index of %s was not refreshed, so search is slower: %s", name, exc)
