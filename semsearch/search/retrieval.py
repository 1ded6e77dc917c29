"""Retrieve ranked chunks: vector search + lexical search → fuse → load → rerank → select. Does not embed or answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

import numpy as np

from ..core.errors import InvalidError, StorageError
from ..core.ports import Embedder, ReadSnapshot
from ..core.types.answers import AnalyzedQuery
from ..core.types.documents import Vectors
from ..core.types.filters import Filter
from ..core.types.search import (
    BestSentence,
    Explanation,
    Hit,
    LegRank,
    ResultOptions,
    ScoredChunk,
    ScoredIds,
    SearchMode,
    StoredChunk,
)
from ..text.analyzer import detect_language, extract_query_terms
from ..text.questions import detect_requested_roles, extract_identifiers
from .coverage import QueryCoverage
from .interleaving import StepGenerator, interleave
from .lexical import search_terms
from .ranking import (
    CANDIDATES_PER_LEG,
    RERANK_DEPTH,
    DuplicateGroup,
    fuse,
    group_near_duplicates,
    limit_per_document,
    mmr,
    rerank,
    sort_by_score,
)

MAX_K = 1000

MAX_DEPTH = 8 * MAX_K
"""Maximum number of chunks ranked for one search, even if too few remain without duplicates and document limits."""

WEIGHED_DEPTH_FACTOR = 2
"""Factor of the depth where a weight lowers a chunk: the order is exact if half of these chunks are not lowered."""

MMR_POOL = 50
"""Number of top chunks that MMR selects from."""

DEFAULT_RESULT_OPTIONS = ResultOptions(collapse=False)

_EMPTY_SCORES = np.empty(0, np.int64), np.empty(0)


@dataclass(frozen=True, slots=True)
class Query:
    """Input of the legs of a search. `vector` is None if the mode does not need it."""

    text: str
    vector: Vectors | None
    filter: Filter | None
    mode: SearchMode
    dense_weight: float
    full_text: str = ""
    """The question with its instructions, if `text` is without them; see `AnalyzedQuery.full_text`."""
    access_filter: Filter | None = None
    """The part of `filter` that bounds what the caller may see: only such chunks count in statistics of terms."""


def validate_k(k: int) -> int:
    """Return the number of hits to return; InvalidError if it is out of bounds."""
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise InvalidError(f"k must be a whole number between 1 and {MAX_K}, not {k!r}")
    return k


def validate_mode(mode: SearchMode) -> SearchMode:
    """Return the search mode; InvalidError if it is unknown."""
    if mode not in get_args(SearchMode):
        raise InvalidError(f"the mode must be one of {', '.join(get_args(SearchMode))}, not {mode!r}")
    return mode


def choose_dense_weight(embedder: Embedder, query: str, mode: SearchMode) -> float:
    """Return the weight of the dense leg for this query, from 0 to 1; the lexical leg has the rest."""
    return embedder.dense_weights[detect_language(query)] if mode == "hybrid" else 1.0 if mode == "dense" else 0.0


def analyze_query(snapshot: ReadSnapshot, text: str, full_text: str = "") -> AnalyzedQuery:
    """Return a query with its terms, the idf of each in this collection, and its identifiers.

    `full_text` is the question with its instructions, if `text` is without them. An identifier of several terms is
    also searched as a phrase.
    """
    words = extract_query_terms(text)
    identifiers = tuple(extract_identifiers(text))
    phrases = [" ".join(identifier) for identifier in identifiers]
    terms = (*words, *(phrase for phrase in phrases if phrase not in words))
    return AnalyzedQuery(text, terms, snapshot.idf(terms), identifiers, full_text=full_text)


@dataclass(frozen=True, slots=True)
class Search:
    """One search. Several queries have equal weight; each counts by its scores as shares of its best score."""

    queries: Sequence[Query]
    k: int
    result_options: ResultOptions = DEFAULT_RESULT_OPTIONS
    explain: bool = False


def run_searches(snapshot: ReadSnapshot, searches: Sequence[Search]) -> list[list[Hit]]:
    """Return the hits of each search, best first. The searches run interleaved, with the same results as alone."""
    return interleave(_search_steps(snapshot, search) for search in searches)


def retrieve(snapshot: ReadSnapshot, search: Search) -> RetrievalResult:
    """Return the best chunks of one search, best first, with the state of its queries."""
    (result,) = interleave([_retrieve_steps(snapshot, search)])
    return result


def _search_steps(snapshot: ReadSnapshot, search: Search) -> StepGenerator[list[Hit]]:
    result = yield from _retrieve_steps(snapshot, search)
    yield
    return result.to_hits(explain=search.explain)


def _retrieve_steps(snapshot: ReadSnapshot, search: Search) -> StepGenerator[RetrievalResult]:
    """Rank deeper until k chunks remain after the selection, up to `MAX_DEPTH`."""
    k, options = search.k, search.result_options
    runs = [_QueryRun(snapshot, query, options) for query in search.queries]
    depth = max(k, MMR_POOL if options.diversity else RERANK_DEPTH if search.queries[0].mode == "hybrid" else 1)
    limit = max(k, MMR_POOL) if options.diversity else k
    while True:
        yield
        ranked = yield from (runs[0].rank(depth) if len(runs) == 1 else _combine_queries(runs, depth))
        yield
        groups = list[DuplicateGroup]()
        if options.collapse:
            groups = group_near_duplicates(ranked, limit, per_document=options.per_document)
            selected = [(group.chunk, group.score) for group in groups]
        else:
            selected = limit_per_document(ranked, options.per_document) if options.per_document else ranked
        if len(selected) >= k or len(ranked) < depth or depth >= MAX_DEPTH:
            break
        depth = min(2 * depth, MAX_DEPTH)
    if options.diversity:
        pool = selected[:limit]
        selected = mmr(pool, snapshot.vectors([chunk.id for chunk, _ in pool]), options.diversity)
    return RetrievalResult(
        _reject_damaged(selected[:k]), [copy for group in groups for copy in group.copies if not copy.damage], runs
    )


def _reject_damaged(ranked: list[ScoredChunk]) -> list[ScoredChunk]:
    """Return the chunks; StorageError if one of them is damaged."""
    for chunk, _ in ranked:
        if chunk.damage:
            raise StorageError(chunk.damage)
    return ranked


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """The ranked chunks of a search, and the state of its queries."""

    ranked: list[ScoredChunk]
    copies: Sequence[StoredChunk]
    """Near-duplicates that were left out, in the order of the chunks that they nearly equal."""
    _runs: Sequence[_QueryRun]

    @property
    def analyzed_query(self) -> AnalyzedQuery:
        """The first query, analysed; with several queries, the last one is its `query_with_history`."""
        first, *others = (run.analyzed_query for run in self._runs)
        return replace(first, query_with_history=others[-1]) if others else first

    def to_hits(self, *, explain: bool = False) -> list[Hit]:
        """Return the chunks as hits, each with its best sentence and, if `explain` is set, its explanations."""
        chunks = [chunk for chunk, _ in self.ranked]
        best_sentences = self._runs[0].coverage.score_best_sentences(chunks)
        explanations: list[list[Explanation] | None] = [None] * len(chunks)
        if explain:
            by_query = (run.explain(chunks) for run in self._runs)
            explanations = [[*by_chunk] for by_chunk in zip(*by_query, strict=True)]
        return [
            make_hit(chunk, score, best_sentence, explanation)
            for (chunk, score), best_sentence, explanation in zip(
                self.ranked, best_sentences, explanations, strict=True
            )
        ]


class _QueryRun:
    """One query in one snapshot; `rank` can be called again with a larger depth."""

    def __init__(self, snapshot: ReadSnapshot, query: Query, options: ResultOptions) -> None:
        self.query = query
        if query.access_filter is not None:
            snapshot = snapshot.restrict(query.access_filter)
        self.analyzed_query = analyze_query(snapshot, query.text, query.full_text)
        self.coverage = QueryCoverage(self.analyzed_query)
        self._snapshot = snapshot
        self._matching_ids = None if query.filter is None else snapshot.matching_ids(query.filter)
        self._source_weights = options.source_weights
        self._reranks = options.rerank
        self._legs: Mapping[str, tuple[ScoredIds, float]] = {}
        self._leg_depth = 0
        self._fused = ScoredIds(*_EMPTY_SCORES)

    def rank(self, k: int) -> StepGenerator[list[ScoredChunk]]:
        """Return the best k chunks, best first, by their scores times the weights of their sources."""
        ranked = yield from self._rank_unweighted(k)
        if not any(chunk.role and self.weigh(chunk) < 1 for chunk, _ in ranked):
            return ranked
        yield
        deeper = yield from self._rank_unweighted(max(WEIGHED_DEPTH_FACTOR * k, RERANK_DEPTH))
        return sort_by_score((chunk, score * self.weigh(chunk) if score > 0 else score) for chunk, score in deeper)[:k]

    def weigh(self, chunk: StoredChunk) -> float:
        """Return the factor of the score of a chunk, by its role; 1 if the query asks for such a source."""
        weight = self._source_weights.get(chunk.role, 1.0)
        return 1.0 if weight < 1 and chunk.role in self._requested_roles else weight

    @cached_property
    def _requested_roles(self) -> frozenset[str]:
        return detect_requested_roles(self.query.text)

    def _rank_unweighted(self, k: int) -> StepGenerator[list[ScoredChunk]]:
        """Return the best k chunks, best first; in hybrid mode the top is reranked by its best sentences."""
        is_hybrid = self.query.mode == "hybrid"
        leg_depth = max(CANDIDATES_PER_LEG, k) if is_hybrid else k
        if leg_depth != self._leg_depth:
            self._legs = yield from self._search_legs(leg_depth)
            self._leg_depth = leg_depth
        yield
        legs = list(self._legs.values())
        if not is_hybrid:
            return self._load(self._snapshot.top_k(legs[0][0], k))
        candidate_count = sum(len(leg.ids) for leg, _ in legs)
        self._fused = self._snapshot.top_k(fuse(legs, candidate_count), max(k, RERANK_DEPTH))
        ranked = self._load(self._fused)
        yield
        return (rerank(ranked, self.coverage) if self._reranks else ranked)[:k]

    def explain(self, chunks: Sequence[StoredChunk]) -> Iterator[Explanation]:
        """Yield the parts of each chunk's score for this query."""
        best_sentences, heading_scores = (
            self.coverage.score_best_sentences(chunks),
            self.coverage.score_headings(chunks),
        )
        for chunk, (sentence_coverage, _), heading_score in zip(chunks, best_sentences, heading_scores, strict=True):
            ranks = {name: _find_leg_rank(leg, chunk.id) for name, (leg, _) in self._legs.items()}
            fused = _find_leg_rank(self._fused, chunk.id)
            yield Explanation(
                query=self.query.text,
                dense=ranks.get("dense"),
                lexical=ranks.get("lexical"),
                fused=None if fused is None else fused.score,
                sentence=round(sentence_coverage, 6),
                heading=round(heading_score, 6),
                role=chunk.role,
                source_weight=self.weigh(chunk),
            )

    def _search_legs(self, depth: int) -> StepGenerator[dict[str, tuple[ScoredIds, float]]]:
        query, legs = self.query, dict[str, tuple[ScoredIds, float]]()
        weight = query.dense_weight
        if query.vector is not None and weight > 0:
            legs["dense"] = self._snapshot.vector_search(query.vector, depth, self._matching_ids), weight
        yield
        if query.mode != "dense":
            terms, language = self.analyzed_query.terms, detect_language(query.text)
            lexical = search_terms(self._snapshot, terms, depth, self._matching_ids, language=language)
            legs["lexical"] = lexical, 1 - weight
        return legs

    def _load(self, scored: ScoredIds) -> list[ScoredChunk]:
        return list(zip(self._snapshot.load(scored.ids.tolist()), scored.scores.tolist(), strict=True))


def _combine_queries(runs: Sequence[_QueryRun], k: int) -> StepGenerator[list[ScoredChunk]]:
    chunks: dict[int, StoredChunk] = {}
    scores: dict[int, float] = {}
    for run in runs:
        ranked = yield from run.rank(max(CANDIDATES_PER_LEG, k))
        highest = max((score for _, score in ranked), default=0.0)
        for chunk, score in ranked:
            chunks[chunk.id] = chunk
            share = score / highest / len(runs) if highest > 0 else 0.0
            scores[chunk.id] = scores.get(chunk.id, 0.0) + share
    return sort_by_score((chunks[chunk_id], score) for chunk_id, score in scores.items())[:k]


def _find_leg_rank(scored: ScoredIds, chunk_id: int) -> LegRank | None:
    (indices,) = (scored.ids == chunk_id).nonzero()
    return LegRank(int(indices[0]) + 1, round(float(scored.scores[indices[0]]), 6)) if len(indices) else None


def make_hit(
    chunk: StoredChunk,
    score: float,
    best_sentence: tuple[float, int] = (0.0, 0),
    explanation: list[Explanation] | None = None,
) -> Hit:
    """Return a chunk as a hit; `best_sentence` has the coverage and the index of the sentence, 0.0 for none."""
    sentence = None
    coverage, index = best_sentence
    if coverage > 0:
        start, end = chunk.sentences[index]
        sentence = BestSentence(chunk.start + start, chunk.start + end, chunk.text[start:end])
    return Hit(
        chunk_id=chunk.id,
        uri=chunk.uri,
        title=chunk.title,
        heading=chunk.heading,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        score=round(score, 6),
        metadata=chunk.metadata,
        sentence=sentence,
        explanation=explanation,
    )
