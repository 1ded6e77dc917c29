"""Messages that wait for delivery, as rows. Runs inside a transaction of the caller.

A message that is being sent is not due before its lease ends, so that another process sends it if this one dies.
"""

import sqlite3
from dataclasses import replace
from typing import Any

from ....core.types.escalations import OutboxMessage, OutboxState

MAX_PENDING = 1_000
"""Messages that wait; further ones are refused."""

MAX_FAILED = 1_000
"""Messages that were given up and are kept; older ones are deleted."""

_COLUMNS = "id, owner, profile, body, created, attempts"
_IS_DUE = "failed IS NULL AND next_attempt <= ?"


def add(db: sqlite3.Connection, message: OutboxMessage) -> bool:
    """Insert a message that is due at once; return False if too many wait."""
    if db.execute("SELECT count(*) FROM outbox WHERE failed IS NULL").fetchone()[0] >= MAX_PENDING:
        return False
    db.execute(
        f"INSERT INTO outbox ({_COLUMNS}, next_attempt) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            message.owner,
            message.profile,
            message.body,
            message.created,
            message.attempts,
            message.created,
        ),
    )
    return True


def has_due(db: sqlite3.Connection, now: float) -> bool:
    """Return whether a message is due."""
    return db.execute(f"SELECT 1 FROM outbox WHERE {_IS_DUE} LIMIT 1", (now,)).fetchone() is not None


def claim(
    db: sqlite3.Connection, now: float, lease_seconds: float, limit: int, message_id: str | None
) -> list[OutboxMessage]:
    """Return messages that are due, oldest first, and make them due again when the lease ends."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE {_IS_DUE} AND coalesce(?, id) = id ORDER BY next_attempt, id LIMIT ?",
        (now, message_id, limit),
    ).fetchall()
    db.executemany(
        "UPDATE outbox SET attempts = attempts + 1, next_attempt = ? WHERE id = ?",
        [(now + lease_seconds, row[0]) for row in rows],
    )
    return [replace(_to_message(row), attempts=row[-1] + 1) for row in rows]


def delete(db: sqlite3.Connection, message_id: str) -> None:
    """Delete a message."""
    db.execute("DELETE FROM outbox WHERE id = ?", (message_id,))


def postpone(db: sqlite3.Connection, message: OutboxMessage, next_attempt: float, error: str) -> None:
    """Store when a message is due again, and why its last attempt failed."""
    db.execute(
        "UPDATE outbox SET next_attempt = ?, error = ? WHERE id = ? AND attempts = ?",
        (next_attempt, error, message.id, message.attempts),
    )


def give_up(db: sqlite3.Connection, message: OutboxMessage, now: float, error: str) -> None:
    """Mark a message as failed, and delete the oldest failed ones beyond the maximum."""
    db.execute(
        "UPDATE outbox SET failed = ?, error = ? WHERE id = ? AND attempts = ?",
        (now, error, message.id, message.attempts),
    )
    db.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE failed IS NOT NULL"
        " ORDER BY failed DESC, id DESC LIMIT -1 OFFSET ?)",
        (MAX_FAILED,),
    )


def delete_expired(db: sqlite3.Connection, before: float) -> None:
    """Delete the messages that were given up before this time."""
    db.execute("DELETE FROM outbox WHERE failed < ?", (before,))


def load_state(db: sqlite3.Connection) -> OutboxState:
    """Return how many messages wait and how many have failed; none in a ledger of an earlier version."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'outbox'").fetchone() is None:
        return OutboxState()
    row = db.execute(
        "SELECT count(*) FILTER (WHERE failed IS NULL), count(failed), min(created) FILTER (WHERE failed IS NULL)"
        " FROM outbox"
    ).fetchone()
    return OutboxState(*row)


def _to_message(row: tuple[Any, ...]) -> OutboxMessage:
    return OutboxMessage(*row)
