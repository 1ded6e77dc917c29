"""SQLite files: durable commits, locked writers, pooled readers, and errors with a remedy. Defines no tables."""

import os
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
from ..core.private_files import make_private, open_private

WAIT_SECONDS = 5.0
"""How long a write waits for the lock."""

WAL_SUFFIXES = ("-wal", "-shm")
"""Of the files that SQLite keeps beside a database in WAL mode."""

_NOT_WRITABLE = "its folder must be writable, also for reading, because SQLite coordinates processes there"
_DAMAGED = "the file is damaged: restore it from a copy; a damaged collection can be deleted and ingested again"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "the change was not stored; free some space and try again",
    sqlite3.SQLITE_IOERR: "the disk is full or fails; free some space, which readers need too, and try again",
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "another program has locked it; close that program and try again",
}


class SqliteFile:
    """One existing file. Each read borrows a connection from a pool; writers share one connection under a lock.

    Every write holds the lock file: SQLite before 3.51.3 can corrupt a WAL that two processes restart at once.
    """

    def __init__(self, path: Path, lock_path: Path) -> None:
        self.path = path
        self._lock_path = lock_path
        self._file_id = _read_file_id(path)
        for file in (path, *_wal_paths(path)):  # an earlier version may have made them readable to others
            make_private(file)
        self._idle_connections: list[sqlite3.Connection] = []
        self._close_count = 0  # a connection borrowed before a close is closed, not returned to the pool
        self._pool_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._is_folder_synced = False
        self._write_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a read-only transaction that sees one commit."""
        self._check_file()
        with map_sqlite_errors(self.path), self._borrow_connection() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:  # an error may have ended it; a failing ROLLBACK would hide that error
                    db.execute("ROLLBACK")

    @contextmanager
    def write(self, operation: str) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction that is durable when the block ends, and rolled back if it raises."""
        with self._write_lock, hold_lock(self._lock_path, wait_seconds=WAIT_SECONDS, operation=operation):
            self._check_file()
            with map_sqlite_errors(self.path):
                if self._writer is None:
                    self._writer, self._is_folder_synced = connect(self.path, "rw"), False
                with self._transaction(self._writer):
                    yield self._writer
                if not self._is_folder_synced:
                    self._sync_folder()
                    self._is_folder_synced = True

    def is_current(self) -> bool:
        """Return whether the path still names the file that was opened."""
        try:
            self._check_file()
        except NotFoundError:
            return False
        return True

    def close(self) -> None:
        """Close every connection. The last connection of all processes checkpoints, so closing holds the lock.

        A running read finishes and then closes its connection. A process that holds the lock for longer than the wait
        has the file open, so this connection is not the last one and closes without the lock.
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

    def _sync_folder(self) -> None:
        """Sync the folder, so that the name of the log is durable: SQLite syncs it too, but ignores errors."""
        sync_folder(self.path.parent)

    @contextmanager
    def _borrow_connection(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            close_count = self._close_count
            db = self._idle_connections.pop() if self._idle_connections else None
        db = db or connect(self.path, "ro")
        try:
            yield db
        finally:
            with self._pool_lock:
                is_reusable = close_count == self._close_count
                if is_reusable:
                    self._idle_connections.append(db)
            if not is_reusable:
                db.close()

    def _check_file(self) -> None:
        """Raise NotFoundError if the file was deleted or replaced: an old descriptor must not be used any more."""
        if _read_file_id(self.path) != self._file_id:
            raise NotFoundError(
                f"{self.path.name} in {self.path.parent.name} was replaced by another file; open it again"
            )


def connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """Open `path` in autocommit mode: every transaction is begun explicitly.

    With `immutable` SQLite reads the database file only, and neither reads nor creates files beside it. A new file has
    mode 0600, which SQLite gives to the files beside it too.
    """
    if mode == "rwc":
        _create_empty_file(path)
    else:
        _refuse_journal(path)
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA busy_timeout = 5000")
    if mode != "ro":
        db.execute(
            "PRAGMA journal_mode = WAL"
        ).fetchall()  # fetch all rows: an error of the commit is raised at the end
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    return db


def create_database(path: Path, initialize: Callable[[sqlite3.Connection], object]) -> None:
    """Create a file that does not exist; the caller holds its lock.

    It is built under a temporary name: while SQLite switches a new file to WAL, other connections are refused. Under
    the lock all others of these names were left by killed processes.
    """
    for leftover in path.parent.glob(f".{path.name}-*"):
        leftover.unlink(missing_ok=True)
    temp_path = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with map_sqlite_errors(path), closing(connect(temp_path, "rwc")) as db:
            initialize(db)
            checkpoint(db)
        for leftover in _wal_paths(path):  # of a deleted database: SQLite would read it into this one
            leftover.unlink(missing_ok=True)
        temp_path.rename(path)
        sync_folder(path.parent)
    except OSError as exc:
        raise StorageError(f"{path} cannot be created: {exc.strerror}") from exc
    finally:
        for leftover in (temp_path, *_wal_paths(temp_path)):
            leftover.unlink(missing_ok=True)


def _create_empty_file(path: Path) -> None:
    """Create the file if it does not exist; SQLite takes an empty file for an empty database."""
    try:
        os.close(open_private(path, os.O_WRONLY | os.O_CREAT))
    except OSError as exc:
        raise StorageError(f"{path} cannot be created: {exc.strerror}") from exc


def _refuse_journal(path: Path) -> None:
    """Raise StorageError if there is a rollback journal, which SQLite would write into the database.

    In WAL mode there is none, so it belongs to another program or another database.
    """
    journal = path.with_name(path.name + "-journal")
    with suppress(OSError):
        if journal.stat().st_size:  # SQLite ignores an empty one
            raise StorageError(
                f"{journal} was not written by semsearch, and SQLite would apply it to {path.name}: it is from another"
                f" database, or another program has changed {path.name}. Move {journal.name} away; if another program"
                " was at work, restore the whole folder from a copy"
            )


def checkpoint(db: sqlite3.Connection) -> None:
    """Write the log into the database file. Closing does it too, but ignores errors."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _wal_paths(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in WAL_SUFFIXES]


@contextmanager
def map_sqlite_errors(path: Path) -> Iterator[None]:
    """Raise StorageError with a remedy instead of the errors of SQLite."""
    try:
        yield
    except SemsearchError:
        raise
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bytes are details
        raise StorageError(f"{path}: {exc}; {_REMEDIES.get(code, 'the change was not stored')}") from exc
    except UnicodeDecodeError as exc:  # the message of SQLite quotes a name from the damaged file
        raise StorageError(f"{path}: {_DAMAGED}") from exc


def _read_file_id(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no {path.name} in {path.parent.name}") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
    return status.st_dev, status.st_ino
