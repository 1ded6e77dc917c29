"""What responses consist of beside the library's own nouns. Written out by orjson as they stand."""

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
    """One page of documents, by uri; `cursor` asks for the next one, and is null at the end."""

    documents: list[DocumentInfo]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """Hits, best first, and how long the search took."""

    hits: list[Hit]
    took_ms: float


@dataclass(frozen=True, slots=True)
class AnswerResponse:
    """An answer as it was given, and which of its citations no longer stand where they stood."""

    answer: Answer
    collection: str
    question: str
    created: float
    """Seconds since 1970."""
    changes: list[CitationChange]


@dataclass(frozen=True, slots=True)
class ModelServerStatus:
    """A model server that was called, and whether calls go through to it."""

    url: str
    state: Literal["ok", "paused", "open"]
    """`paused` until its rate limit allows more, `open` as long as it fails: then calls are refused here."""
    seconds: float
    """Until it is tried again."""


@dataclass(frozen=True, slots=True)
class HealthResponse:
    """That the service is there; `degraded` while a model server is not, and only what needs none is served."""

    status: Literal["ok", "degraded"] = "ok"
    upstreams: list[ModelServerStatus] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ProblemSummary:
    """What is wrong with one text."""

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
    """What became of each text, in the order in which they came."""

    results: list[PutResult | FailedDocument]
