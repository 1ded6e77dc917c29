"""Rank chunks by BM25 over the inverted indexes of one commit. Immutable.

The index has a few segments, each with newer chunks than the one before. The number of chunks, their mean length and
the document frequencies are those of all live chunks, so that scores are the same after any history of changes. BM25 is
that of Robertson & Zaragoza, "The Probabilistic Relevance Framework" (2009), with an inverse document frequency above
0.
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
from .new_postings import merge_postings
from .postings import Counts, Postings, Rows, hash_phrase

K1 = 1.2
B = 0.75

MAX_QUERY_TERMS = 256
"""Distinct terms of one query that are searched; later ones are ignored."""

MAX_EXTRA_TIES = 300
"""Chunks tied with the k-th that are returned beyond k."""

_MERGE_RATIO = 4
"""A new segment is merged with the one before unless that one is this many times larger: few segments, few copies."""

_THRESHOLD_TERMS = 2
"""Terms whose rows give the lower bound of the best k scores."""

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PostingsSegment:
    """An inverted index and a mask of its deleted rows; None where all rows are live."""

    postings: Postings
    deleted: _Mask | None = None

    def find(self, term: str) -> tuple[Rows, Counts]:
        """Return the live rows that contain a term, or every part of a phrase, and how often."""
        key_postings = [self.postings.lookup(key) for key in hash_phrase(term)]
        rows, counts = key_postings[0] if len(key_postings) == 1 else _intersect_postings(key_postings)
        if self.deleted is None:
            return rows, counts
        is_live = ~self.deleted[rows]
        return rows[is_live], counts[is_live]

    def document_frequencies(self, terms: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return how many live rows contain each term, or every part of each phrase, shape (len(terms),)."""
        keys = [hash_phrase(term) for term in terms]
        if self.deleted is not None:
            return np.array([len(self.find(term)[0]) for term in terms], np.int64)
        frequencies = self.postings.document_frequencies([first for first, *_ in keys])
        for index, term_keys in enumerate(keys):
            if len(term_keys) > 1:
                frequencies[index] = len(self.find(terms[index])[0])
        return frequencies

    def mark_deleted(self, removed_ids: Ids) -> PostingsSegment:
        """Return the segment without these chunks."""
        is_removed = np.isin(self.postings.ids.read_all(), removed_ids)
        if not is_removed.any():
            return self
        return PostingsSegment(self.postings, is_removed if self.deleted is None else self.deleted | is_removed)

    def count_live(self) -> tuple[int, int]:
        """Return how many chunks are live, and how many terms they have in total."""
        lengths = self.postings.lengths if self.deleted is None else self.postings.lengths[~self.deleted]
        return len(lengths), int(lengths.sum(dtype=np.int64))


@dataclass(frozen=True, slots=True)
class BM25Index:
    """The inverted index of one collection as of one commit."""

    segments: tuple[PostingsSegment, ...]
    chunk_count: int
    """Live chunks."""
    length_norms: tuple[npt.NDArray[np.float32], ...]
    """For each segment: K1 * (1 - B + B * length / mean length) of each row."""

    @classmethod
    def from_segments(cls, segments: Iterable[PostingsSegment]) -> BM25Index:
        """Return the index of these segments; each has higher chunk ids than the one before."""
        segment_sizes = [(segment, *segment.count_live()) for segment in segments]
        live = [(segment, chunks, length) for segment, chunks, length in segment_sizes if chunks]
        count, length = sum(size[1] for size in live), sum(size[2] for size in live)
        length_norms = [_compute_length_norms(segment.postings.lengths, count / max(1, length)) for segment, *_ in live]
        return cls(tuple(segment for segment, *_ in live), count, tuple(length_norms))

    def apply_changes(self, added: Postings, removed_ids: Ids) -> BM25Index:
        """Return the index after these changes; the added ids are higher than all before."""
        kept_segments = (
            [segment.mark_deleted(removed_ids) for segment in self.segments]
            if len(removed_ids)
            else list(self.segments)
        )
        added_segment = PostingsSegment(added)
        while len(kept_segments) > 1 and len(kept_segments[-1].postings) < _MERGE_RATIO * len(added_segment.postings):
            added_segment = _merge_segments(kept_segments.pop(), added_segment)
        return BM25Index.from_segments([*kept_segments, added_segment])

    def restrict(self, visible_ids: Ids) -> BM25Index:
        """Return the index of these chunks alone, as if it had been built of them: others count in no statistic."""
        segments = []
        for segment in self.segments:
            is_hidden = np.isin(segment.postings.ids.read_all(), visible_ids, assume_unique=True, invert=True)
            deleted = is_hidden if segment.deleted is None else segment.deleted | is_hidden
            segments.append(PostingsSegment(segment.postings, deleted))
        return BM25Index.from_segments(segments)

    def compute_idf(self, terms: Iterable[str]) -> Mapping[str, float]:
        """Return the inverse document frequency of each term, above 0 and highest for a term in no chunk."""
        distinct_terms = list(dict.fromkeys(terms))[:MAX_QUERY_TERMS]
        frequencies = sum(
            [segment.document_frequencies(distinct_terms) for segment in self.segments],
            np.zeros(len(distinct_terms), np.int64),
        )
        return dict(zip(distinct_terms, map(self._idf, frequencies.tolist()), strict=True))

    def search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None) -> ScoredIds:
        """Return the k chunks with the highest score for any of the terms, and up to `MAX_EXTRA_TIES` tied with the
        last."""
        term_counts = Counter(terms[: 2 * MAX_QUERY_TERMS])
        for term in list(term_counts)[MAX_QUERY_TERMS:]:
            del term_counts[term]
        postings_by_term = [[segment.find(term) for segment in self.segments] for term in term_counts]
        weights = [
            count * self._idf(sum(len(rows) for rows, _ in segment_postings))
            for count, segment_postings in zip(term_counts.values(), postings_by_term, strict=True)
        ]
        results = [
            _search_segment(
                segment,
                length_norms,
                [
                    (*segment_postings[index], weight)
                    for segment_postings, weight in zip(postings_by_term, weights, strict=True)
                ],
                k,
                allowed_ids,
            )
            for index, (segment, length_norms) in enumerate(zip(self.segments, self.length_norms, strict=True))
        ]
        ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in results)])
        scores = np.concatenate([np.empty(0), *(scores for _, scores in results)])
        order = np.lexsort((ids, -scores))
        kept = min(_count_with_ties(scores[order], k), k + MAX_EXTRA_TIES)
        return ScoredIds(ids[order[:kept]], scores[order[:kept]])

    def _idf(self, document_frequency: int) -> float:
        return math.log1p((self.chunk_count - document_frequency + 0.5) / (document_frequency + 0.5))


def _intersect_postings(term_postings: Sequence[tuple[Rows, Counts]]) -> tuple[Rows, Counts]:
    """Return the rows that contain every part of a phrase, each with a count of 1."""
    (rows, _), *others = sorted(term_postings, key=lambda pair: len(pair[0]))
    for other_rows, _ in others:
        rows = rows[isin_sorted(rows, other_rows)]
    return rows, np.ones(len(rows), np.uint8)


def _search_segment(
    segment: PostingsSegment,
    length_norms: npt.NDArray[np.float32],
    term_postings: Sequence[tuple[Rows, Counts, float]],
    k: int,
    allowed_ids: Ids | None,
) -> tuple[Ids, npt.NDArray[np.float64]]:
    """Return ids and scores of the best k rows of one segment, and of all rows tied with the last."""
    ids = segment.postings.ids.read_all()
    is_allowed = None if allowed_ids is None else np.isin(ids, allowed_ids, assume_unique=True)
    scores = np.zeros(len(ids), np.float32)
    rows_by_term = []
    for term_rows, counts, weight in term_postings:
        rows = term_rows.astype(np.intp)  # numpy would convert them at each use
        if is_allowed is not None:
            mask = is_allowed[rows]
            rows, counts = rows[mask], counts[mask]
        np.add.at(
            scores, rows, _score_term(counts, length_norms.take(rows, mode="clip"), weight)
        )  # half the time of `+=`
        rows_by_term.append(rows)
    best_rows = _select_best_rows(scores, rows_by_term, k)
    return ids[best_rows], scores[best_rows].astype(np.float64)


def _compute_length_norms(lengths: Rows, chunks_per_term: float) -> npt.NDArray[np.float32]:
    norms: npt.NDArray[np.float32] = lengths.astype(np.float32)
    norms *= np.float32(K1 * B * chunks_per_term)
    norms += np.float32(K1 * (1 - B))
    return norms


def _score_term(counts: Counts, length_norms: npt.NDArray[np.float32], weight: float) -> npt.NDArray[np.float32]:
    """Return the score of one term in each row that contains it; overwrites `length_norms`, which are those of the
    rows."""
    gains = counts.astype(np.float32)
    length_norms += gains
    gains /= length_norms
    gains *= np.float32(weight * (K1 + 1))
    return gains


def _select_best_rows(
    scores: npt.NDArray[np.float32], rows_by_term: Sequence[npt.NDArray[np.intp]], k: int
) -> npt.NDArray[np.int64]:
    """Return the best k rows, ascending, and all rows tied with the last."""
    # the k-th best row of one term is a lower bound; a rare term gives a higher one from fewer rows
    rare_terms = sorted((rows for rows in rows_by_term if len(rows) >= k), key=len)[:_THRESHOLD_TERMS]
    threshold = max((_find_kth_best(scores[rows], k) for rows in rare_terms), default=0.0)
    rows = np.flatnonzero(scores >= threshold) if threshold > 0 else np.flatnonzero(scores)
    row_scores = scores[rows]
    return rows[row_scores >= _find_kth_best(row_scores, k)] if len(rows) > k else rows


def _find_kth_best(scores: npt.NDArray[np.float32], k: int) -> float:
    """Return the k-th highest of at least k scores."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])


def _count_with_ties(scores: npt.NDArray[np.float64], k: int) -> int:
    """Return how many of these descending scores are among the first k or tied with the last of them."""
    return len(scores) if len(scores) <= k else int(np.searchsorted(-scores, -scores[k - 1], "right"))


def _merge_segments(older: PostingsSegment, newer: PostingsSegment) -> PostingsSegment:
    masks = [
        np.zeros(len(segment.postings), np.bool_) if segment.deleted is None else segment.deleted
        for segment in (older, newer)
    ]
    deleted = None if older.deleted is None and newer.deleted is None else np.concatenate(masks)
    return PostingsSegment(merge_postings(older.postings, newer.postings), deleted)
