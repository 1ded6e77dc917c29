"""Recorded answers with their feedback, of all owners, in order of time. Runs inside a transaction of the caller.

Their owner is the person or program, however many filters its keys have.
"""

import json
import sqlite3
from dataclasses import replace

from ....core.types.access import find_owner
from ....core.types.rated_answers import RatedAnswer
from .answers import decode_record
from .feedback import decode_feedback

Position = tuple[float, str, str]
"""Time, owner and id of an answer."""

_PAGE_SIZE = 200
_SELECT_PAGE = f"""
    SELECT a.created, a.owner, a.id, a.record, f.owner IS NOT NULL,
        f.helpful, f.wrong_marker, f.right_chunk_id, f.comment, f.created
    FROM answer AS a LEFT JOIN feedback AS f ON f.owner = a.owner AND f.answer_id = a.id
    WHERE (a.created, a.owner, a.id) > (?, ?, ?) AND json_extract(a.record, '$.collection') = ?
        AND (? IS NULL OR a.owner = ?)
    ORDER BY a.created, a.owner, a.id LIMIT {_PAGE_SIZE}"""


def load_page(
    db: sqlite3.Connection, collection: str, owner: str | None, after: Position
) -> tuple[list[RatedAnswer], Position | None]:
    """Return the next answers behind a position, and the position of the last one; None if no more follow."""
    rows = db.execute(_SELECT_PAGE, (*after, collection, owner, owner)).fetchall()
    page = []
    for _, _, answer_id, record, has_feedback, *feedback in rows:
        given = decode_feedback(answer_id, feedback) if has_feedback else None
        answer = decode_record(json.loads(record))
        page.append(RatedAnswer(replace(answer, owner=find_owner(answer.owner)), given, answer.owner))
    return page, rows[-1][:3] if len(rows) == _PAGE_SIZE else None


def has_several_owners(db: sqlite3.Connection) -> bool:
    """Return whether there are answers of more than one owner."""
    rows = db.execute("SELECT DISTINCT owner FROM answer")
    return len({find_owner(owner) for (owner,) in rows}) > 1
