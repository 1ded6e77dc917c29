"""The SQLite file that holds a collection's truth: opening, migrating, and transactions. Knows no document.

WAL with synchronous=FULL: what a commit acknowledged survives a power cut. Every write holds `write.lock`, because
SQLite before 3.51.3 can corrupt a WAL that two processes restart at once; checkpoints happen under that lock only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ...errors import Conflict, Storage
from ...locks import held
from ...sqlite_files import WAIT_SECONDS, SqliteFile, connect, sync_folder, translated
from .checksums import of_row

FILE = "catalog.db"
WRITE_LOCK = "write.lock"
JOB_LOCK = "job.lock"
PUBLISH_LOCK = "publish.lock"
PUBLISH_SECONDS = 60.0
"""How long is waited for an index that is being made; that of 200,000 chunks takes a third of it."""

FORMAT = 8
"""`PRAGMA user_version` of the schema that this code knows: the number of migrations."""


@contextmanager
def given_up(folder: Path) -> Iterator[None]:
    """Nothing is written to a collection that is to be deleted; Locked while a job is at work in it."""
    doing = "delete the collection"
    with (
        held(folder / JOB_LOCK, wait=0, doing=doing),
        held(folder / PUBLISH_LOCK, wait=PUBLISH_SECONDS, doing=doing),
        held(folder / WRITE_LOCK, wait=WAIT_SECONDS, doing=doing),
    ):
        yield


class Catalog(SqliteFile):
    """One collection's database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, folder / WRITE_LOCK)
        self.folder = folder
        with self.read() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
        if not found:
            raise Storage(f"{self.path} is empty: restore it from a copy, or delete the collection and ingest anew")
        if found > FORMAT:
            raise Conflict(
                f"{self.path} has format {found}, this semsearch knows {FORMAT}; use the version that wrote it"
            )
        self.migrated = found < FORMAT
        """Whether an older version wrote it, so that what is derived must be made anew."""
        if self.migrated:
            lock = held(folder / WRITE_LOCK, wait=WAIT_SECONDS, doing="migrate the collection")
            with lock, translated(self.path), closing(connect(self.path, "rw")) as db:
                _bring_up(db)


def create(folder: Path, *, space: str, dim: int, spec: str, analysis: str) -> None:
    """Make an empty collection in `folder`, which must exist."""
    path = folder / FILE
    with translated(path), held(folder / WRITE_LOCK, wait=WAIT_SECONDS, doing="create the collection"):
        with closing(connect(path, "rwc")) as db:
            _bring_up(db)
            db.execute("BEGIN IMMEDIATE")
            row = (1, space, dim)
            db.execute(
                "INSERT INTO space (id, name, dim, checksum, spec) VALUES (?, ?, ?, ?, ?)", (*row, of_row(*row), spec)
            )
            meta = "INSERT INTO meta (id, seq, log_start, live_space, checksum, analysis) VALUES (1, 0, 0, 1, 0, ?)"
            db.execute(meta, (analysis,))
            db.execute("COMMIT")
        sync_folder(folder)


def _bring_up(db: sqlite3.Connection) -> None:
    """Bring the tables to today's format, from nothing if need be."""
    from sqlite_utils import Database  # late: it costs a fifth of a second, and only a new collection needs it

    from .migrations import MIGRATIONS

    MIGRATIONS.apply(Database(db))
    db.execute(f"PRAGMA user_version = {FORMAT}")
