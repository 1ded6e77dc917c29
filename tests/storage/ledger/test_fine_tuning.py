"""Fine-tuning jobs in the ledger."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from semsearch.core.types.answers import Answer
from semsearch.core.types.feedback import Feedback
from semsearch.core.types.fine_tuning import FineTuningJob
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage
from semsearch.storage.ledger.local.ledger import LocalLedger

OWNERS = ("ann", "ben", "local")
JOB = FineTuningJob("ftjob-1", "ann", 5.0, "http://127.0.0.1/v1", "m", "file-1", epochs=3, reservation=7)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LocalLedger]:
    """A ledger with five answers of each of three owners; each first answer is rated."""
    with closing(LocalLedger(tmp_path)) as ledger:
        for owner in OWNERS:
            for number in range(5):
                answer = Answer(f"ans_{number}", "", False, None, (), (), (), Usage(), "extractive")
                ledger.record_answer(AnswerRecord(answer, owner, "c", "q", "q", "3", float(number)), None)
            ledger.add_feedback(owner, Feedback("ans_0", helpful=owner == "ann"))
        yield ledger


def test_job_is_replaced_and_belongs_to_its_owner(ledger: LocalLedger, tmp_path: Path) -> None:
    """The newest comes first; another process reads the same."""
    ledger.save_fine_tuning_job(JOB)
    ledger.save_fine_tuning_job(replace(JOB, id="ftjob-2", created=9.0))
    changed = replace(JOB, status="succeeded", fine_tuned_model="ft:m", trained_tokens=5)
    ledger.save_fine_tuning_job(changed)
    ledger.save_fine_tuning_job(replace(JOB, owner="ben"))
    with closing(LocalLedger(tmp_path)) as other:
        jobs = other.list_fine_tuning_jobs("ann")
    assert [job.id for job in jobs] == ["ftjob-2", "ftjob-1"]
    assert jobs[1] == changed
    assert ledger.list_fine_tuning_jobs("local") == []


def test_missing_ledger_has_no_job(tmp_path: Path) -> None:
    """Reading does not create the file."""
    with closing(LocalLedger(tmp_path / "none")) as ledger:
        assert ledger.list_fine_tuning_jobs("ann") == []
        assert not ledger.path.exists()
