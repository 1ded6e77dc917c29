"""The long proofs of scripts/prove, run short."""

import os
from pathlib import Path

import pytest
from proofs import kill, parallel

SCRIPTS = Path(__file__).parent.parent / "scripts"


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
