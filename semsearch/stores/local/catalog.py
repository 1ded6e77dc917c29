"""The SQLite file that holds a collection's truth: opening, migrating, and transactions. Knows no document.

WAL with synchronous=FULL: what a commit acknowledged survives a power cut. Every write holds `write.lock`, because
SQLite before 3.51.3 can corrupt a WAL that two processes restart at once; checkpoints happen under that lock only.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from ...errors import Conflict, NotFound, Storage
from ...locks import held
from ...sqlite_files import connect, sync_folder, translated

FILE = "catalog.db"
WRITE_LOCK = "write.lock"
JOB_LOCK = "job.lock"
FORMAT = 1
"""`PRAGMA user_version` of the schema that this code knows: the number of migrations."""

_WAIT_SECONDS = 5.0


class Catalog:
    """One collection's database; readers have a connection per thread, writers share one and take turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._file = _identity(self.path)
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        with self.read() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            raise Conflict(
                f"{self.path} has format {found}, this semsearch knows {FORMAT}; use the version that wrote it"
            )

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one commit from begin to end and can change nothing."""
        self._check_file()
        with translated(self.path):
            db = getattr(self._local, "db", None) or self._reader()
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    @contextmanager
    def write(self, doing: str) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable when the block ends, and leaves no trace if it raises."""
        with self._turn, held(self.folder / WRITE_LOCK, wait=_WAIT_SECONDS, doing=doing):
            self._check_file()
            with translated(self.path):
                db = self._writer = self._writer or connect(self.path, "rw")
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                finally:
                    if db.in_transaction:
                        db.execute("ROLLBACK")

    def is_current(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        try:
            self._check_file()
        except NotFound:
            return False
        return True

    def close(self) -> None:
        """Close every connection; the last one of all processes checkpoints, so it holds the lock."""
        for db in self._readers:
            db.close()
        self._readers.clear()
        self._local = threading.local()
        writer, self._writer = self._writer, None
        if writer is not None:
            lock = (
                held(self.folder / WRITE_LOCK, wait=_WAIT_SECONDS, doing="close")
                if self.is_current()
                else nullcontext()
            )
            with self._turn, lock:
                writer.close()

    def _reader(self) -> sqlite3.Connection:
        db = self._local.db = connect(self.path, "ro")
        self._readers.append(db)
        return db

    def _check_file(self) -> None:
        """A collection that was deleted, and perhaps made anew, is not read or written through an old descriptor."""
        if _identity(self.path) != self._file:
            raise NotFound(f"the collection {self.folder.name} was replaced by another; open it again")


def create(folder: Path, *, space: str, dim: int, spec: str, analysis: str) -> None:
    """Make an empty collection in `folder`, which must exist."""
    from sqlite_utils import (
        Database,
    )  # late: it costs a fifth of a second, and only the first use of a collection needs it

    from .migrations import MIGRATIONS

    path = folder / FILE
    with translated(path), held(folder / WRITE_LOCK, wait=_WAIT_SECONDS, doing="create the collection"):
        with closing(connect(path, "rwc")) as db:
            MIGRATIONS.apply(Database(db))
            with Database(db).atomic():
                db.execute("INSERT INTO space (id, name, dim, spec) VALUES (1, ?, ?, ?)", (space, dim, spec))
                db.execute("INSERT INTO meta VALUES (1, 0, 0, 1, ?)", (analysis,))
                db.execute(f"PRAGMA user_version = {FORMAT}")
        sync_folder(folder)


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as exc:
        raise NotFound(f"there is no collection in {path.parent.name}") from exc
    except OSError as exc:
        raise Storage(f"{path} cannot be read: {exc.strerror}") from exc
    return status.st_dev, status.st_ino
