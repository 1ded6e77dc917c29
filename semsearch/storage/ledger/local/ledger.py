"""The ledger of one data directory, behind the Ledger port. Touches no disk before something is written or read.

A file that is not there is an empty ledger; it is made by the first write.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.file_locks import hold_lock as lock_held
from ....core.types.answers import Turn
from ....core.types.sessions import AnswerRecord, Session
from ....core.types.usage import BudgetLimits, RateLimits, Reservation, SettledUsage, UsageGroupBy, UsageRow
from ...sqlite import WAIT_SECONDS, SqliteFile, connect, create_database, map_sqlite_errors
from . import answers as records
from . import requests as calls

FILE = "ledger.db"
LOCK = "ledger.lock"
FORMAT = 2
"""`PRAGMA user_version` of the schema that this code knows: the number of migrations."""

_DAY_SECONDS = 86_400


class LocalLedger:
    """ports.Ledger in one SQLite file."""

    def __init__(self, folder: Path, *, keep_days: int = 90, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._retention_seconds = keep_days * _DAY_SECONDS
        self._clock = clock
        self._file: SqliteFile | None = None
        self._open_lock = threading.Lock()

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Hold what a request may cost, durably; None if only other holds are in the way."""
        with self._write("book a request") as db:
            return calls.reserve(db, reservation, limits)

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Book what was spent in place of what was held, and what it taught; only the first time counts."""
        with self._write("book a request") as db:
            calls.settle(db, reservation_id, usage)

    def usage(self, by: UsageGroupBy, owner: str | None = None, since: str | None = None) -> list[UsageRow]:
        """What was spent, by day in order, else the dearest first."""
        with self._read() as db:
            return [] if db is None else calls.load_usage_rows(db, by, owner, since, self._clock())

    def spend(self, owner: str) -> Mapping[str, tuple[int, float]]:
        """Tokens and dollars of an owner, or of everyone (""), in the current day and month."""
        now = self._clock()
        with self._read() as db:
            return (
                dict.fromkeys(calls.budget_periods(now), (0, 0.0)) if db is None else calls.load_spend(db, owner, now)
            )

    def throughput(self, model: str) -> float | None:
        """Tokens in a second of one request, by what was measured of this model."""
        with self._read() as db:
            return None if db is None else calls.load_throughput(db, model)

    def rate_limits(self) -> Mapping[tuple[str, str], RateLimits]:
        """What each (endpoint, model) last said of its limits."""
        with self._read() as db:
            return {} if db is None else calls.load_rate_limits(db)

    def token_ratios(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Characters and tokens counted so far, by model and script."""
        with self._read() as db:
            return {} if db is None else calls.load_token_ratios(db)

    def record_answer(self, record: AnswerRecord, turn: Turn | None) -> None:
        """Keep an answer and, with a turn, add it to its conversation: both or neither."""
        with self._write("record an answer") as db:
            records.delete_expired(db, record.created - self._retention_seconds)
            records.save_answer(db, record, turn)

    def get_answer(self, owner: str, answer_id: str) -> AnswerRecord | None:
        """An answer of this owner."""
        with self._read() as db:
            return None if db is None else records.load_answer(db, owner, answer_id)

    def create_session(
        self, owner: str, collection: str, profile: str | None, *, collection_created_at: str | None = None
    ) -> Session:
        """Begin a conversation with a collection, made at this time; Conflict if the owner has too many."""
        now = self._clock()
        with self._write("begin a session") as db:
            records.delete_expired(db, now - self._retention_seconds)
            return records.create_session(db, owner, collection, profile, collection_created_at, now)

    def get_session(self, owner: str, session_id: str) -> Session | None:
        """A conversation of this owner, with its turns, oldest first."""
        with self._read() as db:
            return None if db is None else records.load_session(db, owner, session_id)

    def delete_session(self, owner: str, session_id: str) -> bool:
        """Forget a conversation; whether there was one."""
        if self.get_session(owner, session_id) is None:
            return False
        with self._write("end a session") as db:
            return records.delete_session(db, owner, session_id)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection | None]:
        if _exists(self.path):
            with self._current_file().read() as db:
                yield db
        else:
            yield None

    @contextmanager
    def _write(self, operation: str) -> Iterator[sqlite3.Connection]:
        with self._current_file().write(operation) as db:
            yield db

    def _current_file(self) -> SqliteFile:
        """The file as it is now: one that was deleted is made anew."""
        with self._open_lock:
            if self._file is not None and not self._file.is_current():
                self._file.close()
                self._file = None
            if self._file is None:
                _create_or_migrate(self.path)
                self._file = SqliteFile(self.path, self.path.with_name(LOCK))
            return self._file


def _create_or_migrate(path: Path) -> None:
    """Bring the file to today's format, from nothing if need be; Conflict if a newer semsearch wrote it."""
    if _exists(path) and _read_format(path) == FORMAT:
        return
    from sqlite_utils import Database  # late: it costs a fifth of a second, and only the first use needs it

    from .migrations import MIGRATIONS

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(f"the data directory {path.parent} cannot be written: {exc.strerror}") from exc

    def bring_up(db: sqlite3.Connection) -> None:
        MIGRATIONS.apply(Database(db))
        db.execute(f"PRAGMA user_version = {FORMAT}")

    with lock_held(path.with_name(LOCK), wait_seconds=WAIT_SECONDS, operation="make the ledger"):
        if not _exists(path):
            create_database(path, bring_up)
        elif _read_format(path) != FORMAT:
            with map_sqlite_errors(path), closing(connect(path, "rw")) as db:
                bring_up(db)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc


def _read_format(path: Path) -> int:
    with map_sqlite_errors(path), closing(connect(path, "ro")) as db:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > FORMAT:
        raise ConflictError(
            f"{path} has format {version}, this semsearch knows {FORMAT}; use the version that wrote it"
        )
    return version
