"""Answers and conversations as rows. Inside a transaction; an owner sees nobody else's."""

import json
import secrets
import sqlite3
from dataclasses import asdict
from typing import Any

from ....core.errors import ConflictError, NotFoundError
from ....core.types.answers import Answer, AnswerSentence, Citation, Turn
from ....core.types.search import BestSentence, Hit
from ....core.types.sessions import AnswerRecord, Session
from ....core.types.usage import Usage

MAX_TURNS = 200
"""Of one conversation; the oldest go."""

MAX_SESSIONS = 1_000
"""Of one owner."""

_ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_DELETE_BATCH_SIZE = 100


def save_answer(db: sqlite3.Connection, record: AnswerRecord, turn: Turn | None) -> None:
    """Keep an answer, and with a turn what was said in its conversation; NotFound if that is gone."""
    row = (record.owner, record.answer.id, record.created, json.dumps(asdict(record)))
    db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", row)
    if turn is not None and record.answer.session_id is not None:
        _append_turn(db, record.owner, record.answer.session_id, record.created, turn)


def load_answer(db: sqlite3.Connection, owner: str, answer_id: str) -> AnswerRecord | None:
    """An answer of this owner."""
    row = db.execute("SELECT record FROM answer WHERE owner = ? AND id = ?", (owner, answer_id)).fetchone()
    if row is None:
        return None
    value = json.loads(row[0])
    return AnswerRecord(**{**value, "answer": _decode_answer(value["answer"])})


def create_session(
    db: sqlite3.Connection,
    owner: str,
    collection: str,
    profile: str | None,
    collection_created_at: str | None,
    now: float,
) -> Session:
    """Begin a conversation; Conflict if there are too many."""
    if db.execute("SELECT count(*) FROM session WHERE owner = ?", (owner,)).fetchone()[0] >= MAX_SESSIONS:
        raise ConflictError(f"there are {MAX_SESSIONS:,} sessions of yours already; delete some of them first")
    session_id = "ses_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(24))
    row = (owner, session_id, collection, profile, now, now, collection_created_at)
    db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return Session(session_id, collection, now, now, profile, collection_created_at)


def load_session(db: sqlite3.Connection, owner: str, session_id: str) -> Session | None:
    """A conversation of this owner."""
    row = db.execute(
        "SELECT collection, created, last_used, profile, collection_made FROM session WHERE owner = ? AND id = ?",
        (owner, session_id),
    ).fetchone()
    if row is None:
        return None
    turns = db.execute(
        "SELECT question, answer FROM turn WHERE owner = ? AND session_id = ? ORDER BY ordinal", (owner, session_id)
    )
    collection, created, last_used, profile, made = row
    return Session(session_id, collection, created, last_used, profile, made, tuple(Turn(*turn) for turn in turns))


def delete_session(db: sqlite3.Connection, owner: str, session_id: str) -> bool:
    """Forget a conversation and its turns."""
    return db.execute("DELETE FROM session WHERE owner = ? AND id = ?", (owner, session_id)).rowcount > 0


def delete_expired(db: sqlite3.Connection, before: float) -> None:
    """Delete a few of the answers and idle conversations that are older than this."""
    for table, age in (("answer", "created"), ("session", "last_used")):
        db.execute(
            f"DELETE FROM {table} WHERE (owner, id) IN"
            f" (SELECT owner, id FROM {table} WHERE {age} < ? ORDER BY {age} LIMIT {_DELETE_BATCH_SIZE})",
            (before,),
        )


def _append_turn(db: sqlite3.Connection, owner: str, session_id: str, now: float, turn: Turn) -> None:
    used = db.execute("UPDATE session SET last_used = ? WHERE owner = ? AND id = ?", (now, owner, session_id))
    if used.rowcount == 0:
        raise NotFoundError(f"the session {session_id} has ended meanwhile")
    ordinal = db.execute(
        "SELECT coalesce(max(ordinal), 0) + 1 FROM turn WHERE owner = ? AND session_id = ?", (owner, session_id)
    ).fetchone()[0]
    db.execute("INSERT INTO turn VALUES (?, ?, ?, ?, ?)", (owner, session_id, ordinal, turn.question, turn.answer))
    db.execute(
        "DELETE FROM turn WHERE owner = ? AND session_id = ? AND ordinal <= ?", (owner, session_id, ordinal - MAX_TURNS)
    )


def _decode_answer(value: dict[str, Any]) -> Answer:
    """The answer that was written down."""
    lists: dict[str, Any] = {
        "sentences": tuple(
            AnswerSentence(each["text"], each["support"], tuple(each["citations"])) for each in value["sentences"]
        ),
        "citations": tuple(Citation(**each) for each in value["citations"]),
        "hits": tuple(map(_decode_hit, value["hits"])),
        "usage": Usage(**value["usage"]),
        "warnings": tuple(value["warnings"]),
    }
    return Answer(**{**value, **lists})


def _decode_hit(value: dict[str, Any]) -> Hit:
    sentence = value.get("sentence")
    return Hit(**{**value, "sentence": None if sentence is None else BestSentence(**sentence)})
