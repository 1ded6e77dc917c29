"""Tests of SQLite files: pooled connections, closing while others read, creation, and errors."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from semsearch.core.errors import StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.storage.sqlite import SqliteFile, connect, create_database

pytestmark = pytest.mark.slow

ROWS = 2_000


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    """A database with one table of numbers."""
    path = tmp_path / "numbers.db"
    with closing(connect(path, "rwc")) as db:
        db.execute("CREATE TABLE number (value INTEGER)")
        db.executemany("INSERT INTO number VALUES (?)", [(number,) for number in range(ROWS)])
    return SqliteFile(path, tmp_path / "numbers.lock")


def test_running_read_survives_close(file: SqliteFile) -> None:
    """It reads its commit to the end; a later read opens the file again."""
    with file.read() as db:
        rows = db.execute("SELECT value FROM number ORDER BY value")
        assert rows.fetchone() == (0,)
        file.close()
        assert [value for (value,) in rows] == list(range(1, ROWS))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")
    with file.read() as later:
        assert later.execute("SELECT count(*) FROM number").fetchone() == (ROWS,)
    file.close()


def test_repeated_close_with_many_readers(file: SqliteFile) -> None:
    """Every read returns all rows."""
    is_done = threading.Event()

    def read_sums(_: int) -> set[int]:
        sums = set()
        while not is_done.is_set():
            with file.read() as db:
                sums.add(sum(value for (value,) in db.execute("SELECT value FROM number")))
        return sums

    with ThreadPoolExecutor(4) as pool:
        sums_of_readers = pool.map(read_sums, range(4))
        for number in range(100):
            with file.write("add a number") as db:
                db.execute("UPDATE number SET value = value + 0 WHERE value = ?", (number,))
            file.close()
        is_done.set()
    assert set().union(*sums_of_readers) == {ROWS * (ROWS - 1) // 2}
    file.close()


def test_nested_reads_have_separate_connections(file: SqliteFile) -> None:
    """Later reads use these connections again."""
    with file.read() as outer, file.read() as inner:
        assert inner is not outer
    with file.read() as later:
        assert later in (inner, outer)
    file.close()


def test_new_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Its name does not exist before that, and a failed creation leaves no file."""
    path = tmp_path / "numbers.db"
    path.with_name("numbers.db-wal").write_bytes(b"log of a deleted database")

    def fail(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE number (value INTEGER)")
        assert not path.exists()
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(StorageError, match=r"numbers\.db: disk full"):
        create_database(path, fail)
    assert [child.name for child in tmp_path.iterdir()] == ["numbers.db-wal"]
    create_database(
        path, lambda db: db.executescript("CREATE TABLE number (value INTEGER); INSERT INTO number VALUES (7)")
    )
    with SqliteFile(path, tmp_path / "numbers.lock").read() as db:
        assert db.execute("SELECT value FROM number").fetchall() == [(7,)]
    assert not path.with_name("numbers.db-wal").read_bytes()


def test_close_does_not_fail_during_a_long_write_of_another_process(
    file: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that was written is there."""
    with file.write("add a number") as db:
        db.execute("INSERT INTO number VALUES (?)", (ROWS,))
    monkeypatch.setattr("semsearch.storage.sqlite.WAIT_SECONDS", 0.01)
    with (
        closing(connect(file.path, "rw")),
        hold_lock(file.path.with_name("numbers.lock"), wait_seconds=0, operation="reindex"),
    ):
        file.close()
    with file.read() as db:
        assert db.execute("SELECT count(*) FROM number").fetchone() == (ROWS + 1,)
    file.close()


def test_error_that_ends_a_read_is_reported(file: SqliteFile) -> None:
    """On a full disk SQLite ends the transaction itself; the error has the cause and the remedy."""
    full = sqlite3.OperationalError("disk I/O error")
    full.sqlite_errorcode = sqlite3.SQLITE_IOERR | 19 << 8  # no space for the shared memory of a reader

    def read() -> None:
        with file.read() as db:
            db.execute("ROLLBACK")
            raise full

    with pytest.raises(StorageError, match=r"disk I/O error.*free some space"):
        read()
    file.close()


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_foreign_rollback_journal_is_named(tmp_path: Path, mode: str) -> None:
    """SQLite would write it into the database; an empty one it ignores. The database stays as it is."""
    path, journal = tmp_path / "numbers.db", tmp_path / "numbers.db-journal"
    create_database(path, lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as other:
        other.executescript("CREATE TABLE a (x); INSERT INTO a VALUES (randomblob(9000)); PRAGMA cache_size = 1")
        for statement in ("BEGIN", "UPDATE a SET x = randomblob(90000)", "INSERT INTO a VALUES (randomblob(90000))"):
            other.execute(statement)
        journal.write_bytes((tmp_path / "other.db-journal").read_bytes())
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"numbers\.db-journal was not written by semsearch.* Move numbers"):
        connect(path, mode)
    assert path.read_bytes() == before
    journal.write_bytes(b"")
    with closing(connect(path, mode)) as db:
        assert db.execute("SELECT count(*) FROM number").fetchone() == (0,)
