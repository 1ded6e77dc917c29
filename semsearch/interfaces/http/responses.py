"""The bodies of responses, beside the library's own types. orjson serialises both."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ...core.types.answers import Answer, Turn, encode_fields
from ...core.types.documents import PutResult
from ...core.types.feedback import Feedback
from ...core.types.pages import PageRectangles
from ...core.types.search import FacetValue, Hit
from ...core.types.sessions import CitationChange, Session, SessionInfo
from ...core.types.stored_documents import CollectionInfo, DocumentInfo, IndexState
from ..key_view import KeyView
from .caller_view import CallerResponse


@dataclass(frozen=True, slots=True)
class RecommendationsResponse:
    """Passages of the recommended documents, the best first."""

    hits: list[Hit]


@dataclass(frozen=True, slots=True)
class CollectionsResponse:
    """The collections that you may see, by name, and who you are, which saves the page a request."""

    collections: list[CollectionInfo]
    caller: CallerResponse


@dataclass(frozen=True, slots=True)
class KeysResponse:
    """The access keys, the oldest first."""

    keys: list[KeyView]


@dataclass(frozen=True, slots=True)
class CollectionResponse:
    """A collection, and the state of its index; null for a caller who may see only a part of the collection."""

    name: str
    embedder: str
    documents: int
    chunks: int
    index: IndexState | None


@dataclass(frozen=True, slots=True)
class DocumentsResponse:
    """One page of documents, by uri, and how many there are on all pages.

    `next_cursor` requests the next page; null on the last one.
    """

    documents: list[DocumentInfo]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DeleteDocumentsResponse:
    """How many documents were removed, and the first 1,000 of their uris, in order."""

    removed: int
    uris: list[str]


@dataclass(frozen=True, slots=True)
class RectanglesResponse:
    """Where a span is on each page that has a part of it."""

    pages: list[PageRectangles]


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """Hits, best first, and the time of the search in milliseconds."""

    hits: list[Hit]
    took_ms: float


@dataclass(frozen=True, slots=True)
class FacetedSearchResponse:
    """The response of a search with `facets`: for each field its values, the most frequent first."""

    hits: list[Hit]
    took_ms: float
    facets: dict[str, list[FacetValue]]


@dataclass(frozen=True, slots=True)
class SearchResultsResponse:
    """The result of each of several queries, in the order of the request."""

    results: list[SearchResponse]


@dataclass(frozen=True, slots=True)
class SessionResponse:
    """A conversation with a collection, and its turns."""

    id: str
    collection: str
    created: datetime
    last_used: datetime
    profile: str | None
    collection_created_at: datetime | None
    """Creation time of the collection, which tells it from others of its name."""
    turns: list[Turn]


def make_session_response(session: Session) -> SessionResponse:
    """Return a session as a response."""
    created_at = session.collection_created_at
    return SessionResponse(
        session.id,
        session.collection,
        to_utc(session.created),
        to_utc(session.last_used),
        session.profile,
        None if created_at is None else datetime.fromisoformat(created_at).astimezone(UTC),
        list(session.turns),
    )


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session without its turns."""

    id: str
    collection: str
    created: datetime
    last_used: datetime
    profile: str | None
    turns: int
    """Number of its turns."""
    title: str
    """The beginning of its first question; empty if it has none yet."""


@dataclass(frozen=True, slots=True)
class SessionsResponse:
    """One page of your sessions, the last used one first; `next_cursor` requests the next page, null on the last."""

    sessions: list[SessionSummary]
    next_cursor: str | None


def make_session_summary(info: SessionInfo) -> SessionSummary:
    """Return a session of a list as a response."""
    created, last_used = to_utc(info.created), to_utc(info.last_used)
    return SessionSummary(info.id, info.collection, created, last_used, info.profile, info.turns, info.title)


def to_utc(seconds: float) -> datetime:
    """Return the time of Unix seconds; JSON has it in the form of ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class FeedbackResponse:
    """What was said about an answer, each value the last one; null where nothing was said."""

    answer_id: str
    helpful: bool | None
    wrong_marker: int | None
    right_chunk_id: int | None
    comment: str | None
    created: datetime
    """Time of the last change."""


def make_feedback_response(feedback: Feedback) -> FeedbackResponse:
    """Return feedback as a response."""
    return FeedbackResponse(**{**encode_fields(feedback), "created": to_utc(feedback.created)})


@dataclass(frozen=True, slots=True)
class AnswerResponse:
    """A recorded answer, the citations whose source has changed since, and your feedback, if any."""

    answer: Answer
    collection: str
    question: str
    created: datetime
    changes: list[CitationChange]
    feedback: FeedbackResponse | None


@dataclass(frozen=True, slots=True)
class ModelServerStatus:
    """A model server that was called, and whether requests are sent to it."""

    url: str
    state: Literal["ok", "paused", "open"]
    """`paused`: its rate limit is used up. `open`: the circuit breaker refuses requests because the server fails."""
    seconds: float
    """Time until the next request is sent."""


@dataclass(frozen=True, slots=True)
class HealthResponse:
    """The state of the service. `degraded`: a model server fails, and requests that need it fail too."""

    status: Literal["ok", "degraded"] = "ok"
    upstreams: list[ModelServerStatus] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProblemSummary:
    """The error of one text."""

    type: str
    detail: str


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A text that was not stored."""

    uri: str
    error: ProblemSummary
    status: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class StoreDocumentsResponse:
    """The result of each text, in the order of the request."""

    results: list[PutResult | FailedDocument]
