"""A library: settings, collections on disk, and the backends that belong to them. The only place that joins these.

Every collection is a folder; making one and deleting one are a single rename, so that neither is ever seen half done.
"""

from __future__ import annotations

import logging
import re
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

from .answers.profiles import PLAIN, PROFILES
from .collection import Collection
from .core.errors import Conflict, Forbidden, Invalid, Locked, NotFound, Storage, Unavailable
from .core.event_loop import Loop
from .core.file_sync import sync_folder
from .core.ports import Embedder, Ledger, Paid
from .core.settings import MAX_TEMPERATURE, MAX_TOKENS, Endpoint, Settings
from .core.types.answers import Policy, Wishes
from .core.types.documents import CollectionInfo, Failure
from .core.types.search import Shape
from .core.types.sessions import Change, Record, Session
from .core.types.usage import LOCAL, Caller, Errand
from .models.embedders import Means, for_long, settled
from .models.embedders import embedder as make_embedder
from .search.batching import Searches
from .search.filters import parse
from .search.query_cache import Questions
from .storage.collections.local.catalog import FILE, accept_catalog, given_up
from .storage.collections.local.store import LocalStore
from .storage.ledger.local.ledger import LocalLedger

if TYPE_CHECKING:
    from .answers.answerers import Desk
    from .answers.pipeline import Manner
    from .models.openai.client import OpenAIClient, UpstreamState
    from .usage.metering import Meter

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DEFAULT_EMBEDDER = "local"
_log = logging.getLogger("semsearch.library")


class _Opened(NamedTuple):
    """What belongs to one collection, whoever sees it."""

    store: LocalStore
    embedder: Embedder
    searches: Searches


class Library:
    """The collections of one data directory."""

    def __init__(self, data_dir: str | Path | None = None, *, settings: Settings | None = None) -> None:
        settings = settings or Settings.load()
        self.settings = settings if data_dir is None else replace(settings, data_dir=Path(data_dir))
        self.folder = _checked_folder(self.settings.data_dir.absolute())
        self.loop = Loop()
        self._questions = Questions()
        self._searching = ThreadPoolExecutor(1, "semsearch-search")
        self._behind = ThreadPoolExecutor(1, "semsearch-index")
        self._open: dict[str, _Opened] = {}
        self._opening = threading.Lock()
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

    def create(self, name: str, *, embedder: str | None = None, caller: Caller = LOCAL) -> Collection:
        """Make a collection, or open it if it exists; Conflict if that one has another embedder."""
        _check_name(name)
        embedder = None if embedder is None else settled(embedder)
        if not self._visible(name, caller):
            raise Forbidden(f"you may not make a collection {name}")
        if not self.exists(name):
            self._make(name, embedder or DEFAULT_EMBEDDER, caller)
        collection = self.open(name, caller=caller)
        found = collection.info().embedder
        if embedder is not None and embedder != found:
            raise Conflict(
                f"{name} was made with the embedder {found}, not {embedder}; take that one, or another collection"
            )
        return collection

    def open(self, name: str, *, caller: Caller = LOCAL, accept_loss: bool = False) -> Collection:
        """A collection as `caller` may see it, with `accept_loss` also after commits were lost; NotFound if none."""
        self._check_exists(name, caller)
        if accept_loss and caller.filter is None:
            accept_catalog(self.folder / name)
        return self._collection(name, self._backends(name), caller)

    def opened(self, name: str, *, caller: Caller = LOCAL) -> Collection | None:
        """The collection if it is open already, without looking at more than the state of its file."""
        backends = self._open.get(name)
        if backends is None or not self._visible(name, caller) or not backends.store.is_current():
            return None
        return self._collection(name, backends, caller)

    @contextmanager
    def rehearsal(self, name: str, *, embedder: str | None = None, caller: Caller = LOCAL) -> Iterator[Collection]:
        """A collection for a dry run: the one that is there, or an empty one that goes away again."""
        if self.exists(name):
            yield self.create(name, embedder=embedder, caller=caller)
            return
        import tempfile

        _check_name(name)
        its_embedder = make_embedder(embedder or DEFAULT_EMBEDDER, self._means)
        with tempfile.TemporaryDirectory() as folder:
            LocalStore.create(Path(folder), space=its_embedder.name, dim=its_embedder.dim or 1, spec="")
            with closing(LocalStore(Path(folder), self.settings.crossings)) as store:
                yield self._collection(name, self._joined(store, its_embedder), caller)

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name."""
        self.loop.check()
        try:
            return _NAME.fullmatch(name) is not None and (self.folder / name / FILE).is_file()
        except OSError as exc:
            raise Storage(f"the data directory {self.folder} cannot be read: {exc.strerror}") from exc

    def collections(
        self, *, caller: Caller = LOCAL, on_failure: Callable[[Failure], None] | None = None
    ) -> list[CollectionInfo]:
        """The collections that `caller` may see, by name; one not readable goes to `on_failure`, else the log."""
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise Storage(f"the data directory {self.folder} cannot be listed: {exc.strerror}") from exc
        found = []
        for name in names:
            try:
                if self._visible(name, caller) and self.exists(name):
                    found.append(self._info(name, caller))
            except NotFound:
                continue  # deleted just now
            except (Storage, Conflict, Locked) as exc:
                (on_failure or _logged)(Failure(name, str(exc), exc.name))
        return found

    def delete(self, name: str, *, caller: Caller = LOCAL) -> None:
        """Delete a collection with all it holds; NotFound if there is none, Locked while a job is at work in it."""
        self._check_exists(name, caller)
        folder, grave = self.folder / name, self.folder / f".deleted-{secrets.token_hex(8)}"
        if caller.filter is not None:
            raise Forbidden(f"you may see only a part of {name}, and so not delete it")
        with given_up(folder):
            folder.rename(grave)
            sync_folder(self.folder)
        self._forget(name)
        shutil.rmtree(grave, ignore_errors=True)

    def answer(self, answer_id: str, *, caller: Caller = LOCAL) -> tuple[Record, list[Change]]:
        """An answer that `caller` was given, and what has become of its sources since; NotFound if there is none."""
        record = self.ledger.answer(caller.owner, answer_id)
        if record is None or not self._visible(record.collection, caller):
            raise NotFound(f"there is no answer {answer_id[:80]!r}; each is kept for {self.settings.keep_days} days")
        if not self.exists(record.collection):
            return record, [Change(cited.marker, cited.uri, "gone") for cited in record.answer.citations]
        return record, self.open(record.collection, caller=caller).changes(record.answer.citations)

    def session(self, session_id: str, *, caller: Caller = LOCAL) -> Session:
        """A conversation of the caller's with all its turns; NotFound if there is none."""
        found = self.ledger.session(caller.owner, session_id)
        if found is None or not self._visible(found.collection, caller):
            raise _no_session(session_id)
        return found

    def end(self, session_id: str, *, caller: Caller = LOCAL) -> None:
        """Forget a conversation; NotFound if there is none."""
        if not self.ledger.end(caller.owner, session_id):
            raise _no_session(session_id)

    def upstreams(self) -> list[UpstreamState]:
        """How the model servers that were called are doing."""
        return [client.state() for client in self._clients.values()]

    def close(self) -> None:
        """Close every collection and end the threads."""
        if self.loop.is_inherited:
            return  # all of it belongs to another process
        self.loop.give_up()
        self._behind.shutdown()
        for name in list(self._open):
            self._forget(name)
        self._searching.shutdown()
        self.loop.close(*(client.aclose() for client in self._clients.values()))
        self._clients.clear()
        if "_meter" in self.__dict__:
            self._meter.close()
        if "_paid" in self.__dict__:
            self._paid.close()
        self.ledger.close()

    def _collection(self, name: str, backends: _Opened, caller: Caller) -> Collection:
        return Collection(
            name=name,
            store=backends.store,
            embedder=backends.embedder,
            desk=partial(self._manner, backends.embedder),
            ledger=self.ledger,
            meter=lambda: self._meter,
            loop=self.loop,
            questions=self._questions,
            searches=backends.searches,
            searching=self._searching,
            behind=self._behind,
            for_long=for_long,
            shape=Shape(self.settings.collapse, self.settings.per_document),
            caller=caller,
        )

    def _manner(self, its_embedder: Embedder, wishes: Wishes, of_session: str | None) -> Manner:
        """Who answers and how: by the request, else its session, else the settings."""
        from .answers.pipeline import Manner

        _check_wishes(wishes)
        name = wishes.profile or of_session
        profiles = {**PROFILES, **self.settings.profiles}
        if name is not None and name not in profiles:
            raise Invalid(f"there is no profile {name[:80]!r}; there are {', '.join(sorted(profiles))}")
        profile = PLAIN if name is None else profiles[name]
        answerer, warnings = self._desk(wishes, profile, its_embedder)
        return Manner(answerer, wishes.policy or profile.policy or self.settings.policy, profile, warnings)

    @cached_property
    def _paid(self) -> Paid:
        """Made when an embedder that costs money is first chosen."""
        from .storage.embedding_cache import PaidVectors

        return PaidVectors(self.folder, most_bytes=int(self.settings.paid_gib * (1 << 30)))

    @property
    def _means(self) -> Means:
        return Means(self.settings, self._client, lambda: self._paid)

    @cached_property
    def _meter(self) -> Meter:
        """Made when a model server is first called."""
        from .usage.metering import Meter
        from .usage.pricing import Prices

        return Meter(self.ledger, Prices(self.settings.prices), self.settings.budget)

    @cached_property
    def _desk(self) -> Desk:
        """Made when the first question is asked: it brings a model with it."""
        from .answers.answerers import ANSWERERS, Parts

        kind = "chat" if self.settings.chat_model else "extractive"
        local = partial(make_embedder, DEFAULT_EMBEDDER, self._means)
        return ANSWERERS[kind](Parts(self.settings, local, partial(self._client, self.settings.chat)))

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
        if not self._visible(name, caller) or not self.exists(name):
            way = "semsearch ingest PATH -c NAME, or PUT /v1/collections/NAME"
            raise NotFound(f"there is no collection {name[:80]!r}; make one: {way}")

    def _info(self, name: str, caller: Caller) -> CollectionInfo:
        """A collection at a glance, which needs no embedder: it may be gone."""
        where = None if caller.filter is None else parse(caller.filter)
        if (opened := self._open.get(name)) is not None and opened.store.is_current():
            return opened.store.info(where)
        with closing(self._store(name)) as store:
            return store.info(where)

    def _visible(self, name: str, caller: Caller) -> bool:
        return caller.collections is None or name in caller.collections

    def _make(self, name: str, spec: str, caller: Caller) -> None:
        from .ingest.estimate import PROBE

        its_embedder = make_embedder(spec, self._means)
        errand = Errand("query", caller.owner, caller.key, name)  # as for one: somebody waits to hear of a dead server
        dim = its_embedder.dim or self.loop.wait(its_embedder.embed([PROBE], errand)).shape[1]
        aside = self.folder / f".creating-{secrets.token_hex(8)}"
        try:
            aside.mkdir(parents=True)
            LocalStore.create(aside, space=its_embedder.name, dim=dim, spec=spec)
            aside.rename(self.folder / name)
            sync_folder(self.folder)
        except OSError as exc:
            if not self.exists(name):  # else another process was faster, and its collection is as good
                raise Storage(f"the data directory {self.folder} cannot be written: {exc.strerror}") from exc
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _backends(self, name: str) -> _Opened:
        with self._opening:
            if name in self._open and not self._open[name].store.is_current():
                self._forget(name)
            if name not in self._open:
                self._open[name] = self._opened(name)
            return self._open[name]

    def _opened(self, name: str) -> _Opened:
        store = self._store(name)
        try:
            its_embedder = make_embedder(store.info().embedder, self._means)
        except NotFound as exc:  # the collection is there, and what it needs is not
            store.close()
            raise Unavailable(str(exc)) from exc
        space, dim = store.space()
        its_embedder.dim = its_embedder.dim or dim
        if space != its_embedder.name:
            spec = store.info().embedder
            store.close()
            raise Conflict(
                f"{name} was made with the embedder {space!r}, and what {spec} names now is"
                f" {its_embedder.name!r}: bring the former back, or make another collection"
            )
        return self._joined(store, its_embedder)

    def _joined(self, store: LocalStore, its_embedder: Embedder) -> _Opened:
        return _Opened(store, its_embedder, Searches(store, self._searching))

    def _store(self, name: str) -> LocalStore:
        return LocalStore(self.folder / name, self.settings.crossings)

    def _forget(self, name: str) -> None:
        if (opened := self._open.pop(name, None)) is not None:
            opened.store.close()


def _no_session(session_id: str) -> NotFound:
    return NotFound(f"there is no session {session_id[:80]!r}; begin one: POST /v1/sessions")


def _check_wishes(wishes: Wishes) -> None:
    """Where every door passes: a bound below 1 would count against no budget."""
    if wishes.model is not None and not wishes.model.strip():
        raise Invalid("the model's name is empty; name one, or none for the one that is set")
    if wishes.max_tokens is not None and not 1 <= wishes.max_tokens <= MAX_TOKENS:
        raise Invalid(f"max_tokens is between 1 and {MAX_TOKENS:,}, not {wishes.max_tokens}")
    if wishes.temperature is not None and not 0 <= wishes.temperature <= MAX_TEMPERATURE:
        raise Invalid(f"temperature is between 0 and {MAX_TEMPERATURE:g}, not {wishes.temperature}")
    if wishes.policy is not None and wishes.policy not in get_args(Policy):
        raise Invalid(f"the policy is one of {', '.join(get_args(Policy))}, not {wishes.policy!r}")


def _checked_folder(folder: Path) -> Path:
    """Return it if it is a folder, or can still become one; Storage otherwise."""
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return folder
    except OSError as exc:
        raise Storage(f"the data directory {folder} cannot be looked at: {exc.strerror}") from exc
    if not is_folder:
        raise Storage(f"the data directory {folder} is a file; name a folder with --data-dir or SEMSEARCH_DATA_DIR")
    return folder


def _logged(failed: Failure) -> None:
    _log.warning("the collection %s cannot be read: %s", failed.uri, failed.error)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot name a collection: take a-z, 0-9, - and _, up to 63 of them, not - or _ first"
        )
