"""What one search sees of the vectors: an immutable view of one commit, made from the one before by its changes.

A base covers the chunks that were there when it was built; all newer ones are the tail, which is scanned exactly.
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
"""Up to this many allowed rows are scanned exactly, which costs less than ranking them roughly first."""

MAX_SIGN_CODE_ROWS = 100_000
"""Up to this many allowed rows are ranked by their signs, at 60 µs a thousand; above, the codes of all cost less."""

MIN_CODE_SCAN_SHARE = 0.25
"""So do they for this share of the rows, and more."""

BASE_CANDIDATES = 120
CANDIDATES_PER_HIT = 2
ROWS_PER_CANDIDATE = 2_000
"""Rows ranked exactly for one query, two more for each that is wanted, and one for so many rows: recall@10 of short
questions is .999 of 10,000 and of 100,000; with 60 it is .998, but .95 where vectors lie in few tight clusters."""

MIN_FILTERED_CANDIDATES = 600
"""The same behind a filter: the allowed rows may lie close together, and far from the question."""

_TIE_TOLERANCE = 1e-6
"""Scores closer than this are ranked again, in double precision."""

_MAX_TIES = 4096
_MORE_CANDIDATES = 64
_MAX_ID_RANGE_RATIO = 8

NO_IDS: Ids = np.empty(0, np.int64)
NO_ROWS: RowNumbers = np.empty(0, np.int64)


class Codes(Protocol):
    """Ranks all rows of a base roughly, without a look at their floats."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` best estimates, or fewer, and their estimates. Equal rows have equal ones."""


@dataclass(frozen=True, slots=True)
class VectorSegment:
    """Rows of chunk ids, their floats on disk, and codes in memory if they are too many to be scanned."""

    ids: Ids
    """Chunk id of each row."""
    rows_in_id_order: MappedArray
    """Rows in ascending order of their ids."""
    row_by_id: MappedArray | None
    """The row of each id from the lowest on, -1 where there is none; None where the ids are far apart."""
    vectors: MappedArray
    """Shape (rows, dim)."""
    codes: Codes | None = None
    sign_codes: SignCodes | None = None
    """Where there are codes."""

    def find_rows(self, ids: Ids) -> RowNumbers:
        """Rows of those ids that are here."""
        if not len(ids):
            return NO_ROWS
        order = self.rows_in_id_order.read_all()
        if self.row_by_id is not None:
            first, by_id = self.ids[order[0]], self.row_by_id.read_all()
            found: RowNumbers = by_id[ids[(ids >= first) & (ids < first + len(by_id))] - first]
            there: RowNumbers = found[found >= 0]
            return there
        place = np.minimum(np.searchsorted(self.ids, ids, sorter=order), len(self.ids) - 1)
        rows = order[place]
        held: RowNumbers = rows[self.ids[rows] == ids]
        return held

    def nearest(self, vector: Vectors, k: int, deleted: Ids, allowed_ids: Ids | None) -> tuple[Ids, Vectors]:
        """The nearest rows: of all that count if they are few, else of candidates by their codes or their signs."""
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
        """Return the nearest of candidates by their codes, or None if too few of these are alive and allowed.

        Of rows with the estimate of the last candidate FAISS returns some, which ones depends on the processor. Where a
        best row is among these, an equal one may be missing, so more candidates are fetched.
        """
        share = 1.0 if allowed_ids is None else min(1.0, len(allowed_ids) / len(self.ids))
        few = BASE_CANDIDATES + CANDIDATES_PER_HIT * k + len(self.ids) // ROWS_PER_CANDIDATE
        enough = k if allowed_ids is None or len(allowed_ids) > MAX_SIGN_CODE_ROWS else few // 2
        count, more = int((few + len(deleted) * few / len(self.ids)) / share), _MORE_CANDIDATES
        while True:
            rows, estimates = codes.nearest(vector, min(count, len(self.ids)))
            last = estimates.min() if count <= len(rows) < len(self.ids) else -np.inf
            if len(deleted) or allowed_ids is not None:
                kept = _mask_live(self.ids[rows], deleted, allowed_ids)
                rows, estimates = rows[kept], estimates[kept]
            if len(rows) < enough:
                return None
            floats: Vectors = self.vectors.take(rows)
            chosen = select_best_rows(floats, vector, k)
            if (estimates[chosen] > last).all():
                return self.ids[rows[chosen]], floats[chosen]
            count, more = count + more, 4 * more

    def _select_live_rows(self, deleted: Ids, allowed_ids: Ids | None) -> RowNumbers:
        """The rows that are there and allowed."""
        if allowed_ids is not None:
            return self.find_rows(
                np.setdiff1d(allowed_ids, deleted, assume_unique=True) if len(deleted) else allowed_ids
            )
        return np.flatnonzero(_mask_live(self.ids, deleted, None)) if len(deleted) else np.arange(len(self.ids))

    def _scan(self, rows: RowNumbers, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best of these rows by their floats; all rows of the base are not copied for that."""
        floats = self.vectors.read_all() if len(rows) == len(self.ids) else self.vectors.take(rows)
        ids = self.ids if len(rows) == len(self.ids) else self.ids[rows]
        return select_best(ids, floats, vector, k)


@dataclass(frozen=True, slots=True)
class VectorView:
    """The vectors of one collection as of one commit. The base and the tail share no id."""

    segment: VectorSegment | None
    deleted: Ids
    """Ids that the base holds but the collection no longer, ascending."""
    tail_ids: Ids
    """Ids of the tail, ascending."""
    tail_vectors: Vectors
    """Of the tail, shape (len(ids), dim)."""

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self.tail_ids) + (len(self.segment.ids) - len(self.deleted) if self.segment else 0)

    def nearest(self, vector: Vectors, k: int, allowed_ids: Ids | None) -> ScoredIds:
        """The k nearest chunks, and more where scores are equal at the end."""
        if not vector.any():  # no token of the question has a vector, so nothing is near
            return ScoredIds(NO_IDS, np.empty(0))
        if self.segment is None:
            ids, rows = self._search_tail(vector, k, allowed_ids)
        else:
            ids, rows = self.segment.nearest(vector, k, self.deleted, allowed_ids)
            if len(self.tail_ids):
                newer = self._search_tail(vector, k, allowed_ids)
                ids, rows = np.concatenate([ids, newer[0]]), np.concatenate([rows, newer[1]])
        scores = np.vecdot(rows.astype(np.float64), vector)  # row by row: equal texts score equal wherever they lie
        order = np.lexsort((ids, -scores))
        return _truncate_with_ties(ScoredIds(ids[order], scores[order]), k)

    def apply_changes(self, added: Ids, vectors: Vectors, removed_ids: Ids) -> VectorView:
        """The points after these changes."""
        keep = ~np.isin(self.tail_ids, removed_ids)
        dead = self.deleted
        if self.segment is not None:
            dead = np.union1d(dead, self.segment.ids[self.segment.find_rows(removed_ids)])
        return replace(
            self,
            deleted=dead,
            tail_ids=np.concatenate([self.tail_ids[keep], added]),
            tail_vectors=np.concatenate([self.tail_vectors[keep], vectors]),
        )

    def _search_tail(self, vector: Vectors, k: int, allowed_ids: Ids | None) -> tuple[Ids, Vectors]:
        if allowed_ids is None:
            return select_best(self.tail_ids, self.tail_vectors, vector, k)
        mask = np.isin(self.tail_ids, allowed_ids, assume_unique=True)
        return select_best(self.tail_ids[mask], self.tail_vectors[mask], vector, k)


def build_row_table(ids: Ids) -> npt.NDArray[np.int32] | None:
    """The table of which row has which id, unless it would be mostly empty."""
    first, last = int(ids.min()), int(ids.max())
    if last - first > _MAX_ID_RANGE_RATIO * len(ids):
        return None
    rows = np.full(last - first + 1, -1, np.int32)
    rows[ids - first] = np.arange(len(ids), dtype=np.int32)
    return rows


def select_best(ids: Ids, vectors: Vectors, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The best k of a table and all that are as good as the last of them."""
    if len(ids) <= k:
        return ids, vectors
    rows = select_best_rows(vectors, vector, k)
    return ids[rows], vectors[rows]


def select_best_rows(vectors: Vectors, vector: Vectors, k: int) -> RowNumbers:
    """Return the positions of the best k vectors, ascending, and of all that are as good as the last of them."""
    if len(vectors) <= k:
        return np.arange(len(vectors))
    scores = np.vecdot(vectors, vector)  # the matrix product would wake threads for a tenth of a millisecond of work
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= least - _TIE_TOLERANCE)


def _mask_live(ids: Ids, deleted: Ids, allowed_ids: Ids | None) -> npt.NDArray[np.bool_]:
    kept = ~isin_sorted(ids, deleted)
    return kept if allowed_ids is None else kept & isin_sorted(ids, allowed_ids)


def _truncate_with_ties(scored: ScoredIds, k: int) -> ScoredIds:
    if len(scored.ids) <= k:
        return scored
    kept = int(np.searchsorted(-scored.scores, -scored.scores[k - 1], "right"))
    return ScoredIds(scored.ids[: min(kept, k + _MAX_TIES)], scored.scores[: min(kept, k + _MAX_TIES)])
