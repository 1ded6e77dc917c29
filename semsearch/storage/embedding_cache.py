"""The embedding cache: vectors of model servers in one SQLite file of the data directory.

Losing the file costs money, but no data. It also stores the batches that a server is processing, so that none is sent
twice or forgotten.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..core.errors import NotFoundError, SemsearchError, StorageError
from ..core.file_locks import hold_lock
from ..core.file_sync import sync_folder
from ..core.types.documents import Vectors
from ..core.types.usage import PendingBatch
from .sqlite import WAIT_SECONDS, WAL_SUFFIXES, SqliteFile, connect, create_database, map_sqlite_errors

FILE = "embedding_cache.db"
LOCK = "embedding_cache.lock"
OLD_FILE = "paid.db"
"""The file's name in earlier versions."""
OLD_LOCK = "paid.lock"

_BATCH_SIZE = 500

_T = TypeVar("_T")
_log = logging.getLogger("semsearch.embedding_cache")
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
    """Implement ports.EmbeddingCache in one SQLite file.

    Creating the object touches no file. A damaged file is set aside and replaced by a new one.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 4 << 30, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._max_bytes = max_bytes
        self._clock = clock
        self._touched: set[tuple[str, str]] = set()
        """Space and key of the vectors that were read since the last write, which updates their last use."""
        self._file: SqliteFile | None = None
        self._open_lock = threading.Lock()

    def find(self, space: str, hashes: Sequence[str]) -> Mapping[str, Vectors]:
        """Return the cached vectors of these texts, by hash."""
        if not hashes or not self._exists():
            return {}

        def select(db: sqlite3.Connection) -> dict[str, Vectors]:
            vectors: dict[str, Vectors] = {}
            for start in range(0, len(hashes), _BATCH_SIZE):
                batch = hashes[start : start + _BATCH_SIZE]
                marks = ",".join("?" * len(batch))
                rows = db.execute(f"SELECT key, data FROM vector WHERE space = ? AND key IN ({marks})", (space, *batch))
                vectors.update((key, np.frombuffer(data, "<f4")) for key, data in rows)
            return vectors

        vectors = self._read(select)
        self._touched.update((space, key) for key in vectors)
        return vectors

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Store vectors durably. Evict the least recently used ones above the size limit."""
        if not vectors:
            return
        now = int(self._clock())
        touched, self._touched = self._touched, set()
        rows = [(space, key, now, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]

        def insert(db: sqlite3.Connection) -> None:
            changes_before = db.total_changes
            db.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?, ?, ?)", rows)
            added = db.total_changes - changes_before
            uses = [(now, touched_space, key) for touched_space, key in touched]
            db.executemany("UPDATE vector SET used = ? WHERE space = ? AND key = ?", uses)
            db.execute("UPDATE size SET bytes = bytes + ?", (added * _row_bytes(rows),))
            self._evict(db)

        self._write(insert)

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """Return the batches of this space whose vectors are not here yet."""
        if not self._exists():
            return []
        sql = "SELECT batch FROM batch WHERE space = ? ORDER BY id"
        batches: list[PendingBatch] = self._read(
            lambda db: [PendingBatch(**json.loads(record)) for (record,) in db.execute(sql, (space,))]
        )
        return batches

    def put_batch(self, batch: PendingBatch) -> None:
        """Store a batch durably; replace one of the same id."""
        row = (batch.id, batch.owner, batch.space, json.dumps(asdict(batch)))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO batch VALUES (?, ?, ?, ?)", row))

    def delete_batch(self, batch_id: str) -> None:
        """Delete a batch, if it is stored."""
        self._write(lambda db: db.execute("DELETE FROM batch WHERE id = ?", (batch_id,)))

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _exists(self) -> bool:
        return self.path.exists() or self.path.with_name(OLD_FILE).is_file()

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
        def run(file: SqliteFile) -> _T:
            with file.read() as db:
                return query(db)

        return self._with_recovery(run)

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        def run(file: SqliteFile) -> None:
            with file.write("write the embedding cache") as db:
                change(db)

        self._with_recovery(run)

    def _with_recovery(self, operation: Callable[[SqliteFile], _T]) -> _T:
        """Return the result of the operation; if the file is damaged, set it aside and repeat with a new one."""
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
        """Rename the damaged file, so that a new one can take its path."""
        damaged_path = self.path.with_name(f"{FILE}.damaged-{int(time.time())}")
        self.path.rename(damaged_path)
        for suffix in WAL_SUFFIXES:
            self.path.with_name(FILE + suffix).unlink(missing_ok=True)
        _log.warning(
            "%s is damaged and was set aside as %s: its vectors are requested and paid for again",
            self.path,
            damaged_path.name,
        )

    def _current_file(self) -> SqliteFile:
        """Return the open file; open or create it if it is not open or was replaced."""
        with self._open_lock:
            if self._file is not None and not self._file.is_current():
                self._file.close()
                self._file = None
            if self._file is None:
                self._file = self._open_or_create()
            return self._file

    def _open_or_create(self) -> SqliteFile:
        with self._hold_lock():
            _rename_old_file(self.path)
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
        return _hold_lock(self.path.with_name(LOCK))


def _hold_lock(path: Path) -> AbstractContextManager[None]:
    return hold_lock(path, wait_seconds=WAIT_SECONDS, operation="open the embedding cache")


def _rename_old_file(path: Path) -> None:
    """Rename the file of an earlier version with its log to `path`, once; the caller holds the lock of `path`.

    The log may hold commits, so it is renamed first and durably: as long as the database has its old name, the rename
    is not complete, and the next call continues it. The old lock keeps processes of the earlier version from writing.
    """
    old_path, old_lock = path.with_name(OLD_FILE), path.with_name(OLD_LOCK)
    if path.exists() or not old_path.is_file():
        return
    with _hold_lock(old_lock):
        try:
            for suffix in WAL_SUFFIXES:
                with suppress(FileNotFoundError):
                    path.with_name(OLD_FILE + suffix).rename(path.with_name(FILE + suffix))
            sync_folder(path.parent)
            old_path.rename(path)
            sync_folder(path.parent)
            old_lock.unlink(missing_ok=True)
        except OSError as exc:
            raise StorageError(f"{old_path} cannot be renamed to {path.name}: {exc.strerror}") from exc


def _create_schema(db: sqlite3.Connection) -> None:
    db.executescript(_SCHEMA)


def _row_bytes(rows: Sequence[tuple[str, str, int, bytes]]) -> int:
    """Return the bytes that one row counts for; all rows have equally many."""
    return len(rows[0][1]) + len(rows[0][3]) if rows else 0


def _is_damaged(exc: SemsearchError) -> bool:
    """Return whether the file's content is damaged; other errors of the disk or folder are not damage."""
    code = getattr(exc.__cause__, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
