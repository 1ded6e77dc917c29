"""SQLite files as this house uses them: durable at each commit, with errors that say the way out. Knows no table."""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from ..core.errors import LockedError, NotFoundError, SemsearchError, StorageError
from ..core.file_locks import hold_lock
from ..core.file_sync import sync_folder

WAIT_SECONDS = 5.0
"""How long a write waits for its turn."""

_NOT_WRITABLE = "its folder must be writable, also for reading, because SQLite coordinates processes there"
_DAMAGED = "the file is damaged: restore it from a copy; if it is a collection's, it can be deleted and ingested anew"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "nothing of this change was kept; free some space and say it again",
    sqlite3.SQLITE_IOERR: "the disk is full, or it fails; free some space, which readers need too, and say it again",
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "another program holds it; close that one and say it again",
}


class SqliteFile:
    """One file that exists; each read borrows a connection for itself, writers share one and take turns.

    Every write holds the lock file: SQLite before 3.51.3 can corrupt a WAL that two processes restart at once.
    """

    def __init__(self, path: Path, lock_path: Path) -> None:
        self.path = path
        self._lock_path = lock_path
        self._file_id = _read_file_id(path)
        self._idle_connections: list[sqlite3.Connection] = []
        self._close_count = 0  # a connection that was borrowed before the last one is not given back
        self._pool_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._names_are_synced = False
        self._write_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one commit from begin to end and can change nothing."""
        self._check_file()
        with map_sqlite_errors(self.path), self._borrow_connection() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:  # an error may have ended it, and is what is to be told
                    db.execute("ROLLBACK")

    @contextmanager
    def write(self, operation: str) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable when the block ends, and leaves no trace if it raises."""
        with self._write_lock, hold_lock(self._lock_path, wait_seconds=WAIT_SECONDS, operation=operation):
            self._check_file()
            with map_sqlite_errors(self.path):
                if self._writer is None:
                    self._writer, self._names_are_synced = connect(self.path, "rw"), False
                with self._transaction(self._writer):
                    yield self._writer
                if not self._names_are_synced:
                    self._sync_names()
                    self._names_are_synced = True

    def is_current(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        try:
            self._check_file()
        except NotFoundError:
            return False
        return True

    def close(self) -> None:
        """Close every connection; the last one of all processes checkpoints, so it holds the lock.

        A read that is under way ends as it would have, and its connection with it. Who has the lock for long has the
        file open, so that this is not the last connection: what was written is closed without an error.
        """
        with self._pool_lock:
            idle, self._idle_connections = self._idle_connections, []
            self._close_count += 1
        for db in idle:
            db.close()
        with self._write_lock, ExitStack() as stack:
            writer, self._writer = self._writer, None
            if writer is not None:
                if self.is_current():
                    with suppress(LockedError, NotFoundError):
                        stack.enter_context(hold_lock(self._lock_path, wait_seconds=WAIT_SECONDS, operation="close"))
                writer.close()

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        """Commit at the end of the block, or roll back if it raises."""
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _sync_names(self) -> None:
        """Make the log's name durable: SQLite syncs its folder too, but ignores the error."""
        sync_folder(self.path.parent)

    @contextmanager
    def _borrow_connection(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            closings = self._close_count
            db = self._idle_connections.pop() if self._idle_connections else None
        db = db or connect(self.path, "ro")
        try:
            yield db
        finally:
            with self._pool_lock:
                stays_open = closings == self._close_count
                if stays_open:
                    self._idle_connections.append(db)
            if not stays_open:
                db.close()

    def _check_file(self) -> None:
        """What was deleted, and perhaps made anew, is not read or written through an old descriptor."""
        if _read_file_id(self.path) != self._file_id:
            raise NotFoundError(f"{self.path.name} in {self.path.parent.name} was replaced by another; open it again")


def connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """Open `path` in autocommit mode; transactions are said aloud.

    With `immutable` only the database file itself is read, and no file beside it is read or made.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA busy_timeout = 5000")
    if mode != "ro":
        db.execute("PRAGMA journal_mode = WAL").fetchall()  # to its end, where an error of its commit is raised
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    return db


def create_database(path: Path, initialize: Callable[[sqlite3.Connection], object]) -> None:
    """Make a file that does not exist; whoever calls holds its lock.

    It gets its name when it is whole: while SQLite turns a new file to WAL, everybody else who opens it is refused.
    """
    temp_path = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with map_sqlite_errors(path), closing(connect(temp_path, "rwc")) as db:
            initialize(db)
            checkpoint(db)
        for leftover in _wal_paths(path):  # of a file that was deleted without them: they would be read into this one
            leftover.unlink(missing_ok=True)
        temp_path.rename(path)
        sync_folder(path.parent)
    except OSError as exc:
        raise StorageError(f"{path} cannot be made: {exc.strerror}") from exc
    finally:
        for leftover in (temp_path, *_wal_paths(temp_path)):
            leftover.unlink(missing_ok=True)


def checkpoint(db: sqlite3.Connection) -> None:
    """Write the log into the database file; closing does it too, but ignores an error."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _wal_paths(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]


@contextmanager
def map_sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into our own error, once."""
    try:
        yield
    except SemsearchError:
        raise
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bytes only say where
        raise StorageError(f"{path}: {exc}; {_REMEDIES.get(code, 'nothing of this change was kept')}") from exc
    except UnicodeDecodeError as exc:  # SQLite's own message has a name from the file in it
        raise StorageError(f"{path}: {_DAMAGED}") from exc


def _read_file_id(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no {path.name} in {path.parent.name}") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
    return status.st_dev, status.st_ino
