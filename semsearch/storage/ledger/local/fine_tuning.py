"""Fine-tuning jobs as rows. Runs inside a transaction of the caller."""

import json
import sqlite3
from dataclasses import asdict

from ....core.types.fine_tuning import FineTuningJob


def save_job(db: sqlite3.Connection, job: FineTuningJob) -> None:
    """Insert a job, or replace that of its owner and id."""
    row = (job.owner, job.id, job.created, json.dumps(asdict(job)))
    db.execute("INSERT OR REPLACE INTO fine_tuning_job VALUES (?, ?, ?, ?)", row)


def load_jobs(db: sqlite3.Connection, owner: str) -> list[FineTuningJob]:
    """Return the jobs of this owner, the newest first."""
    rows = db.execute("SELECT record FROM fine_tuning_job WHERE owner = ? ORDER BY created DESC, id", (owner,))
    return [FineTuningJob(**json.loads(record)) for (record,) in rows]
