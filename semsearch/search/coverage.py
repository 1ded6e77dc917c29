"""How much of a question single sentences hold: many of them at once, as numbers of terms.

Does not search and does not know what a passage is. The constants were chosen inside a plateau that squad2_a and
cranfield share: a step of a fifth aside changes nDCG@10 by less than .003 on either.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise

import numpy as np
import numpy.typing as npt

from ..core.types.answers import Question
from ..core.types.packed_terms import numbered
from ..core.types.search import StoredChunk
from ..text.questions import defined_terms, defines

NEAR_WEIGHT = 0.5
"""Of neighbouring terms of the question that stand near each other, against the terms: +.004 on squad2_a."""

DEFINITION_WEIGHT = 0.5
"""Of a sentence that begins by saying what the thing is, where the question asks just that: neutral on both judged
collections, which hardly ask so, and what people try first."""

IDENTIFIER_WEIGHT = 4.0
"""Of a sentence with an identifier that the question names: what is merely near in meaning cannot outrank it."""

NEAR = 3
"""Terms between which a pair is near: the function words in between count."""

_SLOTS = 1024
_SLOT = _SLOTS - 1
"""Terms fall into so many slots by these bits of their numbers; those in no slot of the question's are not looked at
again."""

_Numbers = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.int64]
_Shares = npt.NDArray[np.float64]


class Asked:
    """The terms of a question, weighed by how rare each is, against which sentences are held."""

    def __init__(self, question: Question) -> None:
        weights = question.weights
        weighed = [term for term in question.terms if term in weights]  # of very many, some are not
        terms = list(dict.fromkeys(weighed))
        pairs = list(dict.fromkeys((one, other) for one, other in pairwise(weighed) if one != other))
        self._shares = _shares([weights[term] for term in terms])
        self._pair_shares = _shares([weights[one] + weights[other] for one, other in pairs])
        numbers = numbered(terms)
        order = numbers.argsort()
        self._numbers, self._place = numbers[order], order
        self._slots = np.zeros(_SLOTS, np.bool_)
        self._slots[numbers & _SLOT] = True
        at = {term: place for place, term in enumerate(terms)}
        self._pairs = np.full((len(terms), len(terms)), -1)
        for number, (one, other) in enumerate(pairs):
            self._pairs[at[one], at[other]] = number
        self._defined = defined_terms(question.text)
        self._names = [numbered(name) for name in question.names]
        self._best: dict[int, tuple[float, int]] = {}

    def best(self, chunks: Sequence[StoredChunk]) -> list[tuple[float, int]]:
        """How much of the question the best sentence of each chunk holds, and which that is: the first of equals."""
        known = self._best
        if new := [chunk for chunk in chunks if chunk.id not in known]:
            known.update(zip([chunk.id for chunk in new], self._looked(new), strict=True))
        return [known[chunk.id] for chunk in chunks]

    def _looked(self, chunks: Sequence[StoredChunk]) -> Iterator[tuple[float, int]]:
        packed = [chunk.terms.numbers for chunk in chunks]
        sizes = [sizes or [0] for _, sizes in packed]
        held = self._held(np.concatenate([numbers for numbers, _ in packed]), list(chain.from_iterable(sizes)))
        if self._defined:
            held = self._defining(held, [terms for chunk in chunks for terms in (*chunk.terms,) or ((),)])
        counts = np.array(list(map(len, sizes)))
        starts = counts.cumsum() - counts
        most = np.maximum.reduceat(held, starts)
        (equal,) = (held == most.repeat(counts)).nonzero()
        first = equal[equal.searchsorted(starts)] - starts
        return zip(most.tolist(), first.tolist(), strict=True)

    def held(self, sentences: Sequence[Sequence[str]]) -> list[float]:
        """How much of the question the terms of each sentence hold: for most questions from 0 to 1 + `NEAR_WEIGHT`.

        That is the share of its terms, by weight, and the share of its pairs of neighbours that stand near each other
        here in the same order; and more where it defines or names just what the question asks for.
        """
        held = self._held(numbered(chain.from_iterable(sentences)), list(map(len, sentences)))
        found: list[float] = (self._defining(held, sentences) if self._defined else held).tolist()
        return found

    def _held(self, numbers: _Numbers, sizes: Sequence[int]) -> _Shares:
        """What each sentence holds, but for definitions; `numbers` has the terms of all of them in a row."""
        at, term = self._found(numbers)
        starts = np.fromiter(accumulate(sizes, initial=0), np.int64, len(sizes) + 1)
        sentence = starts.searchsorted(at, "right") - 1
        present = np.zeros((len(sizes), len(self._shares)))
        present[sentence, term] = 1.0
        present *= self._shares
        held: _Shares = present.sum(axis=1)  # each row in the order of the question, whatever stands beside it
        if len(self._pair_shares) and len(at) > 1:
            one, other = _neighbours(len(at))
            pair = self._pairs[term[one], term[other]]
            here = (pair >= 0) & (at[other] - at[one] <= NEAR) & (sentence[one] == sentence[other])
            near = np.zeros((len(sizes), len(self._pair_shares)))
            near[sentence[one[here]], pair[here]] = NEAR_WEIGHT
            near *= self._pair_shares
            held += near.sum(axis=1)
        if self._names:
            held[self._naming(numbers, starts) & (held > 0)] += IDENTIFIER_WEIGHT
        return held

    def _found(self, numbers: _Numbers) -> tuple[_Places, _Places]:
        """Where terms of the question stand among these numbers, and which of them."""
        (at,) = self._slots[numbers & _SLOT].nonzero()  # a few too many, in a fifth of the time
        if not len(at):
            return at, at
        there = numbers[at]
        place = np.minimum(self._numbers.searchsorted(there), len(self._numbers) - 1)
        found = self._numbers[place] == there
        return at[found], self._place[place[found]]

    def _naming(self, numbers: _Numbers, starts: _Places) -> npt.NDArray[np.bool_]:
        """Whether each sentence has one of the question's names, its parts side by side."""
        naming = np.zeros(len(starts) - 1, np.bool_)
        for name in self._names:
            places = max(0, len(numbers) - len(name) + 1)
            there = np.ones(places, np.bool_)
            for part, number in enumerate(name):
                there &= numbers[part : part + places] == number
            (at,) = there.nonzero()
            sentence = starts.searchsorted(at, "right") - 1
            naming[sentence[at + len(name) <= starts[sentence + 1]]] = True
        return naming

    def _defining(self, held: _Shares, sentences: Sequence[Sequence[str]]) -> _Shares:
        """More of sentences that have a term of the question, and define what it asks for."""
        more = held.copy()
        for number in held.nonzero()[0].tolist():
            more[number] += DEFINITION_WEIGHT * defines(sentences[number], self._defined)
        return more


def _neighbours(count: int) -> tuple[_Places, _Places]:
    """Each of so many places with each of the next `NEAR`: no more can stand within reach.

    >>> [places.tolist() for places in _neighbours(3)]
    [[0, 1, 0], [1, 2, 2]]
    """
    places = np.arange(count)
    aheads = range(1, min(NEAR, count - 1) + 1)
    return np.concatenate([places[:-ahead] for ahead in aheads]), np.concatenate([places[ahead:] for ahead in aheads])


def _shares(weights: Sequence[float]) -> _Shares:
    total = sum(weights)
    return np.array(weights) / (total if total > 0 else 1.0)
