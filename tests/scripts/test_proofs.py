"""The long proofs of scripts/prove, run short."""

import os
from pathlib import Path

import pytest
from proofs import bill, hostile, kill, parallel, rot, tenants

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_many_clients_while_documents_are_written(tmp_path: Path) -> None:
    """Searching, asking and writing by HTTP and by another process at once: no error, nothing half, found at once."""
    run = parallel.prove(tmp_path, seconds=5, requests=100)
    assert run.errors == []
    assert run.counts["ask"]
    assert run.counts["ingests"]


def test_what_is_acknowledged_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 at random moments what was acknowledged is there, whole, and found as in a fresh collection."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)]))
    assert kill.prove(tmp_path, kills=4) == []


def test_the_ledger_is_right_after_kills(tmp_path: Path) -> None:
    """What a model server delivered is booked as it counted it, or as an estimate where a kill came in between."""
    (tmp_path / "indexes").mkdir()
    assert bill.prove(tmp_path / "indexes", kills=2) == []


def test_nobody_sees_the_word_of_another(tmp_path: Path) -> None:
    """Many clients with conversations, half of them hanging up: each sees its own, and the calls are closed."""
    (tmp_path / "indexes").mkdir()
    run, in_time, seen = tenants.prove(tmp_path / "indexes", requests=128)
    assert run.errors == []
    assert run.answer_count
    assert seen
    assert in_time >= 0.95


def test_no_hostile_reply_gets_a_false_citation_through(tmp_path: Path) -> None:
    """Invented ids, broken markers, markup, obedience: every citation is in the stored text, and nothing is live."""
    counts, errors = hostile.prove(tmp_path, replies=300)
    assert errors == []
    assert counts["citations"]
    assert counts["refused"]


def test_no_altered_byte_of_the_catalogue_is_served(tmp_path: Path) -> None:
    """Whatever is read is what was stored, or an error of storage."""
    counts, errors = rot.prove(tmp_path, mutations=60)
    assert errors == []
    assert counts["same"]
    assert counts["noticed"] >= 10
