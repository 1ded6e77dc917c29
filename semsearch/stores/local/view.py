"""What one search sees of a collection: its vectors and its words as of one commit.

A view is made from the one before by the change log, or anew from the latest generation and what came after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...types import StoredChunk
from . import terms
from .documents import vectors_after, vectors_of
from .generations import Generation
from .points import NO_IDS, Points
from .postings import build
from .words import Part, Words


@dataclass(frozen=True, slots=True)
class View:
    """Immutable; of commit `seq`."""

    seq: int
    points: Points
    words: Words
    chunks: dict[int, StoredChunk] = field(default_factory=dict)
    """Some that were loaded from this commit."""


def next_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], Generation | None]
) -> View:
    """The view of the commit that `db`'s transaction sees: the given one, that one advanced, or a new one."""
    seq, log_start = db.execute("SELECT seq, log_start FROM meta").fetchone()
    if view is not None and view.seq == seq:
        return view
    if view is not None and log_start <= view.seq < seq:
        return _advanced(db, view, seq)
    return _new(db, seq, load(db))


def _advanced(db: sqlite3.Connection, view: View, seq: int) -> View:
    changes = db.execute("SELECT chunk_id, op FROM change WHERE seq > ? ORDER BY seq", (view.seq,)).fetchall()
    removed = {chunk for chunk, op in changes if op < 0}
    added = sorted({chunk for chunk, op in changes if op > 0} - removed)
    gone = np.array(sorted(removed), np.int64)
    return View(
        seq,
        view.points.advance(*vectors_of(db, np.array(added, np.int64)), gone),
        view.words.advance(build(terms.of(db, added)), gone),
    )


def _new(db: sqlite3.Connection, seq: int, base: Generation | None) -> View:
    last = base.last_id if base else 0
    removed = db.execute(
        "SELECT chunk_id FROM change WHERE op < 0 AND chunk_id <= ? ORDER BY chunk_id", (last,)
    ).fetchall()
    gone = np.array([row[0] for row in removed], np.int64)
    dead = np.intersect1d(gone, base.base.ids) if base else NO_IDS
    points = Points(base.base if base else None, dead, *vectors_after(db, last))
    words = Words.of([Part(base.postings)] if base else [])
    return View(seq, points, words.advance(build(terms.after(db, last)), gone))
