"""A library: settings, the collections of one data directory, and their backends. The only package that joins these."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..access.keys import AccessKeys
from ..access.rate_limiter import RateLimiter
from ..access.stream_slots import StreamSlots
from ..collection import Collection
from ..core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LockedError,
    NotFoundError,
    Remedy,
    StorageError,
)
from ..core.event_loop import EventLoopThread
from ..core.metrics import MetricsRelay
from ..core.names import find_nearest_name, is_valid_name, validate_name
from ..core.ports import ApprovedAnswers, KeptResponses, Ledger
from ..core.settings import Settings
from ..core.short_repr import format_repr, shorten_middle
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.documents import Failure
from ..core.types.feedback import Feedback
from ..core.types.sessions import AnswerRecord, CitationChange
from ..core.types.stored_documents import CollectionInfo
from ..core.types.usage import RequestContext, UsageGroupBy, UsageReport
from ..models.embedders import make_embedder
from ..models.embedders.choice import choose_embedder, get_spec
from ..search.filters import parse_filter
from ..storage.collections.local.folders import CollectionFolders
from ..storage.collections.local.store import LocalStore
from ..storage.ledger.local.ledger import LocalLedger
from ..storage.limits_file import LimitsFile
from ..usage.report import build_usage_report
from .approvals import ApprovalOperations
from .keys import KeyOperations, make_proxy_identities
from .model_access import ModelAccess
from .monitoring import MonitoringOperations
from .open_collections import OpenCollections
from .sessions import SessionOperations

if TYPE_CHECKING:
    from ..models.embedders.choice import EmbedderInput
    from ..models.embedders.custom import CustomEmbedder

_log = logging.getLogger("semsearch.library")


class Library(KeyOperations, ApprovalOperations, MonitoringOperations, SessionOperations):
    """The collections of one data directory.

    >>> with semsearch.Library("other") as library:
    ...     library
    Library('other')
    """

    def __init__(self, data_dir: str | Path | None = None, *, settings: Settings | None = None) -> None:
        settings = settings or Settings.load()
        self.settings = settings if data_dir is None else replace(settings, data_dir=Path(data_dir))
        self.folder = self.settings.data_dir.absolute()
        self._folders = CollectionFolders(
            self.folder, self.settings.index_thresholds, int(self.settings.originals_gib * (1 << 30))
        )
        self._folders.sweep()
        self.loop = EventLoopThread()
        ledger = LocalLedger(self.folder, keep_days=self.settings.keep_days)
        self.ledger: Ledger = ledger
        self.access_keys = AccessKeys(ledger)
        self.kept_responses: KeptResponses = ledger
        self.approvals: ApprovedAnswers = ledger
        self.proxy_identities = make_proxy_identities(self.settings)
        limit_store = LimitsFile(self.folder)
        self.rate_limiter = RateLimiter(limit_store, self.settings.address_requests_per_minute)
        self.stream_slots = StreamSlots(limit_store)
        self.metrics = MetricsRelay()
        """What its layers report; a service sets the target."""
        self._models = ModelAccess(
            self.settings, self.folder, self.ledger, self.metrics, self.rate_limiter.charge_tokens
        )
        self._open = OpenCollections(
            self._folders, self._models, self.settings, ledger, ledger, self.loop, self.metrics
        )

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
        self._check_may_create(name, caller)
        if not self.exists(name):
            caller.check_scope("admin")
            self._create_collection(name, chosen or self._models.default_spec, caller)
        self._check_exists(name, caller)
        return Collection(name, self._open.get(name, chosen), caller)

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
        return Collection(name, self._open.get(name, choose_embedder(embedder)), caller)

    def get_if_open(self, name: str, *, caller: Caller = LOCAL_CALLER) -> Collection | None:
        """Return the collection if it is open already. Checks only that its file is still the same.

        >>> library.get_if_open("other")
        """
        backends = self._open.get_if_current(name)
        if backends is None or not self._is_visible(name, caller):
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
        self._check_may_create(name, caller)
        if self.exists(name):
            yield self.create(name, embedder=embedder, caller=caller)
            return
        import tempfile

        validate_name(name, "collection")
        temp_embedder = make_embedder(embedder or self._models.default_spec, self._models.embedder_deps)
        with tempfile.TemporaryDirectory() as folder:
            LocalStore.create(Path(folder), space=temp_embedder.name, dim=temp_embedder.dim or 1, spec="")
            with closing(LocalStore(Path(folder), self.settings.index_thresholds)) as store:
                yield Collection(name, self._open.build(store, temp_embedder), caller)

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
        """Delete a collection with its documents and approved answers; LockedError while a job runs.

        NotFoundError if there is none.

        >>> library.delete("handbook")
        """
        self._check_exists(name, caller)
        caller.check_scope("admin")
        if caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of the collection {name}, so you may not delete it")
        with self._folders.hide_then_delete(name):
            self._open.close_one(name)
        self.approvals.remove_approved_of_collection(name)

    def get_answer(self, answer_id: str, *, caller: Caller = LOCAL_CALLER) -> tuple[AnswerRecord, list[CitationChange]]:
        """Return an answer of the caller, and how its sources have changed since; NotFoundError if there is none.

        >>> record, changes = library.get_answer(handbook.ask("How long is parental leave?").id)
        >>> record.question, changes
        ('How long is parental leave?', [])
        """
        record = self._get_answer_record(answer_id, caller)
        citations = record.answer.citations
        if not self.exists(record.collection):
            return record, [CitationChange(citation.marker, citation.uri, "gone") for citation in citations]
        return record, self.open(record.collection, caller=caller).citation_changes(citations)

    def add_feedback(
        self,
        answer_id: str,
        *,
        helpful: bool | None = None,
        wrong_marker: int | None = None,
        right_chunk_id: int | None = None,
        comment: str | None = None,
        caller: Caller = LOCAL_CALLER,
    ) -> Feedback:
        """Store what the caller says about one of their answers, and return all that they have said about it.

        `wrong_marker` is the marker of a citation that does not support its sentence, `right_chunk_id` the `chunk_id`
        of a passage that holds the answer. Each replaces its earlier value. It is deleted with the answer.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> library.add_feedback(answer.id, wrong_marker=1, comment="That is the old rule.").wrong_marker
        1
        """
        from ..answers.feedback import validate_feedback  # late: a search needs no answers

        record = self._get_answer_record(answer_id, caller)
        feedback = validate_feedback(
            Feedback(record.answer.id, helpful, wrong_marker, right_chunk_id, comment),
            record.answer,
            lambda chunk_id: self._has_chunk(record, chunk_id, caller),
        )
        return self.ledger.add_feedback(caller.record_owner, feedback)

    def get_feedback(self, answer_id: str, *, caller: Caller = LOCAL_CALLER) -> Feedback | None:
        """Return what the caller said about one of their answers; NotFoundError if there is no such answer.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> print(library.get_feedback(answer.id))
        None
        """
        self._get_answer_record(answer_id, caller)
        return self.ledger.get_feedback(caller.record_owner, answer_id)

    def usage(self, by: UsageGroupBy = "day", since: str | None = None, *, caller: Caller | None = None) -> UsageReport:
        """Return the usage of `caller`, or of all (None), from the ISO date `since` on, with budgets and rate limits.

        Rows of collections that the caller may not see are left out, and the rate limits of model servers for a caller
        without the scope `admin` or all collections. The budget that all owners share is left out for such a caller,
        and for one with a key.

        >>> library.usage(by="model").rows
        []
        """
        viewer = LOCAL_CALLER if caller is None else caller
        is_operator = "admin" in viewer.scopes and viewer.collections is None
        return build_usage_report(
            self.ledger,
            self.settings.budget,
            by,
            since,
            owner=None if caller is None else caller.owner,
            include_total=is_operator and viewer.key is None,
            include_rate_limits=is_operator,
            collections=viewer.collections,
        )

    def close(self) -> None:
        """Close every collection and stop the threads.

        >>> library.close()
        """
        if self.loop.is_forked:
            return  # the files and threads belong to the parent process
        self.loop.cancel_all()
        self._open.close()
        self._models.close(self.loop)
        self.rate_limiter.close()
        self.ledger.close()

    def _get_answer_record(self, answer_id: str, caller: Caller) -> AnswerRecord:
        record = self.ledger.get_answer(caller.record_owner, answer_id)
        if record is None or not self._is_visible(record.collection, caller):
            raise NotFoundError(
                f"there is no answer {answer_id[:80]!r}; answers are kept for {self.settings.keep_days} days"
            )
        return record

    def _check_may_create(self, name: str, caller: Caller) -> None:
        """Raise the same ForbiddenError for a hidden collection whether it exists or not."""
        if not self._is_visible(name, caller):
            raise ForbiddenError(f"you may not create the collection {name}")

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

    def _has_chunk(self, record: AnswerRecord, chunk_id: int, caller: Caller) -> bool:
        """Return whether the collection of an answer has this chunk; InvalidError if its name is now another's."""
        if not self.exists(record.collection):
            return False
        collection = self.open(record.collection, caller=caller)
        if datetime.fromisoformat(collection.backends.store.created_at()).timestamp() > record.created:
            raise InvalidError(
                f"the collection {record.collection} was deleted and created again after the answer, so no chunk of it"
                " can be right_chunk_id; ask again"
            )
        return collection.has_chunk(chunk_id)

    def _get_info(self, name: str, caller: Caller) -> CollectionInfo:
        """Read the info from the store alone: the embedder of a collection may be missing."""
        caller_filter = None if caller.filter is None else parse_filter(caller.filter)
        if (backends := self._open.get_if_current(name)) is not None:
            return backends.store.info(caller_filter)
        with closing(self._folders.open(name)) as store:
            return store.info(caller_filter)

    def _create_collection(self, name: str, chosen: str | CustomEmbedder, caller: Caller) -> None:
        from ..ingest.estimate import DIMENSION_PROBE_TEXT

        embedder = make_embedder(chosen, self._models.embedder_deps) if isinstance(chosen, str) else chosen
        # The purpose is "query", which has few retries: a caller waits for the error of an unreachable server.
        context = RequestContext("query", caller.owner, caller.key, name, key_budget=caller.budget)
        dim = embedder.dim or self.loop.wait(embedder.embed([DIMENSION_PROBE_TEXT], context)).shape[1]
        self._folders.create(name, space=embedder.name, dim=dim, spec=get_spec(chosen))


def _log_failure(failure: Failure) -> None:
    _log.warning("the collection %s cannot be read: %s", failure.uri, failure.error)
