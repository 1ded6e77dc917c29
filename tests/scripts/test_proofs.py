"""Short runs of the proofs of scripts/prove."""

import os
from pathlib import Path

import pytest
from proofs import bill, catalog_damage, hostile, kill, parallel, tenants

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_no_request_fails_while_documents_are_written(tmp_path: Path) -> None:
    """Clients search and ask while HTTP and another process write: no error, no mixed text, no missing hit."""
    run = parallel.prove(tmp_path, seconds=5, requests=100)
    assert run.errors == []
    assert run.counts["ask"]
    assert run.counts["ingests"]


def test_acknowledged_documents_survive_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 at random moments they are complete, and the hits are those of a new collection."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)]))
    assert kill.prove(tmp_path, kills=4) == []


def test_the_ledger_is_correct_after_kills(tmp_path: Path) -> None:
    """Every delivered reply is recorded with the counts of the server, or as an estimate if a kill came in between."""
    (tmp_path / "indexes").mkdir()
    assert bill.prove(tmp_path / "indexes", kills=2) == []


def test_no_client_sees_a_word_of_another(tmp_path: Path) -> None:
    """Of many clients half disconnect: each sees its own words, and requests to the model end with the connection."""
    (tmp_path / "indexes").mkdir()
    run, share_in_time, noticed = tenants.prove(tmp_path / "indexes", requests=128)
    assert run.errors == []
    assert run.answer_count
    assert noticed
    assert share_in_time >= 0.95


def test_no_hostile_reply_has_a_false_citation(tmp_path: Path) -> None:
    """With invented ids, broken markers, markup and injections every citation is exact, and no markup is live."""
    counts, errors = hostile.prove(tmp_path, replies=300)
    assert errors == []
    assert counts["citations"]
    assert counts["refused"]


def test_no_altered_byte_of_the_catalogue_is_returned(tmp_path: Path) -> None:
    """Every read returns the stored data or raises a StorageError."""
    counts, errors = catalog_damage.prove(tmp_path, mutations=60)
    assert errors == []
    assert counts["same"]
    assert counts["noticed"] >= 10
