"""The SQLite file that holds a collection's truth: opening, migrating, and transactions. Knows no document.

WAL with synchronous=FULL: what a commit acknowledged survives a power cut. Every write holds `write.lock`, because
SQLite before 3.51.3 can corrupt a WAL that two processes restart at once; checkpoints happen under that lock only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.file_locks import hold_lock
from ....core.file_sync import sync_folder
from ...sqlite import WAIT_SECONDS, SqliteFile, checkpoint, connect, map_sqlite_errors
from . import commit_file as commits
from .rows.checksums import of_row

CATALOG_FILE = "catalog.db"
WRITE_LOCK = "write.lock"
JOB_LOCK = "job.lock"
PUBLISH_LOCK = "publish.lock"
PUBLISH_WAIT_SECONDS = 60.0
"""How long is waited for an index that is being made; that of 200,000 chunks takes a third of it."""

FORMAT_VERSION = 8
"""`PRAGMA user_version` of the schema that this code knows: the number of migrations."""


@contextmanager
def locked_for_delete(folder: Path) -> Iterator[None]:
    """Nothing is written to a collection that is to be deleted; Locked while a job is at work in it."""
    doing = "delete the collection"
    with (
        hold_lock(folder / JOB_LOCK, wait_seconds=0, operation=doing),
        hold_lock(folder / PUBLISH_LOCK, wait_seconds=PUBLISH_WAIT_SECONDS, operation=doing),
        hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation=doing),
    ):
        yield


class Catalog(SqliteFile):
    """One collection's database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / CATALOG_FILE, folder / WRITE_LOCK)
        self.folder = folder
        try:
            commits.check(folder, self._last_commit)
        except StorageError:
            self.close()
            raise
        with self.read() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
        if not found:
            raise StorageError(
                f"{self.path} is empty: restore it from a copy, or delete the collection and ingest anew"
            )
        if found > FORMAT_VERSION:
            raise ConflictError(
                f"{self.path} has format {found}, this semsearch knows {FORMAT_VERSION}; use the version that wrote it"
            )
        self.was_migrated = found < FORMAT_VERSION
        """Whether an older version wrote it, so that what is derived must be made anew."""
        if self.was_migrated:
            lock = hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="migrate the collection")
            with lock, map_sqlite_errors(self.path), closing(connect(self.path, "rw")) as db:
                self._migrate(db)

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Bring the tables to today's format; the last step is a commit that is numbered."""
        commits.follow(self.folder, _number(db) or 0)
        _apply_migrations(db)
        with self._transaction(db):
            db.execute("UPDATE meta SET seq = seq")  # a PRAGMA alone does not count as a change
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        """Number the commit, if anything was changed, and write its number to commit.seq before it is acknowledged."""
        with super()._transaction(db):
            number, before = _number(db) or 0, db.total_changes
            commits.follow(self.folder, number)
            yield
            is_changed = db.total_changes > before
            if is_changed:
                db.execute("UPDATE meta SET seq = ?", (number + 1,))
        if is_changed:
            commits.write(self.folder, number + 1)

    def _sync_names(self) -> None:
        """Make the collection's name durable too: whoever made it may not have come so far."""
        super()._sync_names()
        sync_folder(self.folder.parent)

    def _last_commit(self) -> int | None:
        """Return the number of the last commit. Without a log no file beside the catalogue is touched."""
        if _has_log(self.path):
            with self.read() as db:
                return _number(db)
        with map_sqlite_errors(self.path), closing(connect(self.path, "ro", immutable=True)) as db:
            return _number(db)


def accept_catalog(folder: Path) -> None:
    """Accept that commits were lost: set commit.seq to the catalogue's number."""
    lock = hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="accept the loss")
    with lock, map_sqlite_errors(folder / CATALOG_FILE), closing(connect(folder / CATALOG_FILE, "ro")) as db:
        number = _number(db)
        if number is not None:
            commits.make(folder, number)


def create(folder: Path, *, space: str, dim: int, spec: str, analyzer_version: str) -> None:
    """Make an empty collection in `folder`, which must exist."""
    path = folder / CATALOG_FILE
    with (
        map_sqlite_errors(path),
        hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="create the collection"),
    ):
        with closing(connect(path, "rwc")) as db:
            _apply_migrations(db)
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            db.execute("BEGIN IMMEDIATE")
            row = (1, space, dim)
            db.execute(
                "INSERT INTO space (id, name, dim, checksum, spec) VALUES (?, ?, ?, ?, ?)", (*row, of_row(*row), spec)
            )
            meta = "INSERT INTO meta (id, seq, log_start, live_space, checksum, analysis) VALUES (1, 0, 0, 1, 0, ?)"
            db.execute(meta, (analyzer_version,))
            db.execute("COMMIT")
            checkpoint(db)
        commits.make(folder, 0)  # which syncs the folder


def _number(db: sqlite3.Connection) -> int | None:
    """Return the number of the last commit that the transaction sees; None without tables that this code knows."""
    if not 0 < db.execute("PRAGMA user_version").fetchone()[0] <= FORMAT_VERSION:
        return None
    return int(db.execute("SELECT seq FROM meta").fetchone()[0])


def _has_log(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _apply_migrations(db: sqlite3.Connection) -> None:
    """Bring the tables to today's format, from nothing if need be."""
    from sqlite_utils import Database  # late: it costs a fifth of a second, and only a new collection needs it

    from .migrations import MIGRATIONS

    MIGRATIONS.apply(Database(db))
