"""Answers and sessions as rows. Runs inside a transaction of the caller; an owner sees only their own rows."""

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ....core.errors import NotFoundError
from ....core.names import make_id
from ....core.types.answers import (
    Answer,
    AnswerKind,
    AnswerSentence,
    Approval,
    Citation,
    ClosestPassage,
    TextSpan,
    Turn,
)
from ....core.types.search import BestSentence, Hit
from ....core.types.sessions import AnswerRecord, Session, SessionInfo, SessionPosition
from ....core.types.usage import Usage

MAX_TURNS = 200
"""Per session; the oldest turns are deleted."""

MAX_SESSIONS = 1_000
"""Per owner; a new one replaces another one."""

FIRST_QUESTION_SECONDS = 600.0
"""A session without turns that is younger may be waiting for the answer to its first question."""

MAX_TITLE_CHARACTERS = 80
"""Of the title of a session."""

_DELETE_BATCH_SIZE = 100
_SELECT_SESSIONS = f"""
    SELECT s.id, s.collection, s.created, s.last_used, s.profile,
        (SELECT count(*) FROM turn AS t WHERE t.owner = s.owner AND t.session_id = s.id),
        (SELECT substr(question, 1, {4 * MAX_TITLE_CHARACTERS}) FROM turn AS t
            WHERE t.owner = s.owner AND t.session_id = s.id ORDER BY ordinal LIMIT 1)
    FROM session AS s WHERE s.owner = ? AND (s.last_used, s.id) < (?, ?)
        AND (? IS NULL OR s.collection IN (SELECT value FROM json_each(?)))
    ORDER BY s.last_used DESC, s.id DESC LIMIT ?"""
_DELETE_LEAST_NEEDED = """
    DELETE FROM session WHERE owner = ? AND id IN (SELECT s.id FROM session AS s WHERE s.owner = ? ORDER BY
        s.last_used >= ? OR EXISTS (SELECT 1 FROM turn AS t WHERE t.owner = s.owner AND t.session_id = s.id),
        s.last_used, s.id LIMIT ?)"""
_RENAMED_KEYS = {"asked": "search_question", "handed_off": "escalated"}
"""Keys of records that earlier versions wrote, and their present names."""


def save_answer(db: sqlite3.Connection, record: AnswerRecord, turn: Turn | None) -> None:
    """Insert an answer and, with a turn, append it to the answer's session; NotFoundError if that was deleted."""
    row = (record.owner, record.answer.id, record.created, json.dumps(_encode_record(record)))
    db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", row)
    if turn is not None and record.answer.session_id is not None:
        append_turn(
            db, record.owner, record.answer.session_id, record.created, replace(turn, answer_id=record.answer.id)
        )


def load_answer(db: sqlite3.Connection, owner: str, answer_id: str) -> AnswerRecord | None:
    """Return an answer of this owner."""
    row = db.execute("SELECT record FROM answer WHERE owner = ? AND id = ?", (owner, answer_id)).fetchone()
    return None if row is None else decode_record(json.loads(row[0]))


def create_session(
    db: sqlite3.Connection,
    owner: str,
    collection: str,
    profile: str | None,
    collection_created_at: str | None,
    now: float,
) -> Session:
    """Insert an empty session; if the owner has the maximum, delete first those that are needed least."""
    _make_room_for_session(db, owner, now)
    session_id = make_id("ses")
    row = (owner, session_id, collection, profile, now, now, collection_created_at)
    db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return Session(session_id, collection, now, now, profile, collection_created_at)


def _make_room_for_session(db: sqlite3.Connection, owner: str, now: float) -> None:
    """Delete what is too much: sessions without turns, then others, each time the one not used for longest."""
    too_many = db.execute("SELECT count(*) FROM session WHERE owner = ?", (owner,)).fetchone()[0] - MAX_SESSIONS + 1
    if too_many > 0:
        db.execute(_DELETE_LEAST_NEEDED, (owner, owner, now - FIRST_QUESTION_SECONDS, too_many))


def load_session(db: sqlite3.Connection, owner: str, session_id: str) -> Session | None:
    """Return a session of this owner with its turns, oldest first."""
    row = db.execute(
        "SELECT collection, created, last_used, profile, collection_made FROM session WHERE owner = ? AND id = ?",
        (owner, session_id),
    ).fetchone()
    if row is None:
        return None
    turn_rows = db.execute(
        "SELECT t.question, t.answer, a.id FROM turn AS t LEFT JOIN answer AS a ON a.owner = t.owner AND"
        " a.id = t.answer_id WHERE t.owner = ? AND t.session_id = ? ORDER BY t.ordinal",
        (owner, session_id),
    )
    turns = tuple(Turn(question, answer, answer_id) for question, answer, answer_id in turn_rows)
    collection, created, last_used, profile, collection_created_at = row
    return Session(session_id, collection, created, last_used, profile, collection_created_at, turns)


def list_sessions(
    db: sqlite3.Connection, owner: str, limit: int, after: SessionPosition | None, collections: Iterable[str] | None
) -> list[SessionInfo]:
    """Return the sessions of this owner, the last used one first, from the first one behind `after`."""
    names = None if collections is None else json.dumps(list(collections))
    rows = db.execute(_SELECT_SESSIONS, (owner, *(after or (math.inf, "")), names, names, limit))
    return [
        SessionInfo(session_id, collection, created, last_used, profile, turns, _make_title(question or ""))
        for session_id, collection, created, last_used, profile, turns, question in rows
    ]


def _make_title(question: str) -> str:
    title = " ".join(question.split())
    return title if len(title) <= MAX_TITLE_CHARACTERS else f"{title[: MAX_TITLE_CHARACTERS - 1].rstrip()}…"


def delete_session(db: sqlite3.Connection, owner: str, session_id: str) -> bool:
    """Delete a session with its turns; return whether it existed."""
    return db.execute("DELETE FROM session WHERE owner = ? AND id = ?", (owner, session_id)).rowcount > 0


def delete_expired(db: sqlite3.Connection, before: float) -> None:
    """Delete a batch of the oldest answers and unused sessions that are older than `before`."""
    for table, age_column in (("answer", "created"), ("session", "last_used")):
        db.execute(
            f"DELETE FROM {table} WHERE (owner, id) IN"
            f" (SELECT owner, id FROM {table} WHERE {age_column} < ? ORDER BY {age_column} LIMIT {_DELETE_BATCH_SIZE})",
            (before,),
        )


def append_turn(db: sqlite3.Connection, owner: str, session_id: str, now: float, turn: Turn) -> None:
    """Append a turn to a session; NotFoundError if there is no such session."""
    update = db.execute("UPDATE session SET last_used = ? WHERE owner = ? AND id = ?", (now, owner, session_id))
    if update.rowcount == 0:
        raise NotFoundError(f"the session {session_id} was deleted meanwhile; start a new one")
    ordinal = db.execute(
        "SELECT coalesce(max(ordinal), 0) + 1 FROM turn WHERE owner = ? AND session_id = ?", (owner, session_id)
    ).fetchone()[0]
    row = (owner, session_id, ordinal, turn.question, turn.answer, turn.answer_id)
    db.execute("INSERT INTO turn VALUES (?, ?, ?, ?, ?, ?)", row)
    db.execute(
        "DELETE FROM turn WHERE owner = ? AND session_id = ? AND ordinal <= ?", (owner, session_id, ordinal - MAX_TURNS)
    )


def _encode_record(record: AnswerRecord) -> dict[str, Any]:
    stored = asdict(record)
    stored["answer"]["answer"] = stored["answer"].pop("text")  # the name that interfaces and earlier versions use
    return stored


def decode_record(stored: Mapping[str, Any]) -> AnswerRecord:
    """Return a record from its JSON object, also from that of an earlier version."""
    record = _rename_keys(stored)
    return AnswerRecord(**{**record, "answer": _decode_answer(_rename_keys(record["answer"]))})


def _rename_keys(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with the present names of its keys."""
    return {_RENAMED_KEYS.get(key, key): value for key, value in stored.items()}


def _decode_answer(stored: Mapping[str, Any]) -> Answer:
    nested: dict[str, Any] = {
        "sentences": tuple(
            AnswerSentence(**{**sentence, "citations": tuple(sentence["citations"])})
            for sentence in stored["sentences"]
        ),
        "citations": tuple(Citation(**citation) for citation in stored["citations"]),
        "hits": tuple(map(_decode_hit, stored["hits"])),
        "passages": tuple(map(_decode_passage, stored.get("passages", ()))),
        "usage": Usage(**stored["usage"]),
        "warnings": tuple(stored["warnings"]),
        "approved": Approval(**stored["approved"]) if stored.get("approved") else None,
        "kind": stored["kind"] if "kind" in stored else _infer_kind(stored),
    }
    others = {key: value for key, value in stored.items() if key != "answer"}
    return Answer(**{**others, "text": stored["answer"], **nested})


def _infer_kind(stored: Mapping[str, Any]) -> AnswerKind:
    """Return the kind of an answer of an earlier version, which stored none."""
    if not stored["answered"]:
        return "passages"
    return "excerpt" if stored["model"] == "extractive" else "generated"


def _decode_passage(stored: Mapping[str, Any]) -> ClosestPassage:
    return ClosestPassage(**{**stored, "best": TextSpan(**stored["best"])})


def _decode_hit(stored: Mapping[str, Any]) -> Hit:
    sentence = stored.get("sentence")
    return Hit(**{**stored, "sentence": None if sentence is None else BestSentence(**sentence)})
