"""The table of planted weaknesses fits the sources; `scripts/prove weaknesses` plants them, which takes minutes."""

import re

import pytest
from proofs.weaknesses import ROOT, WEAKNESSES, Weakness


@pytest.mark.parametrize("weakness", WEAKNESSES, ids=[weakness.name for weakness in WEAKNESSES])
def test_weakness_can_be_planted(weakness: Weakness) -> None:
    """Its text is in its file once, and its test exists."""
    path = ROOT / weakness.file
    if not path.exists():
        pytest.skip(f"there is no {weakness.file}")
    assert path.read_text().count(weakness.search) == 1
    file, _, test = weakness.test.partition("::")
    assert not test or re.search(rf"^def {test.partition('[')[0]}\(", (ROOT / file).read_text(), re.MULTILINE)
