"""Merges the scores of several searches into one order, and corrects its head by what single sentences hold.

Does not search and does not load: scores and chunks come in, an order goes out. The constants were chosen inside a
plateau that squad2_a and cranfield share: a step of a fifth aside changes nDCG@10 by less than .003 on either.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..core.types.documents import Vectors
from ..core.types.search import ScoredChunk, ScoredIds, StoredChunk
from ..text.characters import has_digit
from .coverage import QueryCoverage

CANDIDATES_PER_LEG = 100
"""How many chunks of each leg are fused."""

RERANK_DEPTH = 20
"""How many of the fused chunks are looked at sentence by sentence; 30 measured the same."""

SENTENCE_WEIGHT = 0.25
"""Of the most that one sentence holds of the question, added to a fused score of at most 1: +.011 on squad2_a."""

DUPLICATE_SIMILARITY = 0.97
"""Chunks say the same if this share of their terms is the same: copies that were set or inflected anew."""


def fuse(legs: Sequence[tuple[ScoredIds, float]], k: int) -> ScoredIds:
    """Return the best `k` chunks by the weighted sum of the legs' scores, each leg scaled to a maximum of 1.

    A chunk that a leg did not find has 0 there, and so has one with a score below 0. Equal scores are in order of id:
    who needs another order of ties asks for all and sorts again.
    """
    found = np.concatenate([np.empty(0, np.int64), *(leg.ids for leg, _ in legs)])
    scaled = np.concatenate([np.empty(0), *(_scale_scores(leg, weight) for leg, weight in legs)])
    ids, rows = np.unique(found, return_inverse=True)
    totals = np.bincount(rows, scaled, len(ids)).astype(np.float64)  # of no legs it counts in integers
    best = np.lexsort((ids, -totals))[:k]
    return ScoredIds(ids[best], totals[best])


def _scale_scores(leg: ScoredIds, weight: float) -> npt.NDArray[np.float64]:
    positive = np.maximum(leg.scores, 0.0)
    highest = positive.max(initial=0.0)
    return positive * (weight / highest) if highest else positive


def sort_by_score(ranked: Iterable[ScoredChunk]) -> list[ScoredChunk]:
    """Return the chunks by falling score, equal ones by uri, then start: the same after any history of the store."""
    return sorted(ranked, key=lambda one: (-one[1], one[0].uri, one[0].start))


def rerank(ranked: Sequence[ScoredChunk], coverage: QueryCoverage) -> list[ScoredChunk]:
    """Return the chunks with the first `RERANKED` ordered again by score and by what their best sentence holds.

    No score falls, so that the rest stays behind.
    """
    head = ranked[:RERANK_DEPTH]
    held = coverage.score_best_sentences([chunk for chunk, _ in head])
    better = [(chunk, score + SENTENCE_WEIGHT * most) for (chunk, score), (most, _) in zip(head, held, strict=True)]
    return sort_by_score(better) + list(ranked[RERANK_DEPTH:])


def drop_near_duplicates(
    ranked: Sequence[ScoredChunk], limit: int | None = None, *, per_document: int = 0
) -> list[ScoredChunk]:
    """Return the chunks without those that say nearly the same as a better one; not more than `most` of them.

    Of one document not more than `of_each`, if that is a number: whatever is left out for it hides no other.
    """
    kept: list[ScoredChunk] = []
    prints: list[int] = []
    contents: dict[int, frozenset[str]] = {}
    count: Counter[int] = Counter()
    for chunk, score in ranked:
        if len(kept) == limit:
            break
        if per_document and count[chunk.document_id] == per_document:
            continue
        size, bits = chunk.terms.term_signature
        room = (1 - DUPLICATE_SIMILARITY) * size / DUPLICATE_SIMILARITY
        close = [at for at, other in enumerate(prints) if (bits ^ other).bit_count() <= room]
        content = _collect_terms(chunk) if close else frozenset()
        for at in close:
            if at not in contents:
                contents[at] = _collect_terms(kept[at][0])
            if _is_duplicate(content, contents[at]):
                break
        else:
            kept.append((chunk, score))
            prints.append(bits)
            count[chunk.document_id] += 1
    return kept


def limit_per_document(ranked: Sequence[ScoredChunk], limit: int) -> list[ScoredChunk]:
    """Return the chunks without those of which as many of the same document are better."""
    count: Counter[int] = Counter()
    kept = []
    for chunk, score in ranked:
        count[chunk.document_id] += 1
        if count[chunk.document_id] <= limit:
            kept.append((chunk, score))
    return kept


def mmr(ranked: Sequence[ScoredChunk], vectors: Vectors, diversity: float) -> list[ScoredChunk]:
    """Return the chunks ordered by maximal marginal relevance; their scores stay what they were.

    The next one is always that of the highest share of the best score, less its largest cosine with one before it
    (Carbonell & Goldstein, "The Use of MMR", SIGIR 1998); `diversity` weighs the one against the other. `vectors` are
    the chunks' own, shape (len(ranked), dim).
    """
    if not ranked:
        return []
    scores = np.array([score for _, score in ranked])
    relevance = (1 - diversity) * scores / max(scores.max(), 1e-9)
    nearest = np.zeros(len(ranked))
    order: list[int] = []
    left = np.ones(len(ranked), np.bool_)
    while left.any():
        order.append(int(np.argmax(np.where(left, relevance - diversity * nearest, -np.inf))))
        left[order[-1]] = False
        nearest = np.maximum(nearest, vectors @ vectors[order[-1]])
    return [ranked[at] for at in order]


def _collect_terms(chunk: StoredChunk) -> frozenset[str]:
    return frozenset(chain.from_iterable(chunk.terms)) or frozenset([chunk.text])


def _is_duplicate(left: frozenset[str], right: frozenset[str]) -> bool:
    """Whether two chunks say the same; two numbers are never the same."""
    different = left ^ right
    return len(different) <= (1 - DUPLICATE_SIMILARITY) * max(len(left), len(right)) and not any(
        map(has_digit, different)
    )
