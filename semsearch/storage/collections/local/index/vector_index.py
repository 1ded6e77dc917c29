"""What one search sees of the vectors: an immutable view of one commit, made from the one before by its changes.

A base covers the chunks that were there when it was built; all newer ones are the tail, which is scanned exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids, Vectors
from .....core.types.search import Scored
from .arrays import among
from .checked_files import Column
from .sign_codes import Places, Signs

FEW_ROWS = 2_000
"""Up to this many allowed rows are scanned exactly, which costs less than ranking them roughly first."""

SIGNED_ROWS = 100_000
"""Up to this many allowed rows are ranked by their signs, at 60 µs a thousand; above, the codes of all cost less."""

LARGE_SHARE = 0.25
"""So do they for this share of the rows, and more."""

CANDIDATES = 120
CANDIDATES_FOR_HIT = 2
ROWS_FOR_ANOTHER = 2_000
"""Rows ranked exactly for one query, two more for each that is wanted, and one for so many rows: recall@10 of short
questions is .999 of 10,000 and of 100,000; with 60 it is .998, but .95 where vectors lie in few tight clusters."""

FILTERED_CANDIDATES = 600
"""The same behind a filter: the allowed rows may lie close together, and far from the question."""

_TIE = 1e-6
"""Scores closer than this are ranked again, in double precision."""

_MOST_TIES = 4096
_MORE_CANDIDATES = 64
_SPARSE = 8

NO_IDS: Ids = np.empty(0, np.int64)
NO_ROWS: Places = np.empty(0, np.int64)


class Codes(Protocol):
    """Ranks all rows of a base roughly, without a look at their floats."""

    def nearest(self, vector: Vectors, count: int) -> tuple[Places, Vectors]:
        """Return the rows of the `count` best estimates, or fewer, and their estimates. Equal rows have equal ones."""


@dataclass(frozen=True, slots=True)
class Base:
    """Rows of chunk ids, their floats on disk, and codes in memory if they are too many to be scanned."""

    ids: Ids
    """Chunk id of each row."""
    order: Column
    """Rows in ascending order of their ids."""
    by_id: Column | None
    """The row of each id from the lowest on, -1 where there is none; None where the ids are far apart."""
    floats: Column
    """Shape (rows, dim)."""
    codes: Codes | None = None
    signs: Signs | None = None
    """Where there are codes."""

    def rows_of(self, ids: Ids) -> Places:
        """Rows of those ids that are here."""
        if not len(ids):
            return NO_ROWS
        order = self.order.whole()
        if self.by_id is not None:
            first, by_id = self.ids[order[0]], self.by_id.whole()
            found: Places = by_id[ids[(ids >= first) & (ids < first + len(by_id))] - first]
            there: Places = found[found >= 0]
            return there
        place = np.minimum(np.searchsorted(self.ids, ids, sorter=order), len(self.ids) - 1)
        rows = order[place]
        held: Places = rows[self.ids[rows] == ids]
        return held

    def nearest(self, vector: Vectors, k: int, dead: Ids, allowed: Ids | None) -> tuple[Ids, Vectors]:
        """The nearest rows: of all that count if they are few, else of candidates by their codes or their signs."""
        if self.codes is None or self.signs is None:
            return self._scanned(self._alive(dead, allowed), vector, k)
        share = 1.0 if allowed is None else min(1.0, len(allowed) / len(self.ids))
        if share >= LARGE_SHARE or (allowed is not None and len(allowed) > SIGNED_ROWS):
            nearest = self._nearest_by_codes(self.codes, vector, k, dead, allowed)
            if nearest is not None:
                return nearest
        rows = self._alive(dead, allowed)
        if len(rows) > FEW_ROWS:
            rows = self.signs.nearest(vector, rows, max(FILTERED_CANDIDATES, 4 * k))
        return self._scanned(rows, vector, k)

    def _nearest_by_codes(
        self, codes: Codes, vector: Vectors, k: int, dead: Ids, allowed: Ids | None
    ) -> tuple[Ids, Vectors] | None:
        """Return the nearest of candidates by their codes, or None if too few of these are alive and allowed.

        Of rows with the estimate of the last candidate FAISS returns some, which ones depends on the processor. Where a
        best row is among these, an equal one may be missing, so more candidates are fetched.
        """
        share = 1.0 if allowed is None else min(1.0, len(allowed) / len(self.ids))
        few = CANDIDATES + CANDIDATES_FOR_HIT * k + len(self.ids) // ROWS_FOR_ANOTHER
        enough = k if allowed is None or len(allowed) > SIGNED_ROWS else few // 2
        count, more = int((few + len(dead) * few / len(self.ids)) / share), _MORE_CANDIDATES
        while True:
            rows, estimates = codes.nearest(vector, min(count, len(self.ids)))
            last = estimates.min() if count <= len(rows) < len(self.ids) else -np.inf
            if len(dead) or allowed is not None:
                kept = _kept(self.ids[rows], dead, allowed)
                rows, estimates = rows[kept], estimates[kept]
            if len(rows) < enough:
                return None
            floats: Vectors = self.floats.take(rows)
            chosen = best_rows(floats, vector, k)
            if (estimates[chosen] > last).all():
                return self.ids[rows[chosen]], floats[chosen]
            count, more = count + more, 4 * more

    def _alive(self, dead: Ids, allowed: Ids | None) -> Places:
        """The rows that are there and allowed."""
        if allowed is not None:
            return self.rows_of(np.setdiff1d(allowed, dead, assume_unique=True) if len(dead) else allowed)
        return np.flatnonzero(_kept(self.ids, dead, None)) if len(dead) else np.arange(len(self.ids))

    def _scanned(self, rows: Places, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best of these rows by their floats; all rows of the base are not copied for that."""
        floats = self.floats.whole() if len(rows) == len(self.ids) else self.floats.take(rows)
        ids = self.ids if len(rows) == len(self.ids) else self.ids[rows]
        return best(ids, floats, vector, k)


@dataclass(frozen=True, slots=True)
class Points:
    """The vectors of one collection as of one commit. The base and the tail share no id."""

    base: Base | None
    dead: Ids
    """Ids that the base holds but the collection no longer, ascending."""
    ids: Ids
    """Ids of the tail, ascending."""
    vectors: Vectors
    """Of the tail, shape (len(ids), dim)."""

    def __len__(self) -> int:
        """Chunks that can be found."""
        return len(self.ids) + (len(self.base.ids) - len(self.dead) if self.base else 0)

    def nearest(self, vector: Vectors, k: int, allowed: Ids | None) -> Scored:
        """The k nearest chunks, and more where scores are equal at the end."""
        if not vector.any():  # no token of the question has a vector, so nothing is near
            return Scored(NO_IDS, np.empty(0))
        if self.base is None:
            ids, rows = self._tail(vector, k, allowed)
        else:
            ids, rows = self.base.nearest(vector, k, self.dead, allowed)
            if len(self.ids):
                newer = self._tail(vector, k, allowed)
                ids, rows = np.concatenate([ids, newer[0]]), np.concatenate([rows, newer[1]])
        scores = np.vecdot(rows.astype(np.float64), vector)  # row by row: equal texts score equal wherever they lie
        order = np.lexsort((ids, -scores))
        return _cut(Scored(ids[order], scores[order]), k)

    def advance(self, added: Ids, vectors: Vectors, removed: Ids) -> Points:
        """The points after these changes."""
        keep = ~np.isin(self.ids, removed)
        dead = self.dead
        if self.base is not None:
            dead = np.union1d(dead, self.base.ids[self.base.rows_of(removed)])
        return replace(
            self,
            dead=dead,
            ids=np.concatenate([self.ids[keep], added]),
            vectors=np.concatenate([self.vectors[keep], vectors]),
        )

    def _tail(self, vector: Vectors, k: int, allowed: Ids | None) -> tuple[Ids, Vectors]:
        if allowed is None:
            return best(self.ids, self.vectors, vector, k)
        mask = np.isin(self.ids, allowed, assume_unique=True)
        return best(self.ids[mask], self.vectors[mask], vector, k)


def by_id(ids: Ids) -> npt.NDArray[np.int32] | None:
    """The table of which row has which id, unless it would be mostly empty."""
    first, last = int(ids.min()), int(ids.max())
    if last - first > _SPARSE * len(ids):
        return None
    rows = np.full(last - first + 1, -1, np.int32)
    rows[ids - first] = np.arange(len(ids), dtype=np.int32)
    return rows


def best(ids: Ids, vectors: Vectors, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The best k of a table and all that are as good as the last of them."""
    if len(ids) <= k:
        return ids, vectors
    rows = best_rows(vectors, vector, k)
    return ids[rows], vectors[rows]


def best_rows(vectors: Vectors, vector: Vectors, k: int) -> Places:
    """Return the positions of the best k vectors, ascending, and of all that are as good as the last of them."""
    if len(vectors) <= k:
        return np.arange(len(vectors))
    scores = np.vecdot(vectors, vector)  # the matrix product would wake threads for a tenth of a millisecond of work
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= least - _TIE)


def _kept(ids: Ids, dead: Ids, allowed: Ids | None) -> npt.NDArray[np.bool_]:
    kept = ~among(ids, dead)
    return kept if allowed is None else kept & among(ids, allowed)


def _cut(found: Scored, k: int) -> Scored:
    if len(found.ids) <= k:
        return found
    kept = int(np.searchsorted(-found.scores, -found.scores[k - 1], "right"))
    return Scored(found.ids[: min(kept, k + _MOST_TIES)], found.scores[: min(kept, k + _MOST_TIES)])
