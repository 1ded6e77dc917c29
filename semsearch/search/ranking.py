"""Fuse the scores of several legs into one ranking, rerank its top by sentence coverage, drop near-duplicates.

Pure functions of scores and chunks: does not search or load. The constants lie in a plateau that squad2_a and cranfield
share: a change by a fifth changes nDCG@10 by less than .003 on either.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core.types.documents import Vectors
from ..core.types.search import ScoredChunk, ScoredIds, StoredChunk
from ..text.characters import has_digit
from .coverage import QueryCoverage

CANDIDATES_PER_LEG = 100
"""Number of chunks of each leg that are fused."""

RERANK_DEPTH = 20
"""Number of fused chunks that are reranked by their sentences; 30 measured the same."""

SENTENCE_WEIGHT = 0.25
"""Weight of the coverage of the best sentence, added to a fused score of at most 1: +.011 on squad2_a."""

DUPLICATE_SIMILARITY = 0.97
"""Chunks are near-duplicates if they share this fraction of their terms: copies with other layout or inflection."""


def fuse(legs: Sequence[tuple[ScoredIds, float]], k: int) -> ScoredIds:
    """Return the best `k` chunks by the weighted sum of the legs' scores, each leg scaled to a maximum of 1.

    A chunk that is missing in a leg, or has a negative score there, counts 0 in it. Ties are in order of id; a caller
    that needs another order must fuse all chunks and sort them again.
    """
    leg_ids = np.concatenate([np.empty(0, np.int64), *(leg.ids for leg, _ in legs)])
    leg_scores = np.concatenate([np.empty(0), *(_scale_scores(leg, weight) for leg, weight in legs)])
    ids, rows = np.unique(leg_ids, return_inverse=True)
    totals = np.bincount(rows, leg_scores, len(ids)).astype(np.float64)  # without legs bincount returns integers
    order = np.lexsort((ids, -totals))[:k]
    return ScoredIds(ids[order], totals[order])


def _scale_scores(leg: ScoredIds, weight: float) -> npt.NDArray[np.float64]:
    scores = np.maximum(leg.scores, 0.0)
    highest = scores.max(initial=0.0)
    return scores * (weight / highest) if highest else scores


def sort_by_score(ranked: Iterable[ScoredChunk]) -> list[ScoredChunk]:
    """Return the chunks by falling score; ties by uri, then start, so that the history of the store has no effect."""
    return sorted(ranked, key=lambda scored: (-scored[1], scored[0].uri, scored[0].start))


def rerank(ranked: Sequence[ScoredChunk], coverage: QueryCoverage) -> list[ScoredChunk]:
    """Return the chunks with the first `RERANK_DEPTH` reordered by score plus those of best sentence and headings.

    No score falls, so the other chunks stay behind them.
    """
    head = ranked[:RERANK_DEPTH]
    chunks = [chunk for chunk, _ in head]
    best_sentences, heading_scores = coverage.score_best_sentences(chunks), coverage.score_headings(chunks)
    reranked = [
        (chunk, score + SENTENCE_WEIGHT * sentence_coverage + heading_score)
        for (chunk, score), (sentence_coverage, _), heading_score in zip(
            head, best_sentences, heading_scores, strict=True
        )
    ]
    return sort_by_score(reranked) + list(ranked[RERANK_DEPTH:])


class DuplicateGroup(NamedTuple):
    """A chunk with the near-duplicates of it that rank lower."""

    chunk: StoredChunk
    score: float
    copies: list[StoredChunk]


def group_near_duplicates(
    ranked: Sequence[ScoredChunk], limit: int | None = None, *, per_document: int = 0
) -> list[DuplicateGroup]:
    """Return the first `limit` chunks that are no near-duplicates of a better one, with their near-duplicates.

    `per_document`, unless 0, limits the chunks of one document; a chunk over that limit suppresses no other chunk.
    """
    groups: list[DuplicateGroup] = []
    signatures: list[int] = []
    group_terms: dict[int, frozenset[str]] = {}
    document_counts: Counter[int] = Counter()
    for chunk, score in ranked:
        if len(groups) == limit:
            break
        if per_document and document_counts[chunk.document_id] == per_document:
            continue
        term_count, signature = chunk.terms.term_signature
        max_different_bits = (1 - DUPLICATE_SIMILARITY) * term_count / DUPLICATE_SIMILARITY
        candidates = [
            index
            for index, group_signature in enumerate(signatures)
            if (signature ^ group_signature).bit_count() <= max_different_bits
        ]
        terms = _collect_terms(chunk) if candidates else frozenset()
        for index in candidates:
            if index not in group_terms:
                group_terms[index] = _collect_terms(groups[index].chunk)
            if _is_duplicate(terms, group_terms[index]):
                groups[index].copies.append(chunk)
                break
        else:
            groups.append(DuplicateGroup(chunk, score, []))
            signatures.append(signature)
            document_counts[chunk.document_id] += 1
    return groups


def drop_near_duplicates(
    ranked: Sequence[ScoredChunk], limit: int | None = None, *, per_document: int = 0
) -> list[ScoredChunk]:
    """Return the same chunks without their near-duplicates."""
    return [(group.chunk, group.score) for group in group_near_duplicates(ranked, limit, per_document=per_document)]


def limit_per_document(ranked: Sequence[ScoredChunk], limit: int) -> list[ScoredChunk]:
    """Return the chunks that are among the best `limit` of their document."""
    document_counts: Counter[int] = Counter()
    kept = []
    for chunk, score in ranked:
        document_counts[chunk.document_id] += 1
        if document_counts[chunk.document_id] <= limit:
            kept.append((chunk, score))
    return kept


def mmr(ranked: Sequence[ScoredChunk], vectors: Vectors, diversity: float) -> list[ScoredChunk]:
    """Return the chunks ordered by maximal marginal relevance; their scores do not change.

    Each step takes the chunk with the highest relevance, its score as a share of the best score, minus its largest
    cosine with a chunk before it (Carbonell & Goldstein, "The Use of MMR", SIGIR 1998). `diversity` is the weight of
    the cosine, 1 - `diversity` that of the relevance. `vectors` are the chunks' embeddings, shape (len(ranked), dim).
    """
    if not ranked:
        return []
    scores = np.array([score for _, score in ranked])
    relevance = (1 - diversity) * scores / max(scores.max(), 1e-9)
    max_cosines = np.zeros(len(ranked))
    order: list[int] = []
    is_remaining = np.ones(len(ranked), np.bool_)
    while is_remaining.any():
        order.append(int(np.argmax(np.where(is_remaining, relevance - diversity * max_cosines, -np.inf))))
        is_remaining[order[-1]] = False
        max_cosines = np.maximum(max_cosines, vectors @ vectors[order[-1]])
    return [ranked[index] for index in order]


def _collect_terms(chunk: StoredChunk) -> frozenset[str]:
    return frozenset(chain.from_iterable(chunk.terms)) or frozenset([chunk.text])


def _is_duplicate(left: frozenset[str], right: frozenset[str]) -> bool:
    """Return whether two sets of terms are near-duplicates; sets that differ in a number never are."""
    difference = left ^ right
    max_difference = (1 - DUPLICATE_SIMILARITY) * max(len(left), len(right))
    return len(difference) <= max_difference and not any(map(has_digit, difference))
