"""What one search sees of the words: an immutable view of one commit, which ranks chunks by BM25. Knows no disk.

A few indexes, each of newer chunks than the one before, count as one: the number of chunks, their mean length and how
many of them hold a term are those of all that are alive, so that scores are the same after any history. BM25 is that of
Robertson & Zaragoza, "The Probabilistic Relevance Framework" (2009), with an inverse document frequency above 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids
from .....core.types.search import ScoredIds
from .arrays import isin_sorted
from .postings import Counts, Postings, Rows, hash_phrase, merge

K1 = 1.2
B = 0.75

MAX_QUERY_TERMS = 256
"""Different terms of one question that are looked up; the first ones count."""

MAX_EXTRA_TIES = 300

_MERGE_RATIO = 4
"""An index is merged with the one before unless that one is so many times larger: few remain, and little is copied."""

_THRESHOLD_TERMS = 2
"""Terms whose rows are looked at for the least score of the best."""

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PostingsSegment:
    """An index, and which of its rows are gone; None where all are alive."""

    postings: Postings
    deleted: _Mask | None = None

    def find(self, term: str) -> tuple[Rows, Counts]:
        """The rows that hold a term, or all of a phrase, and how often."""
        found = [self.postings.lookup(key) for key in hash_phrase(term)]
        rows, counts = found[0] if len(found) == 1 else _intersect_postings(found)
        if self.deleted is None:
            return rows, counts
        alive = ~self.deleted[rows]
        return rows[alive], counts[alive]

    def document_frequencies(self, terms: Sequence[str]) -> npt.NDArray[np.int64]:
        """How many rows hold each term, or all of each phrase."""
        keys = [hash_phrase(term) for term in terms]
        if self.deleted is not None:
            return np.array([len(self.find(term)[0]) for term in terms], np.int64)
        holding = self.postings.document_frequencies([first for first, *_ in keys])
        for at, parts in enumerate(keys):
            if len(parts) > 1:
                holding[at] = len(self.find(terms[at])[0])
        return holding

    def mark_deleted(self, removed_ids: Ids) -> PostingsSegment:
        """The part when these chunks are gone too."""
        gone = np.isin(self.postings.ids.read_all(), removed_ids)
        if not gone.any():
            return self
        return PostingsSegment(self.postings, gone if self.deleted is None else self.deleted | gone)

    def count_live(self) -> tuple[int, int]:
        """How many chunks are alive, and how many terms they hold together."""
        lengths = self.postings.lengths if self.deleted is None else self.postings.lengths[~self.deleted]
        return len(lengths), int(lengths.sum(dtype=np.int64))


@dataclass(frozen=True, slots=True)
class BM25Index:
    """The words of one collection as of one commit."""

    segments: tuple[PostingsSegment, ...]
    chunk_count: int
    """That are alive."""
    length_norms: tuple[npt.NDArray[np.float32], ...]
    """Of each part: what the length of each row takes from a term's gain."""

    @classmethod
    def from_segments(cls, segments: Iterable[PostingsSegment]) -> BM25Index:
        """Indexes of which each has higher ids than the one before."""
        sized = [(part, *part.count_live()) for part in segments]
        alive = [(part, chunks, length) for part, chunks, length in sized if chunks]
        count, length = sum(one[1] for one in alive), sum(one[2] for one in alive)
        norms = [_compute_length_norms(part.postings.lengths, count / max(1, length)) for part, *_ in alive]
        return cls(tuple(part for part, *_ in alive), count, tuple(norms))

    def apply_changes(self, added: Postings, removed_ids: Ids) -> BM25Index:
        """The words after these changes; the ids of what is added are higher than all before."""
        parts = [part.mark_deleted(removed_ids) for part in self.segments] if len(removed_ids) else list(self.segments)
        new = PostingsSegment(added)
        while len(parts) > 1 and len(parts[-1].postings) < _MERGE_RATIO * len(new.postings):
            new = _merge_segments(parts.pop(), new)
        return BM25Index.from_segments([*parts, new])

    def compute_idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of each term, above 0; one that nothing holds weighs most."""
        distinct = list(dict.fromkeys(terms))[:MAX_QUERY_TERMS]
        holding = sum(
            [part.document_frequencies(distinct) for part in self.segments], np.zeros(len(distinct), np.int64)
        )
        return dict(zip(distinct, map(self._idf, holding.tolist()), strict=True))

    def search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None) -> ScoredIds:
        """The best k chunks for any of the terms, and a few more where scores are equal at the end."""
        wanted = Counter(terms[: 2 * MAX_QUERY_TERMS])
        for term in list(wanted)[MAX_QUERY_TERMS:]:
            del wanted[term]
        found = [[part.find(term) for part in self.segments] for term in wanted]
        weights = [
            times * self._idf(sum(len(rows) for rows, _ in places))
            for times, places in zip(wanted.values(), found, strict=True)
        ]
        best = [
            _search_segment(
                part,
                norms,
                [(*places[at], weight) for places, weight in zip(found, weights, strict=True)],
                k,
                allowed_ids,
            )
            for at, (part, norms) in enumerate(zip(self.segments, self.length_norms, strict=True))
        ]
        ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in best)])
        scores = np.concatenate([np.empty(0), *(scores for _, scores in best)])
        order = np.lexsort((ids, -scores))
        kept = min(_count_with_ties(scores[order], k), k + MAX_EXTRA_TIES)
        return ScoredIds(ids[order[:kept]], scores[order[:kept]])

    def _idf(self, document_frequency: int) -> float:
        return math.log1p((self.chunk_count - document_frequency + 0.5) / (document_frequency + 0.5))


def _intersect_postings(term_postings: Sequence[tuple[Rows, Counts]]) -> tuple[Rows, Counts]:
    """The rows that hold all parts of a phrase, each once."""
    (rows, _), *others = sorted(term_postings, key=lambda one: len(one[0]))
    for other, _ in others:
        rows = rows[isin_sorted(rows, other)]
    return rows, np.ones(len(rows), np.uint8)


def _search_segment(
    segment: PostingsSegment,
    length_norms: npt.NDArray[np.float32],
    term_postings: Sequence[tuple[Rows, Counts, float]],
    k: int,
    allowed_ids: Ids | None,
) -> tuple[Ids, npt.NDArray[np.float64]]:
    """The best k rows of one index, and all that are as good as the last of them."""
    ids = segment.postings.ids.read_all()
    permitted = None if allowed_ids is None else np.isin(ids, allowed_ids, assume_unique=True)
    scores = np.zeros(len(ids), np.float32)
    met = []
    for found_rows, counts, weight in term_postings:
        rows = found_rows.astype(np.intp)  # else numpy does it each time that they are used
        if permitted is not None:
            inside = permitted[rows]
            rows, counts = rows[inside], counts[inside]
        np.add.at(
            scores, rows, _score_term(counts, length_norms.take(rows, mode="clip"), weight)
        )  # half the time of `+=`
        met.append(rows)
    best = _select_best_rows(scores, met, k)
    return ids[best], scores[best].astype(np.float64)


def _compute_length_norms(lengths: Rows, chunks_per_term: float) -> npt.NDArray[np.float32]:
    norms: npt.NDArray[np.float32] = lengths.astype(np.float32)
    norms *= np.float32(K1 * B * chunks_per_term)
    norms += np.float32(K1 * (1 - B))
    return norms


def _score_term(counts: Counts, length_norms: npt.NDArray[np.float32], weight: float) -> npt.NDArray[np.float32]:
    """What one term gives to each row that holds it; `norms` are those rows' own."""
    gains = counts.astype(np.float32)
    length_norms += gains
    gains /= length_norms
    gains *= np.float32(weight * (K1 + 1))
    return gains


def _select_best_rows(
    scores: npt.NDArray[np.float32], rows_by_term: Sequence[npt.NDArray[np.intp]], k: int
) -> npt.NDArray[np.int64]:
    """The best k rows and all as good as the last of them; `met` has the rows of each term."""
    # the best of one term's rows tell how good the best must be: those of a rare term tell more, and sooner
    telling = sorted((rows for rows in rows_by_term if len(rows) >= k), key=len)[:_THRESHOLD_TERMS]
    least = max((_find_kth_best(scores[rows], k) for rows in telling), default=0.0)
    rows = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    kept = scores[rows]
    return rows[kept >= _find_kth_best(kept, k)] if len(rows) > k else rows


def _find_kth_best(scores: npt.NDArray[np.float32], k: int) -> float:
    """The k-th best of at least k scores."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])


def _count_with_ties(scores: npt.NDArray[np.float64], k: int) -> int:
    """How many of these falling scores are among the first k or equal to the last of them."""
    return len(scores) if len(scores) <= k else int(np.searchsorted(-scores, -scores[k - 1], "right"))


def _merge_segments(older: PostingsSegment, newer: PostingsSegment) -> PostingsSegment:
    masks = [
        np.zeros(len(part.postings), np.bool_) if part.deleted is None else part.deleted for part in (older, newer)
    ]
    dead = None if older.deleted is None and newer.deleted is None else np.concatenate(masks)
    return PostingsSegment(merge([older.postings, newer.postings]), dead)
