"""Short runs of the proofs about access keys; `tests/promises/test_cross_key.py` has the probes of other keys."""

from pathlib import Path

import numpy as np
import pytest
from proofs import budget_race, key_rotation
from proofs.key_timing import compare_ranks

pytestmark = pytest.mark.slow


def test_keys_take_effect_with_the_next_request(tmp_path: Path) -> None:
    """In two workers, while keys are created, rotated and revoked."""
    run = key_rotation.prove(tmp_path / "indexes", keys=9, workers=2)
    assert run.errors == []
    assert run.counts["keys"] == 9
    assert run.counts["with a valid secret"]
    assert run.counts["with an ended secret"]


@pytest.mark.parametrize("holder", ["key", "owner"])
def test_racing_workers_do_not_exceed_a_budget(tmp_path: Path, holder: budget_race.Holder) -> None:
    """Two workers, 30 questions at once, room for ten."""
    result = budget_race.prove(tmp_path, holder, requests=30, workers=2)
    assert result.errors == []
    assert result.statuses[429]


def test_rank_test_sees_a_small_shift_and_no_other() -> None:
    """A tenth of the spread among 20,000 samples is seen; samples of one distribution do not differ."""
    rng = np.random.default_rng(1)
    same = compare_ranks(rng.normal(size=20_000), rng.normal(size=20_000))
    shifted = compare_ranks(rng.normal(size=20_000), rng.normal(0.1, size=20_000))
    assert same > 0.01 > 1e-6 > shifted
