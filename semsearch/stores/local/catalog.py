"""The SQLite file that holds a collection's truth: opening, migrating, and transactions. Knows no document.

WAL with synchronous=FULL: what a commit acknowledged survives a power cut. Every write holds `write.lock`, because
SQLite before 3.51.3 can corrupt a WAL that two processes restart at once; checkpoints happen under that lock only.
"""

from contextlib import closing
from pathlib import Path

from ...errors import Conflict
from ...locks import held
from ...sqlite_files import WAIT_SECONDS, SqliteFile, connect, sync_folder, translated

FILE = "catalog.db"
WRITE_LOCK = "write.lock"
JOB_LOCK = "job.lock"
FORMAT = 1
"""`PRAGMA user_version` of the schema that this code knows: the number of migrations."""


class Catalog(SqliteFile):
    """One collection's database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, folder / WRITE_LOCK)
        self.folder = folder
        with self.read() as db:
            found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            raise Conflict(
                f"{self.path} has format {found}, this semsearch knows {FORMAT}; use the version that wrote it"
            )


def create(folder: Path, *, space: str, dim: int, spec: str, analysis: str) -> None:
    """Make an empty collection in `folder`, which must exist."""
    from sqlite_utils import (
        Database,
    )  # late: it costs a fifth of a second, and only the first use of a collection needs it

    from .migrations import MIGRATIONS

    path = folder / FILE
    with translated(path), held(folder / WRITE_LOCK, wait=WAIT_SECONDS, doing="create the collection"):
        with closing(connect(path, "rwc")) as db:
            MIGRATIONS.apply(Database(db))
            with Database(db).atomic():
                db.execute("INSERT INTO space (id, name, dim, spec) VALUES (1, ?, ?, ?)", (space, dim, spec))
                db.execute("INSERT INTO meta VALUES (1, 0, 0, 1, ?)", (analysis,))
                db.execute(f"PRAGMA user_version = {FORMAT}")
        sync_folder(folder)
