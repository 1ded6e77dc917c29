"""The interfaces of what stores: collections, the ledger and the embedding cache. docs/architecture.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..types.answers import (
    Turn,
)
from ..types.documents import ChunkedDocument, Ids, PutResult, SourceRoot, Vectors
from ..types.escalations import OutboxMessage
from ..types.feedback import Feedback
from ..types.filters import Filter
from ..types.fine_tuning import FineTuningJob
from ..types.originals import StoredOriginal
from ..types.rated_answers import RatedAnswer
from ..types.search import FacetValue, ScoredIds, StoredChunk
from ..types.sessions import AnswerRecord, Session, SessionInfo, SessionPosition
from ..types.stored_documents import (
    CollectionInfo,
    DocumentInfo,
    DocumentPart,
    IndexState,
    StoredDocument,
    StoredVersion,
    TextBlock,
)
from ..types.usage import (
    BudgetLimits,
    PendingBatch,
    RateLimits,
    Reservation,
    SettledUsage,
    UsageGroupBy,
    UsageRow,
)
from .outbox import Outbox


class EmbeddingCache(Protocol):
    """Persistent cache of embeddings from paid servers, by hash of the exact text, so that none is paid for twice."""

    def find(self, space: str, hashes: Sequence[str]) -> Mapping[str, Vectors]:
        """Return the cached vectors by hash; hashes without a vector are left out."""

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Store vectors durably; the least recently used ones are evicted when the cache is full."""

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """Return the batches of this vector space whose results were not fetched yet."""

    def put_batch(self, batch: PendingBatch) -> None:
        """Store a batch durably; replaces one of the same id."""

    def delete_batch(self, batch_id: str) -> None:
        """Delete a batch: its vectors are stored, or it has failed."""

    def close(self) -> None:
        """Close all files."""


class Ledger(Outbox, Protocol):
    """Usage, answers, feedback and sessions, stored outside the collections. Every row has an owner."""

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Store a reservation durably and return its id; None if it fits only after other reservations are settled.

        BudgetError if it exceeds a limit even without them. `limits` are by owner; "" stands for all owners together.
        """

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Replace a reservation by the actual usage and store its tokenizer sample; settling twice has no effect."""

    def usage(
        self,
        by: UsageGroupBy,
        owner: str | None = None,
        since: str | None = None,
        *,
        collections: Iterable[str] | None = None,
    ) -> list[UsageRow]:
        """Return usage by group: days in order, other groups, and the models of a day, by falling cost.

        Of one owner, if one is given, and from the ISO date `since` on.
        """

    def spent_amounts(self, owner: str) -> Mapping[str, tuple[int, float]]:
        """Return tokens and US dollars of an owner, or of all (""), in the current day and month, by their dates."""

    def throughput(self, model: str) -> float | None:
        """Return the measured tokens per second of one request to this model; None if it was never measured."""

    def rate_limits(self) -> Mapping[tuple[str, str], RateLimits]:
        """Return the last rate limits that each (endpoint, model) reported."""

    def token_ratios(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Return the characters and tokens counted so far, by model and script."""

    def record_answer(self, record: AnswerRecord, turn: Turn | None, message: OutboxMessage | None = None) -> bool:
        """Store an answer and, with `turn`, append the turn to the answer's session, in one transaction.

        `message` is queued for delivery in it too; False if it was not, because too many wait.
        """

    def append_turn(self, owner: str, session_id: str, turn: Turn) -> None:
        """Append a turn whose answer is not stored; NotFoundError if there is no such session."""

    def get_answer(self, owner: str, answer_id: str) -> AnswerRecord | None:
        """Return an answer of this owner; None if there is none of this id."""

    def add_feedback(self, owner: str, new: Feedback) -> Feedback:
        """Store feedback on an answer of this owner, and return all of it; NotFoundError if there is no such answer.

        A field that is not None replaces the earlier value; the other fields keep theirs. It is deleted with the
        answer. `created` is set by the ledger.
        """

    def get_feedback(self, owner: str, answer_id: str) -> Feedback | None:
        """Return the feedback of this owner on an answer; None if there is none."""

    def rated_answers(self, collection: str, since: float = 0.0, owner: str | None = None) -> Iterator[RatedAnswer]:
        """Yield the answers from a collection of this name in order of time, from `since` (seconds since 1970) on.

        Of all owners, unless one is given: the caller checks who may see them.
        """

    def has_several_owners(self) -> bool:
        """Return whether answers of more than one owner are recorded, in any collection."""

    def save_fine_tuning_job(self, job: FineTuningJob) -> None:
        """Store a fine-tuning job; it replaces one of the same owner and id."""

    def list_fine_tuning_jobs(self, owner: str) -> list[FineTuningJob]:
        """Return the fine-tuning jobs of this owner, the newest first."""

    def create_session(
        self, owner: str, collection: str, profile: str | None, *, collection_created_at: str | None = None
    ) -> Session:
        """Create a session for a collection that was created at this time.

        At the maximum number of an owner it replaces their least recently used session, those without turns first.
        """

    def get_session(self, owner: str, session_id: str) -> Session | None:
        """Return a session of this owner with its turns, oldest first; None if there is none of this id."""

    def list_sessions(
        self,
        owner: str,
        limit: int,
        after: SessionPosition | None = None,
        *,
        collections: Iterable[str] | None = None,
    ) -> list[SessionInfo]:
        """Return up to `limit` sessions of this owner, the last used one first, from the first one behind `after`.

        Only those with one of `collections`, unless that is None.
        """

    def delete_session(self, owner: str, session_id: str) -> bool:
        """Delete a session; return whether it existed."""

    def close(self) -> None:
        """Close all files."""


class ReadSnapshot(Protocol):
    """One commit of a collection: all reads through it see the same state."""

    def __len__(self) -> int:
        """Return the number of searchable chunks."""

    def matching_ids(self, filter: Filter) -> Ids:
        """Return the ids of the chunks whose documents match the filter, ascending."""

    def restrict(self, filter: Filter) -> ReadSnapshot:
        """Return the snapshot whose term statistics are those of the chunks that match, which a caller may see.

        Else the scores of visible chunks would tell which words are in hidden ones.
        """

    def document_chunk_ids(self, uris: Sequence[str], filter: Filter | None = None) -> Mapping[str, Ids]:
        """Return the ids of the chunks of each of these documents, in reading order.

        Uris without a document that matches the filter are left out.
        """

    def vector_search(self, vector: Vectors, k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks of highest inner product with `vector`, shape (dim,), and all that tie with the last."""

    @property
    def trigram_chunk_count(self) -> int:
        """The number of chunks that `trigram_search` can return: those whose text is not English."""

    def lexical_search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the terms or phrases, and those tied with the last."""

    def trigram_search(self, trigrams: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the character trigrams, and those tied with the last.

        Only chunks whose text is not English are indexed by trigrams.
        """

    def top_k(self, scored: ScoredIds, k: int) -> ScoredIds:
        """Return the k best of these chunks; ties are in order of uri, then start."""

    def idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Return the inverse document frequency of each term."""

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """Return the chunks of these ids, in this order; `damage` is set in chunks that are damaged on disk."""

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """Return the embeddings of these chunks, shape (len(ids), dim)."""

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """Return the existing chunks of a document from ordinal `first` to `last`, both included."""

    def blocks(self, document_id: int, start: int, end: int) -> list[TextBlock]:
        """Return the blocks of a document that overlap a span of its text, in reading order."""


class Store(Protocol):
    """Documents, vectors and terms of one collection; every change is atomic and durable."""

    def info(self, filter: Filter | None = None) -> CollectionInfo:
        """Return name, embedder, and the number of documents and chunks, only of matching ones if there is a filter."""

    def is_current(self) -> bool:
        """Return whether the files are still those of the collection that was opened, and of no other in its place."""

    def created_at(self) -> str:
        """Return the creation time to the microsecond; it tells collections apart that had the same name in turn."""

    def roots(self) -> list[SourceRoot]:
        """Return the folders that were ingested."""

    def add_root(self, root: SourceRoot) -> None:
        """Register a folder; ConflictError if its name belongs to another folder."""

    def file_uris(self, prefix: str) -> list[str]:
        """Return the uris with this prefix that name files below a registered folder; no uris that callers chose."""

    def stored_versions(self, uris: Sequence[str]) -> Mapping[str, StoredVersion]:
        """Return the stored version of each of these uris; uris without a document are left out."""

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, Vectors]:
        """Return the stored embeddings by hash of the text, from any document; hashes without one are left out."""

    def put(self, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        """Store documents in one transaction, each replacing the document of its uri; durable when it returns.

        Chunks with unchanged text and sentences keep their ids. `vectors` has the embedding of each chunk by text hash.
        The bytes of documents that have an `original` are kept by content hash while there is space, and deleted with
        the last document that has them.
        """

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove these documents in one transaction; return the uris that existed."""

    def remove_matching(self, filter: Filter) -> list[str]:
        """Remove the documents that match the filter in one transaction; return their uris, in order."""

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call `listener` with the uris of documents that were stored or removed, after each commit of this process.

        The change is durable by then; the listener may read the store, and raises nothing.
        """

    def documents(self, filter: Filter | None, limit: int, after: str = "") -> list[DocumentInfo]:
        """Return up to `limit` documents that match the filter, in order of uri, from the first one behind `after`."""

    def document(self, uri: str, filter: Filter | None = None) -> StoredDocument | None:
        """Return a document with its text; None if it does not exist or does not match the filter."""

    def facets(self, fields: Sequence[str], filter: Filter | None, limit: int) -> Mapping[str, list[FacetValue]]:
        """Return the most frequent values of each field, first those that most matching documents have, then by value.

        A document counts once for each member of a list.
        """

    def facet_fields(self, filter: Filter | None, limit: int, max_values: int) -> list[str]:
        """Return the `limit` metadata fields that most matching documents have, of those with at most `max_values`."""

    def has_chunk(self, chunk_id: int, filter: Filter | None = None) -> bool:
        """Return whether there is a chunk of this id in a document that matches the filter."""

    def original(self, uri: str, filter: Filter | None = None) -> StoredOriginal | None:
        """Return the record of the source of a document, with its bytes if they are kept.

        None if the document does not exist or does not match the filter.
        """

    def has_space_for_original(self, size: int) -> bool:
        """Return whether `put` would keep another original of this size."""

    def page_map(self, uri: str, filter: Filter | None = None) -> bytes:
        """Return the `Document.page_map` of a document; empty if it has none, is absent or does not match the filter.

        StorageError if it is damaged.
        """

    def document_part(self, uri: str, start: int, end: int, filter: Filter | None = None) -> DocumentPart | None:
        """Return the blocks of a document that overlap a span; None if it does not exist or does not match the filter.

        Of a long block at either end of the span, only the whole lines inside the span are returned.
        """

    def snapshot(self) -> AbstractContextManager[ReadSnapshot]:
        """Open a snapshot of the last commit for the duration of the block."""

    def try_snapshot(self) -> AbstractContextManager[ReadSnapshot | None]:
        """Like `snapshot`, but None if new writes must be read first."""

    def is_filter_cached(self, filter: Filter) -> bool:
        """Return whether `matching_ids` has cached this filter's result, unless something was written since."""

    def index_state(self) -> IndexState:
        """Return how many chunks the derived index covers, and whether it needs a rebuild."""

    def job_lock(self, operation: str) -> AbstractContextManager[None]:
        """Hold the lock of long jobs; LockedError names its holder."""

    def refresh_index(self, wait_seconds: float = 0.0) -> bool:
        """Update the derived index if it lags too far behind, and return whether it was updated.

        Wait up to `wait_seconds` for another process at it.
        """

    def reindex(self) -> None:
        """Rebuild the derived index from the catalogue."""

    def close(self) -> None:
        """Close all files."""
