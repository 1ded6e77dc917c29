"""Vector search over one commit. Immutable; the view of the next commit is derived from it.

A segment covers the chunks of a generation; newer chunks are the tail, which is scanned exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids, Vectors
from .....core.types.search import ScoredIds
from .arrays import isin_sorted
from .checked_files import MappedArray
from .sign_codes import RowNumbers, SignCodes

MAX_EXACT_ROWS = 2_000
"""Up to this many allowed rows are scanned exactly, which is faster than selecting candidates first."""

MAX_SIGN_CODE_ROWS = 100_000
"""Up to this many allowed rows are ranked by sign codes, at 60 µs per thousand; above, a scan of all codes is
faster."""

MIN_CODE_SCAN_SHARE = 0.25
"""From this share of allowed rows on a scan of all codes is faster too."""

BASE_CANDIDATES = 120
CANDIDATES_PER_HIT = 2
ROWS_PER_CANDIDATE = 2_000
"""Candidates that are ranked exactly for one query: `BASE_CANDIDATES`, two more per hit, and one more per 2,000 rows.
Recall@10 of short queries is .999 of 10,000 and of 100,000 rows; with a base of 60 it is .998, but .95 where vectors
are in few tight clusters."""

MIN_FILTERED_CANDIDATES = 600
"""Minimum of candidates for a filtered search: the allowed rows may be close to each other, and far from the query."""

_TIE_TOLERANCE = 1e-6
"""Scores this close to the k-th count as ties, which are ranked again in double precision."""

_MAX_TIES = 4096
_MORE_CANDIDATES = 64
_MAX_ID_RANGE_RATIO = 8

NO_IDS: Ids = np.empty(0, np.int64)
NO_ROWS: RowNumbers = np.empty(0, np.int64)


class Codes(Protocol):
    """Codes that rank all rows of a segment approximately, without reading their vectors."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` highest estimates, or fewer, and their estimates.

        Equal vectors have equal estimates.
        """


@dataclass(frozen=True, slots=True)
class VectorSegment:
    """The vectors of a generation on disk, with codes where they are too many for an exact scan."""

    ids: Ids
    """Chunk id of each row."""
    rows_in_id_order: MappedArray
    """Row numbers in ascending order of their chunk ids."""
    row_by_id: MappedArray | None
    """The row of each id from the lowest on, -1 for none; None where the ids are too sparse for a table."""
    vectors: MappedArray
    """Shape (rows, dim)."""
    codes: Codes | None = None
    sign_codes: SignCodes | None = None
    """Set where `codes` are."""

    def find_rows(self, ids: Ids) -> RowNumbers:
        """Return the rows of those of these ids that the segment has."""
        if not len(ids):
            return NO_ROWS
        order = self.rows_in_id_order.read_all()
        if self.row_by_id is not None:
            first, row_table = self.ids[order[0]], self.row_by_id.read_all()
            table_rows: RowNumbers = row_table[ids[(ids >= first) & (ids < first + len(row_table))] - first]
            stored_rows: RowNumbers = table_rows[table_rows >= 0]
            return stored_rows
        position = np.minimum(np.searchsorted(self.ids, ids, sorter=order), len(self.ids) - 1)
        rows = order[position]
        matching_rows: RowNumbers = rows[self.ids[rows] == ids]
        return matching_rows

    def nearest(self, vector: Vectors, k: int, deleted: Ids, allowed_ids: Ids | None) -> tuple[Ids, Vectors]:
        """Return ids and vectors of the nearest rows: by an exact scan of few rows, else of candidates by codes."""
        if self.codes is None or self.sign_codes is None:
            return self._scan(self._select_live_rows(deleted, allowed_ids), vector, k)
        share = 1.0 if allowed_ids is None else min(1.0, len(allowed_ids) / len(self.ids))
        if share >= MIN_CODE_SCAN_SHARE or (allowed_ids is not None and len(allowed_ids) > MAX_SIGN_CODE_ROWS):
            nearest = self._nearest_by_codes(self.codes, vector, k, deleted, allowed_ids)
            if nearest is not None:
                return nearest
        rows = self._select_live_rows(deleted, allowed_ids)
        if len(rows) > MAX_EXACT_ROWS:
            rows = self.sign_codes.nearest(vector, rows, max(MIN_FILTERED_CANDIDATES, 4 * k))
        return self._scan(rows, vector, k)

    def _nearest_by_codes(
        self, codes: Codes, vector: Vectors, k: int, deleted: Ids, allowed_ids: Ids | None
    ) -> tuple[Ids, Vectors] | None:
        """Return the nearest of the candidates by product codes, or None if too few candidates are live and allowed.

        Of rows tied with the last candidate FAISS returns some, and which ones depends on the processor. Where a best
        row is one of them, an equal row may be missing, so more candidates are fetched.
        """
        share = 1.0 if allowed_ids is None else min(1.0, len(allowed_ids) / len(self.ids))
        candidate_count = BASE_CANDIDATES + CANDIDATES_PER_HIT * k + len(self.ids) // ROWS_PER_CANDIDATE
        min_live = k if allowed_ids is None or len(allowed_ids) > MAX_SIGN_CODE_ROWS else candidate_count // 2
        count, step = int((candidate_count + len(deleted) * candidate_count / len(self.ids)) / share), _MORE_CANDIDATES
        while True:
            rows, estimates = codes.nearest(vector, min(count, len(self.ids)))
            cutoff = estimates.min() if count <= len(rows) < len(self.ids) else -np.inf
            if len(deleted) or allowed_ids is not None:
                is_live = _mask_live(self.ids[rows], deleted, allowed_ids)
                rows, estimates = rows[is_live], estimates[is_live]
            if len(rows) < min_live:
                return None
            vectors: Vectors = self.vectors.take(rows)
            best = select_best_rows(vectors, vector, k)
            if (estimates[best] > cutoff).all():
                return self.ids[rows[best]], vectors[best]
            count, step = count + step, 4 * step

    def _select_live_rows(self, deleted: Ids, allowed_ids: Ids | None) -> RowNumbers:
        """Return the rows that are live and allowed."""
        if allowed_ids is not None:
            return self.find_rows(
                np.setdiff1d(allowed_ids, deleted, assume_unique=True) if len(deleted) else allowed_ids
            )
        return np.flatnonzero(_mask_live(self.ids, deleted, None)) if len(deleted) else np.arange(len(self.ids))

    def _scan(self, rows: RowNumbers, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
        """Return the best of these rows by their vectors; all rows of the segment are scanned without a copy."""
        vectors = self.vectors.read_all() if len(rows) == len(self.ids) else self.vectors.take(rows)
        ids = self.ids if len(rows) == len(self.ids) else self.ids[rows]
        return select_best(ids, vectors, vector, k)


@dataclass(frozen=True, slots=True)
class VectorView:
    """The vectors of one collection as of one commit. Segment and tail share no id."""

    segment: VectorSegment | None
    deleted: Ids
    """Ids of the segment that were removed from the collection, ascending."""
    tail_ids: Ids
    """Ids of the chunks newer than the segment, ascending."""
    tail_vectors: Vectors
    """Vectors of the tail, shape (len(tail_ids), dim)."""

    def __len__(self) -> int:
        """Return the number of live chunks."""
        return len(self.tail_ids) + (len(self.segment.ids) - len(self.deleted) if self.segment else 0)

    def nearest(self, vector: Vectors, k: int, allowed_ids: Ids | None) -> ScoredIds:
        """Return the k chunks with the highest inner product, and those tied with the last."""
        if not vector.any():  # no token of the query has a vector
            return ScoredIds(NO_IDS, np.empty(0))
        if self.segment is None:
            ids, vectors = self._search_tail(vector, k, allowed_ids)
        else:
            ids, vectors = self.segment.nearest(vector, k, self.deleted, allowed_ids)
            if len(self.tail_ids):
                tail = self._search_tail(vector, k, allowed_ids)
                ids, vectors = np.concatenate([ids, tail[0]]), np.concatenate([vectors, tail[1]])
        scores = np.vecdot(vectors.astype(np.float64), vector)  # row by row, so that equal vectors have equal scores
        order = np.lexsort((ids, -scores))
        return _truncate_with_ties(ScoredIds(ids[order], scores[order]), k)

    def apply_changes(self, added: Ids, vectors: Vectors, removed_ids: Ids) -> VectorView:
        """Return the view after these changes."""
        is_kept = ~np.isin(self.tail_ids, removed_ids)
        deleted = self.deleted
        if self.segment is not None:
            deleted = np.union1d(deleted, self.segment.ids[self.segment.find_rows(removed_ids)])
        return replace(
            self,
            deleted=deleted,
            tail_ids=np.concatenate([self.tail_ids[is_kept], added]),
            tail_vectors=np.concatenate([self.tail_vectors[is_kept], vectors]),
        )

    def _search_tail(self, vector: Vectors, k: int, allowed_ids: Ids | None) -> tuple[Ids, Vectors]:
        if allowed_ids is None:
            return select_best(self.tail_ids, self.tail_vectors, vector, k)
        mask = np.isin(self.tail_ids, allowed_ids, assume_unique=True)
        return select_best(self.tail_ids[mask], self.tail_vectors[mask], vector, k)


def build_row_table(ids: Ids) -> npt.NDArray[np.int32] | None:
    """Return the table of the row of each id, or None if it would be mostly empty."""
    first, last = int(ids.min()), int(ids.max())
    if last - first > _MAX_ID_RANGE_RATIO * len(ids):
        return None
    rows = np.full(last - first + 1, -1, np.int32)
    rows[ids - first] = np.arange(len(ids), dtype=np.int32)
    return rows


def select_best(ids: Ids, vectors: Vectors, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
    """Return ids and vectors of the best k rows of a table, and of those tied with the last."""
    if len(ids) <= k:
        return ids, vectors
    rows = select_best_rows(vectors, vector, k)
    return ids[rows], vectors[rows]


def select_best_rows(vectors: Vectors, vector: Vectors, k: int) -> RowNumbers:
    """Return the row numbers of the best k vectors, ascending, and of those tied with the last."""
    if len(vectors) <= k:
        return np.arange(len(vectors))
    scores = np.vecdot(vectors, vector)  # a matrix product would start threads for .1 ms of work
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= threshold - _TIE_TOLERANCE)


def _mask_live(ids: Ids, deleted: Ids, allowed_ids: Ids | None) -> npt.NDArray[np.bool_]:
    is_live = ~isin_sorted(ids, deleted)
    return is_live if allowed_ids is None else is_live & isin_sorted(ids, allowed_ids)


def _truncate_with_ties(scored: ScoredIds, k: int) -> ScoredIds:
    if len(scored.ids) <= k:
        return scored
    kept = int(np.searchsorted(-scored.scores, -scored.scores[k - 1], "right"))
    return ScoredIds(scored.ids[: min(kept, k + _MAX_TIES)], scored.scores[: min(kept, k + _MAX_TIES)])
