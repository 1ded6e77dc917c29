"""The store, embedder and search of one collection, shared by all its callers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..core.errors import NotFoundError, StorageError
from ..core.event_loop import EventLoopThread
from ..core.ports import ApprovedAnswers, Embedder, Ledger, Meter, Store
from ..core.types.search import ResultOptions
from ..core.types.usage import RequestContext
from ..search.batching import SearchBatcher
from ..search.query_cache import QueryVectorCache
from ..search.retrieval import Search

if TYPE_CHECKING:
    from ..answers.answerers import AnswererDeps
    from ..ingest.readers.page_pool import PagePool

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

    async def embed_search(self, search: Search, context: RequestContext) -> Search:
        """Return the search with a vector for each query whose mode needs one."""
        queries = [query for query in search.queries if query.vector is None and query.mode != "lexical"]
        if not queries:
            return search
        vectors = await self.query_cache.embed(self.embedder, [query.text for query in queries], context)
        return replace(
            search, queries=[replace(query, vector=vector) for query, vector in zip(queries, vectors, strict=True)]
        )

    def refresh_index_later(self, name: str) -> None:
        """Refresh the index of the collection `name` on the index thread, if it is due."""
        with suppress(RuntimeError):  # the executor is shut down: the library closes, and the next write refreshes
            self.index_executor.submit(self._refresh_index, name)

    def _refresh_index(self, name: str) -> None:
        """Refresh the index if it is due. A failure is logged only: the next write tries again."""
        try:
            self.store.refresh_index()
        except (StorageError, NotFoundError) as exc:
            _log.warning("the index of %s was not refreshed, so search is slower: %s", name, exc)
