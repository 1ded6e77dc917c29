"""Short runs of the proofs that attack the service, and an ingestion of hostile files."""

from pathlib import Path

import pytest
from proofs import cost, hostile_files, overload, slow_uploads

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 2])
def test_slow_sockets_lock_nobody_out(tmp_path: Path, workers: int) -> None:
    """More slow sockets than descriptors: health checks and searches are answered."""
    times, errors = slow_uploads.prove_slow_sockets(tmp_path / "indexes", seconds=1, workers=workers)
    assert errors == []
    assert times


@pytest.mark.parametrize("workers", [1, 2])
def test_half_sent_uploads_take_no_memory(tmp_path: Path, workers: int) -> None:
    """Nor do they prevent another upload, and nothing of them is left when their clients hang up."""
    memory, errors = slow_uploads.prove_half_uploads(tmp_path / "indexes", sent_megabytes=2, workers=workers)
    assert errors == []
    assert memory


def test_an_overloaded_service_refuses_and_recovers(tmp_path: Path) -> None:
    """Questions that arrive far faster than they can be answered: only 200 and 503, and all is served afterwards."""
    run = overload.prove(tmp_path, chunk_count=300, seconds=0.5, kind="ask", factor=20)
    assert run.errors == []
    assert run.result.statuses[503]


def test_hostile_files_harm_only_themselves(tmp_path: Path) -> None:
    """Good files among hostile ones are stored, each hostile one is named, and the memory of the parent stays flat."""
    names = frozenset(
        "ratio.docx entries.epub encrypted.xlsx traversal.odt laughs.xml attributes.rss attributes.html deep.html"
        " deep.json binary.txt wide.csv loop.pdf garbage.pdf".split()
    )
    result = hostile_files.prove(tmp_path, good=20, scale=0.1, names=names)
    assert result.errors == []
    assert (result.good, result.bombs) == (20, len(names))
    assert result.growth_bytes < hostile_files.MAX_GROWTH_BYTES


def test_a_checkout_costs_about_as_much_as_itself(tmp_path: Path) -> None:
    """The comparison of two checkouts finds CPU seconds of both, and only the noise of the machine between them."""
    (tmp_path / "notes.md").write_text("# Lamps\n\n" + " ".join(f"The lamp {number} is lit." for number in range(900)))
    [round] = cost.prove(cost.PROJECT, tmp_path, rounds=1, searches=120)
    assert min(*round.ingestion, *round.searches) > 0
    [[ingestion], [searches]] = cost.compute_ratios([round]).values()
    assert 0.2 < ingestion < 5
    assert 0.2 < searches < 5
