"""Vectors that were paid for, in one SQLite file beside the collections. Losing it loses money, never data.

Also remembers the batches that are under way at a server, so that none is sent twice or forgotten.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..core.errors import NotFoundError, SemsearchError, StorageError
from ..core.file_locks import hold_lock
from ..core.types.documents import Vectors
from ..core.types.usage import PendingBatch
from .sqlite import WAIT_SECONDS, SqliteFile, connect, create_database, map_sqlite_errors

FILE = "paid.db"
LOCK = "paid.lock"

_BATCH_SIZE = 500

_T = TypeVar("_T")
_log = logging.getLogger("semsearch.paid")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vector (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    used INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (space, key)
);
CREATE INDEX IF NOT EXISTS vector_by_use ON vector (used);
CREATE TABLE IF NOT EXISTS size (id INTEGER PRIMARY KEY CHECK (id = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO size VALUES (1, 0);
CREATE TABLE IF NOT EXISTS batch (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    space TEXT NOT NULL,
    batch TEXT NOT NULL
);
"""


class SqliteEmbeddingCache:
    """ports.Paid. Touches no disk before it is asked for something; a damaged file is set aside."""

    def __init__(self, folder: Path, *, max_bytes: int = 4 << 30, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._max_bytes = max_bytes
        self._clock = clock
        self._touched: set[tuple[str, str]] = set()
        """Found since the last write, which then notes that they were used."""
        self._file: SqliteFile | None = None
        self._open_lock = threading.Lock()

    def find(self, space: str, hashes: Sequence[str]) -> Mapping[str, Vectors]:
        """The vectors of these texts, where they are known."""
        if not hashes or not self.path.exists():
            return {}

        def look_up(db: sqlite3.Connection) -> dict[str, Vectors]:
            found: dict[str, Vectors] = {}
            for start in range(0, len(hashes), _BATCH_SIZE):
                batch = hashes[start : start + _BATCH_SIZE]
                marks = ",".join("?" * len(batch))
                rows = db.execute(f"SELECT key, data FROM vector WHERE space = ? AND key IN ({marks})", (space, *batch))
                found.update((key, np.frombuffer(data, "<f4")) for key, data in rows)
            return found

        found = self._read(look_up)
        self._touched.update((space, key) for key in found)
        return found

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors; durable when it returns. The least recently used go when there are too many."""
        if not vectors:
            return
        now = int(self._clock())
        touched, self._touched = self._touched, set()
        rows = [(space, key, now, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]

        def add(db: sqlite3.Connection) -> None:
            before = db.total_changes
            db.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?, ?, ?)", rows)
            added = db.total_changes - before
            used = [(now, *place) for place in touched]
            db.executemany("UPDATE vector SET used = ? WHERE space = ? AND key = ?", used)
            db.execute("UPDATE size SET bytes = bytes + ?", (added * _row_bytes(rows),))
            self._evict(db)

        self._write(add)

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """The batches of this space whose vectors are still to come."""
        if not self.path.exists():
            return []
        sql = "SELECT batch FROM batch WHERE space = ? ORDER BY id"
        batches: list[PendingBatch] = self._read(
            lambda db: [PendingBatch(**json.loads(one)) for (one,) in db.execute(sql, (space,))]
        )
        return batches

    def put_batch(self, batch: PendingBatch) -> None:
        """Remember a batch, durably; one of the same id is replaced."""
        row = (batch.id, batch.owner, batch.space, json.dumps(asdict(batch)))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?)", row))

    def delete_batch(self, batch_id: str) -> None:
        """Forget a batch."""
        self._write(lambda db: db.execute("DELETE FROM batch WHERE id = ?", (batch_id,)))

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _evict(self, db: sqlite3.Connection) -> None:
        size = db.execute("SELECT bytes FROM size").fetchone()[0]
        while size > self._max_bytes:
            oldest = db.execute(
                "SELECT rowid, length(data) + length(key) FROM vector ORDER BY used, rowid LIMIT ?", (_BATCH_SIZE,)
            )
            evicted = []
            for rowid, length in oldest.fetchall():
                if size > self._max_bytes:
                    evicted.append((rowid,))
                    size -= length
            if not evicted:
                break
            db.executemany("DELETE FROM vector WHERE rowid = ?", evicted)
            db.execute("UPDATE size SET bytes = ?", (size,))

    def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        def within(file: SqliteFile) -> _T:
            with file.read() as db:
                return query(db)

        return self._with_recovery(within)

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        def within(file: SqliteFile) -> None:
            with file.write("keep what was paid for") as db:
                change(db)

        self._with_recovery(within)

    def _with_recovery(self, operation: Callable[[SqliteFile], _T]) -> _T:
        """The result on the file; a file that is damaged is set aside, and a new one begun."""
        file = self._current_file()
        try:
            return operation(file)
        except (StorageError, NotFoundError) as exc:
            if _is_damaged(exc):
                self._set_aside(file)
            elif file is self._file and file.is_current():  # else another thread or process has set it aside
                raise
            return operation(self._current_file())

    def _set_aside(self, file: SqliteFile) -> None:
        with self._open_lock:
            if self._file is not file:
                return
            self._file = None
            file.close()
            with self._hold_lock():
                if file.is_current():
                    self._rename_damaged()

    def _rename_damaged(self) -> None:
        """Out of the way, so that the path is free for a new file."""
        aside = self.path.with_name(f"{FILE}.damaged-{int(time.time())}")
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(FILE + suffix).unlink(missing_ok=True)
        _log.warning("%s is damaged and was set aside as %s: what it held is paid for again", self.path, aside.name)

    def _current_file(self) -> SqliteFile:
        with self._open_lock:
            if self._file is not None and not self._file.is_current():
                self._file.close()
                self._file = None
            if self._file is None:
                self._file = self._open_or_create()
            return self._file

    def _open_or_create(self) -> SqliteFile:
        with self._hold_lock():
            try:
                self._prepare()
            except StorageError as exc:
                if not _is_damaged(exc):
                    raise
                self._rename_damaged()
                self._prepare()
        return SqliteFile(self.path, self.path.with_name(LOCK))

    def _prepare(self) -> None:
        if not self.path.exists():
            create_database(self.path, _create_schema)
            return
        with map_sqlite_errors(self.path), closing(connect(self.path, "rw")) as db:
            _create_schema(db)

    def _hold_lock(self) -> AbstractContextManager[None]:
        return hold_lock(self.path.with_name(LOCK), wait_seconds=WAIT_SECONDS, operation="open the paid vectors")


def _create_schema(db: sqlite3.Connection) -> None:
    db.executescript(_SCHEMA)


def _row_bytes(rows: Sequence[tuple[str, str, int, bytes]]) -> int:
    """Bytes that each of these takes: all have as many."""
    return len(rows[0][1]) + len(rows[0][3]) if rows else 0


def _is_damaged(exc: SemsearchError) -> bool:
    """Whether it is the file itself that cannot be read, and not its place."""
    code = getattr(exc.__cause__, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
