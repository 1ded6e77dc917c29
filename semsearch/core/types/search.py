"""Types of a search: modes, ranked chunks, hits and their explanations. All offsets count Unicode characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidError
from ..short_repr import format_fields, format_repr, format_span, shorten
from .documents import Ids, Metadata, Scalar
from .filters import RawFilter
from .packed_terms import PackedSpans, PackedTerms

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Language = Literal["en", "latin", "other"]
"""English, another or undecided language in Latin script, another script."""

SearchMode = Literal["hybrid", "dense", "lexical"]

DEFAULT_K = 10
"""Hits of a search that does not set `k`."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search as a caller asks for it. `search.requests` validates it.

    >>> request = semsearch.SearchRequest("parental leave", k=3, mode="lexical")
    >>> len(handbook.search(request))
    1
    """

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

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


def make_search_request(
    query: str | SearchRequest,
    k: int = DEFAULT_K,
    filter: RawFilter | None = None,
    mode: SearchMode = "hybrid",
    history: Sequence[str] = (),
    diversity: float = 0.0,
    explain: bool = False,
) -> SearchRequest:
    """Return the request of these arguments, or `query` if it is a request; InvalidError if others are set too."""
    if not isinstance(query, SearchRequest):
        return SearchRequest(query, k, filter, mode, history, diversity, explain)
    if (k, filter, mode, history, diversity, explain) != (DEFAULT_K, None, "hybrid", (), 0.0, False):
        raise InvalidError("a SearchRequest comes with other arguments; set them in the request")
    return query


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a metadata field, and how many documents have it.

    >>> handbook.facets(["media_type"])
    {'media_type': [FacetValue(value='text/markdown', count=1)]}
    """

    value: Scalar
    count: int

    def __repr__(self) -> str:
        """Return the value, shortened, and the count."""
        return format_repr(self, f"value={shorten(self.value)}", f"count={self.count}")


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as loaded for ranking and for answers."""

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
    """Spans of its sentences, relative to the chunk's start."""
    terms: PackedTerms
    """Analysed terms of each sentence, in the same order."""
    content_sha256: str
    """Hash of the document's canonical text."""
    metadata: Metadata
    role: str = ""
    """Its `SourceRole`, or empty."""
    damage: str = ""
    """Error message if the stored chunk is damaged: it can be ranked by its terms, but must not be shown."""


@dataclass(frozen=True, slots=True)
class ScoredIds:
    """Chunks with their scores, best first; a higher score is better."""

    ids: Ids
    scores: "npt.NDArray[np.float64]"


ScoredChunk = tuple[StoredChunk, float]
"""A chunk with its score."""


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """Selection of results from the ranked chunks."""

    collapse: bool = True
    """Whether near-duplicates of a better chunk are left out."""
    per_document: int = 0
    """Maximum number of chunks of one document; 0 is no limit."""
    diversity: float = 0.0
    """Weight of diversity in MMR, from 0, ranking by score only, to 1, results as different as possible."""
    source_weights: Mapping[str, float] = field(default_factory=dict)
    """Factor of the score of a chunk with this role, from 0 to 1; 1 for other chunks."""
    rerank: bool = True
    """Whether the top chunks of a hybrid search are reranked by their best sentences."""


@dataclass(unsafe_hash=True)  # neither frozen nor slotted, like Hit
class BestSentence:
    """The sentence of a hit that covers most of the query: a span of its document's canonical text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class LegRank:
    """Rank and score of a chunk in one leg of a search; ranks start at 1."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Parts of the score of a chunk for one query; None for a leg that did not return the chunk."""

    query: str
    dense: LegRank | None
    lexical: LegRank | None
    fused: float | None
    """Weighted sum of both legs, each normalised by its maximum."""
    sentence: float
    """Query coverage of its best sentence; of the top 20 chunks, a quarter of it is added to the fused score."""
    heading: float = 0.0
    """Score of its title and headings; of the top 20 chunks, it is added to the fused score."""
    role: str = ""
    """What the chunk was recognised as: `changelog`, `contents`, `index`, `api_list`, `licence`, or empty."""
    source_weight: float = 1.0
    """Factor of the score for this role; 1 where the query asks for such a source."""


@dataclass  # ten per request: frozen and slotted ones take three times as long to create and to encode as JSON
class Hit:
    """One result of a search. Its score is comparable only within the same response.

    >>> (hit,) = handbook.search("parental leave", k=1)
    >>> handbook.document(hit.uri).text[hit.start : hit.end] == hit.text
    True
    """

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
    """None if no sentence has a term of the query."""
    explanation: list[Explanation] | None = None
    """One for each query of the search, if `explain` was set."""
    url: str | None = None
    """Address of the passage on the page of the service; only in results over HTTP and at the shell."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, format_span(self.uri, self.start, self.end), f"{self.score:.3f}", shorten(self.text))
