"""Rated answers for fine-tuning, and fine-tuning jobs as rows. Runs inside a transaction of the caller."""

import json
import sqlite3
from dataclasses import asdict

from ....core.types.feedback import Feedback
from ....core.types.fine_tuning import FineTuningJob, RatedAnswer
from .answers import decode_record

_SELECT_RATED_ANSWERS = """
    SELECT a.record, f.answer_id, f.helpful, f.wrong_marker, f.right_chunk_id, f.comment, f.created
    FROM answer AS a LEFT JOIN feedback AS f ON f.owner = a.owner AND f.answer_id = a.id
    WHERE (?1 IS NULL OR a.owner = ?1) AND a.created >= ?2 AND (a.owner, a.id) > (?3, ?4)
    ORDER BY a.owner, a.id LIMIT ?5"""


def load_rated_answers(
    db: sqlite3.Connection, owner: str | None, since: float, limit: int, after: tuple[str, str]
) -> list[RatedAnswer]:
    """Return answers of an owner, or of all, with their feedback, from the first one behind owner and id `after`."""
    rows = db.execute(_SELECT_RATED_ANSWERS, (owner, since, *after, limit))
    return [RatedAnswer(decode_record(json.loads(record)), _decode_feedback(*row)) for record, *row in rows]


def save_job(db: sqlite3.Connection, job: FineTuningJob) -> None:
    """Insert a job, or replace that of its owner and id."""
    row = (job.owner, job.id, job.created, json.dumps(asdict(job)))
    db.execute("INSERT OR REPLACE INTO fine_tuning_job VALUES (?, ?, ?, ?)", row)


def load_jobs(db: sqlite3.Connection, owner: str) -> list[FineTuningJob]:
    """Return the jobs of this owner, the newest first."""
    rows = db.execute("SELECT record FROM fine_tuning_job WHERE owner = ? ORDER BY created DESC, id", (owner,))
    return [FineTuningJob(**json.loads(record)) for (record,) in rows]


def _decode_feedback(
    answer_id: str | None,
    helpful: int | None,
    wrong_marker: int | None,
    right_chunk_id: int | None,
    comment: str | None,
    created: float,
) -> Feedback | None:
    if answer_id is None:
        return None
    is_helpful = None if helpful is None else bool(helpful)
    return Feedback(answer_id, is_helpful, wrong_marker, right_chunk_id, comment, created)
