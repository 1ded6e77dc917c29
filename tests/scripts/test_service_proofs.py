"""Short runs of the proofs that attack the service, and an ingestion of hostile files."""

from pathlib import Path

import pytest
from proofs import cost, hang_ups, hostile_files, overload, slow_uploads

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("workers", "other_collections"), [(1, 0), (2, 0), (1, 6)])
def test_slow_sockets_lock_nobody_out(tmp_path: Path, workers: int, other_collections: int) -> None:
    """More slow sockets than descriptors: health checks and searches are answered, also with many open files."""
    times, errors = slow_uploads.prove_slow_sockets(
        tmp_path / "indexes", seconds=1, workers=workers, other_collections=other_collections
    )
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
    run = overload.prove(tmp_path, chunk_count=300, seconds=0.5, kind="ask", rounds=2, factor=20)
    assert run.errors == []
    assert run.statuses[503]


def test_clients_that_hang_up_end_their_calls(tmp_path: Path) -> None:
    """With each kind of bytes behind the question, before the first token and after it."""
    run = hang_ups.prove(tmp_path / "indexes", 24)
    assert run.errors == []
    assert len(run.seconds) == 24
    assert run.share_in_time == 1.0


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


def test_the_cost_of_two_checkouts_is_measured(tmp_path: Path) -> None:
    """The comparison of two checkouts measures CPU seconds of both."""
    (tmp_path / "notes.md").write_text("# Lamps\n\n" + " ".join(f"The lamp {number} is lit." for number in range(900)))
    [measured] = cost.prove(cost.PROJECT, tmp_path, rounds=1, searches=120)
    assert min(*measured.ingestion, *measured.searches) > 0


def test_ratios_are_those_of_this_checkout_to_the_other_one() -> None:
    """They are in ascending order, for the median."""
    rounds = [cost.Round((2.0, 1.0), (3.0, 6.0)), cost.Round((1.0, 1.0), (1.0, 4.0))]
    assert cost.compute_ratios(rounds) == {"ingestion": [1.0, 2.0], "searches": [0.25, 0.5]}


def test_too_few_documents_for_the_queries_are_an_error(tmp_path: Path) -> None:
    """A ratio of no searches would say nothing."""
    (tmp_path / "notes.md").write_text("The lamp is lit.")
    with pytest.raises(RuntimeError, match="too few"):
        cost.prove(cost.PROJECT, tmp_path, rounds=1, searches=120)
