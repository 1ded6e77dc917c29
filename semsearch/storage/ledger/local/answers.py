"""Answers and conversations as rows. Inside a transaction; an owner sees nobody else's."""

import json
import secrets
import sqlite3
from dataclasses import asdict
from typing import Any

from ....core.errors import Conflict, NotFound
from ....core.types.answers import Answer, AnswerSentence, Citation, Turn
from ....core.types.search import Hit, HitSentence
from ....core.types.sessions import Record, Session
from ....core.types.usage import Usage

MAX_TURNS = 200
"""Of one conversation; the oldest go."""

MAX_SESSIONS = 1_000
"""Of one owner."""

_ID = "abcdefghijklmnopqrstuvwxyz0123456789"
_AT_ONCE = 100


def record(db: sqlite3.Connection, given: Record, turn: Turn | None) -> None:
    """Keep an answer, and with a turn what was said in its conversation; NotFound if that is gone."""
    row = (given.owner, given.answer.id, given.created, json.dumps(asdict(given)))
    db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", row)
    if turn is not None and given.answer.session_id is not None:
        _go_on(db, given.owner, given.answer.session_id, given.created, turn)


def answer(db: sqlite3.Connection, owner: str, answer_id: str) -> Record | None:
    """An answer of this owner."""
    row = db.execute("SELECT record FROM answer WHERE owner = ? AND id = ?", (owner, answer_id)).fetchone()
    if row is None:
        return None
    value = json.loads(row[0])
    return Record(**{**value, "answer": _answer(value["answer"])})


def begin(
    db: sqlite3.Connection, owner: str, collection: str, profile: str | None, made: str | None, now: float
) -> Session:
    """Begin a conversation; Conflict if there are too many."""
    if db.execute("SELECT count(*) FROM session WHERE owner = ?", (owner,)).fetchone()[0] >= MAX_SESSIONS:
        raise Conflict(f"there are {MAX_SESSIONS:,} sessions of yours already; delete some of them first")
    session_id = "ses_" + "".join(secrets.choice(_ID) for _ in range(24))
    row = (owner, session_id, collection, profile, now, now, made)
    db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return Session(session_id, collection, now, now, profile, made)


def session(db: sqlite3.Connection, owner: str, session_id: str) -> Session | None:
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


def end(db: sqlite3.Connection, owner: str, session_id: str) -> bool:
    """Forget a conversation and its turns."""
    return db.execute("DELETE FROM session WHERE owner = ? AND id = ?", (owner, session_id)).rowcount > 0


def forget(db: sqlite3.Connection, before: float) -> None:
    """Delete a few of the answers and idle conversations that are older than this."""
    for table, age in (("answer", "created"), ("session", "last_used")):
        db.execute(
            f"DELETE FROM {table} WHERE (owner, id) IN"
            f" (SELECT owner, id FROM {table} WHERE {age} < ? ORDER BY {age} LIMIT {_AT_ONCE})",
            (before,),
        )


def _go_on(db: sqlite3.Connection, owner: str, session_id: str, now: float, turn: Turn) -> None:
    used = db.execute("UPDATE session SET last_used = ? WHERE owner = ? AND id = ?", (now, owner, session_id))
    if used.rowcount == 0:
        raise NotFound(f"the session {session_id} has ended meanwhile")
    ordinal = db.execute(
        "SELECT coalesce(max(ordinal), 0) + 1 FROM turn WHERE owner = ? AND session_id = ?", (owner, session_id)
    ).fetchone()[0]
    db.execute("INSERT INTO turn VALUES (?, ?, ?, ?, ?)", (owner, session_id, ordinal, turn.question, turn.answer))
    db.execute(
        "DELETE FROM turn WHERE owner = ? AND session_id = ? AND ordinal <= ?", (owner, session_id, ordinal - MAX_TURNS)
    )


def _answer(value: dict[str, Any]) -> Answer:
    """The answer that was written down."""
    lists: dict[str, Any] = {
        "sentences": tuple(
            AnswerSentence(each["text"], each["support"], tuple(each["citations"])) for each in value["sentences"]
        ),
        "citations": tuple(Citation(**each) for each in value["citations"]),
        "hits": tuple(map(_hit, value["hits"])),
        "usage": Usage(**value["usage"]),
        "warnings": tuple(value["warnings"]),
    }
    return Answer(**{**value, **lists})


def _hit(value: dict[str, Any]) -> Hit:
    sentence = value.get("sentence")
    return Hit(**{**value, "sentence": None if sentence is None else HitSentence(**sentence)})
