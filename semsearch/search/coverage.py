"""How much of a question single sentences hold: many of them at once, as numbers of terms.

Does not search and does not know what a passage is. The constants were chosen inside a plateau that squad2_a and
cranfield share: a step of a fifth aside changes nDCG@10 by less than .003 on either.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise

import numpy as np
import numpy.typing as npt

from ..core.types.answers import AnalyzedQuery
from ..core.types.packed_terms import hash_terms
from ..core.types.search import StoredChunk
from ..text.questions import extract_defined_terms, is_definition

PROXIMITY_WEIGHT = 0.5
"""Of neighbouring terms of the question that stand near each other, against the terms: +.004 on squad2_a."""

DEFINITION_WEIGHT = 0.5
"""Of a sentence that begins by saying what the thing is, where the question asks just that: neutral on both judged
collections, which hardly ask so, and what people try first."""

IDENTIFIER_WEIGHT = 4.0
"""Of a sentence with an identifier that the question names: what is merely near in meaning cannot outrank it."""

PROXIMITY_WINDOW = 3
"""Terms between which a pair is near: the function words in between count."""

_HASH_SLOTS = 1024
_SLOT_MASK = _HASH_SLOTS - 1
"""Terms fall into so many slots by these bits of their numbers; those in no slot of the question's are not looked at
again."""

_TermHashes = npt.NDArray[np.uint32]
_Positions = npt.NDArray[np.int64]
_Weights = npt.NDArray[np.float64]


class QueryCoverage:
    """The terms of a question, weighed by how rare each is, against which sentences are held."""

    def __init__(self, query: AnalyzedQuery) -> None:
        weights = query.idf
        weighed = [term for term in query.terms if term in weights]  # of very many, some are not
        terms = list(dict.fromkeys(weighed))
        pairs = list(dict.fromkeys((one, other) for one, other in pairwise(weighed) if one != other))
        self._term_weights = _normalize_weights([weights[term] for term in terms])
        self._pair_weights = _normalize_weights([weights[one] + weights[other] for one, other in pairs])
        numbers = hash_terms(terms)
        order = numbers.argsort()
        self._term_hashes, self._term_indices = numbers[order], order
        self._occupied_slots = np.zeros(_HASH_SLOTS, np.bool_)
        self._occupied_slots[numbers & _SLOT_MASK] = True
        at = {term: place for place, term in enumerate(terms)}
        self._pair_indices = np.full((len(terms), len(terms)), -1)
        for number, (one, other) in enumerate(pairs):
            self._pair_indices[at[one], at[other]] = number
        self._defined_terms = extract_defined_terms(query.text)
        self._identifiers = [hash_terms(name) for name in query.identifier_terms]
        self._best_scores: dict[int, tuple[float, int]] = {}

    def score_best_sentences(self, chunks: Sequence[StoredChunk]) -> list[tuple[float, int]]:
        """How much of the question the best sentence of each chunk holds, and which that is: the first of equals."""
        known = self._best_scores
        if new := [chunk for chunk in chunks if chunk.id not in known]:
            known.update(zip([chunk.id for chunk in new], self._score_chunks(new), strict=True))
        return [known[chunk.id] for chunk in chunks]

    def _score_chunks(self, chunks: Sequence[StoredChunk]) -> Iterator[tuple[float, int]]:
        packed = [chunk.terms.term_hashes for chunk in chunks]
        sizes = [sizes or [0] for _, sizes in packed]
        held = self._score_hashes(np.concatenate([numbers for numbers, _ in packed]), list(chain.from_iterable(sizes)))
        if self._defined_terms:
            held = self._boost_definitions(held, [terms for chunk in chunks for terms in (*chunk.terms,) or ((),)])
        counts = np.array(list(map(len, sizes)))
        starts = counts.cumsum() - counts
        most = np.maximum.reduceat(held, starts)
        (equal,) = (held == most.repeat(counts)).nonzero()
        first = equal[equal.searchsorted(starts)] - starts
        return zip(most.tolist(), first.tolist(), strict=True)

    def score_sentences(self, sentences: Sequence[Sequence[str]]) -> list[float]:
        """How much of the question the terms of each sentence hold: for most questions from 0 to 1 + `NEAR_WEIGHT`.

        That is the share of its terms, by weight, and the share of its pairs of neighbours that stand near each other
        here in the same order; and more where it defines or names just what the question asks for.
        """
        held = self._score_hashes(hash_terms(chain.from_iterable(sentences)), list(map(len, sentences)))
        found: list[float] = (self._boost_definitions(held, sentences) if self._defined_terms else held).tolist()
        return found

    def _score_hashes(self, term_hashes: _TermHashes, sentence_sizes: Sequence[int]) -> _Weights:
        """What each sentence holds, but for definitions; `numbers` has the terms of all of them in a row."""
        at, term = self._find_query_terms(term_hashes)
        starts = np.fromiter(accumulate(sentence_sizes, initial=0), np.int64, len(sentence_sizes) + 1)
        sentence = starts.searchsorted(at, "right") - 1
        present = np.zeros((len(sentence_sizes), len(self._term_weights)))
        present[sentence, term] = 1.0
        present *= self._term_weights
        held: _Weights = present.sum(axis=1)  # each row in the order of the question, whatever stands beside it
        if len(self._pair_weights) and len(at) > 1:
            one, other = _pair_neighbours(len(at))
            pair = self._pair_indices[term[one], term[other]]
            here = (pair >= 0) & (at[other] - at[one] <= PROXIMITY_WINDOW) & (sentence[one] == sentence[other])
            near = np.zeros((len(sentence_sizes), len(self._pair_weights)))
            near[sentence[one[here]], pair[here]] = PROXIMITY_WEIGHT
            near *= self._pair_weights
            held += near.sum(axis=1)
        if self._identifiers:
            held[self._match_identifiers(term_hashes, starts) & (held > 0)] += IDENTIFIER_WEIGHT
        return held

    def _find_query_terms(self, term_hashes: _TermHashes) -> tuple[_Positions, _Positions]:
        """Where terms of the question stand among these numbers, and which of them."""
        (at,) = self._occupied_slots[term_hashes & _SLOT_MASK].nonzero()  # a few too many, in a fifth of the time
        if not len(at):
            return at, at
        there = term_hashes[at]
        place = np.minimum(self._term_hashes.searchsorted(there), len(self._term_hashes) - 1)
        found = self._term_hashes[place] == there
        return at[found], self._term_indices[place[found]]

    def _match_identifiers(self, term_hashes: _TermHashes, starts: _Positions) -> npt.NDArray[np.bool_]:
        """Whether each sentence has one of the question's names, its parts side by side."""
        naming = np.zeros(len(starts) - 1, np.bool_)
        for name in self._identifiers:
            places = max(0, len(term_hashes) - len(name) + 1)
            there = np.ones(places, np.bool_)
            for part, number in enumerate(name):
                there &= term_hashes[part : part + places] == number
            (at,) = there.nonzero()
            sentence = starts.searchsorted(at, "right") - 1
            naming[sentence[at + len(name) <= starts[sentence + 1]]] = True
        return naming

    def _boost_definitions(self, scores: _Weights, sentences: Sequence[Sequence[str]]) -> _Weights:
        """More of sentences that have a term of the question, and define what it asks for."""
        more = scores.copy()
        for number in scores.nonzero()[0].tolist():
            more[number] += DEFINITION_WEIGHT * is_definition(sentences[number], self._defined_terms)
        return more


def _pair_neighbours(count: int) -> tuple[_Positions, _Positions]:
    """Each of so many places with each of the next `NEAR`: no more can stand within reach.

    >>> [places.tolist() for places in _neighbours(3)]
    [[0, 1, 0], [1, 2, 2]]
    """
    places = np.arange(count)
    aheads = range(1, min(PROXIMITY_WINDOW, count - 1) + 1)
    return np.concatenate([places[:-ahead] for ahead in aheads]), np.concatenate([places[ahead:] for ahead in aheads])


def _normalize_weights(weights: Sequence[float]) -> _Weights:
    total = sum(weights)
    return np.array(weights) / (total if total > 0 else 1.0)
