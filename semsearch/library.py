"""A library: settings, collections on disk, and the backends that belong to them. The only place that joins these.

Every collection is a folder; making one and deleting one are a single rename, so that neither is ever seen half done.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, get_args

from .answers.profiles import DEFAULT_PROFILE, PROFILES
from .collection import Collection
from .core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LockedError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from .core.event_loop import EventLoopThread
from .core.file_sync import sync_folder
from .core.names import is_valid_name, validate_name
from .core.ports import Embedder, EmbeddingCache, Ledger
from .core.settings import MAX_TEMPERATURE, MAX_TOKENS, Endpoint, Settings
from .core.types.answers import GenerationOptions, SupportPolicy
from .core.types.documents import CollectionInfo, Failure
from .core.types.search import ResultOptions
from .core.types.sessions import AnswerRecord, CitationChange, Session
from .core.types.usage import LOCAL_CALLER, Caller, RequestContext, UsageGroupBy, UsageReport
from .models.embedders import EmbedderDeps, make_embedder, normalize_spec, open_bulk_embedder
from .search.batching import SearchBatcher
from .search.filters import parse_filter
from .search.query_cache import QueryVectorCache
from .storage.collections.local.catalog import CATALOG_FILE, accept_catalog, locked_for_delete
from .storage.collections.local.store import LocalStore
from .storage.ledger.local.ledger import LocalLedger
from .usage.report import build_usage_report

if TYPE_CHECKING:
    from .answers.answerers import AnswererFactory
    from .answers.pipeline import AnswerConfig
    from .models.openai.client import OpenAIClient, UpstreamState
    from .usage.metering import LedgerMeter

DEFAULT_EMBEDDER = "local"
_log = logging.getLogger("semsearch.library")


class _Backends(NamedTuple):
    """What belongs to one collection, whoever sees it."""

    store: LocalStore
    embedder: Embedder
    search_batcher: SearchBatcher


class Library:
    """The collections of one data directory."""

    def __init__(self, data_dir: str | Path | None = None, *, settings: Settings | None = None) -> None:
        settings = settings or Settings.load()
        self.settings = settings if data_dir is None else replace(settings, data_dir=Path(data_dir))
        self.folder = _validate_data_dir(self.settings.data_dir.absolute())
        self.loop = EventLoopThread()
        self._query_cache = QueryVectorCache()
        self._search_executor = ThreadPoolExecutor(1, "semsearch-search")
        self._index_executor = ThreadPoolExecutor(1, "semsearch-index")
        self._open_collections: dict[str, _Backends] = {}
        self._open_lock = threading.Lock()
        self._clients: dict[Endpoint, OpenAIClient] = {}
        self.ledger: Ledger = LocalLedger(self.folder, keep_days=self.settings.keep_days)

    def __enter__(self) -> Self:
        """Use the library in a `with` block, which closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the library."""
        self.close()

    def create(self, name: str, *, embedder: str | None = None, caller: Caller = LOCAL_CALLER) -> Collection:
        """Make a collection, or open it if it exists; Conflict if that one has another embedder."""
        validate_name(name, "collection")
        embedder = None if embedder is None else normalize_spec(embedder)
        if not self._is_visible(name, caller):
            raise ForbiddenError(f"you may not make a collection {name}")
        if not self.exists(name):
            self._create_collection(name, embedder or DEFAULT_EMBEDDER, caller)
        collection = self.open(name, caller=caller)
        existing_embedder = collection.info().embedder
        if embedder is not None and embedder != existing_embedder:
            raise ConflictError(
                f"{name} was made with the embedder {existing_embedder}, not {embedder}; take that one, or another collection"
            )
        return collection

    def open(self, name: str, *, caller: Caller = LOCAL_CALLER, accept_loss: bool = False) -> Collection:
        """A collection as `caller` may see it, with `accept_loss` also after commits were lost; NotFound if none."""
        self._check_exists(name, caller)
        if accept_loss and caller.filter is None:
            accept_catalog(self.folder / name)
        return self._collection(name, self._get_backends(name), caller)

    def get_open(self, name: str, *, caller: Caller = LOCAL_CALLER) -> Collection | None:
        """The collection if it is open already, without looking at more than the state of its file."""
        backends = self._open_collections.get(name)
        if backends is None or not self._is_visible(name, caller) or not backends.store.is_current():
            return None
        return self._collection(name, backends, caller)

    @contextmanager
    def dry_run_collection(
        self, name: str, *, embedder: str | None = None, caller: Caller = LOCAL_CALLER
    ) -> Iterator[Collection]:
        """A collection for a dry run: the one that is there, or an empty one that goes away again."""
        if self.exists(name):
            yield self.create(name, embedder=embedder, caller=caller)
            return
        import tempfile

        validate_name(name, "collection")
        collection_embedder = make_embedder(embedder or DEFAULT_EMBEDDER, self._embedder_deps)
        with tempfile.TemporaryDirectory() as folder:
            LocalStore.create(Path(folder), space=collection_embedder.name, dim=collection_embedder.dim or 1, spec="")
            with closing(LocalStore(Path(folder), self.settings.index_thresholds)) as store:
                yield self._collection(name, self._build_backends(store, collection_embedder), caller)

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        self.loop.check_open()
        try:
            return is_valid_name(name) and (self.folder / name / CATALOG_FILE).is_file()
        except OSError as exc:
            raise StorageError(f"the data directory {self.folder} cannot be read: {exc.strerror}") from exc

    def collections(
        self, *, caller: Caller = LOCAL_CALLER, on_failure: Callable[[Failure], None] | None = None
    ) -> list[CollectionInfo]:
        """The collections that `caller` may see, by name; one not readable goes to `on_failure`, else the log."""
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StorageError(f"the data directory {self.folder} cannot be listed: {exc.strerror}") from exc
        infos = []
        for name in names:
            try:
                if self._is_visible(name, caller) and self.exists(name):
                    infos.append(self._collection_info(name, caller))
            except NotFoundError:
                continue  # deleted just now
            except (StorageError, ConflictError, LockedError) as exc:
                (on_failure or _log_failure)(Failure(name, str(exc), exc.name))
        return infos

    def delete(self, name: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Delete a collection with all it holds; NotFound if there is none, Locked while a job is at work in it."""
        self._check_exists(name, caller)
        folder, trash_folder = self.folder / name, self.folder / f".deleted-{secrets.token_hex(8)}"
        if caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of {name}, and so not delete it")
        with locked_for_delete(folder):
            folder.rename(trash_folder)
            sync_folder(self.folder)
        self._close_collection(name)
        shutil.rmtree(trash_folder, ignore_errors=True)

    def get_answer(self, answer_id: str, *, caller: Caller = LOCAL_CALLER) -> tuple[AnswerRecord, list[CitationChange]]:
        """An answer that `caller` was given, and what has become of its sources since; NotFound if there is none."""
        record = self.ledger.get_answer(caller.owner, answer_id)
        if record is None or not self._is_visible(record.collection, caller):
            raise NotFoundError(
                f"there is no answer {answer_id[:80]!r}; each is kept for {self.settings.keep_days} days"
            )
        if not self.exists(record.collection):
            return record, [CitationChange(cited.marker, cited.uri, "gone") for cited in record.answer.citations]
        return record, self.open(record.collection, caller=caller).citation_changes(record.answer.citations)

    def get_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> Session:
        """A conversation of the caller's with all its turns; NotFound if there is none."""
        session = self.ledger.get_session(caller.owner, session_id)
        if session is None or not self._is_visible(session.collection, caller):
            raise _session_not_found(session_id)
        return session

    def delete_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Forget a conversation; NotFound if there is none."""
        if not self.ledger.delete_session(caller.owner, session_id):
            raise _session_not_found(session_id)

    def usage(self, by: UsageGroupBy = "day", since: str | None = None, *, caller: Caller | None = None) -> UsageReport:
        """Return the usage of `caller`, or of all (None), from the ISO date `since` on, with budgets and rate limits.

        The budget that all owners share is left out for a caller with a key.
        """
        owner = None if caller is None else caller.owner
        include_total = caller is None or caller.key is None
        budget = self.settings.budget
        return build_usage_report(self.ledger, budget, by, since, owner=owner, include_total=include_total)

    def upstream_states(self) -> list[UpstreamState]:
        """How the model servers that were called are doing."""
        return [client.get_state() for client in self._clients.values()]

    def close(self) -> None:
        """Close every collection and end the threads."""
        if self.loop.is_forked:
            return  # all of it belongs to another process
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

    def _collection(self, name: str, backends: _Backends, caller: Caller) -> Collection:
        return Collection(
            name=name,
            store=backends.store,
            embedder=backends.embedder,
            make_answer_config=partial(self._make_answer_config, backends.embedder),
            ledger=self.ledger,
            get_meter=lambda: self._meter,
            loop=self.loop,
            query_cache=self._query_cache,
            search_batcher=backends.search_batcher,
            search_executor=self._search_executor,
            index_executor=self._index_executor,
            for_bulk=open_bulk_embedder,
            result_options=ResultOptions(self.settings.collapse, self.settings.per_document),
            caller=caller,
        )

    def _make_answer_config(
        self, embedder: Embedder, options: GenerationOptions, session_profile: str | None
    ) -> AnswerConfig:
        """Who answers and how: by the request, else its session, else the settings."""
        from .answers.pipeline import AnswerConfig

        _validate_options(options)
        name = options.profile or session_profile
        profiles = {**PROFILES, **self.settings.profiles}
        if name is not None and name not in profiles:
            raise InvalidError(f"there is no profile {name[:80]!r}; there are {', '.join(sorted(profiles))}")
        profile = DEFAULT_PROFILE if name is None else profiles[name]
        answerer, warnings = self._answerer_factory(options, profile, embedder)
        return AnswerConfig(answerer, options.policy or profile.policy or self.settings.policy, profile, warnings)

    @cached_property
    def _embedding_cache(self) -> EmbeddingCache:
        """Made when an embedder that costs money is first chosen."""
        from .storage.embedding_cache import SqliteEmbeddingCache

        return SqliteEmbeddingCache(self.folder, max_bytes=int(self.settings.embedding_cache_gib * (1 << 30)))

    @property
    def _embedder_deps(self) -> EmbedderDeps:
        return EmbedderDeps(self.settings, self._client, lambda: self._embedding_cache)

    @cached_property
    def _meter(self) -> LedgerMeter:
        """Made when a model server is first called."""
        from .usage.metering import LedgerMeter
        from .usage.pricing import PriceTable

        return LedgerMeter(self.ledger, PriceTable(self.settings.prices), self.settings.budget)

    @cached_property
    def _answerer_factory(self) -> AnswererFactory:
        """Made when the first question is asked: it brings a model with it."""
        from .answers.answerers import ANSWERERS, AnswererDeps

        kind = "chat" if self.settings.chat_model else "extractive"
        local = partial(make_embedder, DEFAULT_EMBEDDER, self._embedder_deps)
        return ANSWERERS[kind](AnswererDeps(self.settings, local, partial(self._client, self.settings.chat)))

    def _client(self, endpoint: Endpoint) -> OpenAIClient:
        """The one client of this endpoint, with its pool of connections."""
        if endpoint not in self._clients:
            from .models.openai.client import OpenAIClient

            self._clients[endpoint] = OpenAIClient(
                endpoint.base_url,
                endpoint.key.read,
                meter=self._meter,
                organization=endpoint.organization,
                project=endpoint.project,
                proxy=endpoint.proxy,
                ca_file=endpoint.ca_file,
                timeout=endpoint.timeout,
            )
        return self._clients[endpoint]

    def _check_exists(self, name: str, caller: Caller) -> None:
        if not self._is_visible(name, caller) or not self.exists(name):
            way = "semsearch ingest PATH -c NAME, or PUT /v1/collections/NAME"
            raise NotFoundError(f"there is no collection {name[:80]!r}; make one: {way}")

    def _collection_info(self, name: str, caller: Caller) -> CollectionInfo:
        """A collection at a glance, which needs no embedder: it may be gone."""
        filter = None if caller.filter is None else parse_filter(caller.filter)
        if (opened := self._open_collections.get(name)) is not None and opened.store.is_current():
            return opened.store.info(filter)
        with closing(self._open_store(name)) as store:
            return store.info(filter)

    def _is_visible(self, name: str, caller: Caller) -> bool:
        return caller.collections is None or name in caller.collections

    def _create_collection(self, name: str, spec: str, caller: Caller) -> None:
        from .ingest.estimate import DIMENSION_PROBE_TEXT

        embedder = make_embedder(spec, self._embedder_deps)
        context = RequestContext(
            "query", caller.owner, caller.key, name
        )  # as for one: somebody waits to hear of a dead server
        dim = embedder.dim or self.loop.wait(embedder.embed([DIMENSION_PROBE_TEXT], context)).shape[1]
        temp_folder = self.folder / f".creating-{secrets.token_hex(8)}"
        try:
            temp_folder.mkdir(parents=True)
            LocalStore.create(temp_folder, space=embedder.name, dim=dim, spec=spec)
            temp_folder.rename(self.folder / name)
            sync_folder(self.folder)
        except OSError as exc:
            if not self.exists(name):  # else another process was faster, and its collection is as good
                raise StorageError(f"the data directory {self.folder} cannot be written: {exc.strerror}") from exc
        finally:
            shutil.rmtree(temp_folder, ignore_errors=True)

    def _get_backends(self, name: str) -> _Backends:
        with self._open_lock:
            if name in self._open_collections and not self._open_collections[name].store.is_current():
                self._close_collection(name)
            if name not in self._open_collections:
                self._open_collections[name] = self._open_backends(name)
            return self._open_collections[name]

    def _open_backends(self, name: str) -> _Backends:
        store = self._open_store(name)
        try:
            embedder = make_embedder(store.info().embedder, self._embedder_deps)
        except NotFoundError as exc:  # the collection is there, and what it needs is not
            store.close()
            raise UnavailableError(str(exc)) from exc
        space, dim = store.vector_space()
        embedder.dim = embedder.dim or dim
        if space != embedder.name:
            spec = store.info().embedder
            store.close()
            raise ConflictError(
                f"{name} was made with the embedder {space!r}, and what {spec} names now is"
                f" {embedder.name!r}: bring the former back, or make another collection"
            )
        return self._build_backends(store, embedder)

    def _build_backends(self, store: LocalStore, embedder: Embedder) -> _Backends:
        return _Backends(store, embedder, SearchBatcher(store, self._search_executor))

    def _open_store(self, name: str) -> LocalStore:
        return LocalStore(self.folder / name, self.settings.index_thresholds)

    def _close_collection(self, name: str) -> None:
        if (opened := self._open_collections.pop(name, None)) is not None:
            opened.store.close()


def _session_not_found(session_id: str) -> NotFoundError:
    return NotFoundError(f"there is no session {session_id[:80]!r}; begin one: POST /v1/sessions")


def _validate_options(options: GenerationOptions) -> None:
    """Where every door passes: a bound below 1 would count against no budget."""
    if options.model is not None and not options.model.strip():
        raise InvalidError("the model's name is empty; name one, or none for the one that is set")
    if options.max_tokens is not None and not 1 <= options.max_tokens <= MAX_TOKENS:
        raise InvalidError(f"max_tokens is between 1 and {MAX_TOKENS:,}, not {options.max_tokens}")
    if options.temperature is not None and not 0 <= options.temperature <= MAX_TEMPERATURE:
        raise InvalidError(f"temperature is between 0 and {MAX_TEMPERATURE:g}, not {options.temperature}")
    if options.policy is not None and options.policy not in get_args(SupportPolicy):
        raise InvalidError(f"the policy is one of {', '.join(get_args(SupportPolicy))}, not {options.policy!r}")


def _validate_data_dir(folder: Path) -> Path:
    """Return it if it is a folder, or can still become one; Storage otherwise."""
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return folder
    except OSError as exc:
        raise StorageError(f"the data directory {folder} cannot be looked at: {exc.strerror}") from exc
    if not is_folder:
        raise StorageError(
            f"the data directory {folder} is a file; name a folder with --data-dir or SEMSEARCH_DATA_DIR"
        )
    return folder


def _log_failure(failure: Failure) -> None:
    _log.warning("the collection %s cannot be read: %s", failure.uri, failure.error)
