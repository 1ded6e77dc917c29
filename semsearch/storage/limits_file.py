"""The limits of all processes in `limits.db`: token buckets and slots. Holds no policy.

The file may be lost at any time, so nothing is synced: a lost or damaged one is made anew, and then all buckets are
full. Nothing waits for long, because an event loop calls this: while the file is locked, or cannot be used for another
reason, every call raises LimitStoreError at once.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ..core.errors import SemsearchError
from ..core.file_locks import hold_lock
from ..core.ports import LimitStoreError
from ..core.private_files import open_private
from ..core.types.rate_limits import BucketState

FILE = "limits.db"
LOCK = "limits.lock"

BUSY_MILLISECONDS = 20
"""How long a transaction waits for that of another process."""

MIN_RETRY_SECONDS = 0.02
MAX_RETRY_SECONDS = 1.0
"""How long the file is left alone after it could not be used: each time twice as long, so that waiting for a lock takes
little of the time."""

SLOT_SECONDS = 60.0
"""Time after which a slot that is not renewed expires: that of a process that was killed."""

SWEEP_TRANSACTIONS = 1_000
"""Number of changes after which a process deletes the buckets that are full again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bucket (name TEXT PRIMARY KEY, level REAL, updated REAL, full_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slot (id TEXT PRIMARY KEY, name TEXT, renewed REAL) WITHOUT ROWID;
"""
_UNUSABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Error codes of a file that must be made anew; the last one means other tables."""
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_log = logging.getLogger("semsearch.limits")
_T = TypeVar("_T")


class LimitsFile:
    """Implement ports.LimitStore in one SQLite file, which the first call creates."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._retry_at = float("-inf")
        self._failures = 0
        """Failures since the last success."""
        self._has_warned = False
        self._changes = 0
        self._lock = threading.Lock()

    def change_bucket(self, name: str, change: Callable[[BucketState | None], tuple[BucketState, _T]]) -> _T:
        """Replace a bucket, None if there is none, by what `change` returns for it; return the other value."""
        with self._transaction() as db:
            row = db.execute("SELECT level, updated, full_at FROM bucket WHERE name = ?", (name,)).fetchone()
            state, result = change(None if row is None else _parse_state(row))
            db.execute("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?, ?)", (name, *state))
            return result

    def take_slot(self, name: str, slot: str, limit: int) -> bool:
        """Take one of `limit` slots until it is released or expires; return False if all are taken."""
        now = self._clock()
        with self._transaction() as db:
            # a slot of the future is from before a restart of the system
            db.execute("DELETE FROM slot WHERE renewed NOT BETWEEN ? AND ?", (now - SLOT_SECONDS, now))
            (taken,) = db.execute("SELECT count(*) FROM slot WHERE name = ?", (name,)).fetchone()
            if taken >= limit:
                return False
            db.execute("INSERT OR REPLACE INTO slot VALUES (?, ?, ?)", (slot, name, now))
            return True

    def renew_slot(self, slot: str) -> None:
        """Let a slot expire later; nothing if it has expired."""
        with self._transaction() as db:
            db.execute("UPDATE slot SET renewed = ? WHERE id = ?", (self._clock(), slot))

    def release_slot(self, slot: str) -> None:
        """Release a slot; nothing if it has expired."""
        with self._transaction() as db:
            db.execute("DELETE FROM slot WHERE id = ?", (slot,))

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            self._close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction; LimitStoreError if the file cannot be used."""
        with self._lock:
            if self._clock() < self._retry_at:
                raise LimitStoreError("the file could not be used a moment ago")
            try:
                db = self._begin()
                try:
                    yield db
                    self._sweep(db)
                    db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
            except (sqlite3.Error, SemsearchError, OSError, UnicodeDecodeError) as exc:
                self._handle_failure(exc)
                raise LimitStoreError(str(exc)) from exc
            self._failures, self._has_warned = 0, False

    def _begin(self) -> sqlite3.Connection:
        """Return a connection to the file that the path names now, in a new transaction."""
        if self._db is None or not self._is_current():
            self._close()
            self._db = self._open()
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def _open(self) -> sqlite3.Connection:
        os.close(open_private(self.path, os.O_WRONLY | os.O_CREAT))
        self._inode = self.path.stat().st_ino
        uri = f"file:{quote(str(self.path))}?mode=rw"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            db.executescript(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _is_current(self) -> bool:
        """Return whether the path still names the file that is open: one that was deleted is shared with nobody."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def _sweep(self, db: sqlite3.Connection) -> None:
        self._changes += 1
        if self._changes % SWEEP_TRANSACTIONS == 0:
            db.execute("DELETE FROM bucket WHERE full_at < ?", (self._clock(),))

    def _handle_failure(self, exc: Exception) -> None:
        """Delete a damaged file, and leave the file alone for some time."""
        self._retry_at = self._clock() + min(MAX_RETRY_SECONDS, MIN_RETRY_SECONDS * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT if isinstance(exc, ValueError) else None)
        code = None if code is None else code & 0xFF  # the upper bytes are details
        if code in _UNUSABLE:
            self._delete()
        if code not in _LOCKED and not self._has_warned:
            self._has_warned = True
            remedy = "it is made anew" if code in _UNUSABLE else "make its folder writable, and free space on its disk"
            _log.warning(
                "%s cannot be used (%s): %s; until then each worker applies the limits by itself", FILE, exc, remedy
            )

    def _delete(self) -> None:
        """Delete the file unless another process has replaced it."""
        self._close()
        with suppress(SemsearchError, OSError), hold_lock(self._lock_path, wait_seconds=0, operation="reset limits"):
            if self._is_current():
                for suffix in ("", "-wal", "-shm", "-journal"):
                    self.path.with_name(FILE + suffix).unlink(missing_ok=True)

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(LOCK)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


class _DamagedError(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _parse_state(row: tuple[object, ...]) -> BucketState:
    if not all(isinstance(value, float) and isfinite(value) for value in row):
        raise _DamagedError("a bucket has no numbers")
    return BucketState(*row)  # type: ignore[arg-type]  # floats, as was just checked
