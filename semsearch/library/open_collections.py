"""The open collections of a library: each opened once, with its embedder and the threads that all of them share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

from ..answers.approved_evidence import ApprovedEvidence
from ..collection.backends import CollectionBackends
from ..core.errors import ConflictError, LockedError, NotFoundError, StorageError
from ..core.event_loop import EventLoopThread
from ..core.metrics import Metrics
from ..core.ports import ApprovedAnswers, Embedder, Ledger
from ..core.settings import Settings
from ..core.types.search import ResultOptions
from ..core.types.stored_documents import IndexState
from ..models.embedders.choice import StoredEmbedder, open_embedder
from ..models.embedders.custom_spec import is_custom
from ..search.batching import SearchBatcher
from ..search.query_cache import QueryVectorCache
from ..storage.collections.local.folders import CollectionFolders
from ..storage.collections.local.store import LocalStore
from .model_access import ModelAccess

if TYPE_CHECKING:
    from ..ingest.readers.page_pool import PagePool
    from ..models.embedders.custom import CustomEmbedder


class OpenCollections:
    """The backends of each open collection, and the threads that search and build indexes."""

    def __init__(
        self,
        folders: CollectionFolders,
        models: ModelAccess,
        settings: Settings,
        ledger: Ledger,
        approvals: ApprovedAnswers,
        loop: EventLoopThread,
        metrics: Metrics,
    ) -> None:
        self._folders = folders
        self._models = models
        self._settings = settings
        self._ledger = ledger
        self._approvals = approvals
        self._loop = loop
        self._metrics = metrics
        self._backends: dict[str, CollectionBackends] = {}
        self._lock = threading.Lock()
        self._custom_embedders: dict[str, CustomEmbedder] = {}  # of collections opened with a function or an object
        self._query_cache = QueryVectorCache(metrics=metrics)
        self._search_executor = ThreadPoolExecutor(1, "semsearch-search")
        self.index_executor = ThreadPoolExecutor(1, "semsearch-index")
        self._page_pool: PagePool | None = None
        self._page_pool_lock = threading.Lock()

    def get(self, name: str, chosen: str | CustomEmbedder | None = None) -> CollectionBackends:
        """Return the backends of a collection; open it if it is not open, or if its files were replaced."""
        with self._lock:
            if name in self._backends and not self._backends[name].store.is_current():
                self.close_one(name)
            if name not in self._backends:
                with ExitStack() as on_error:
                    store = on_error.enter_context(closing(self._folders.open(name)))
                    store.on_change(ApprovedEvidence(self._approvals, store, name).check_documents)
                    self._backends[name] = self._open(name, store, chosen)
                    on_error.pop_all()
            elif chosen is not None:
                self._backends[name] = self._choose(name, chosen)
            return self._backends[name]

    def get_if_current(self, name: str) -> CollectionBackends | None:
        """Return the backends of a collection that is open already, if its file is still the same."""
        backends = self._backends.get(name)
        return backends if backends is not None and backends.store.is_current() else None

    def read_index_states(self) -> list[IndexState]:
        """Return the state of the index of each open collection that can be read."""
        states = []
        for name in list(self._backends):
            with suppress(StorageError, NotFoundError, ConflictError, LockedError):  # the next request reports it
                if (backends := self.get_if_current(name)) is not None:
                    states.append(backends.store.index_state())
        return states

    def build(self, store: LocalStore, embedder: Embedder) -> CollectionBackends:
        """Return the backends of one store and its embedder."""
        settings = self._settings
        return CollectionBackends(
            store=store,
            embedder=embedder,
            search_batcher=SearchBatcher(store, self._search_executor, self._metrics),
            result_options=ResultOptions(
                settings.collapse, settings.per_document, source_weights=settings.source_weights
            ),
            answerer_deps=self._models.answerer_deps,
            ledger=self._ledger,
            approvals=self._approvals,
            get_meter=lambda: self._models.meter,
            # the name of a function does not tell it from another one of the same program
            query_cache=QueryVectorCache(metrics=self._metrics) if is_custom(embedder.name) else self._query_cache,
            loop=self._loop,
            search_executor=self._search_executor,
            index_executor=self.index_executor,
            get_page_pool=self._get_page_pool,
            metrics=self._metrics,
        )

    def close_one(self, name: str) -> None:
        """Close a collection, if it is open."""
        if (backends := self._backends.pop(name, None)) is not None:
            backends.store.close()

    def close(self) -> None:
        """Close every collection and stop the threads."""
        self.index_executor.shutdown()
        for name in list(self._backends):
            self.close_one(name)
        self._search_executor.shutdown()
        if self._page_pool is not None:
            self._page_pool.close()

    def _get_page_pool(self) -> PagePool:
        from ..ingest.readers.page_pool import PagePool

        with self._page_pool_lock:
            if self._page_pool is None:
                self._page_pool = PagePool()
            return self._page_pool

    def _open(self, name: str, store: LocalStore, chosen: str | CustomEmbedder | None) -> CollectionBackends:
        stored = StoredEmbedder(name, store.info().embedder, *store.vector_space())
        if chosen is None and is_custom(stored.spec):  # another process has made the collection anew
            chosen = self._custom_embedders.get(name)
        embedder = open_embedder(stored, chosen, self._models.embedder_deps, self._loop)
        if chosen is embedder:
            self._custom_embedders[name] = chosen
        return self.build(store, embedder)

    def _choose(self, name: str, chosen: str | CustomEmbedder) -> CollectionBackends:
        """Return the backends of an open collection, with another function of the same name where one is passed."""
        backends, known = self._backends[name], self._custom_embedders.get(name)
        if known is not None and not isinstance(chosen, str) and chosen.source is known.source:
            return backends
        assert isinstance(backends.store, LocalStore)
        opened = self._open(name, backends.store, chosen)
        return opened if opened.embedder is chosen else backends
