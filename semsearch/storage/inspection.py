"""Read SQLite files without writing beside them, also while other processes write. For diagnostics only.

`SqliteFile` restricts modes, and SQLite itself creates a write-ahead log and shared memory beside a file that it opens.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ..core.errors import StorageError
from .sqlite import map_sqlite_errors

MAX_CHECK_SECONDS = 5.0
_STEPS_BETWEEN_CHECKS = 10_000
_MAX_MESSAGE_CHARACTERS = 300


def get_sqlite_version() -> tuple[int, ...]:
    """Return the version of the SQLite library in use."""
    return sqlite3.sqlite_version_info


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an existing file; no file is created or changed. StorageError if it cannot be read.

    Without a write-ahead log the file is opened as immutable. With one, its shared memory is opened for reading only,
    and must exist.
    """
    wal, journal = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    if _has_bytes(journal):
        raise ForeignJournalError(f"{journal} is not from semsearch, and SQLite would apply it to {path.name}")
    mode = "readonly_shm=1" if _has_bytes(wal) else "immutable=1"
    if mode == "readonly_shm=1" and not path.with_name(path.name + "-shm").exists():
        raise UncheckedError(f"{path} was not closed properly, and can only be read after recovery")
    with map_sqlite_errors(path):
        uri = f"file:{quote(str(path.absolute()))}?mode=ro&{mode}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout = 1000")
            db.execute("BEGIN")
            yield db


class ForeignJournalError(StorageError):
    """Another program left a rollback journal beside a file, or put it there."""


class UncheckedError(StorageError):
    """A file cannot be checked without changing it."""


def find_damage(db: sqlite3.Connection, *, clock: Callable[[], float] = time.monotonic) -> str | None:
    """Return the first fault of the pages of a file, None if there is none; UncheckedError if it takes too long."""
    deadline = clock() + MAX_CHECK_SECONDS
    db.set_progress_handler(lambda: clock() > deadline, _STEPS_BETWEEN_CHECKS)
    try:
        message = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise UncheckedError(f"its pages take longer to check than {MAX_CHECK_SECONDS:g} seconds") from exc
        raise
    finally:
        db.set_progress_handler(None, 0)
    return None if message == "ok" else " ".join(message.split())[:_MAX_MESSAGE_CHARACTERS]


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
