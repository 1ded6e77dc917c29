"""What the SQLite files promise of their connections: closing one never harms who is still reading."""

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
    """A file of a few numbers."""
    path = tmp_path / "numbers.db"
    with closing(connect(path, "rwc")) as db:
        db.execute("CREATE TABLE number (value INTEGER)")
        db.executemany("INSERT INTO number VALUES (?)", [(number,) for number in range(ROWS)])
    return SqliteFile(path, tmp_path / "numbers.lock")


def test_a_read_that_is_under_way_outlives_the_close(file: SqliteFile) -> None:
    """It sees its commit to the end; what begins afterwards opens the file anew."""
    with file.read() as db:
        rows = db.execute("SELECT value FROM number ORDER BY value")
        assert rows.fetchone() == (0,)
        file.close()
        assert [value for (value,) in rows] == list(range(1, ROWS))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")
    with file.read() as other:
        assert other.execute("SELECT count(*) FROM number").fetchone() == (ROWS,)
    file.close()


def test_closing_again_and_again_under_many_readers(file: SqliteFile) -> None:
    """Every read ends with every row, however the closes fall."""
    done = threading.Event()

    def sums(_: int) -> set[int]:
        seen = set()
        while not done.is_set():
            with file.read() as db:
                seen.add(sum(value for (value,) in db.execute("SELECT value FROM number")))
        return seen

    with ThreadPoolExecutor(4) as pool:
        readers = pool.map(sums, range(4))
        for number in range(100):
            with file.write("add a number") as db:
                db.execute("UPDATE number SET value = value + 0 WHERE value = ?", (number,))
            file.close()
        done.set()
    assert set().union(*readers) == {ROWS * (ROWS - 1) // 2}
    file.close()


def test_one_read_within_another_has_a_connection_of_its_own(file: SqliteFile) -> None:
    """As many as read at once are opened, and they are used again."""
    with file.read() as outer, file.read() as inner:
        assert inner is not outer
    with file.read() as again:
        assert again in (inner, outer)
    file.close()


def test_a_file_is_seen_when_it_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """While one is made there is none under its name, and what makes it may fail without a trace."""
    path = tmp_path / "numbers.db"
    path.with_name("numbers.db-wal").write_bytes(b"left by a file that was deleted alone")

    def fails(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE number (value INTEGER)")
        assert not path.exists()
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(StorageError, match=r"numbers\.db: disk full"):
        create_database(path, fails)
    assert [each.name for each in tmp_path.iterdir()] == ["numbers.db-wal"]
    create_database(
        path, lambda db: db.executescript("CREATE TABLE number (value INTEGER); INSERT INTO number VALUES (7)")
    )
    with SqliteFile(path, tmp_path / "numbers.lock").read() as db:
        assert db.execute("SELECT value FROM number").fetchall() == [(7,)]
    assert not path.with_name("numbers.db-wal").read_bytes()


def test_closing_waits_for_no_long_write_of_others(file: SqliteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is there, and closing is no error because another process writes for long."""
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


def test_an_error_that_ends_a_read_is_the_one_that_is_told(file: SqliteFile) -> None:
    """On a full disk SQLite gives up the transaction itself; what is said is the reason, with the way out."""
    full = sqlite3.OperationalError("disk I/O error")
    full.sqlite_errorcode = sqlite3.SQLITE_IOERR | 19 << 8  # as where the shared memory of a reader finds no room

    def read() -> None:
        with file.read() as db:
            db.execute("ROLLBACK")
            raise full

    with pytest.raises(StorageError, match=r"disk I/O error.*free some space"):
        read()
    file.close()
