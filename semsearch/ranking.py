"""Merges the scores of several searches into one order, and corrects its head by what single sentences hold.

Does not search and does not load: scores and chunks come in, an order goes out. The constants were chosen inside a
plateau that squad2_a and cranfield share: a step of a fifth aside changes nDCG@10 by less than .003 on either.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .analysis import defined_terms, defines, identifiers
from .types import Question, Ranked, Scored, StoredChunk, Vectors

DEPTH = 100
"""How many chunks of each leg are fused."""

RERANKED = 20
"""How many of the fused chunks are looked at sentence by sentence; 30 measured the same."""

SENTENCE_WEIGHT = 0.25
"""Of the most that one sentence holds of the question, added to a fused score of at most 1: +.011 on squad2_a."""

NEAR_WEIGHT = 0.5
"""Of neighbouring terms of the question that stand near each other, against the terms: +.004 on squad2_a."""

DEFINITION_WEIGHT = 0.5
"""Of a sentence that begins by saying what the thing is, where the question asks just that: neutral on both judged
collections, which hardly ask so, and what people try first."""

IDENTIFIER_WEIGHT = 4.0
"""Of a sentence with an identifier that the question names: what is merely near in meaning cannot outrank it."""

NEAR = 3
"""Terms between which a pair is near: the function words in between count."""

ALIKE = 0.97
"""Chunks say the same if this share of their terms is the same: copies that were set or inflected anew."""

_K = TypeVar("_K")


def fuse(legs: Sequence[tuple[Scored, float]], k: int) -> Scored:
    """Return the best `k` chunks by the weighted sum of the legs' scores, each leg scaled to a maximum of 1.

    A chunk that a leg did not find has 0 there, and so has one with a score below 0. Equal scores are in order of id:
    who needs another order of ties asks for all and sorts again.
    """
    found = np.concatenate([np.empty(0, np.int64), *(leg.ids for leg, _ in legs)])
    scaled = np.concatenate([np.empty(0), *(_scaled(leg, weight) for leg, weight in legs)])
    ids, rows = np.unique(found, return_inverse=True)
    totals = np.bincount(rows, scaled, len(ids)).astype(np.float64)  # of no legs it counts in integers
    best = np.lexsort((ids, -totals))[:k]
    return Scored(ids[best], totals[best])


def _scaled(leg: Scored, weight: float) -> npt.NDArray[np.float64]:
    positive = np.maximum(leg.scores, 0.0)
    highest = positive.max(initial=0.0)
    return positive * (weight / highest) if highest else positive


def best_first(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Return the chunks by falling score, equal ones by uri, then start: the same after any history of the store."""
    return sorted(ranked, key=lambda one: (-one[1], one[0].uri, one[0].start))


def rerank(ranked: Sequence[Ranked], asked: "Asked") -> list[Ranked]:
    """Return the chunks with the first `RERANKED` ordered again by score and by what their best sentence holds.

    No score falls, so that the rest stays behind.
    """
    head = [(chunk, score + SENTENCE_WEIGHT * asked.best(chunk)[0]) for chunk, score in ranked[:RERANKED]]
    return best_first(head) + list(ranked[RERANKED:])


def collapsed(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Return the chunks without those that say nearly the same as a better one."""
    kept: list[Ranked] = []
    prints: list[int] = []
    for chunk, score in ranked:
        size, bits = chunk.terms.fingerprint
        room = (1 - ALIKE) * size / ALIKE
        rivals = [kept[at][0] for at, other in enumerate(prints) if (bits ^ other).bit_count() <= room]
        if not any(_alike(_content(chunk), _content(other)) for other in rivals):
            kept.append((chunk, score))
            prints.append(bits)
    return kept


def few_of_each(ranked: Sequence[Ranked], most: int) -> list[Ranked]:
    """Return the chunks without those of which as many of the same document are better."""
    count: Counter[int] = Counter()
    kept = []
    for chunk, score in ranked:
        count[chunk.document_id] += 1
        if count[chunk.document_id] <= most:
            kept.append((chunk, score))
    return kept


def diverse(ranked: Sequence[Ranked], vectors: Vectors, diversity: float) -> list[Ranked]:
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


def _content(chunk: StoredChunk) -> frozenset[str]:
    return frozenset(chain.from_iterable(chunk.terms)) or frozenset([chunk.text])


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two chunks say the same; two numbers are never the same."""
    different = one ^ other
    return len(different) <= (1 - ALIKE) * max(len(one), len(other)) and not any(map(_has_digit, different))


def _has_digit(term: str) -> bool:
    return any(map(str.isdigit, term))


class Asked:
    """The terms of a question, weighed by how rare each is, against which sentences are held."""

    def __init__(self, question: Question) -> None:
        terms, weights = question.terms, question.weights
        self._terms = _shares({term: weights.get(term, 0.0) for term in terms})
        pairs = [(one, other) for one, other in pairwise(terms) if one != other]
        self._pairs = _shares({(one, other): weights.get(one, 0.0) + weights.get(other, 0.0) for one, other in pairs})
        self._defined = defined_terms(question.text)
        self._identifiers = identifiers(question.text)
        self._best: dict[int, tuple[float, int]] = {}

    def best(self, chunk: StoredChunk) -> tuple[float, int]:
        """How much of the question the chunk's best sentence holds, and which sentence that is: the first of equals."""
        if chunk.id not in self._best:
            most, best = 0.0, 0
            for number, sentence in chunk.terms.holding(self._terms):
                held = self.held(sentence)
                if held > most:
                    most, best = held, number
            self._best[chunk.id] = most, best
        return self._best[chunk.id]

    def held(self, sentence: Sequence[str]) -> float:
        """How much of the question a sentence's terms hold: for most questions from 0 to 1 + `NEAR_WEIGHT`.

        That is the share of its terms, by weight, and the share of its pairs of neighbours that stand near each other
        here in the same order; and more where it defines or names just what the question asks for.
        """
        present = self._terms.keys() & sentence
        if not present:
            return 0.0
        # Added up in the question's order: that of a set differs between processes, and with it the last digit.
        held = sum([share for term, share in self._terms.items() if term in present])
        if len(present) > 1:
            held += NEAR_WEIGHT * sum(
                [
                    share
                    for (one, other), share in self._pairs.items()
                    if one in present and other in present and _are_near(sentence, one, other)
                ]
            )
        if self._defined:
            held += DEFINITION_WEIGHT * defines(sentence, self._defined)
        return held + IDENTIFIER_WEIGHT * self._named(sentence) if self._identifiers else held

    def _named(self, sentence: Sequence[str]) -> bool:
        """Whether the sentence has one of the question's identifiers, its parts side by side."""
        return any(
            sentence[at : at + len(name)] == name
            for name in self._identifiers
            if name[0] in sentence and name[-1] in sentence  # seldom, and seen sooner than by looking at each place
            for at in range(len(sentence) - len(name) + 1)
        )


def _are_near(sentence: Sequence[str], one: str, other: str) -> bool:
    """Whether one term stands near before another, where a sentence holds both."""
    at = -1
    for _ in range(sentence.count(one)):
        at = sentence.index(one, at + 1)
        if other in sentence[at + 1 : at + 1 + NEAR]:
            return True
    return False


def _shares(weights: Mapping[_K, float]) -> dict[_K, float]:
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()} if total > 0 else {}
