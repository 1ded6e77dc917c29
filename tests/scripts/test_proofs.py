"""Short runs of the proofs of scripts/prove."""

import os
from pathlib import Path

import pytest
from proofs import (
    approved_answers,
    catalog_damage,
    hostile,
    kill,
    ledger,
    parallel,
    tenants,
)

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_clients_search_while_documents_are_written(tmp_path: Path) -> None:
    """Concurrent reads and writes by HTTP and by another process: no error, no mixed versions, searchable at once."""
    run = parallel.prove(tmp_path, seconds=3, requests=100)
    assert run.errors == []
    assert run.counts["ask"]
    assert run.counts["ingests"]


def test_acknowledged_writes_survive_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 at random moments acknowledged writes are complete and searchable as in a new collection."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)]))
    assert kill.prove(tmp_path, kills=4) == []


def test_ledger_is_correct_after_kills(tmp_path: Path) -> None:
    """Delivered replies are recorded with the server's token counts, or as an estimate if the kill came before."""
    (tmp_path / "indexes").mkdir()
    assert ledger.prove(tmp_path / "indexes", kills=2) == []


def test_clients_do_not_see_the_data_of_others(tmp_path: Path) -> None:
    """Clients see only their own words; calls of disconnected clients are closed within a second."""
    (tmp_path / "indexes").mkdir()
    run, in_time, closed_calls = tenants.prove(tmp_path / "indexes", requests=128)
    assert run.errors == []
    assert run.answer_count
    assert closed_calls
    assert in_time >= 0.95


def test_hostile_replies_get_no_false_citation(tmp_path: Path) -> None:
    """For invented ids, broken markers, markup and injections every citation is exact and no markup live."""
    counts, errors = hostile.prove(tmp_path, replies=60)
    assert errors == []
    assert counts["citations"]
    assert counts["refused"]


def test_no_altered_byte_of_the_catalogue_is_returned(tmp_path: Path) -> None:
    """Each read of a damaged catalogue returns what was stored, or raises a StorageError."""
    counts, errors = catalog_damage.prove(tmp_path, mutations=25)
    assert errors == []
    assert counts["same"]
    assert counts["noticed"] >= 10


def test_edits_flag_the_approved_answers_that_they_break(tmp_path: Path, shared_data: Path) -> None:
    """After random edits of real files, those whose quoted words changed are flagged, and hardly any other."""
    run = approved_answers.prove(tmp_path, shared_data, edits=60, files=12)
    assert run.errors == []
    assert run.missed == 0
    assert run.broken >= 10
    assert run.dry_runs
