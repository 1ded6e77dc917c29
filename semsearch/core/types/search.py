"""Types of a search: modes, ranked chunks, hits and their explanation. All offsets count Unicode characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidError
from .documents import Ids, Metadata
from .filters import RawFilter
from .packed_terms import PackedSpans, PackedTerms

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Language = Literal["en", "latin", "other"]

SearchMode = Literal["hybrid", "dense", "lexical"]

DEFAULT_K = 10
"""Hits of a search that does not set `k`."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search as a caller asks for it. `search.requests` validates it."""

    query: str
    k: int = DEFAULT_K
    """Maximum number of hits."""
    filter: RawFilter | None = None
    mode: SearchMode = "hybrid"
    history: Sequence[str] = ()
    """The questions before this one, oldest first."""
    diversity: float = 0.0
    """From 0, by score alone, to 1, as different from each other as possible."""
    explain: bool = False
    """Whether each hit says how it was ranked."""


def make_search_request(
    query: str | SearchRequest,
    k: int = DEFAULT_K,
    filter: RawFilter | None = None,
    mode: SearchMode = "hybrid",
    history: Sequence[str] = (),
    diversity: float = 0.0,
    explain: bool = False,
) -> SearchRequest:
    """Return the request of these arguments, or `query` if it is one; Invalid if it is one and others are set."""
    if not isinstance(query, SearchRequest):
        return SearchRequest(query, k, filter, mode, history, diversity, explain)
    if (k, filter, mode, history, diversity, explain) != (DEFAULT_K, None, "hybrid", (), 0.0, False):
        raise InvalidError("a SearchRequest comes with other arguments; set them in the request")
    return query


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as it is loaded for ranking and for answers."""

    id: int
    document_id: int
    ordinal: int
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    sentences: PackedSpans
    """Their places, counted from the chunk's own start."""
    terms: PackedTerms
    """Analysed terms of each sentence, in the same order."""
    content_sha256: str
    """Of the document's canonical text."""
    metadata: Metadata
    damage: str = ""
    """Why it cannot be shown, where it is not as it was written; its terms can still be ranked by."""


@dataclass(frozen=True, slots=True)
class ScoredIds:
    """Chunks with their scores, best first; a higher score is better."""

    ids: Ids
    scores: "npt.NDArray[np.float64]"


ScoredChunk = tuple[StoredChunk, float]
"""A chunk with its score."""


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """Which of the best chunks are shown beside each other."""

    collapse: bool = True
    """Whether of chunks that say nearly the same only the best is shown."""
    per_document: int = 0
    """How many chunks of one document are shown, at most; 0 is no limit."""
    diversity: float = 0.0
    """From 0, by score alone, to 1, as different from each other as can be."""


@dataclass(unsafe_hash=True)  # neither frozen nor slotted, like Hit
class BestSentence:
    """The sentence of a hit that holds most of the question: a span of its document's canonical text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where one way of searching ranked a chunk, and its score there."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one query came to the score of a chunk; None where that way of searching did not find it."""

    query: str
    dense: LegRank | None
    lexical: LegRank | None
    fused: float | None
    """The weighted sum of both, each as a share of its best."""
    sentence: float
    """How much of the question its best sentence holds; of the best 20 a quarter of it is added to the fused score."""


@dataclass  # of every request ten: frozen and slotted ones take three times as long to be made and written as JSON
class Hit:
    """One result of a search. Its score compares only within its own reply."""

    chunk_id: int
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    score: float
    metadata: Metadata
    sentence: BestSentence | None = None
    """None where no sentence holds any word of the question."""
    explanation: list[Explanation] | None = None
    """For each query that counted, if that was asked for."""
