"""From a question to ranked chunks: nearest + match → fuse → load → rerank → shape. Does not embed or answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from ..text.questions import extract_identifiers
from .coverage import QueryCoverage
from .interleaving import StepGenerator, interleave
from .lexical import search_terms
from .ranking import (
    CANDIDATES_PER_LEG,
    RERANK_DEPTH,
    drop_near_duplicates,
    fuse,
    limit_per_document,
    mmr,
    rerank,
    sort_by_score,
)

MAX_K = 1000

MAX_DEPTH = 8 * MAX_K
"""Chunks that are looked at for one search, at most, however many of them say the same or belong to one document."""

MMR_POOL = 50
"""How many of the best are chosen from where a request wants diversity."""

DEFAULT_RESULT_OPTIONS = ResultOptions(collapse=False)

_EMPTY_SCORES = np.empty(0, np.int64), np.empty(0)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the legs of a search take it. `vector` is None where the mode needs none."""

    text: str
    vector: Vectors | None
    filter: Filter | None
    mode: SearchMode
    dense_weight: float


def validate_k(k: int) -> int:
    """Return how many chunks are wanted; Invalid if that is out of bounds."""
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise InvalidError(f"k is a whole number between 1 and {MAX_K}, not {k!r}")
    return k


def validate_mode(mode: SearchMode) -> SearchMode:
    """Return the way to search; Invalid if there is none of this name."""
    if mode not in get_args(SearchMode):
        raise InvalidError(f"the mode is one of {', '.join(get_args(SearchMode))}, not {mode!r}")
    return mode


def choose_dense_weight(embedder: Embedder, query: str, mode: SearchMode) -> float:
    """How much the embedder's vectors count for this question, from 0 to 1; words count for the rest."""
    return embedder.dense_weights[detect_language(query)] if mode == "hybrid" else 1.0 if mode == "dense" else 0.0


def analyze_query(snapshot: ReadSnapshot, text: str) -> AnalyzedQuery:
    """A question with its terms, and what each of them weighs in this collection."""
    words = extract_query_terms(text)
    names = tuple(extract_identifiers(text))
    phrases = [" ".join(name) for name in names]
    terms = (*words, *(phrase for phrase in phrases if phrase not in words))
    return AnalyzedQuery(text, terms, snapshot.idf(terms), names)


@dataclass(frozen=True, slots=True)
class Search:
    """What one search looks for; several queries count alike, each by its share of its own best score."""

    queries: Sequence[Query]
    k: int
    result_options: ResultOptions = DEFAULT_RESULT_OPTIONS
    explain: bool = False


def run_searches(snapshot: ReadSnapshot, searches: Sequence[Search]) -> list[list[Hit]]:
    """The best chunks of each search, best first; the searches are made in step, and each as if it were alone."""
    return interleave(_search_steps(snapshot, search) for search in searches)


def retrieve(snapshot: ReadSnapshot, search: Search) -> RetrievalResult:
    """The best chunks, best first, and what was seen on the way."""
    (found,) = interleave([_retrieve_steps(snapshot, search)])
    return found


def _search_steps(snapshot: ReadSnapshot, search: Search) -> StepGenerator[list[Hit]]:
    found = yield from _retrieve_steps(snapshot, search)
    yield
    return found.to_hits(explain=search.explain)


def _retrieve_steps(snapshot: ReadSnapshot, search: Search) -> StepGenerator[RetrievalResult]:
    """Where the shape leaves some out, it is looked deeper, so that there are k if the best `DEEPEST` have them."""
    k, shape = search.k, search.result_options
    looks = [_QueryRun(snapshot, query) for query in search.queries]
    depth = max(k, MMR_POOL if shape.diversity else RERANK_DEPTH if search.queries[0].mode == "hybrid" else 1)
    most = max(k, MMR_POOL) if shape.diversity else k
    while True:
        yield
        ranked = yield from (looks[0].rank(depth) if len(looks) == 1 else _combine_queries(looks, depth))
        yield
        if shape.collapse:
            shaped = drop_near_duplicates(ranked, most, per_document=shape.per_document)
        else:
            shaped = limit_per_document(ranked, shape.per_document) if shape.per_document else ranked
        if len(shaped) >= k or len(ranked) < depth or depth >= MAX_DEPTH:
            break
        depth = min(2 * depth, MAX_DEPTH)
    if shape.diversity:
        head = shaped[:most]
        shaped = mmr(head, snapshot.vectors([chunk.id for chunk, _ in head]), shape.diversity)
    return RetrievalResult(_intact(shaped[:k]), looks)


def _intact(ranked: list[ScoredChunk]) -> list[ScoredChunk]:
    """What is to be shown; Storage if any of it is not as it was written."""
    for chunk, _ in ranked:
        if chunk.damage:
            raise StorageError(chunk.damage)
    return ranked


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """What was found, and what was seen on the way."""

    ranked: list[ScoredChunk]
    _runs: Sequence[_QueryRun]

    @property
    def analyzed_query(self) -> AnalyzedQuery:
        """The first query, analysed; one behind it looks wider."""
        first, *wider = (look.analyzed_query for look in self._runs)
        return replace(first, query_with_history=wider[-1]) if wider else first

    def to_hits(self, *, explain: bool = False) -> list[Hit]:
        """The chunks as results, each with its best sentence, and with its scores if they are to be explained."""
        chunks = [chunk for chunk, _ in self.ranked]
        best = self._runs[0].coverage.score_best_sentences(chunks)
        explained: list[list[Explanation] | None] = [None] * len(chunks)
        if explain:
            explained = [[*how] for how in zip(*(look.explain(chunks) for look in self._runs), strict=True)]
        return [
            _to_hit(chunk, score, held, how)
            for (chunk, score), held, how in zip(self.ranked, best, explained, strict=True)
        ]


class _QueryRun:
    """One query in one snapshot; its legs are searched when they are needed, and deeper if need be."""

    def __init__(self, snapshot: ReadSnapshot, query: Query) -> None:
        self.query = query
        self.analyzed_query = analyze_query(snapshot, query.text)
        self.coverage = QueryCoverage(self.analyzed_query)
        self._snapshot = snapshot
        self._matching_ids = None if query.filter is None else snapshot.matching_ids(query.filter)
        self._legs: Mapping[str, tuple[ScoredIds, float]] = {}
        self._fused = ScoredIds(*_EMPTY_SCORES)

    def rank(self, k: int) -> StepGenerator[list[ScoredChunk]]:
        """The best k chunks, best first; in hybrid mode the head is ranked again by its best sentences."""
        hybrid = self.query.mode == "hybrid"
        self._legs = yield from self._search_legs(max(CANDIDATES_PER_LEG, k) if hybrid else k)
        yield
        legs = list(self._legs.values())
        if not hybrid:
            return self._load(self._snapshot.top_k(legs[0][0], k))
        everything = sum(len(leg.ids) for leg, _ in legs)
        self._fused = self._snapshot.top_k(fuse(legs, everything), max(k, RERANK_DEPTH))
        ranked = self._load(self._fused)
        yield
        return rerank(ranked, self.coverage)[:k]

    def explain(self, chunks: Sequence[StoredChunk]) -> Iterator[Explanation]:
        """How this query came to the score of each chunk."""
        for chunk, (held, _) in zip(chunks, self.coverage.score_best_sentences(chunks), strict=True):
            places = {name: _find_leg_rank(leg, chunk.id) for name, (leg, _) in self._legs.items()}
            fused = _find_leg_rank(self._fused, chunk.id)
            yield Explanation(
                query=self.query.text,
                dense=places.get("dense"),
                lexical=places.get("lexical"),
                fused=None if fused is None else fused.score,
                sentence=round(held, 6),
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
    for look in runs:
        ranked = yield from look.rank(max(CANDIDATES_PER_LEG, k))
        highest = max((score for _, score in ranked), default=0.0)
        for chunk, score in ranked:
            chunks[chunk.id] = chunk
            share = score / highest / len(runs) if highest > 0 else 0.0
            scores[chunk.id] = scores.get(chunk.id, 0.0) + share
    return sort_by_score((chunks[chunk_id], score) for chunk_id, score in scores.items())[:k]


def _find_leg_rank(scored: ScoredIds, chunk_id: int) -> LegRank | None:
    (at,) = (scored.ids == chunk_id).nonzero()
    return LegRank(int(at[0]) + 1, round(float(scored.scores[at[0]]), 6)) if len(at) else None


def _to_hit(chunk: StoredChunk, score: float, best: tuple[float, int], explanation: list[Explanation] | None) -> Hit:
    sentence = None
    if best[0] > 0:
        start, end = chunk.sentences[best[1]]
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
