"""The SQLite file of a collection: create, open, migrate, and run transactions. Does not know the rows of documents.

WAL mode with synchronous=FULL: an acknowledged commit survives a power cut. Every write holds `write.lock`, because
SQLite before 3.51.3 can corrupt a WAL that two processes restart at the same time; checkpoints run under that lock
only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.file_locks import hold_lock
from ....core.file_sync import sync_folder
from ...sqlite import WAIT_SECONDS, SqliteFile, checkpoint, connect, map_sqlite_errors
from . import commit_file
from .rows.checksums import row_checksum

CATALOG_FILE = "catalog.db"
WRITE_LOCK = "write.lock"
JOB_LOCK = "job.lock"
PUBLISH_LOCK = "publish.lock"
PUBLISH_WAIT_SECONDS = 60.0
"""How long to wait for another process that builds an index; 200,000 chunks take a third of it."""

FORMAT_VERSION = 11
"""`PRAGMA user_version` of the current schema: the number of the last migration."""


@contextmanager
def locked_for_delete(folder: Path) -> Iterator[None]:
    """Hold all locks of a collection that is to be deleted; LockedError while a job runs in it."""
    operation = "delete the collection"
    with (
        hold_lock(folder / JOB_LOCK, wait_seconds=0, operation=operation),
        hold_lock(folder / PUBLISH_LOCK, wait_seconds=PUBLISH_WAIT_SECONDS, operation=operation),
        hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation=operation),
    ):
        yield


class Catalog(SqliteFile):
    """One collection's database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / CATALOG_FILE, folder / WRITE_LOCK)
        self.folder = folder
        try:
            commit_file.check(folder, self._last_commit)
        except StorageError:
            self.close()
            raise
        with self.read() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if not version:
            raise StorageError(
                f"{self.path} is empty: restore it from a copy, or delete the collection and ingest it again"
            )
        if version > FORMAT_VERSION:
            raise ConflictError(
                f"{self.path} has format {version}, this semsearch knows {FORMAT_VERSION};"
                " use the version that wrote it"
            )
        self.was_migrated = version < FORMAT_VERSION
        """Whether an older version wrote the file, so that the index must be built again."""
        if self.was_migrated:
            lock = hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="migrate the collection")
            with lock, map_sqlite_errors(self.path), closing(connect(self.path, "rw")) as db:
                self._migrate(db)

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Apply the missing migrations; the last step is a numbered commit."""
        commit_file.reconcile(self.folder, _read_commit_number(db) or 0)
        _apply_migrations(db)
        with self._transaction(db):
            db.execute("UPDATE meta SET seq = seq")  # a PRAGMA alone does not count as a change
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        """Number the commit if it changes a row, and write its number to commit.seq before it is acknowledged."""
        with super()._transaction(db):
            commit_number, changes_before = _read_commit_number(db) or 0, db.total_changes
            commit_file.reconcile(self.folder, commit_number)
            yield
            is_changed = db.total_changes > changes_before
            if is_changed:
                db.execute("UPDATE meta SET seq = ?", (commit_number + 1,))
        if is_changed:
            commit_file.write(self.folder, commit_number + 1)

    def _sync_folder(self) -> None:
        """Sync the parent folder too: the process that created the collection may have been killed before it did."""
        super()._sync_folder()
        sync_folder(self.folder.parent)

    def _last_commit(self) -> int | None:
        """Return the number of the last commit. Without a WAL no other file is created or changed.

        Another process may write a WAL to the file during the read, which then may look damaged: it is read again
        under the lock of writers.
        """
        if not _has_wal(self.path):
            try:
                return self._last_commit_without_wal()
            except StorageError:
                operation = "check the collection"
                with hold_lock(self.folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation=operation):
                    if not _has_wal(self.path):
                        return self._last_commit_without_wal()
        with self.read() as db:
            return _read_commit_number(db)

    def _last_commit_without_wal(self) -> int | None:
        with map_sqlite_errors(self.path), closing(connect(self.path, "ro", immutable=True)) as db:
            return _read_commit_number(db)


def accept_catalog(folder: Path) -> None:
    """Accept that commits were lost: set commit.seq to the number in the catalogue."""
    lock = hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="accept the loss")
    with lock, map_sqlite_errors(folder / CATALOG_FILE), closing(connect(folder / CATALOG_FILE, "ro")) as db:
        commit_number = _read_commit_number(db)
        if commit_number is not None:
            commit_file.create(folder, commit_number)


def create(folder: Path, *, space: str, dim: int, spec: str, analyzer_version: str) -> None:
    """Create an empty collection in `folder`, which must exist."""
    path = folder / CATALOG_FILE
    with (
        map_sqlite_errors(path),
        hold_lock(folder / WRITE_LOCK, wait_seconds=WAIT_SECONDS, operation="create the collection"),
    ):
        with closing(connect(path, "rwc")) as db:
            _apply_migrations(db)
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            db.execute("BEGIN IMMEDIATE")
            space_row = (1, space, dim)
            db.execute(
                "INSERT INTO space (id, name, dim, checksum, spec) VALUES (?, ?, ?, ?, ?)",
                (*space_row, row_checksum(*space_row), spec),
            )
            insert_meta = (
                "INSERT INTO meta (id, seq, log_start, live_space, checksum, analysis) VALUES (1, 0, 0, 1, 0, ?)"
            )
            db.execute(insert_meta, (analyzer_version,))
            db.execute("COMMIT")
            checkpoint(db)
        commit_file.create(folder, 0)  # syncs the folder too


def _read_commit_number(db: sqlite3.Connection) -> int | None:
    """Return the number of the last commit that the transaction sees; None if the format is unknown."""
    if not 0 < db.execute("PRAGMA user_version").fetchone()[0] <= FORMAT_VERSION:
        return None
    return int(db.execute("SELECT seq FROM meta").fetchone()[0])


def _has_wal(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except OSError:
        return False


def _apply_migrations(db: sqlite3.Connection) -> None:
    """Apply all missing migrations; an empty file gets all of them."""
    from sqlite_utils import Database  # late: it takes a fifth of a second, and only new and old collections need it

    from .migrations import MIGRATIONS

    MIGRATIONS.apply(Database(db))
