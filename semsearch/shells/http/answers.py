"""What responses consist of beside the library's own nouns. Written out by orjson as they stand."""

from dataclasses import dataclass
from typing import Literal

from ...types import CollectionInfo, DocumentInfo, Hit, Stored


@dataclass(frozen=True, slots=True)
class Collections:
    """All collections, by name."""

    collections: list[CollectionInfo]


@dataclass(frozen=True, slots=True)
class Documents:
    """One page of documents, by uri; `cursor` asks for the next one, and is null at the end."""

    documents: list[DocumentInfo]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, best first, and how long the search took."""

    hits: list[Hit]
    took_ms: float


@dataclass(frozen=True, slots=True)
class Health:
    """That the service is there."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True)
class Error:
    """What is wrong with one text."""

    type: str
    detail: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A text that was not stored."""

    uri: str
    error: Error
    status: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Results:
    """What became of each text, in the order in which they came."""

    results: list[Stored | Failed]
