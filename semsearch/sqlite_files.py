"""SQLite files as this house uses them: durable at each commit, with errors that say the way out. Knows no table."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from .errors import SemsearchError, Storage

_NOT_WRITABLE = "its folder must be writable, also for reading, because SQLite coordinates processes there"
_DAMAGED = "the file is damaged: restore it from a copy, or delete the collection and ingest anew"
_WAYS_OUT = {
    sqlite3.SQLITE_FULL: "nothing of this change was kept; free some space and say it again",
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "another program holds it; close that one and say it again",
}


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open `path` in autocommit mode; transactions are said aloud."""
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA busy_timeout = 5000")
    if mode != "ro":
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    return db


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into our own error, once."""
    try:
        yield
    except SemsearchError:
        raise
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bytes only say where
        raise Storage(f"{path}: {exc}; {_WAYS_OUT.get(code, 'nothing of this change was kept')}") from exc


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
