"""Which vector generations a collection has: when one is due, how it gets its name, when an old one goes.

A generation counts only once the catalogue names it, and the one before stays until the next, for searches still under
way.
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import Storage
from ...types import Ids, Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .catalog import Catalog
    from .vectors import Generation

log = logging.getLogger(__name__)

EXACT_FLOATS = 3_000_000
"""Below this many floats an exact scan is cheaper than codes and rerank (12,000 chunks of 256 dimensions)."""

STALE_ROWS = 2_000
STALE_SHARE = 0.05
LOG_ROWS = 50_000

_LATEST = (
    "SELECT generation.seq, last_id, folder, files, rows FROM generation JOIN meta ON space_id = live_space"
    " WHERE kind = 'vector' ORDER BY generation.id DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A generation that was built but is not named yet."""

    seq: int
    last_id: int
    rows: int
    folder: str | None
    files: Mapping[str, str]


def is_due(db: sqlite3.Connection) -> bool:
    """Whether the tail and the dead rows have outgrown the latest generation."""
    rows, dim = db.execute(
        "SELECT (SELECT coalesce(sum(chunks), 0) FROM document), dim FROM meta JOIN space ON space.id = live_space"
    ).fetchone()
    latest = db.execute(_LATEST).fetchone()
    covered = latest[4] if latest else 0
    if rows * dim < EXACT_FLOATS and not covered:
        return bool(db.execute("SELECT count(*) FROM change").fetchone()[0] > LOG_ROWS)
    since, last_id = (latest[0], latest[1]) if latest else (0, 0)
    dead = db.execute(
        "SELECT count(*) FROM change WHERE op < 0 AND seq > ? AND chunk_id <= ?", (since, last_id)
    ).fetchone()[0]
    tail = rows - (covered - dead)
    return bool(tail + dead > max(STALE_ROWS, STALE_SHARE * covered))


class Generations:
    """The generations in one collection's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: tuple[str, Generation] | None = None
        self.damaged = False
        """Whether the latest generation could not be trusted, so that another is due."""

    def load(self, db: sqlite3.Connection) -> tuple[Generation | None, int]:
        """The latest generation and the last chunk id it covers; None and 0 if there is none that can be trusted."""
        row = db.execute(_LATEST).fetchone()
        if row is None or row[2] is None:
            return None, 0
        _, last_id, folder, files, rows = row
        if self._loaded is None or self._loaded[0] != folder:
            from .vectors import (
                load,
            )  # late: FAISS takes a quarter of a second to import, and small collections need none

            dim = db.execute("SELECT dim FROM meta JOIN space ON space.id = live_space").fetchone()[0]
            try:
                self._loaded = folder, load(self.folder / folder, json.loads(files), rows, dim)
            except Storage as exc:
                log.warning("%s; search is exact, and slower, until the next write or semsearch reindex", exc)
                self.damaged = True
                return None, 0
        return self._loaded[1], last_id

    def build(self, db: sqlite3.Connection) -> Draft:
        """Write a generation of all that `db`'s transaction sees; below the crossing there is nothing to write."""
        seq, space, dim = db.execute(
            "SELECT seq, live_space, dim FROM meta JOIN space ON space.id = live_space"
        ).fetchone()
        ids, vectors = _all(db, space, dim)
        if vectors.size < EXACT_FLOATS:
            return Draft(seq, 0, 0, None, {})
        from .vectors import build

        number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM generation").fetchone()[0]
        folder, files = build(self.folder, number, ids, vectors)
        return Draft(seq, int(ids.max()), len(ids), folder, files)

    def name(self, db: sqlite3.Connection, draft: Draft) -> None:
        """Make the draft the one that counts, and cut the log up to it."""
        db.execute(
            "INSERT INTO generation (kind, space_id, seq, last_id, folder, files, rows)"
            " SELECT 'vector', live_space, ?, ?, ?, ?, ? FROM meta",
            (draft.seq, draft.last_id, draft.folder, json.dumps(draft.files), draft.rows),
        )
        self.damaged = False
        db.execute("DELETE FROM change WHERE seq <= ?", (draft.seq,))
        db.execute("UPDATE meta SET log_start = ?", (draft.seq,))
        db.execute("DELETE FROM generation WHERE id NOT IN (SELECT id FROM generation ORDER BY id DESC LIMIT 2)")

    def tidy(self, catalog: Catalog) -> None:
        """Delete the folders that the catalogue names no longer, and what builds left that never came to their end."""
        with catalog.read() as db:
            named = {row[0] for row in db.execute("SELECT folder FROM generation")}
        for path in [*self.folder.glob("ann.*"), *self.folder.glob(".building-*")]:
            if path.name not in named:
                shutil.rmtree(path, ignore_errors=True)


def _all(db: sqlite3.Connection, space: int, dim: int) -> tuple[Ids, Vectors]:
    """Every chunk in the order of uri and start, so that equal collections give equal generations."""
    rows = db.execute(
        "SELECT v.chunk_id, v.data FROM document AS d JOIN chunk AS c ON c.document_id = d.id"
        " JOIN vector AS v ON v.space_id = ? AND v.chunk_id = c.id ORDER BY d.uri, c.start, c.id",
        (space,),
    ).fetchall()
    ids = np.array([row[0] for row in rows], np.int64)
    return ids, np.frombuffer(b"".join(row[1] for row in rows), np.dtype("<f4")).reshape(-1, dim)
