"""The bodies of responses, beside the library's own types. orjson serialises both."""

from dataclasses import dataclass, field
from typing import Literal

from ...core.types.answers import Answer
from ...core.types.documents import CollectionInfo, DocumentInfo, PutResult
from ...core.types.search import Hit
from ...core.types.sessions import CitationChange


@dataclass(frozen=True, slots=True)
class CollectionsResponse:
    """All collections, by name."""

    collections: list[CollectionInfo]


@dataclass(frozen=True, slots=True)
class DocumentsResponse:
    """One page of documents, by uri. `cursor` requests the next page; null on the last one."""

    documents: list[DocumentInfo]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """Hits, best first, and the time of the search in milliseconds."""

    hits: list[Hit]
    took_ms: float


@dataclass(frozen=True, slots=True)
class AnswerResponse:
    """A recorded answer, and the citations whose source has changed since."""

    answer: Answer
    collection: str
    question: str
    created: float
    """Unix time in seconds."""
    changes: list[CitationChange]


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
