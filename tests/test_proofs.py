"""The long proofs of scripts/prove, run short."""

from pathlib import Path

from proofs.parallel import prove


def test_many_clients_while_documents_are_written(tmp_path: Path) -> None:
    """Searching, asking and writing by HTTP and by another process at once: no error, nothing half, found at once."""
    run = prove(tmp_path, seconds=5, requests=100)
    assert run.errors == []
    assert run.counts["ask"]
    assert run.counts["ingests"]
