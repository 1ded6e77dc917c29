"""The ledger of one data directory in SQLite: requests, totals, answers, feedback, sessions, keys and others.

Holds no budget policy.
A missing file is an empty ledger; the first write creates it. Creating the object touches no file.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from ....core.errors import ConflictError, StorageError
from ....core.file_locks import hold_lock
from ....core.file_sync import make_folders
from ....core.types.access import AccessKey
from ....core.types.answers import Turn
from ....core.types.approvals import ApprovedAnswer
from ....core.types.escalations import OutboxMessage
from ....core.types.feedback import Feedback
from ....core.types.fine_tuning import FineTuningJob
from ....core.types.kept_responses import KeptResponse
from ....core.types.rated_answers import RatedAnswer
from ....core.types.sessions import AnswerRecord, Session, SessionInfo, SessionPosition
from ....core.types.usage import BudgetLimits, RateLimits, Reservation, SettledUsage, UsageGroupBy, UsageRow
from ....usage.budgets import budget_periods
from ...change_watch import ChangeWatch
from ...sqlite import WAIT_SECONDS, SqliteFile, connect, create_database, map_sqlite_errors
from . import answers, approvals, feedback, fine_tuning, kept_responses, keys, outbox, rated_answers, requests

FILE = "ledger.db"
LOCK = "ledger.lock"
FORMAT = 9
"""`PRAGMA user_version` of the current schema: the number of migrations."""

_DAY_SECONDS = 86_400


class LocalLedger:
    """Implement ports.Ledger, Outbox, KeyStore, KeptResponses and ApprovedAnswers in one SQLite file."""

    def __init__(self, folder: Path, *, keep_days: int = 90, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / FILE
        self._retention_seconds = keep_days * _DAY_SECONDS
        self._clock = clock
        self._file: SqliteFile | None = None
        self._open_count = 0
        self._change_watch: ChangeWatch | None = None
        self._key_version: tuple[int, int] | None = None
        """The mark of the change watch, and the version of the keys at that time."""
        self._open_lock = threading.Lock()

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Insert a reservation durably; None if it fits only without the other reservations."""
        with self._write("reserve a request") as db:
            return requests.reserve(db, reservation, limits)

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Replace a reservation by the usage, and add its tokenizer sample; a second settlement changes nothing."""
        with self._write("settle a request") as db:
            requests.settle(db, reservation_id, usage)

    def usage(
        self,
        by: UsageGroupBy,
        owner: str | None = None,
        since: str | None = None,
        *,
        collections: Iterable[str] | None = None,
    ) -> list[UsageRow]:
        """Return the usage by group: days in order, other groups, and the models of a day, by descending cost."""
        with self._read() as db:
            return [] if db is None else requests.load_usage_rows(db, by, owner, since, self._clock(), collections)

    def spent_amounts(self, owner: str) -> Mapping[str, tuple[int, float]]:
        """Return tokens and dollars of an owner, or of all (""), in the current day and month."""
        now = self._clock()
        with self._read() as db:
            return (
                dict.fromkeys(budget_periods(now), (0, 0.0))
                if db is None
                else requests.load_spent_amounts(db, owner, now)
            )

    def throughput(self, model: str) -> float | None:
        """Return the measured input tokens per second of one request to this model; None if unknown."""
        with self._read() as db:
            return None if db is None else requests.load_throughput(db, model)

    def rate_limits(self) -> Mapping[tuple[str, str], RateLimits]:
        """Return the rate limits that each (endpoint, model) reported last."""
        with self._read() as db:
            return {} if db is None else requests.load_rate_limits(db)

    def token_ratios(self) -> Mapping[str, Mapping[str, tuple[float, float]]]:
        """Return the characters and tokens counted so far, by model and script."""
        with self._read() as db:
            return {} if db is None else requests.load_token_ratios(db)

    def record_answer(self, record: AnswerRecord, turn: Turn | None, message: OutboxMessage | None = None) -> bool:
        """Insert an answer with its turn and its message: all or none; False if too many messages wait for this one."""
        with self._write("record an answer") as db:
            answers.delete_expired(db, record.created - self._retention_seconds)
            kept_responses.delete_expired(db, record.created)  # also if no such request comes again
            outbox.delete_expired(db, record.created - self._retention_seconds)
            answers.save_answer(db, record, turn)
            return message is None or outbox.add(db, message)

    def append_turn(self, owner: str, session_id: str, turn: Turn) -> None:
        """Append a turn whose answer is not stored; NotFoundError if there is no such session."""
        with self._write("append a turn") as db:
            answers.append_turn(db, owner, session_id, self._clock(), turn)

    def get_answer(self, owner: str, answer_id: str) -> AnswerRecord | None:
        """Return an answer of this owner."""
        with self._read() as db:
            return None if db is None else answers.load_answer(db, owner, answer_id)

    def add_feedback(self, owner: str, new: Feedback) -> Feedback:
        """Store feedback on an answer of this owner; its fields replace earlier ones. Return what is stored now."""
        with self._write("store feedback") as db:
            return feedback.save_feedback(db, owner, replace(new, created=self._clock()))

    def get_feedback(self, owner: str, answer_id: str) -> Feedback | None:
        """Return the feedback of this owner on an answer."""
        with self._read() as db:
            return None if db is None else feedback.load_feedback(db, owner, answer_id)

    def rated_answers(self, collection: str, since: float = 0.0, owner: str | None = None) -> Iterator[RatedAnswer]:
        """Yield the answers from a collection in order of time; no read is open while the caller has the generator."""
        position: rated_answers.Position | None = (since, "", "")
        while position is not None:
            with self._read() as db:
                page, position = ([], None) if db is None else rated_answers.load_page(db, collection, owner, position)
            yield from page

    def has_several_owners(self) -> bool:
        """Return whether answers of more than one owner are recorded."""
        with self._read() as db:
            return db is not None and rated_answers.has_several_owners(db)

    def save_fine_tuning_job(self, job: FineTuningJob) -> None:
        """Store a fine-tuning job; it replaces one of the same owner and id."""
        with self._write("store a fine-tuning job") as db:
            fine_tuning.save_job(db, job)

    def list_fine_tuning_jobs(self, owner: str) -> list[FineTuningJob]:
        """Return the fine-tuning jobs of this owner, the newest first."""
        with self._read() as db:
            return [] if db is None else fine_tuning.load_jobs(db, owner)

    def create_session(
        self, owner: str, collection: str, profile: str | None, *, collection_created_at: str | None = None
    ) -> Session:
        """Create a session with a collection that was created at this time; it may replace another one."""
        now = self._clock()
        with self._write("create a session") as db:
            answers.delete_expired(db, now - self._retention_seconds)
            return answers.create_session(db, owner, collection, profile, collection_created_at, now)

    def get_session(self, owner: str, session_id: str) -> Session | None:
        """Return a session of this owner with its turns, oldest first."""
        with self._read() as db:
            return None if db is None else answers.load_session(db, owner, session_id)

    def list_sessions(
        self,
        owner: str,
        limit: int,
        after: SessionPosition | None = None,
        *,
        collections: Iterable[str] | None = None,
    ) -> list[SessionInfo]:
        """Return up to `limit` sessions of this owner, the last used one first, from the first one behind `after`."""
        with self._read() as db:
            return [] if db is None else answers.list_sessions(db, owner, limit, after, collections)

    def delete_session(self, owner: str, session_id: str) -> bool:
        """Delete a session; return whether it existed."""
        if self.get_session(owner, session_id) is None:
            return False
        with self._write("delete a session") as db:
            return answers.delete_session(db, owner, session_id)

    def key_version(self) -> tuple[int, int]:
        """Return how often the file was opened, as it may have been replaced, and the version of the keys in it."""
        file, watch, known = self._file, self._change_watch, self._key_version
        if file is None or watch is None or not file.is_current():
            if not _exists(self.path):
                return 0, 0
            self._current_file()
            return self.key_version()
        mark = watch.get_mark()  # before the version: a change in between is read again
        if known is None or known[0] != mark:
            with self._read() as db:
                known = (mark, 0 if db is None else keys.load_version(db))
            self._key_version = known
        return self._open_count, known[1]

    def load_keys(self) -> list[AccessKey]:
        """Return all access keys."""
        with self._read() as db:
            return [] if db is None else keys.load_keys(db)

    def add_key(self, key: AccessKey) -> None:
        """Store a new access key."""
        with self._write("create an access key") as db:
            keys.save_key(db, key)

    def change_key(self, key_id: str, change: Callable[[AccessKey], AccessKey]) -> AccessKey | None:
        """Replace an access key by what `change` returns for it; None if there is none of this id."""
        with self._write("change an access key") as db:
            key = keys.load_key(db, key_id)
            if key is None:
                return None
            changed = change(key)
            keys.save_key(db, changed)
            return changed

    def reserve_response(
        self, owner: str, key_hash: bytes, fingerprint: bytes, *, seconds: float
    ) -> int | KeptResponse:
        """Note that a request runs, and return the id of the reservation; or return the response that it has."""
        with self._write("begin a request with an idempotency key") as db:
            return kept_responses.reserve(db, owner, key_hash, fingerprint, self._clock(), seconds)

    def keep_response(self, reservation_id: int, response: KeptResponse) -> None:
        """Store the response of a request."""
        with self._write("keep a response") as db:
            kept_responses.keep(db, reservation_id, response)

    def cancel_reservation(self, reservation_id: int) -> None:
        """Delete a reservation."""
        with self._write("end a request with an idempotency key") as db:
            kept_responses.cancel(db, reservation_id)

    def claim_messages(self, limit: int, lease_seconds: float, message_id: str | None = None) -> list[OutboxMessage]:
        """Return messages that are due, oldest first; nobody else gets them before the lease ends."""
        with self._read() as reader:
            if reader is None or not outbox.has_due(reader, self._clock()):
                return []
        with self._write("send escalations") as db:
            return outbox.claim(db, self._clock(), lease_seconds, limit, message_id)

    def delete_message(self, message_id: str) -> None:
        """Delete a message that was delivered."""
        with self._write("note the delivery of an escalation") as db:
            outbox.delete(db, message_id)

    def postpone_message(self, message: OutboxMessage, delay_seconds: float, error: str) -> None:
        """Make a message due again after a delay, unless it was claimed again."""
        with self._write("postpone an escalation") as db:
            outbox.postpone(db, message, self._clock() + delay_seconds, error)

    def give_up_message(self, message: OutboxMessage, error: str) -> None:
        """Mark a message as failed, unless it was claimed again."""
        with self._write("give up an escalation") as db:
            outbox.give_up(db, message, self._clock(), error)

    def save_approved(self, approved: ApprovedAnswer, question_key: str) -> None:
        """Store an approved answer in place of those of its owner to the same question."""
        with self._write("approve an answer") as db:
            approvals.save_approved(db, approved, question_key)

    def update_approved(self, changed: Sequence[ApprovedAnswer]) -> None:
        """Store other citations and lost quotes of approved answers that still exist."""
        if changed:
            with self._write("check approved answers") as db:
                approvals.update_approved(db, changed)

    def list_approved(self, collection: str) -> list[ApprovedAnswer]:
        """Return the approved answers of a collection, the oldest first."""
        with self._read() as db:
            return [] if db is None else approvals.list_approved(db, collection)

    def find_approved(self, collection: str, question_key: str) -> list[ApprovedAnswer]:
        """Return the approved answers to questions of this key, the latest first."""
        with self._read() as db:
            return [] if db is None else approvals.find_approved(db, collection, question_key)

    def find_approved_citing(self, collection: str, uris: Iterable[str]) -> list[ApprovedAnswer]:
        """Return the approved answers that cite one of these documents, the oldest first."""
        with self._read() as db:
            return [] if db is None else approvals.find_approved_citing(db, collection, list(uris))

    def get_approved(self, approved_id: str) -> ApprovedAnswer | None:
        """Return the approved answer of this id."""
        with self._read() as db:
            return None if db is None else approvals.load_approved(db, approved_id)

    def remove_approved(self, approved_id: str) -> bool:
        """Remove an approved answer; return whether it existed."""
        with self._write("remove an approved answer") as db:
            return approvals.remove_approved(db, approved_id)

    def remove_approved_of_collection(self, collection: str) -> None:
        """Remove all approved answers of a collection."""
        if self.list_approved(collection):
            with self._write("remove approved answers") as db:
                approvals.remove_approved_of_collection(db, collection)

    def close(self) -> None:
        """Close the file."""
        with self._open_lock:
            self._close_file()

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
        """Return the open file; one that was deleted is created again."""
        with self._open_lock:
            if self._file is not None and not self._file.is_current():
                self._close_file()
            if self._file is None:
                _create_or_migrate(self.path)
                self._file = SqliteFile(self.path, self.path.with_name(LOCK))
                self._change_watch = ChangeWatch(self.path)
                self._open_count += 1
            return self._file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        watch, self._change_watch, self._key_version = self._change_watch, None, None
        if watch is not None:
            watch.close()
        if file is not None:
            file.close()


def _create_or_migrate(path: Path) -> None:
    """Create the file, or migrate it to the current format; ConflictError if a newer semsearch wrote it."""
    if _exists(path) and _read_format(path) == FORMAT:
        return
    from sqlite_utils import Database  # the import takes 0.2 s, and only creation and migration need it

    from .migrations import MIGRATIONS

    try:
        make_folders(path.parent)
    except OSError as exc:
        raise StorageError(f"the data directory {path.parent} cannot be created: {exc.strerror}") from exc

    def migrate(db: sqlite3.Connection) -> None:
        MIGRATIONS.apply(Database(db))
        db.execute(f"PRAGMA user_version = {FORMAT}")

    with hold_lock(path.with_name(LOCK), wait_seconds=WAIT_SECONDS, operation="create the ledger"):
        if not _exists(path):
            create_database(path, migrate)
        elif _read_format(path) != FORMAT:
            with map_sqlite_errors(path), closing(connect(path, "rw")) as db:
                migrate(db)


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
