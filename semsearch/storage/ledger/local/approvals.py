"""Approved answers as rows, and the documents that each cites. Runs inside a transaction of the caller."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ....core.types.answers import AnswerSentence, Citation
from ....core.types.approvals import ApprovedAnswer
from ....core.types.evidence import LostQuote, QuotedWords

_SELECT = "SELECT record FROM approved_answer AS a WHERE collection = ?"


def save_approved(db: sqlite3.Connection, approved: ApprovedAnswer, question_key: str) -> None:
    """Insert an approved answer in place of those of its owner to the same question."""
    db.execute(
        "DELETE FROM approved_answer WHERE id = ? OR (owner = ? AND collection = ? AND question_key = ?)",
        (approved.id, approved.owner, approved.collection, question_key),
    )
    db.execute(
        "INSERT INTO approved_answer VALUES (?, ?, ?, ?, ?, ?)",
        (approved.id, approved.owner, approved.collection, question_key, approved.approved, _encode(approved)),
    )
    uris = {citation.uri for citation in approved.citations}
    db.executemany("INSERT INTO approved_source VALUES (?, ?)", [(approved.id, uri) for uri in uris])


def update_approved(db: sqlite3.Connection, changed: Iterable[ApprovedAnswer]) -> None:
    """Replace the records of approved answers that still exist; they cite the same documents as before."""
    rows = [(_encode(approved), approved.id) for approved in changed]
    db.executemany("UPDATE approved_answer SET record = ? WHERE id = ?", rows)


def list_approved(db: sqlite3.Connection, collection: str) -> list[ApprovedAnswer]:
    """Return the approved answers of a collection, the oldest first."""
    return _decode_rows(db.execute(f"{_SELECT} ORDER BY created, id", (collection,)))


def find_approved(db: sqlite3.Connection, collection: str, question_key: str) -> list[ApprovedAnswer]:
    """Return the approved answers to questions of this key, the latest first."""
    statement = f"{_SELECT} AND question_key = ? ORDER BY created DESC, id"
    return _decode_rows(db.execute(statement, (collection, question_key)))


def find_approved_citing(db: sqlite3.Connection, collection: str, uris: Sequence[str]) -> list[ApprovedAnswer]:
    """Return the approved answers that cite one of these documents, the oldest first."""
    statement = (
        f"{_SELECT} AND id IN (SELECT approved_id FROM approved_source WHERE uri IN (SELECT value FROM json_each(?)))"
        " ORDER BY created, id"
    )
    return _decode_rows(db.execute(statement, (collection, json.dumps(uris))))


def load_approved(db: sqlite3.Connection, approved_id: str) -> ApprovedAnswer | None:
    """Return the approved answer of this id."""
    rows = _decode_rows(db.execute("SELECT record FROM approved_answer WHERE id = ?", (approved_id,)))
    return next(iter(rows), None)


def remove_approved(db: sqlite3.Connection, approved_id: str) -> bool:
    """Delete an approved answer; return whether it existed."""
    return db.execute("DELETE FROM approved_answer WHERE id = ?", (approved_id,)).rowcount > 0


def remove_approved_of_collection(db: sqlite3.Connection, collection: str) -> None:
    """Delete all approved answers of a collection."""
    db.execute("DELETE FROM approved_answer WHERE collection = ?", (collection,))


def _encode(approved: ApprovedAnswer) -> str:
    return json.dumps(asdict(approved))


def _decode_rows(rows: Iterable[tuple[str]]) -> list[ApprovedAnswer]:
    return [_decode(json.loads(row[0])) for row in rows]


def _decode(stored: dict[str, Any]) -> ApprovedAnswer:
    nested = {
        "sentences": tuple(
            AnswerSentence(**{**sentence, "citations": tuple(sentence["citations"])})
            for sentence in stored["sentences"]
        ),
        "citations": tuple(Citation(**citation) for citation in stored["citations"]),
        "quoted_words": tuple(map(_decode_words, stored["quoted_words"])),
        "lost": tuple(LostQuote(**{**lost, "lost_words": tuple(lost["lost_words"])}) for lost in stored["lost"]),
    }
    return ApprovedAnswer(**{**stored, **nested})


def _decode_words(stored: dict[str, Any]) -> QuotedWords:
    lists = {name: tuple(stored[name]) for name in ("words", "before", "after")}
    return QuotedWords(**{**stored, **lists})
