"""Tells whether a SQLite file has changed since the last call, from shared memory."""

import sqlite3
import threading
from pathlib import Path

from .sqlite import connect, map_sqlite_errors


class ChangeWatch:
    """Watches one existing file in WAL mode with a connection of its own, which never writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def get_mark(self) -> int:
        """Return a number that is another one after each commit to the file, by whatever connection."""
        with self._lock:
            try:
                return self._read_mark()
            except sqlite3.Error:  # a context manager for each request would take as long as the read
                with map_sqlite_errors(self._path):
                    raise

    def _read_mark(self) -> int:
        if self._db is None:
            self._db = connect(self._path, "ro")
        mark: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return mark

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
