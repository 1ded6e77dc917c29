"""Tests of the ledger's file: creation, migration, foreign files, locks, full and read-only disks."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.billing import DAY, Clock, make_reservation, make_settled_usage, read_totals, sum_rows

from semsearch.core.errors import ConflictError, StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.core.types.answers import Answer, Turn
from semsearch.core.types.feedback import Feedback
from semsearch.core.types.sessions import AnswerRecord, Session
from semsearch.core.types.usage import BudgetLimits, Usage
from semsearch.storage.ledger.local.ledger import FORMAT, LOCK, LocalLedger
from semsearch.storage.ledger.local.migrations import MIGRATIONS

NewLedger = Callable[[], LocalLedger]

WIDE_LIMITS = {"": BudgetLimits(day_tokens=10**9)}
READS: list[Callable[[LocalLedger], object]] = [
    lambda ledger: ledger.usage("day"),
    lambda ledger: dict(ledger.spent_amounts("")),
    lambda ledger: ledger.throughput("m"),
    lambda ledger: ledger.rate_limits(),
    lambda ledger: ledger.token_ratios(),
    lambda ledger: ledger.get_answer("ann", "ans_1"),
    lambda ledger: ledger.get_feedback("ann", "ans_1"),
    lambda ledger: ledger.get_session("ann", "ses_1"),
    lambda ledger: ledger.delete_session("ann", "ses_1"),
]
EMPTY_RESULTS: list[object] = [[], {"2026-11-23": (0, 0.0), "2026-11": (0, 0.0)}, None, {}, {}, None, None, None, False]
WRITES: list[Callable[[LocalLedger], object]] = [
    lambda ledger: ledger.reserve(make_reservation(Clock()), {}),
    lambda ledger: ledger.settle(1, make_settled_usage(1)),
    lambda ledger: ledger.record_answer(make_record(), None),
    lambda ledger: ledger.create_session("ann", "hb", None),
]


def make_record(size: int = 1) -> AnswerRecord:
    """Make the record of an answer with this many characters."""
    answer = Answer("ans_1", "x" * size, True, None, (), (), (), Usage(), "m")
    return AnswerRecord(answer, "ann", "hb", "why?", "why?", "1", Clock().now)


def settle_request(ledger: LocalLedger, clock: Clock, inputs: int = 5) -> None:
    """Reserve and settle one request."""
    reservation = ledger.reserve(make_reservation(clock), WIDE_LIMITS)
    assert reservation is not None
    ledger.settle(reservation, make_settled_usage(inputs))


def settle_many_requests(ledger: LocalLedger, clock: Clock) -> None:
    """Reserve and settle 1,000 requests."""
    for _ in range(1000):
        settle_request(ledger, clock)


def list_names(folder: Path) -> list[str]:
    """Return the names of all files and folders below a folder."""
    return sorted(path.name for path in folder.rglob("*"))


def test_reading_creates_no_file(ledger: LocalLedger, tmp_path: Path) -> None:
    """A missing ledger is empty, and is not created before the first write."""
    assert [read(ledger) for read in READS] == EMPTY_RESULTS
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("write", WRITES)
def test_first_write_creates_the_file(
    ledger: LocalLedger, tmp_path: Path, write: Callable[[LocalLedger], object]
) -> None:
    """It creates the folder too; after closing, the file and its lock are left."""
    write(ledger)
    ledger.close()
    assert list_names(tmp_path) == ["indexes", "ledger.db", "ledger.lock"]


def test_closed_ledger_opens_again(ledger: LocalLedger, clock: Clock) -> None:
    """A use after closing opens the file again."""
    settle_request(ledger, clock)
    ledger.close()
    ledger.close()
    settle_request(ledger, clock)
    assert ledger.usage("day")[0].requests == 2


def test_deleted_ledger_is_created_again(ledger: LocalLedger, clock: Clock) -> None:
    """Nothing is written to the deleted file."""
    settle_request(ledger, clock)
    for path in ledger.path.parent.iterdir():
        path.unlink()
    assert ledger.usage("day") == []
    assert not ledger.path.exists()
    settle_request(ledger, clock, 7)
    assert [row.input_tokens for row in ledger.usage("day")] == [7]


def test_newer_format_is_refused(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """Reads and writes fail with both numbers, and the file is unchanged."""
    settle_request(ledger, clock)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = ledger.path.read_bytes()
    reopened = new_ledger()
    for use in (*READS, *WRITES):
        with pytest.raises(ConflictError, match=rf"ledger\.db has format {FORMAT + 1}, this semsearch knows {FORMAT};"):
            use(reopened)
    assert ledger.path.read_bytes() == before


def test_ledger_of_the_first_version_is_migrated(ledger: LocalLedger) -> None:
    """Its sessions stay, without the creation time of their collections."""
    ledger.path.parent.mkdir()
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        MIGRATIONS.apply(Database(db), stop_before="m002_sessions_of_one_collection")
        db.execute("INSERT INTO session VALUES ('ann', 'ses_1', 'hb', NULL, 1, 2)")
        db.execute("INSERT INTO turn VALUES ('ann', 'ses_1', 1, 'q', 'a')")
        db.execute("PRAGMA user_version = 1")
    assert ledger.get_session("ann", "ses_1") == Session("ses_1", "hb", 1.0, 2.0, turns=(Turn("q", "a"),))
    session = ledger.create_session("ann", "hb", None, collection_created_at="2026-11-27")
    assert ledger.get_session("ann", session.id) == session
    assert session.collection_created_at == "2026-11-27"
    ledger.record_answer(make_record(), None)
    assert ledger.add_feedback("ann", Feedback("ans_1", helpful=True)).helpful is True


def test_empty_file_gets_its_tables(ledger: LocalLedger, clock: Clock) -> None:
    """A process that is killed while it creates the ledger may leave a file without tables."""
    ledger.path.parent.mkdir()
    ledger.path.touch()
    assert ledger.usage("day") == []
    settle_request(ledger, clock)
    assert ledger.usage("day")[0].requests == 1


def test_tables_without_a_format_number_are_kept(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """A process that is killed before it writes the format number loses nothing."""
    settle_request(ledger, clock)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("PRAGMA user_version = 0")
    assert new_ledger().usage("day")[0].requests == 1


@pytest.mark.parametrize("write", WRITES)
def test_folder_that_cannot_be_created_is_named(
    tmp_path: Path, clock: Clock, write: Callable[[LocalLedger], object]
) -> None:
    """A file has its name: StorageError with the path."""
    (tmp_path / "file").touch()
    ledger = LocalLedger(tmp_path / "file", clock=clock)
    with pytest.raises(StorageError, match="file"):
        write(ledger)


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_file_of_another_kind_is_not_changed(
    ledger: LocalLedger, use: Callable[[LocalLedger], object], clock: Clock
) -> None:
    """Reads and writes raise StorageError, and the file is unchanged."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        use(ledger)
    assert ledger.path.read_bytes() == b"Dear diary, " * 1000


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_folder_with_the_name_of_the_ledger(ledger: LocalLedger, use: Callable[[LocalLedger], object]) -> None:
    """A path that cannot be opened is a StorageError."""
    ledger.path.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        use(ledger)


def test_file_that_sqlite_cannot_create(ledger: LocalLedger, clock: Clock) -> None:
    """A path that blocks the log is a StorageError."""
    ledger.path.with_name("ledger.db-wal").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        settle_request(ledger, clock)


def test_creation_waits_for_the_lock(ledger: LocalLedger, clock: Clock) -> None:
    """No file is created while another process holds the lock."""
    ledger.path.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with hold_lock(ledger.path.with_name(LOCK), wait_seconds=1, operation="create the ledger"):
            future = pool.submit(settle_request, ledger, clock)
            with pytest.raises(TimeoutError):
                future.result(0.2)
            assert not ledger.path.exists()
        future.result(10)
    assert ledger.usage("day")[0].requests == 1


def test_full_disk(ledger: LocalLedger, clock: Clock) -> None:
    """A write without space raises StorageError and stores nothing; with space the next write succeeds."""
    settle_request(ledger, clock)
    session = ledger.create_session("ann", "hb", None).id
    before, size = read_totals(ledger.path), _run_pragma(ledger, "page_count")
    _run_pragma(ledger, f"max_page_count = {size}")
    with pytest.raises(StorageError, match="free some space"):
        ledger.record_answer(make_record(100_000), Turn("q", "a"))
    with pytest.raises(StorageError, match="free some space"):
        settle_many_requests(ledger, clock)
    clock.now += DAY
    assert ledger.get_answer("ann", "ans_1") is None
    assert ledger.get_session("ann", session) is not None
    _run_pragma(ledger, "max_page_count = 1000000")
    ledger.record_answer(make_record(100_000), None)
    assert ledger.get_answer("ann", "ans_1") == make_record(100_000)
    settle_request(ledger, clock)
    assert read_totals(ledger.path) == sum_rows(ledger.path) != before


def test_read_only_disk(ledger: LocalLedger, clock: Clock) -> None:
    """Every write fails, and reads still work."""
    settle_request(ledger, clock)
    writer = _get_writer(ledger)
    writer.execute("PRAGMA query_only = ON")
    for write in WRITES:
        with pytest.raises(StorageError, match="must be writable"):
            write(ledger)
    assert ledger.usage("day")[0].requests == 1
    writer.execute("PRAGMA query_only = OFF")
    settle_request(ledger, clock)


def _get_writer(ledger: LocalLedger) -> sqlite3.Connection:
    """Return the connection for writes, to simulate a full disk."""
    assert ledger._file is not None
    assert ledger._file._writer is not None
    return ledger._file._writer


def _run_pragma(ledger: LocalLedger, pragma: str) -> int:
    row = _get_writer(ledger).execute(f"PRAGMA {pragma}").fetchone()
    return int(row[0])
