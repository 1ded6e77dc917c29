"""The shapes that backends fill. Nothing inherits from these; every registered backend runs the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from .errors import UpstreamError
from .types.answers import AnalyzedQuery, GenerationEnd, NoAnswerReason, Passage, Quotation, Turn
from .types.documents import (
    ChunkedDocument,
    CollectionInfo,
    DocumentInfo,
    Ids,
    ParsedContent,
    PutResult,
    SourceRoot,
    StoredDocument,
    StoredVersion,
    Vectors,
)
from .types.filters import Filter
from .types.search import Language, ScoredIds, StoredChunk
from .types.sessions import AnswerRecord, Session
from .types.usage import (
    BudgetLimits,
    CostEstimate,
    ModelRequest,
    PendingBatch,
    RateLimits,
    RequestContext,
    RequestOutcome,
    Reservation,
    SettledUsage,
    Usage,
    UsageGroupBy,
    UsageRow,
)


class Reader(Protocol):
    """Turns the bytes of one media type into typed blocks."""

    def __call__(self, data: bytes) -> ParsedContent:
        """Read `data`; UnsupportedMedia, saying why, if there is nothing in it that can be read."""


class Embedder(Protocol):
    """Maps texts into one vector space."""

    name: str
    """Identifies the vector space for ever; another space has another name."""
    dim: int
    """Length of its vectors; 0 as long as only the server knows it, until the first reply."""
    batch_size: int
    """How many texts it likes to be given at once when there are many."""

    @property
    def concurrency(self) -> int:
        """How many requests it has under way at once, at most; with one, others wait while it computes."""

    @property
    def dense_weights(self) -> Mapping[Language, float]:
        """How much its vectors count against the words, from 0 to 1, by the language of the question."""

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """The requests that it would send for these texts, if it needs a server."""

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Unit vectors, shape (len(texts), dim), in the order of `texts`; zeros for a text without any token.

        PartlyEmbedded where some of the texts were refused for what they hold.
        """


@runtime_checkable
class LateInteractionEmbedder(Protocol):
    """An embedder whose model may tell the tokens of a text apart, each in its context."""

    async def token_similarities(self, query: str, texts: Sequence[str]) -> Vectors | None:
        """The largest cosine of each token of the question with one of each text, shape (len(texts), tokens).

        Late interaction (Khattab & Zaharia, "ColBERT", SIGIR 2020). None where the model tells no tokens apart, or the
        question has none.
        """


class PartialEmbeddingError(UpstreamError):
    """A server refused some texts; the vectors of the others are here and may be kept."""

    def __init__(self, vectors: Vectors, rejections: Mapping[int, str]) -> None:
        """`vectors` has zeros in the rows that were refused; `refused` says why, by row."""
        super().__init__(f"{len(rejections)} of {len(vectors)} texts were refused: {next(iter(rejections.values()))}")
        self.vectors = vectors
        self.rejections = rejections


class Answerer(Protocol):
    """Writes an answer from passages: text that cites sentence n of the passage p as `[[p.n]]`, n from 1, or quotes."""

    @property
    def name(self) -> str:
        """The model, as it stands in the answer."""

    @property
    def neighbour_chunks(self) -> int:
        """How many chunks on each side of a hit it wants to read."""

    @property
    def is_extractive(self) -> bool:
        """Whether it yields quotes and no text of its own, so that there is nothing to check."""

    @property
    def no_answer_reason(self) -> NoAnswerReason:
        """Why there is no answer when it yields no text."""

    def generate(
        self, question: AnalyzedQuery, passages: Sequence[Passage], context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[str | Quotation | GenerationEnd, None]:
        """Yield the answer piece by piece, nothing where the passages do not hold it; a Finish may come last.

        `rejected` is a first try of its own of which nothing could be checked.
        """

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """The question so that it stands alone without what was said before; None where that takes a model."""


class Meter(Protocol):
    """Lets a request go out only if it may be paid for, and books what it cost."""

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """Hold what the request may cost at most and return a number for it; OverBudget if that is too much."""

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """Book what it did cost, exactly or estimated, give the rest back, and count it in the errand's tally."""

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """What the request will likely cost, and at most."""


class EmbeddingCache(Protocol):
    """Vectors that a server was paid for, by the hash of the exact text, so that none is ever paid for twice."""

    def find(self, space: str, hashes: Sequence[str]) -> Mapping[str, Vectors]:
        """The vectors of these texts, where they are known."""

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors for good; durable when it returns. The least recently used go when there are too many."""

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """The batches of this space whose vectors are still to come."""

    def put_batch(self, batch: PendingBatch) -> None:
        """Remember a batch, durably; one of the same id is replaced."""

    def delete_batch(self, batch_id: str) -> None:
        """Forget a batch: its vectors are kept, or will never come."""

    def close(self) -> None:
        """Close the files."""


class Ledger(Protocol):
    """The service's own truth beside the collections: what was spent, said and answered. Everything has an owner."""

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Hold this much, durably; None if only other holds are in the way, OverBudget if it does not fit at all.

        `limits` are by owner; "" is everyone together.
        """

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Book what was spent in place of what was held, and what it taught; a second settling changes nothing."""

    def usage(self, by: UsageGroupBy, owner: str | None = None, since: str | None = None) -> list[UsageRow]:
        """What was spent, by day in order, else the dearest first; of one owner, and from an ISO date on."""

    def spend(self, owner: str) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars of an owner, or of everyone (""), in the current day and month, named by their dates."""

    def throughput(self, model: str) -> float | None:
        """Tokens in a second of one request, by what was measured of this model."""

    def rate_limits(self) -> Mapping[tuple[str, str], RateLimits]:
        """What each (endpoint, model) last said of its limits."""

    def token_ratios(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Characters and tokens counted so far, by model and script."""

    def record_answer(self, record: AnswerRecord, turn: Turn | None) -> None:
        """Keep an answer and, with a turn, add it to the answer's session: both or neither."""

    def get_answer(self, owner: str, answer_id: str) -> AnswerRecord | None:
        """An answer of this owner."""

    def create_session(
        self, owner: str, collection: str, profile: str | None, *, collection_created_at: str | None = None
    ) -> Session:
        """Begin a conversation with a collection, made at this time; Conflict if the owner has too many."""

    def get_session(self, owner: str, session_id: str) -> Session | None:
        """A conversation of this owner, with its turns, oldest first."""

    def delete_session(self, owner: str, session_id: str) -> bool:
        """Forget a conversation; whether there was one."""

    def close(self) -> None:
        """Close the files."""


class ReadSnapshot(Protocol):
    """One collection at one moment: everything asked of it belongs to the same commit."""

    def __len__(self) -> int:
        """Chunks that can be found."""

    def matching_ids(self, filter: Filter) -> Ids:
        """Ids of the chunks whose documents pass the filter, ascending."""

    def vector_search(self, vector: Vectors, k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """The k chunks of highest inner product with `vector`, shape (dim,), and those equal to the last of them."""

    @property
    def trigram_chunk_count(self) -> int:
        """How many chunks `trigram_search` can find: those whose text is not English."""

    def lexical_search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the terms or phrases, and those tied with the last."""

    def trigram_search(self, trigrams: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """Return the k chunks with the highest BM25 score for the character trigrams, and those tied with the last.

        Only chunks whose text is not English are indexed by trigrams.
        """

    def top_k(self, scored: ScoredIds, k: int) -> ScoredIds:
        """The best k of these, equal scores in the order of uri and start."""

    def idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term."""

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks of these ids, in this order; one that is damaged on disk says so, and is not to be shown."""

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """The embeddings of these chunks, shape (len(ids), dim)."""

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """The chunks of a document by ordinal, both ends included, as far as they exist."""


class Store(Protocol):
    """One collection's documents, vectors and words behind one object; every change is atomic and durable."""

    def info(self, filter: Filter | None = None) -> CollectionInfo:
        """Name, embedder, and how many documents and chunks there are, or pass the filter."""

    def created_at(self) -> str:
        """When the collection was made, to the microsecond: another one of its name was made at another time."""

    def roots(self) -> list[SourceRoot]:
        """The folders that were ingested."""

    def add_root(self, root: SourceRoot) -> None:
        """Register a folder; Conflict if its name stands for another one."""

    def file_uris(self, prefix: str) -> list[str]:
        """The uris that begin so and are names of files below a registered folder, not names given by hand."""

    def stored_versions(self, uris: Sequence[str]) -> Mapping[str, StoredVersion]:
        """What is stored for each of these uris, where something is."""

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, Vectors]:
        """The stored embedding of each of these texts, where there is one, whatever document it belongs to."""

    def put(self, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]) -> list[PutResult]:
        """Store documents in place of what their uris held, all or none; durable when it returns.

        Chunks whose text and sentences are unchanged keep their ids. `vectors` has all by the hash of their text.
        """

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove these documents, all or none; return those that were there."""

    def documents(self, filter: Filter | None, limit: int, after: str = "") -> list[DocumentInfo]:
        """Documents that pass the filter, by uri, from the first one behind `after`."""

    def document(self, uri: str, filter: Filter | None = None) -> StoredDocument | None:
        """One document with its text, or None if it is absent or does not pass the filter."""

    def snapshot(self) -> AbstractContextManager[ReadSnapshot]:
        """Everything asked within the block belongs to one commit."""

    def try_snapshot(self) -> AbstractContextManager[ReadSnapshot | None]:
        """`snapshot` where it is there at once, with nothing to take in first that was written since the last."""

    def is_filter_cached(self, filter: Filter) -> bool:
        """Whether `Snapshot.allowed` knows what passes this filter, unless something was written since."""

    def job_lock(self, operation: str) -> AbstractContextManager[None]:
        """Hold the lock of long jobs; Locked names who has it."""

    def refresh_index(self, wait_seconds: float = 0.0) -> None:
        """Bring what is derived up to date where it lags too far behind; wait so many seconds for who is at it."""

    def reindex(self) -> None:
        """Make everything derived again from the truth."""

    def close(self) -> None:
        """Close the files."""
