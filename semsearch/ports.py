"""The shapes that backends fill. Nothing inherits from these; every registered backend runs the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from .analysis import Language
from .filters import Filter
from .types import (
    Chunk,
    CollectionInfo,
    Content,
    Document,
    DocumentInfo,
    Finish,
    Ids,
    Passage,
    Question,
    Reason,
    Root,
    Scored,
    Stored,
    StoredChunk,
    StoredDocument,
    Support,
    Vectors,
    Version,
)


class Reader(Protocol):
    """Turns the bytes of one media type into typed blocks."""

    def __call__(self, data: bytes) -> Content:
        """Read `data`; UnsupportedMedia, saying why, if there is nothing in it that can be read."""


class Embedder(Protocol):
    """Maps texts into one vector space."""

    name: str
    """Identifies the vector space for ever; another space has another name."""
    dim: int
    """Length of its vectors; 0 as long as only the server knows it, until the first reply."""
    billed_tokens: int
    """Tokens that an upstream has counted for it so far; always 0 for a model on this machine."""

    @property
    def weights(self) -> Mapping[Language, float]:
        """How much its vectors count against the words, from 0 to 1, by the language of the question."""

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """Unit vectors, shape (len(texts), dim), in the order of `texts`; zeros for a text without any token."""


class Answerer(Protocol):
    """Writes an answer from passages, citing sentence n of the passage p as `[[p.n]]`, n from 1."""

    name: str
    """The model, as it stands in the answer."""
    reach: int
    """How many chunks on each side of a hit it wants to read."""
    support: Support
    """What is known of its sentences: those it copies are supported, those it words itself are not checked."""
    silence: Reason
    """Why there is no answer when it yields no text."""

    def write(self, question: Question, passages: Sequence[Passage]) -> AsyncGenerator[str | Finish, None]:
        """Yield the answer's text piece by piece, none where the passages do not hold it; a Finish may come last."""


class Snapshot(Protocol):
    """One collection at one moment: everything asked of it belongs to the same commit."""

    def __len__(self) -> int:
        """Chunks that can be found."""

    def allowed(self, where: Filter) -> Ids:
        """Ids of the chunks whose documents pass the filter, ascending."""

    def nearest(self, vector: Vectors, k: int, allowed: Ids | None = None) -> Scored:
        """The k chunks of highest inner product with `vector`, shape (dim,); ties by uri, then start."""

    def match(self, terms: Sequence[str], k: int, allowed: Ids | None = None) -> Scored:
        """The k chunks of highest BM25 for any of the terms, or phrases of terms; ties by uri, then start."""

    def order(self, found: Scored, k: int) -> Scored:
        """The best k of these, equal scores in the order of uri and start."""

    def weights(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term."""

    def load(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks of these ids, in this order."""

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """The chunks of a document by ordinal, both ends included, as far as they exist."""


class Store(Protocol):
    """One collection's documents, vectors and words behind one object; every change is atomic and durable."""

    def info(self) -> CollectionInfo:
        """Name, embedder and counts."""

    def roots(self) -> list[Root]:
        """The folders that were ingested."""

    def add_root(self, root: Root) -> None:
        """Register a folder; Conflict if its name stands for another one."""

    def versions(self, uris: Sequence[str]) -> Mapping[str, Version]:
        """What is stored for each of these uris, where something is."""

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, Vectors]:
        """The stored embedding of each of these texts, where there is one, whatever document it belongs to."""

    def put(self, document: Document, chunks: Sequence[Chunk], vectors: Mapping[str, Vectors]) -> Stored:
        """Store a document in place of what its uri held; chunks whose text is unchanged keep their ids."""

    def remove(self, uris: Sequence[str]) -> list[str]:
        """Remove these documents, all or none; return those that were there."""

    def documents(self, where: Filter | None, limit: int, after: str = "") -> list[DocumentInfo]:
        """Documents that pass the filter, by uri, from the first one behind `after`."""

    def document(self, uri: str, where: Filter | None = None) -> StoredDocument | None:
        """One document with its text, or None if it is absent or does not pass the filter."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Everything asked within the block belongs to one commit."""

    def job(self, doing: str) -> AbstractContextManager[None]:
        """Hold the lock of long jobs; Locked names who has it."""

    def settle(self) -> None:
        """Bring what is derived up to date where it lags too far behind."""

    def reindex(self) -> None:
        """Make everything derived again from the truth."""

    def close(self) -> None:
        """Close the files."""
