"""Score how much of a query single sentences cover, for many sentences at once on arrays of term hashes.

Does not search, and does not know passages. The constants lie in a plateau that squad2_a and cranfield share: a change
by a fifth changes nDCG@10 by less than .003 on either.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from math import sqrt

import numpy as np
import numpy.typing as npt

from ..core.types.answers import AnalyzedQuery
from ..core.types.documents import HEADING_SEPARATOR
from ..core.types.packed_terms import hash_terms
from ..core.types.search import StoredChunk
from ..text.analyzer import analyze
from ..text.questions import extract_defined_terms, is_definition

PROXIMITY_WEIGHT = 0.5
"""Weight of neighbouring query terms that are close in the sentence, against the terms alone: +.004 on squad2_a."""

DEFINITION_WEIGHT = 0.5
"""Bonus of a sentence that begins with a definition, for a question that asks for one: neutral on both judged
collections, which have few such questions; users often try one first."""

IDENTIFIER_WEIGHT = 4.0
"""Bonus of a sentence with an identifier of the query; similarity of meaning alone cannot outrank it."""

HEADING_COVERAGE_WEIGHT = 0.3
HEADING_PRECISION_WEIGHT = 0.25
"""Weight of the share of the query in title and headings, and of the share of the last heading that is in the query. On
130 questions about manuals the first hit is right for .78 instead of .73; on squad2_a, whose only headings are the
titles of articles, and on cranfield nDCG@10 changes by less than .003."""

PROXIMITY_WINDOW = 3
"""Maximum distance in terms of a close pair; function words between them count."""

_CACHED_HEADINGS = 8_192
"""Headings whose terms are cached: about 8 MB."""

_HASH_SLOTS = 1024
_SLOT_MASK = _HASH_SLOTS - 1
"""The low bits of a hash choose its slot; terms in a slot without a query term are skipped."""

_TermHashes = npt.NDArray[np.uint32]
_Positions = npt.NDArray[np.int64]
_Weights = npt.NDArray[np.float64]


class QueryCoverage:
    """The terms of a query, weighted by inverse document frequency, with which sentences are scored."""

    def __init__(self, query: AnalyzedQuery) -> None:
        idf = query.idf
        query_terms = [term for term in query.terms if term in idf]  # very long queries have terms without a weight
        terms = list(dict.fromkeys(query_terms))
        pairs = list(dict.fromkeys((first, second) for first, second in pairwise(query_terms) if first != second))
        self._term_weights = _normalize_weights([idf[term] for term in terms])
        self._pair_weights = _normalize_weights([idf[first] + idf[second] for first, second in pairs])
        hashes = hash_terms(terms)
        order = hashes.argsort()
        self._term_hashes, self._term_indices = hashes[order], order
        self._occupied_slots = np.zeros(_HASH_SLOTS, np.bool_)
        self._occupied_slots[hashes & _SLOT_MASK] = True
        indices = {term: index for index, term in enumerate(terms)}
        self._pair_indices = np.full((len(terms), len(terms)), -1)
        for pair_index, (first, second) in enumerate(pairs):
            self._pair_indices[indices[first], indices[second]] = pair_index
        self._defined_terms = extract_defined_terms(query.text)
        self._identifiers = [hash_terms(identifier) for identifier in query.identifier_terms]
        self._best_scores: dict[int, tuple[float, int]] = {}
        roots = {term: sqrt(max(idf[term], 0.0)) for term in terms if " " not in term}
        total = sum(roots.values())
        self._heading_weights = {term: root / total for term, root in roots.items()} if total > 0 else {}

    def score_best_sentences(self, chunks: Sequence[StoredChunk]) -> list[tuple[float, int]]:
        """Return score and index of the best sentence of each chunk, the first one of equals; cached by chunk id."""
        scores = self._best_scores
        if new_chunks := [chunk for chunk in chunks if chunk.id not in scores]:
            scores.update(zip([chunk.id for chunk in new_chunks], self._score_chunks(new_chunks), strict=True))
        return [scores[chunk.id] for chunk in chunks]

    def score_headings(self, chunks: Sequence[StoredChunk]) -> list[float]:
        """Return the score of the title and headings of each chunk, from 0 to the sum of both heading weights."""
        return [self._score_heading(chunk.title, chunk.heading) for chunk in chunks]

    def _score_heading(self, title: str, heading: str) -> float:
        weights, (all_terms, last_terms) = self._heading_weights, _analyze_heading(title, heading)
        if all_terms.isdisjoint(weights) and last_terms.isdisjoint(weights):
            return 0.0
        coverage = sum([weight for term, weight in weights.items() if term in all_terms])
        precision = len(last_terms & weights.keys()) / len(last_terms) if last_terms else 0.0
        return HEADING_COVERAGE_WEIGHT * coverage + HEADING_PRECISION_WEIGHT * precision

    def _score_chunks(self, chunks: Sequence[StoredChunk]) -> Iterator[tuple[float, int]]:
        encoded = [chunk.terms.term_hashes for chunk in chunks]
        sizes = [sizes or [0] for _, sizes in encoded]
        scores = self._score_hashes(np.concatenate([hashes for hashes, _ in encoded]), list(chain.from_iterable(sizes)))
        if self._defined_terms:
            sentences = [terms for chunk in chunks for terms in (*chunk.terms,) or ((),)]
            scores = self._boost_definitions(scores, sentences)
        counts = np.array(list(map(len, sizes)))
        starts = counts.cumsum() - counts
        best = np.maximum.reduceat(scores, starts)
        (is_best,) = (scores == best.repeat(counts)).nonzero()
        first_best = is_best[is_best.searchsorted(starts)] - starts
        return zip(best.tolist(), first_best.tolist(), strict=True)

    def score_sentences(self, sentences: Sequence[Sequence[str]]) -> list[float]:
        """Return the score of each sentence, given as terms: for most queries from 0 to 1 + `PROXIMITY_WEIGHT`.

        It is the weighted share of the query terms in the sentence, plus the share of pairs of neighbouring query terms
        that are close here in the same order, plus bonuses for a requested definition and for an identifier.
        """
        scores = self._score_hashes(hash_terms(chain.from_iterable(sentences)), list(map(len, sentences)))
        if self._defined_terms:
            scores = self._boost_definitions(scores, sentences)
        score_list: list[float] = scores.tolist()
        return score_list

    def _score_hashes(self, term_hashes: _TermHashes, sentence_sizes: Sequence[int]) -> _Weights:
        """Return the scores of consecutive sentences without definitions; `term_hashes` has the terms of all."""
        positions, terms = self._find_query_terms(term_hashes)
        starts = np.fromiter(accumulate(sentence_sizes, initial=0), np.int64, len(sentence_sizes) + 1)
        sentences = starts.searchsorted(positions, "right") - 1
        term_shares = np.zeros((len(sentence_sizes), len(self._term_weights)))
        term_shares[sentences, terms] = 1.0
        term_shares *= self._term_weights
        scores: _Weights = term_shares.sum(axis=1)  # sums in query order, so that other sentences have no effect
        if len(self._pair_weights) and len(positions) > 1:
            left, right = _pair_neighbours(len(positions))
            pairs = self._pair_indices[terms[left], terms[right]]
            is_close = (
                (pairs >= 0)
                & (positions[right] - positions[left] <= PROXIMITY_WINDOW)
                & (sentences[left] == sentences[right])
            )
            pair_shares = np.zeros((len(sentence_sizes), len(self._pair_weights)))
            pair_shares[sentences[left[is_close]], pairs[is_close]] = PROXIMITY_WEIGHT
            pair_shares *= self._pair_weights
            scores += pair_shares.sum(axis=1)
        if self._identifiers:
            scores[self._match_identifiers(term_hashes, starts) & (scores > 0)] += IDENTIFIER_WEIGHT
        return scores

    def _find_query_terms(self, term_hashes: _TermHashes) -> tuple[_Positions, _Positions]:
        """Return the positions of query terms in `term_hashes`, and the index of the query term at each."""
        (positions,) = self._occupied_slots[term_hashes & _SLOT_MASK].nonzero()  # a superset, in a fifth of the time
        if not len(positions):
            return positions, positions
        candidates = term_hashes[positions]
        ranks = np.minimum(self._term_hashes.searchsorted(candidates), len(self._term_hashes) - 1)
        is_query_term = self._term_hashes[ranks] == candidates
        return positions[is_query_term], self._term_indices[ranks[is_query_term]]

    def _match_identifiers(self, term_hashes: _TermHashes, starts: _Positions) -> npt.NDArray[np.bool_]:
        """Return for each sentence whether it has an identifier of the query, with adjacent parts."""
        has_identifier = np.zeros(len(starts) - 1, np.bool_)
        for identifier in self._identifiers:
            window_count = max(0, len(term_hashes) - len(identifier) + 1)
            is_match = np.ones(window_count, np.bool_)
            for offset, part_hash in enumerate(identifier):
                is_match &= term_hashes[offset : offset + window_count] == part_hash
            (positions,) = is_match.nonzero()
            sentences = starts.searchsorted(positions, "right") - 1
            has_identifier[sentences[positions + len(identifier) <= starts[sentences + 1]]] = True
        return has_identifier

    def _boost_definitions(self, scores: _Weights, sentences: Sequence[Sequence[str]]) -> _Weights:
        """Return the scores with a bonus for sentences that define the requested terms and have a query term."""
        boosted = scores.copy()
        for index in scores.nonzero()[0].tolist():
            boosted[index] += DEFINITION_WEIGHT * is_definition(sentences[index], self._defined_terms)
        return boosted


@lru_cache(_CACHED_HEADINGS)
def _analyze_heading(title: str, heading: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the terms of the title and all headings, and those of the last heading."""
    last = heading.rpartition(HEADING_SEPARATOR)[2]
    return frozenset(analyze(f"{title} {heading}")), frozenset(analyze(last))


def _pair_neighbours(count: int) -> tuple[_Positions, _Positions]:
    """Return the index pairs (i, i + distance) below `count`, for distances up to `PROXIMITY_WINDOW`.

    >>> [indices.tolist() for indices in _pair_neighbours(3)]
    [[0, 1, 0], [1, 2, 2]]
    """
    indices = np.arange(count)
    distances = range(1, min(PROXIMITY_WINDOW, count - 1) + 1)
    left = np.concatenate([indices[:-distance] for distance in distances])
    right = np.concatenate([indices[distance:] for distance in distances])
    return left, right


def _normalize_weights(weights: Sequence[float]) -> _Weights:
    total = sum(weights)
    return np.array(weights) / (total if total > 0 else 1.0)
