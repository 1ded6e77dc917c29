"""The file of the ledger: when it is made, who may read it, and what is said when the disk does not do its part."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.billing import DAY, Clock, make_reservation, make_settled_usage, read_totals, sum_rows

from semsearch.core.errors import ConflictError, StorageError
from semsearch.core.file_locks import hold_lock as lock_held
from semsearch.core.types.answers import Answer, Turn
from semsearch.core.types.sessions import AnswerRecord, Session
from semsearch.core.types.usage import BudgetLimits, Usage
from semsearch.storage.ledger.local.ledger import FORMAT, LOCK, LocalLedger
from semsearch.storage.ledger.local.migrations import MIGRATIONS

NewLedger = Callable[[], LocalLedger]

WIDE_LIMITS = {"": BudgetLimits(day_tokens=10**9)}
READS: list[Callable[[LocalLedger], object]] = [
    lambda ledger: ledger.usage("day"),
    lambda ledger: dict(ledger.spend("")),
    lambda ledger: ledger.throughput("m"),
    lambda ledger: ledger.rate_limits(),
    lambda ledger: ledger.token_ratios(),
    lambda ledger: ledger.get_answer("ann", "ans_1"),
    lambda ledger: ledger.get_session("ann", "ses_1"),
    lambda ledger: ledger.delete_session("ann", "ses_1"),
]
EMPTY_RESULTS: list[object] = [[], {"2026-11-23": (0, 0.0), "2026-11": (0, 0.0)}, None, {}, {}, None, None, False]
WRITES: list[Callable[[LocalLedger], object]] = [
    lambda ledger: ledger.reserve(make_reservation(Clock()), {}),
    lambda ledger: ledger.settle(1, make_settled_usage(1)),
    lambda ledger: ledger.record_answer(make_record(), None),
    lambda ledger: ledger.create_session("ann", "hb", None),
]


def make_record(size: int = 1) -> AnswerRecord:
    """An answer with a text of this many characters."""
    answer = Answer("ans_1", "x" * size, True, None, (), (), (), Usage(), "m")
    return AnswerRecord(answer, "ann", "hb", "why?", "why?", "1", Clock().now)


def settle_request(ledger: LocalLedger, clock: Clock, inputs: int = 5) -> None:
    """One request from its beginning to its end."""
    reservation = ledger.reserve(make_reservation(clock), WIDE_LIMITS)
    assert reservation is not None
    ledger.settle(reservation, make_settled_usage(inputs))


def settle_many_requests(ledger: LocalLedger, clock: Clock) -> None:
    """Many requests."""
    for _ in range(1000):
        settle_request(ledger, clock)


def list_names(folder: Path) -> list[str]:
    """What lies there."""
    return sorted(path.name for path in folder.rglob("*"))


def test_looking_makes_no_file(ledger: LocalLedger, tmp_path: Path) -> None:
    """A ledger that is not there is empty, and stays away until something is written."""
    assert [look(ledger) for look in READS] == EMPTY_RESULTS
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("write", WRITES)
def test_the_first_write_makes_it(ledger: LocalLedger, tmp_path: Path, write: Callable[[LocalLedger], object]) -> None:
    """Folder and file; closed again, one file and its lock are left."""
    write(ledger)
    ledger.close()
    assert list_names(tmp_path) == ["indexes", "ledger.db", "ledger.lock"]


def test_a_closed_ledger_opens_again(ledger: LocalLedger, clock: Clock) -> None:
    """Closing is for good only if nobody uses it any more."""
    settle_request(ledger, clock)
    ledger.close()
    ledger.close()
    settle_request(ledger, clock)
    assert ledger.usage("day")[0].requests == 2


def test_a_ledger_that_is_deleted_begins_anew(ledger: LocalLedger, clock: Clock) -> None:
    """Nothing is written into a file that is no longer there."""
    settle_request(ledger, clock)
    for path in ledger.path.parent.iterdir():
        path.unlink()
    assert ledger.usage("day") == []
    assert not ledger.path.exists()
    settle_request(ledger, clock, 7)
    assert [row.input_tokens for row in ledger.usage("day")] == [7]


def test_a_newer_format_is_refused(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """By both numbers, for looks and for writes, and the file is left as it is."""
    settle_request(ledger, clock)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = ledger.path.read_bytes()
    another = new_ledger()
    for use in (*READS, *WRITES):
        with pytest.raises(ConflictError, match=rf"ledger\.db has format {FORMAT + 1}, this semsearch knows {FORMAT};"):
            use(another)
    assert ledger.path.read_bytes() == before


def test_a_ledger_of_the_first_version_is_brought_up(ledger: LocalLedger) -> None:
    """Its sessions go on, though they do not know when their collections were made."""
    ledger.path.parent.mkdir()
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        MIGRATIONS.apply(Database(db), stop_before="m002_sessions_of_one_collection")
        db.execute("INSERT INTO session VALUES ('ann', 'ses_1', 'hb', NULL, 1, 2)")
        db.execute("PRAGMA user_version = 1")
    assert ledger.get_session("ann", "ses_1") == Session("ses_1", "hb", 1.0, 2.0)
    begun = ledger.create_session("ann", "hb", None, collection_created_at="2026-11-27")
    assert ledger.get_session("ann", begun.id) == begun
    assert begun.collection_created_at == "2026-11-27"


def test_a_file_that_was_only_begun_is_finished(ledger: LocalLedger, clock: Clock) -> None:
    """Killed while it was made, a ledger has no table yet: the next use makes them."""
    ledger.path.parent.mkdir()
    ledger.path.touch()
    assert ledger.usage("day") == []
    settle_request(ledger, clock)
    assert ledger.usage("day")[0].requests == 1


def test_tables_without_their_number_are_kept(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """Killed just before its format was written down, a ledger loses nothing."""
    settle_request(ledger, clock)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("PRAGMA user_version = 0")
    assert new_ledger().usage("day")[0].requests == 1


@pytest.mark.parametrize("write", WRITES)
def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, clock: Clock, write: Callable[[LocalLedger], object]
) -> None:
    """A file stands in its place: Storage with the path."""
    (tmp_path / "file").touch()
    ledger = LocalLedger(tmp_path / "file", clock=clock)
    with pytest.raises(StorageError, match="file"):
        write(ledger)


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_what_is_no_ledger_is_left_alone(
    ledger: LocalLedger, use: Callable[[LocalLedger], object], clock: Clock
) -> None:
    """Some other file of that name is Storage for all who look at it or write, and stays as it is."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        use(ledger)
    assert ledger.path.read_bytes() == b"Dear diary, " * 1000


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_a_folder_of_that_name(ledger: LocalLedger, use: Callable[[LocalLedger], object]) -> None:
    """What cannot be opened at all is Storage too."""
    ledger.path.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        use(ledger)


def test_it_cannot_be_made_everywhere(ledger: LocalLedger, clock: Clock) -> None:
    """What SQLite cannot make is Storage as well."""
    ledger.path.with_name("ledger.db-wal").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"ledger\.db"):
        settle_request(ledger, clock)


def test_one_process_makes_it_while_others_wait(ledger: LocalLedger, clock: Clock) -> None:
    """Whoever finds its lock taken makes nothing before it is free."""
    ledger.path.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with lock_held(ledger.path.with_name(LOCK), wait_seconds=1, operation="make the ledger"):
            booking = pool.submit(settle_request, ledger, clock)
            with pytest.raises(TimeoutError):
                booking.result(0.2)
            assert not ledger.path.exists()
        booking.result(10)
    assert ledger.usage("day")[0].requests == 1


def test_a_full_disk(ledger: LocalLedger, clock: Clock) -> None:
    """The write that finds no room is Storage and leaves no half; with room again all goes on."""
    settle_request(ledger, clock)
    session = ledger.create_session("ann", "hb", None).id
    before, size = read_totals(ledger.path), _pages(ledger, "page_count")
    _pages(ledger, f"max_page_count = {size}")
    with pytest.raises(StorageError, match="free some space"):
        ledger.record_answer(make_record(100_000), Turn("q", "a"))
    with pytest.raises(StorageError, match="free some space"):
        settle_many_requests(ledger, clock)
    clock.now += DAY
    assert ledger.get_answer("ann", "ans_1") is None
    assert ledger.get_session("ann", session) is not None
    _pages(ledger, "max_page_count = 1000000")
    ledger.record_answer(make_record(100_000), None)
    assert ledger.get_answer("ann", "ans_1") == make_record(100_000)
    settle_request(ledger, clock)
    assert read_totals(ledger.path) == sum_rows(ledger.path) != before


def test_a_disk_that_is_read_only(ledger: LocalLedger, clock: Clock) -> None:
    """Nothing is held or booked that would not last, and what is there is still read."""
    settle_request(ledger, clock)
    writer = _writer(ledger)
    writer.execute("PRAGMA query_only = ON")
    for write in WRITES:
        with pytest.raises(StorageError, match="must be writable"):
            write(ledger)
    assert ledger.usage("day")[0].requests == 1
    writer.execute("PRAGMA query_only = OFF")
    settle_request(ledger, clock)


def _writer(ledger: LocalLedger) -> sqlite3.Connection:
    """The connection through which it writes: disks do not fill up by themselves."""
    assert ledger._file is not None
    assert ledger._file._writer is not None
    return ledger._file._writer


def _pages(ledger: LocalLedger, pragma: str) -> int:
    found = _writer(ledger).execute(f"PRAGMA {pragma}").fetchone()
    return int(found[0])
