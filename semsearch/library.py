"""A library: settings, the collections of one data directory, and their backends. The only module that joins these."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .answers.answerers import AnswererDeps
from .collection import Collection
from .collection.backends import CollectionBackends
from .core.errors import (
    ConflictError,
    ForbiddenError,
    LockedError,
    NotFoundError,
    Remedy,
    StorageError,
)
from .core.event_loop import EventLoopThread
from .core.names import find_nearest_name, is_valid_name, validate_name
from .core.ports import Embedder, EmbeddingCache, Ledger
from .core.settings import Endpoint, Settings
from .core.short_repr import format_repr, shorten_middle
from .core.types.documents import CollectionInfo, Failure
from .core.types.search import ResultOptions
from .core.types.sessions import AnswerRecord, CitationChange, Session
from .core.types.usage import LOCAL_CALLER, Caller, RequestContext, UsageGroupBy, UsageReport
from .models.embedders import EmbedderDeps, make_embedder, normalize_spec
from .models.embedders.choice import StoredEmbedder, choose_embedder, get_spec, open_embedder
from .models.embedders.custom_spec import is_custom
from .search.batching import SearchBatcher
from .search.filters import parse_filter
from .search.query_cache import QueryVectorCache
from .storage.collections.local.folders import CollectionFolders
from .storage.collections.local.store import LocalStore
from .storage.ledger.local.ledger import LocalLedger
from .usage.report import build_usage_report

if TYPE_CHECKING:
    from .models.embedders.choice import EmbedderInput
    from .models.embedders.custom import CustomEmbedder
    from .models.openai.client import OpenAIClient, UpstreamState
    from .usage.metering import LedgerMeter

DEFAULT_EMBEDDER = "local"
_log = logging.getLogger("semsearch.library")


class Library:
    """The collections of one data directory.

    >>> with semsearch.Library("other") as library:
    ...     library
    Library('other')
    """

    def __init__(self, data_dir: str | Path | None = None, *, settings: Settings | None = None) -> None:
        settings = settings or Settings.load()
        self.settings = settings if data_dir is None else replace(settings, data_dir=Path(data_dir))
        self.folder = self.settings.data_dir.absolute()
        self._folders = CollectionFolders(self.folder, self.settings.index_thresholds)
        self.loop = EventLoopThread()
        self._query_cache = QueryVectorCache()
        self._search_executor = ThreadPoolExecutor(1, "semsearch-search")
        self._index_executor = ThreadPoolExecutor(1, "semsearch-index")
        self._open_collections: dict[str, CollectionBackends] = {}
        self._open_lock = threading.Lock()
        self._custom_embedders: dict[str, CustomEmbedder] = {}  # of collections opened with a function or an object
        self._clients: dict[Endpoint, OpenAIClient] = {}
        self.ledger: Ledger = LocalLedger(self.folder, keep_days=self.settings.keep_days)

    def __repr__(self) -> str:
        """Return the data directory as it was given."""
        return format_repr(self, shorten_middle(str(self.settings.data_dir)))

    def __enter__(self) -> Self:
        """Use the library in a `with` block, which closes it."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the library."""
        self.close()

    def create(self, name: str, *, embedder: EmbedderInput | None = None, caller: Caller = LOCAL_CALLER) -> Collection:
        """Create a collection, or open it if it exists; ConflictError if the existing one has another embedder.

        `embedder` is a SPEC, by default `local`; or a function from a list of texts to their vectors, or an object
        with such a method `embed`, either of which must be passed to `open` again.

        >>> library.create("handbook", embedder="local")
        Collection('handbook')
        """
        validate_name(name, "collection")
        chosen = choose_embedder(embedder)
        if not self._is_visible(name, caller):
            raise ForbiddenError(f"you may not create the collection {name}")
        if not self.exists(name):
            self._create_collection(name, chosen or self._default_spec, caller)
        self._check_exists(name, caller)
        return Collection(name, self._get_backends(name, chosen), caller)

    def open(
        self,
        name: str,
        *,
        embedder: EmbedderInput | None = None,
        caller: Caller = LOCAL_CALLER,
        accept_loss: bool = False,
    ) -> Collection:
        """Open a collection as `caller` may see it; NotFoundError if there is none.

        `embedder` is needed where it is a function or an object of the program; ConflictError if it is another one.
        With `accept_loss` it opens even if its last commits were lost.

        >>> library.open("handbook").search("parental leave")[0].uri
        'docs/leave.md'
        """
        self._check_exists(name, caller)
        if accept_loss and caller.filter is None:
            self._folders.accept_loss(name)
        return Collection(name, self._get_backends(name, choose_embedder(embedder)), caller)

    def get_if_open(self, name: str, *, caller: Caller = LOCAL_CALLER) -> Collection | None:
        """Return the collection if it is open already. Checks only that its file is still the same.

        >>> library.get_if_open("other")
        """
        backends = self._open_collections.get(name)
        if backends is None or not self._is_visible(name, caller) or not backends.store.is_current():
            return None
        return Collection(name, backends, caller)

    @contextmanager
    def dry_run_collection(
        self, name: str, *, embedder: str | None = None, caller: Caller = LOCAL_CALLER
    ) -> Iterator[Collection]:
        """Yield the collection for a dry run; if there is none, a temporary empty one.

        >>> with library.dry_run_collection("new") as collection:
        ...     collection.ingest("docs/", dry_run=True).added
        1
        """
        if self.exists(name):
            yield self.create(name, embedder=embedder, caller=caller)
            return
        import tempfile

        validate_name(name, "collection")
        temp_embedder = make_embedder(embedder or self._default_spec, self._embedder_deps)
        with tempfile.TemporaryDirectory() as folder:
            LocalStore.create(Path(folder), space=temp_embedder.name, dim=temp_embedder.dim or 1, spec="")
            with closing(LocalStore(Path(folder), self.settings.index_thresholds)) as store:
                yield Collection(name, self._build_backends(store, temp_embedder), caller)

    def exists(self, name: str) -> bool:
        """Return whether there is a collection of this name.

        >>> library.exists("handbook"), library.exists("other")
        (True, False)
        """
        self.loop.check_open()
        return is_valid_name(name) and self._folders.exists(name)

    def collections(
        self, *, caller: Caller = LOCAL_CALLER, on_failure: Callable[[Failure], None] | None = None
    ) -> list[CollectionInfo]:
        """Return the collections that `caller` may see, by name.

        One that cannot be read goes to `on_failure`, by default to the log.

        >>> library.collections()
        [CollectionInfo(name='handbook', embedder='local', documents=1, chunks=1)]
        """
        infos = []
        for name in self._folders.list_names():
            try:
                if self._is_visible(name, caller) and self.exists(name):
                    infos.append(self._get_info(name, caller))
            except NotFoundError:
                continue  # another process deleted it since it was listed
            except (StorageError, ConflictError, LockedError) as exc:
                (on_failure or _log_failure)(Failure(name, str(exc), exc.name))
        return infos

    def delete(self, name: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Delete a collection with its documents; NotFoundError if there is none, LockedError while a job runs.

        >>> library.delete("handbook")
        """
        self._check_exists(name, caller)
        if caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of the collection {name}, so you may not delete it")
        with self._folders.hide_then_delete(name):
            self._close_collection(name)

    def get_answer(self, answer_id: str, *, caller: Caller = LOCAL_CALLER) -> tuple[AnswerRecord, list[CitationChange]]:
        """Return an answer of the caller, and how its sources have changed since; NotFoundError if there is none.

        >>> record, changes = library.get_answer(handbook.ask("How long is parental leave?").id)
        >>> record.question, changes
        ('How long is parental leave?', [])
        """
        record = self.ledger.get_answer(caller.owner, answer_id)
        if record is None or not self._is_visible(record.collection, caller):
            raise NotFoundError(
                f"there is no answer {answer_id[:80]!r}; answers are kept for {self.settings.keep_days} days"
            )
        citations = record.answer.citations
        if not self.exists(record.collection):
            return record, [CitationChange(citation.marker, citation.uri, "gone") for citation in citations]
        return record, self.open(record.collection, caller=caller).citation_changes(citations)

    def get_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> Session:
        """Return a session of the caller with all its turns; NotFoundError if there is none.

        >>> library.get_session(handbook.create_session().id).turns
        ()
        """
        session = self.ledger.get_session(caller.owner, session_id)
        if session is None or not self._is_visible(session.collection, caller):
            raise _session_not_found(session_id)
        return session

    def delete_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Delete a session of the caller; NotFoundError if there is none.

        >>> library.delete_session(handbook.create_session().id)
        """
        if not self.ledger.delete_session(caller.owner, session_id):
            raise _session_not_found(session_id)

    def usage(self, by: UsageGroupBy = "day", since: str | None = None, *, caller: Caller | None = None) -> UsageReport:
        """Return the usage of `caller`, or of all (None), from the ISO date `since` on, with budgets and rate limits.

        The budget that all owners share is left out for a caller with a key.

        >>> library.usage(by="model").rows
        []
        """
        owner = None if caller is None else caller.owner
        include_total = caller is None or caller.key is None
        budget = self.settings.budget
        return build_usage_report(self.ledger, budget, by, since, owner=owner, include_total=include_total)

    def upstream_states(self) -> list[UpstreamState]:
        """Return the state of each model server that was called.

        >>> library.upstream_states()
        []
        """
        return [client.get_state() for client in self._clients.values()]

    def close(self) -> None:
        """Close every collection and stop the threads.

        >>> library.close()
        """
        if self.loop.is_forked:
            return  # the files and threads belong to the parent process
        self.loop.cancel_all()
        self._index_executor.shutdown()
        for name in list(self._open_collections):
            self._close_collection(name)
        self._search_executor.shutdown()
        self.loop.close(*(client.aclose() for client in self._clients.values()))
        self._clients.clear()
        if "_meter" in self.__dict__:
            self._meter.close()
        if "_embedding_cache" in self.__dict__:
            self._embedding_cache.close()
        self.ledger.close()

    def _check_exists(self, name: str, caller: Caller) -> None:
        if not self._is_visible(name, caller) or not self.exists(name):
            raise self._collection_not_found(name, caller)

    def _collection_not_found(self, name: str, caller: Caller) -> NotFoundError:
        """Return the error, with the nearest name of a collection that the caller may see, else with the remedy."""
        names = [other for other in self._folders.list_names() if self._is_visible(other, caller)]
        message, nearest = f"there is no collection {name[:80]!r}", find_nearest_name(name, names)
        if nearest is not None and self.exists(nearest):
            return NotFoundError(f"{message}; did you mean {nearest!r}?")
        return NotFoundError(f"{message}; make one", remedy=Remedy("create_collection", name))

    def _is_visible(self, name: str, caller: Caller) -> bool:
        return caller.collections is None or name in caller.collections

    def _get_info(self, name: str, caller: Caller) -> CollectionInfo:
        """Read the info from the store alone: the embedder of a collection may be missing."""
        caller_filter = None if caller.filter is None else parse_filter(caller.filter)
        backends = self._open_collections.get(name)
        if backends is not None and backends.store.is_current():
            return backends.store.info(caller_filter)
        with closing(self._folders.open(name)) as store:
            return store.info(caller_filter)

    def _create_collection(self, name: str, chosen: str | CustomEmbedder, caller: Caller) -> None:
        from .ingest.estimate import DIMENSION_PROBE_TEXT

        embedder = make_embedder(chosen, self._embedder_deps) if isinstance(chosen, str) else chosen
        # The purpose is "query", which has few retries: a caller waits for the error of an unreachable server.
        context = RequestContext("query", caller.owner, caller.key, name)
        dim = embedder.dim or self.loop.wait(embedder.embed([DIMENSION_PROBE_TEXT], context)).shape[1]
        self._folders.create(name, space=embedder.name, dim=dim, spec=get_spec(chosen))

    def _get_backends(self, name: str, chosen: str | CustomEmbedder | None = None) -> CollectionBackends:
        with self._open_lock:
            if name in self._open_collections and not self._open_collections[name].store.is_current():
                self._close_collection(name)
            if name not in self._open_collections:
                with ExitStack() as on_error:
                    store = on_error.enter_context(closing(self._folders.open(name)))
                    self._open_collections[name] = self._open_backends(name, store, chosen)
                    on_error.pop_all()
            elif chosen is not None:
                self._open_collections[name] = self._choose_backends(name, chosen)
            return self._open_collections[name]

    def _open_backends(self, name: str, store: LocalStore, chosen: str | CustomEmbedder | None) -> CollectionBackends:
        stored = StoredEmbedder(name, store.info().embedder, *store.vector_space())
        if chosen is None and is_custom(stored.spec):  # another process has made the collection anew
            chosen = self._custom_embedders.get(name)
        embedder = open_embedder(stored, chosen, self._embedder_deps, self.loop)
        if chosen is embedder:
            self._custom_embedders[name] = chosen
        return self._build_backends(store, embedder)

    def _choose_backends(self, name: str, chosen: str | CustomEmbedder) -> CollectionBackends:
        """Return the backends of an open collection, with another function of the same name where one is passed."""
        backends, known = self._open_collections[name], self._custom_embedders.get(name)
        if known is not None and not isinstance(chosen, str) and chosen.source is known.source:
            return backends
        assert isinstance(backends.store, LocalStore)
        opened = self._open_backends(name, backends.store, chosen)
        return opened if opened.embedder is chosen else backends

    def _build_backends(self, store: LocalStore, embedder: Embedder) -> CollectionBackends:
        return CollectionBackends(
            store=store,
            embedder=embedder,
            search_batcher=SearchBatcher(store, self._search_executor),
            result_options=ResultOptions(
                self.settings.collapse, self.settings.per_document, source_weights=self.settings.source_weights
            ),
            answerer_deps=AnswererDeps(self.settings, lambda: self._local_embedder, self._get_client),
            ledger=self.ledger,
            get_meter=lambda: self._meter,
            # the name of a function does not tell it from another one of the same program
            query_cache=QueryVectorCache() if is_custom(embedder.name) else self._query_cache,
            loop=self.loop,
            search_executor=self._search_executor,
            index_executor=self._index_executor,
        )

    def _close_collection(self, name: str) -> None:
        if (backends := self._open_collections.pop(name, None)) is not None:
            backends.store.close()

    @property
    def _default_spec(self) -> str:
        """The embedder of new collections."""
        return normalize_spec(self.settings.embedder or DEFAULT_EMBEDDER)

    @property
    def _embedder_deps(self) -> EmbedderDeps:
        return EmbedderDeps(self.settings, self._get_client, lambda: self._embedding_cache)

    @cached_property
    def _local_embedder(self) -> Embedder:
        """The embedded model, made when the first question is asked."""
        return make_embedder(DEFAULT_EMBEDDER, self._embedder_deps)

    @cached_property
    def _embedding_cache(self) -> EmbeddingCache:
        """Made with the first embedder that costs money."""
        from .storage.embedding_cache import SqliteEmbeddingCache

        return SqliteEmbeddingCache(self.folder, max_bytes=int(self.settings.embedding_cache_gib * (1 << 30)))

    @cached_property
    def _meter(self) -> LedgerMeter:
        """Made before the first request to a model server."""
        from .usage.metering import LedgerMeter
        from .usage.pricing import PriceTable

        return LedgerMeter(self.ledger, PriceTable(self.settings.prices), self.settings.budget)

    def _get_client(self, endpoint: Endpoint) -> OpenAIClient:
        """Return the one client of an endpoint, which keeps its connections."""
        if endpoint not in self._clients:
            from .models.openai.endpoint_client import make_client

            self._clients[endpoint] = make_client(endpoint, self._meter)
        return self._clients[endpoint]


def _session_not_found(session_id: str) -> NotFoundError:
    return NotFoundError(f"there is no session {session_id[:80]!r}; begin one", remedy=Remedy("create_session"))


def _log_failure(failure: Failure) -> None:
    _log.warning("the collection %s cannot be read: %s", failure.uri, failure.error)
