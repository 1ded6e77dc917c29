"""Rank the documents of a read snapshot by their likeness to examples. Does not embed texts or look up sessions.

All vectors are centred: the mean of the caller's chunks is subtracted, because what all documents have in common says
nothing about which of them are alike. A document's vector is the mean of those of its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..core.errors import StorageError
from ..core.ports import ReadSnapshot
from ..core.types.documents import Ids, Vectors
from ..core.types.filters import AllOf, Filter
from ..core.types.recommendations import DEFAULT_RECOMMENDATION_DIVERSITY, RecommendationStrategy
from ..core.types.search import Hit, ScoredChunk, StoredChunk
from .ranking import limit_per_document, mmr
from .retrieval import MAX_DEPTH, MMR_POOL, make_hit

CANDIDATE_CHUNKS = 400
"""Number of chunks near the examples whose documents are ranked; more if k documents need them."""

MIN_CHUNKS_PER_EXAMPLE = 40

SAMPLED_CHUNKS = 48
"""Maximum number of chunks, evenly spaced, whose mean stands for a document."""

CENTRE_SAMPLE_CHUNKS = 1024
"""Number of chunks, evenly spaced, whose mean is the centre."""

CENTRE_PRIOR_CHUNKS = 50
"""The centre is shrunk by n / (n + this): the mean of a few chunks is mostly that of the examples themselves."""

NEGATIVE_WEIGHT = 0.5
"""Weight of the negative examples: with 1, what is like both is as far down as what is like neither."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResolvedExample:
    """An example as vectors, shape (n, dim): those of the chunks of a document, or the one of a chunk or a text."""

    vectors: Vectors
    document_uri: str | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to rank, and what to return of it."""

    positive: Sequence[ResolvedExample]
    negative: Sequence[ResolvedExample] = ()
    strategy: RecommendationStrategy = "average"
    k: int = 10
    visible_filter: Filter | None = None
    """That of the caller: the centre is the mean of what passes it."""
    filter: Filter | None = None
    """That of the caller and of the request: what passes it is recommended."""
    excluded_uris: frozenset[str] = frozenset()
    diversity: float = DEFAULT_RECOMMENDATION_DIVERSITY
    per_document: int = 1
    drop_copies: bool = True
    """Whether a document with the same text as an example, or as a better document, is left out."""


@dataclass(frozen=True, slots=True)
class _Profile:
    """The centred unit vectors of the examples, shapes (positive, dim) and (negative, dim)."""

    positive: Vectors
    negative: Vectors
    strategy: RecommendationStrategy

    def score(self, vectors: Vectors) -> Scores:
        """Return the score of each of these centred unit vectors, shape (n,)."""
        wanted = _join_similarities(vectors @ self.positive.T, self.strategy)
        if not len(self.negative):
            return wanted
        unwanted = _join_similarities(vectors @ self.negative.T, self.strategy)
        return wanted - NEGATIVE_WEIGHT * (np.maximum(unwanted, 0.0) if self.strategy == "best" else unwanted)

    def search_vectors(self) -> Vectors:
        """Return the vectors whose nearest chunks are candidates, shape (n, dim)."""
        if self.strategy != "average":
            return self.positive
        target: Vectors = self.positive.mean(axis=0, keepdims=True)
        if len(self.negative):
            target = target - np.float32(NEGATIVE_WEIGHT) * self.negative.mean(axis=0)
        return target


@dataclass(slots=True)
class _Candidates:
    """The chunks near the examples, by document, the nearest first."""

    chunks: dict[str, list[StoredChunk]] = field(default_factory=dict)
    is_complete: bool = False
    """Whether there are no others."""


def resolve_document(snapshot: ReadSnapshot, uri: str, visible_filter: Filter | None) -> ResolvedExample | None:
    """Return a document as an example; None if there is no such document that passes the filter."""
    ids = snapshot.document_chunk_ids([uri], visible_filter).get(uri)
    return None if ids is None else ResolvedExample(snapshot.vectors(_space_evenly(ids, SAMPLED_CHUNKS)), uri)


def resolve_chunk(snapshot: ReadSnapshot, chunk_id: int, visible_filter: Filter | None) -> ResolvedExample | None:
    """Return a chunk as an example; None if there is no such chunk in a document that passes the filter."""
    if not np.isin(chunk_id, _matching_ids(snapshot, visible_filter)):
        return None
    (chunk,) = snapshot.load([chunk_id])
    return ResolvedExample(snapshot.vectors([chunk_id]), chunk.uri)


def recommend(snapshot: ReadSnapshot, request: Recommendation) -> list[Hit]:
    """Return the passages of the k documents that are most like the positive examples, best first.

    An example without a vector counts nothing; without any positive one nothing is recommended.
    """
    centre = compute_centre(snapshot, request.visible_filter)
    positive = _centre_examples(request.positive, centre)
    if not len(positive):
        return []
    profile = _Profile(positive, _centre_examples(request.negative, centre), request.strategy)
    candidates = _collect_candidates(snapshot, profile, request)
    ranked = _rank_documents(snapshot, profile, candidates, centre, request)
    passages = [(chunk, score) for best, score in ranked for chunk in candidates[best.uri]]
    limited = limit_per_document(passages, request.per_document) if request.per_document else passages
    for chunk, _ in limited[: request.k]:
        if chunk.damage:
            raise StorageError(chunk.damage)
    return [make_hit(chunk, score) for chunk, score in limited[: request.k]]


def compute_centre(snapshot: ReadSnapshot, visible_filter: Filter | None) -> Vectors:
    """Return the mean vector of the visible chunks, shape (dim,), shrunk towards 0 if there are few."""
    ids = _matching_ids(snapshot, visible_filter)
    if not len(ids):
        return np.zeros(1, np.float32)
    mean = snapshot.vectors(_space_evenly(ids, CENTRE_SAMPLE_CHUNKS)).mean(axis=0, dtype=np.float64)
    centre: Vectors = (mean * (len(ids) / (len(ids) + CENTRE_PRIOR_CHUNKS))).astype(np.float32)
    return centre


def compute_document_vectors(
    snapshot: ReadSnapshot, uris: Sequence[str], centre: Vectors, filter: Filter | None
) -> dict[str, Vectors]:
    """Return the centred unit vector of each document that has one, by uri."""
    sampled = {
        uri: _space_evenly(ids, SAMPLED_CHUNKS)
        for uri, ids in snapshot.document_chunk_ids(uris, filter).items()
        if len(ids)
    }
    all_vectors = snapshot.vectors([chunk_id for ids in sampled.values() for chunk_id in ids])
    ends = np.cumsum([len(ids) for ids in sampled.values()])
    parts = np.split(all_vectors, ends[:-1]) if sampled else []
    return {uri: _centre_mean(part, centre) for uri, part in zip(sampled, parts, strict=True)}


def _matching_ids(snapshot: ReadSnapshot, filter: Filter | None) -> Ids:
    return snapshot.matching_ids(AllOf(()) if filter is None else filter)


def _space_evenly(ids: Ids, count: int) -> list[int]:
    """Return at most `count` of these ids, evenly spaced, the first and the last among them."""
    if len(ids) <= count:
        return [int(chunk_id) for chunk_id in ids]
    return [int(ids[row]) for row in np.linspace(0, len(ids) - 1, count).astype(np.int64)]


def _centre_mean(vectors: Vectors, centre: Vectors) -> Vectors:
    """Return the mean of these vectors minus the centre, scaled to length 1; 0 if they have no direction."""
    centred = vectors.mean(axis=0, dtype=np.float64) - centre
    length = float(np.linalg.norm(centred))
    unit: Vectors = (centred / length if length > 1e-6 else 0.0 * centred).astype(np.float32)
    return unit


def _centre_examples(examples: Iterable[ResolvedExample], centre: Vectors) -> Vectors:
    """Return the centred unit vector of each example that has one, shape (n, dim)."""
    rows = [_centre_mean(example.vectors, centre) for example in examples if example.vectors.any()]
    return np.array([row for row in rows if row.any()], np.float32).reshape(-1, len(rows[0]) if rows else 1)


def _join_similarities(similarities: Vectors, strategy: RecommendationStrategy) -> Scores:
    """Return one score for each row of similarities, shape (n, examples), to the examples."""
    exact = similarities.astype(np.float64)
    if strategy == "sum":
        exact = np.maximum(exact, 0.0) ** 2
    scores: Scores = exact.max(axis=1) if strategy == "best" else exact.sum(axis=1)
    return scores / similarities.shape[1] if strategy == "average" else scores


def _collect_candidates(
    snapshot: ReadSnapshot, profile: _Profile, request: Recommendation
) -> Mapping[str, list[StoredChunk]]:
    """Return the chunks near the examples, by document; searches deeper until k documents have some."""
    excluded = frozenset(request.excluded_uris | {e.document_uri for e in _all_examples(request) if e.document_uri})
    excluded_ids = _join_ids(snapshot.document_chunk_ids(sorted(excluded), request.visible_filter).values())
    targets = profile.search_vectors()
    depth = max(MIN_CHUNKS_PER_EXAMPLE, CANDIDATE_CHUNKS // len(targets))
    while True:
        candidates = _search_candidates(snapshot, targets, depth, request.filter, excluded_ids)
        if candidates.is_complete or len(candidates.chunks) >= max(2 * request.k, MMR_POOL) or depth >= MAX_DEPTH:
            return candidates.chunks
        depth = min(4 * depth, MAX_DEPTH)


def _search_candidates(
    snapshot: ReadSnapshot, targets: Vectors, depth: int, filter: Filter | None, excluded_ids: Ids
) -> _Candidates:
    """Return the `depth` nearest chunks of each target that pass the filter and are not excluded."""
    allowed = None if filter is None else np.setdiff1d(snapshot.matching_ids(filter), excluded_ids)
    best_scores: dict[int, float] = {}
    candidates = _Candidates(is_complete=True)
    for target in targets:
        nearest = snapshot.vector_search(target, depth + len(excluded_ids), allowed)
        is_kept = ~np.isin(nearest.ids, excluded_ids)
        ids, scores = nearest.ids[is_kept][:depth], nearest.scores[is_kept][:depth]
        candidates.is_complete &= len(ids) < depth
        for chunk_id, score in zip(ids.tolist(), scores.tolist(), strict=True):
            best_scores[chunk_id] = max(score, best_scores.get(chunk_id, score))
    nearest_first = sorted(best_scores, key=lambda chunk_id: (-best_scores[chunk_id], chunk_id))
    for chunk in snapshot.load(nearest_first):
        candidates.chunks.setdefault(chunk.uri, []).append(chunk)
    return candidates


def _rank_documents(
    snapshot: ReadSnapshot,
    profile: _Profile,
    candidates: Mapping[str, list[StoredChunk]],
    centre: Vectors,
    request: Recommendation,
) -> list[ScoredChunk]:
    """Return the best chunk of each document with the document's score, in the order of MMR."""
    vectors = compute_document_vectors(snapshot, list(candidates), centre, request.filter)
    if not vectors:
        return []
    uris = list(vectors)
    scores = dict(zip(uris, profile.score(np.array([vectors[uri] for uri in uris])).tolist(), strict=True))
    ranked = [(candidates[uri][0], scores[uri]) for uri in sorted(uris, key=lambda uri: (-scores[uri], uri))]
    if request.drop_copies:
        ranked = _drop_copies(ranked, _hash_examples(snapshot, request))
    if not request.diversity:
        return ranked
    pool = ranked[: max(request.k, MMR_POOL)]
    return mmr(pool, np.array([vectors[chunk.uri] for chunk, _ in pool]), request.diversity)


def _drop_copies(ranked: Sequence[ScoredChunk], seen_hashes: Iterable[str]) -> list[ScoredChunk]:
    """Return the documents without those whose text was seen, or is that of a better one."""
    seen, kept = set(seen_hashes), list[ScoredChunk]()
    for chunk, score in ranked:
        if chunk.damage or chunk.content_sha256 not in seen:  # the hash of a damaged document is not known
            kept.append((chunk, score))
            seen.add(chunk.content_sha256)
    return kept


def _hash_examples(snapshot: ReadSnapshot, request: Recommendation) -> set[str]:
    """Return the hashes of the texts of the examples' documents."""
    uris = [example.document_uri for example in _all_examples(request) if example.document_uri]
    ids = snapshot.document_chunk_ids(uris, request.visible_filter).values()
    return {chunk.content_sha256 for chunk in snapshot.load([int(each[0]) for each in ids if len(each)])}


def _all_examples(request: Recommendation) -> list[ResolvedExample]:
    return [*request.positive, *request.negative]


def _join_ids(parts: Iterable[Ids]) -> Ids:
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))
