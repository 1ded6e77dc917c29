"""Feedback on answers as rows, one for each answer. Runs inside a transaction of the caller.

A row is deleted with its answer.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from ....core.errors import NotFoundError
from ....core.types.feedback import Feedback


def save_feedback(db: sqlite3.Connection, owner: str, feedback: Feedback) -> Feedback:
    """Store the fields that are not None, and return the row; NotFoundError if the owner has no such answer."""
    answer = db.execute("SELECT 1 FROM answer WHERE owner = ? AND id = ?", (owner, feedback.answer_id)).fetchone()
    if answer is None:
        raise NotFoundError(f"there is no answer {feedback.answer_id[:80]!r}")
    db.execute(
        "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner, answer_id) DO UPDATE SET"
        " helpful = coalesce(excluded.helpful, helpful), wrong_marker = coalesce(excluded.wrong_marker, wrong_marker),"
        " right_chunk_id = coalesce(excluded.right_chunk_id, right_chunk_id),"
        " comment = coalesce(excluded.comment, comment), created = excluded.created",
        (
            owner,
            feedback.answer_id,
            feedback.helpful,
            feedback.wrong_marker,
            feedback.right_chunk_id,
            feedback.comment,
            feedback.created,
        ),
    )
    stored = load_feedback(db, owner, feedback.answer_id)
    assert stored is not None
    return stored


def load_feedback(db: sqlite3.Connection, owner: str, answer_id: str) -> Feedback | None:
    """Return the feedback of this owner on an answer."""
    row = db.execute(
        "SELECT helpful, wrong_marker, right_chunk_id, comment, created FROM feedback"
        " WHERE owner = ? AND answer_id = ?",
        (owner, answer_id),
    ).fetchone()
    return None if row is None else decode_feedback(answer_id, row)


def decode_feedback(answer_id: str, row: Sequence[Any]) -> Feedback:
    """Return the feedback of a row: helpful, wrong marker, right chunk, comment and time."""
    helpful, wrong_marker, right_chunk_id, comment, created = row
    return Feedback(
        answer_id, None if helpful is None else bool(helpful), wrong_marker, right_chunk_id, comment, created
    )
