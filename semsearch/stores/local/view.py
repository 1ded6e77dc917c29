"""What one search sees of the vectors: an immutable view of one commit, made from the one before by the change log.

A generation covers the chunks that were there when it was built; all newer ones are the tail, which is scanned exactly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...types import Ids, Scored, Vectors
from .vectors import CANDIDATES, Generation

FEW_ROWS = 10_000
"""Up to this many allowed rows are scanned exactly, which is then cheaper than the codes."""

_TIE = 1e-6
"""Scores closer than this are ranked again, in double precision."""

_MOST_TIES = 4096

NO_IDS: Ids = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class View:
    """The vectors of one collection as of commit `seq`. The base and the tail share no id."""

    seq: int
    dim: int
    base: Generation | None
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
        parts = [self._tail(vector, k, allowed)]
        if self.base is not None:
            parts.append(_base(self.base, self.dead, vector, k, allowed))
        ids, rows = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        scores = np.vecdot(rows.astype(np.float64), vector)  # row by row: equal texts score equal wherever they lie
        order = np.lexsort((ids, -scores))
        return _cut(Scored(ids[order], scores[order]), k)

    def _tail(self, vector: Vectors, k: int, allowed: Ids | None) -> tuple[Ids, Vectors]:
        if allowed is None:
            return _best(self.ids, self.vectors, vector, k)
        mask = np.isin(self.ids, allowed, assume_unique=True)
        return _best(self.ids[mask], self.vectors[mask], vector, k)

    def advance(self, seq: int, added: Ids, vectors: Vectors, removed: Ids) -> View:
        """The view after these changes."""
        keep = ~np.isin(self.ids, removed)
        dead = self.dead
        if self.base is not None:
            dead = np.union1d(dead, self.base.ids[self.base.rows_of(removed)])
        return replace(
            self,
            seq=seq,
            dead=dead,
            ids=np.concatenate([self.ids[keep], added]),
            vectors=np.concatenate([self.vectors[keep], vectors]),
        )


def next_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], tuple[Generation | None, int]]
) -> View:
    """The view of the commit that `db`'s transaction sees: the given one, that one advanced, or a new one."""
    seq, log_start, space, dim = db.execute(
        "SELECT seq, log_start, live_space, dim FROM meta JOIN space ON space.id = live_space"
    ).fetchone()
    if view is not None and view.seq == seq:
        return view
    if view is not None and log_start <= view.seq < seq:
        changes = db.execute("SELECT chunk_id, op FROM change WHERE seq > ? ORDER BY seq", (view.seq,)).fetchall()
        removed = {chunk for chunk, op in changes if op < 0}
        added = sorted({chunk for chunk, op in changes if op > 0} - removed)
        return view.advance(seq, *_stored(db, space, dim, added), np.array(sorted(removed), np.int64))
    base, last_id = load(db)
    dead = db.execute(
        "SELECT chunk_id FROM change WHERE op < 0 AND chunk_id <= ? ORDER BY chunk_id", (last_id,)
    ).fetchall()
    tail = db.execute(
        "SELECT chunk_id, data FROM vector WHERE space_id = ? AND chunk_id > ? ORDER BY chunk_id", (space, last_id)
    ).fetchall()
    in_base = np.array([row[0] for row in dead], np.int64)
    return View(seq, dim, base, np.intersect1d(in_base, base.ids) if base else NO_IDS, *_table(tail, dim))


def _stored(db: sqlite3.Connection, space: int, dim: int, ids: list[int]) -> tuple[Ids, Vectors]:
    found = [
        row
        for at in range(0, len(ids), 500)
        for row in db.execute(
            f"SELECT chunk_id, data FROM vector WHERE space_id = {space:d}"
            f" AND chunk_id IN ({','.join(map(str, ids[at : at + 500]))}) ORDER BY chunk_id"
        )
    ]
    return _table(found, dim)


def _table(rows: list[tuple[int, bytes]], dim: int) -> tuple[Ids, Vectors]:
    ids = np.array([row[0] for row in rows], np.int64)
    return ids, np.frombuffer(b"".join(row[1] for row in rows), np.dtype("<f4")).reshape(-1, dim)


def _base(base: Generation, dead: Ids, vector: Vectors, k: int, allowed: Ids | None) -> tuple[Ids, Vectors]:
    """The nearest rows of a generation: all allowed ones if they are few, else candidates by their codes."""
    if allowed is not None and len(allowed) <= FEW_ROWS:
        return _rows(base, base.rows_of(np.setdiff1d(allowed, dead, assume_unique=True)))
    share = 1.0 if allowed is None else max(len(allowed) / len(base.ids), 1e-6)
    count = int((max(CANDIDATES, 4 * k) + len(dead) * CANDIDATES / len(base.ids)) / share)
    rows = base.candidates(vector, count)
    rows = rows[_kept(base.ids[rows], dead, allowed)]
    if len(rows) < min(k, len(base.ids)) and count < len(base.ids):
        rows = np.flatnonzero(_kept(base.ids, dead, allowed))
    return _rows(base, rows)


def _kept(ids: Ids, dead: Ids, allowed: Ids | None) -> npt.NDArray[np.bool_]:
    kept = ~np.isin(ids, dead)
    return kept if allowed is None else kept & np.isin(ids, allowed)


def _rows(base: Generation, rows: npt.NDArray[np.int64]) -> tuple[Ids, Vectors]:
    return base.ids[rows], np.asarray(base.floats[rows])


def _best(ids: Ids, vectors: Vectors, vector: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The best k of a table and all that are as good as the last of them."""
    if len(ids) <= k:
        return ids, vectors
    scores = np.vecdot(vectors, vector)  # the matrix product would wake threads for a tenth of a millisecond of work
    least = np.partition(scores, len(ids) - k)[len(ids) - k]
    rows = np.flatnonzero(scores >= least - _TIE)
    return ids[rows], vectors[rows]


def _cut(found: Scored, k: int) -> Scored:
    if len(found.ids) <= k:
        return found
    kept = int(np.searchsorted(-found.scores, -found.scores[k - 1], "right"))
    return Scored(found.ids[: min(kept, k + _MOST_TIES)], found.scores[: min(kept, k + _MOST_TIES)])
