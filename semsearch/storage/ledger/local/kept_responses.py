"""Responses that are kept for repeated requests, as rows. Runs inside a transaction of the caller.

A row without a status is a reservation: its request runs, or its process has died.
"""

import json
import sqlite3

from ....core.errors import ConflictError, InvalidError
from ....core.types.kept_responses import KeptResponse

KEPT_SECONDS = 86_400.0
MAX_RESPONSES_PER_OWNER = 10_000
MAX_BYTES_PER_OWNER = 256 << 20
"""Of all kept bodies of one owner; the oldest responses are deleted first."""


def reserve(
    db: sqlite3.Connection, owner: str, key_hash: bytes, fingerprint: bytes, now: float, seconds: float
) -> int | KeptResponse:
    """Insert a reservation and return its id, or return the response that is kept."""
    delete_expired(db, now)
    db.execute("DELETE FROM kept_response WHERE status IS NULL AND created <= ?", (now - seconds,))
    row = db.execute(
        "SELECT fingerprint, status, headers, body FROM kept_response WHERE owner = ? AND key_hash = ?",
        (owner, key_hash),
    ).fetchone()
    if row is None:
        return _insert(db, owner, key_hash, fingerprint, now)
    if row[0] != fingerprint:
        raise InvalidError(
            "another request has used this Idempotency-Key within a day, or the same one with other rights; send a new"
            " key with each new request"
        )
    if row[1] is None:
        raise ConflictError("the first request with this Idempotency-Key still runs; send it again later")
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(row[2]))
    return KeptResponse(row[1], headers, row[3])


def keep(db: sqlite3.Connection, reservation_id: int, response: KeptResponse) -> None:
    """Store the response of a reservation, if that still exists, and delete what exceeds the bounds of its owner."""
    headers = json.dumps([[name.decode("latin-1"), value.decode("latin-1")] for name, value in response.headers])
    db.execute(
        "UPDATE kept_response SET status = ?, headers = ?, body = ?, size = ? WHERE id = ?",
        (response.status, headers, response.body, len(response.body), reservation_id),
    )
    row = db.execute("SELECT owner FROM kept_response WHERE id = ?", (reservation_id,)).fetchone()
    if row is not None:
        _delete_oldest(db, row[0])


def delete_expired(db: sqlite3.Connection, now: float) -> None:
    """Delete the responses that were kept long enough."""
    db.execute("DELETE FROM kept_response WHERE created <= ?", (now - KEPT_SECONDS,))


def cancel(db: sqlite3.Connection, reservation_id: int) -> None:
    """Delete a reservation."""
    db.execute("DELETE FROM kept_response WHERE id = ? AND status IS NULL", (reservation_id,))


def _insert(db: sqlite3.Connection, owner: str, key_hash: bytes, fingerprint: bytes, now: float) -> int:
    cursor = db.execute(
        "INSERT INTO kept_response (owner, key_hash, fingerprint, created) VALUES (?, ?, ?, ?)",
        (owner, key_hash, fingerprint, now),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _delete_oldest(db: sqlite3.Connection, owner: str) -> None:
    count, size = db.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM kept_response WHERE owner = ?", (owner,)
    ).fetchone()
    if count <= MAX_RESPONSES_PER_OWNER and size <= MAX_BYTES_PER_OWNER:
        return
    db.execute(
        "DELETE FROM kept_response WHERE status IS NOT NULL AND id IN (SELECT id FROM (SELECT id,"
        " row_number() OVER newest AS count, sum(size) OVER newest AS size FROM kept_response WHERE owner = ?"
        " WINDOW newest AS (ORDER BY created DESC, id DESC)) WHERE count > ? OR size > ?)",
        (owner, MAX_RESPONSES_PER_OWNER, MAX_BYTES_PER_OWNER),
    )
