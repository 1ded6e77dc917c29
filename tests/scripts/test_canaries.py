"""Short run of scripts/prove canaries, and proof that its search finds what it looks for."""

import base64
import os
from pathlib import Path

import pytest
from proofs import canaries

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_no_secret_is_written_where_it_does_not_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and passwords are nowhere, texts of users in the databases and replies of their owner only."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)]))
    counts, errors = canaries.prove(tmp_path, rounds=1)
    assert errors == []
    assert all(counts[place] for place in ("data", "log", "output", "process", "reply"))


@pytest.mark.parametrize("encode", [str.encode, lambda text: text.encode("utf-16-le"), base64.b64encode, str.upper])
def test_search_finds_encoded_secrets(encode: object) -> None:
    """A part of a secret is enough; a text of a user is no leak where its owner stored or asked for it."""
    sweep = canaries.Sweep()
    for name in ("OPENAI_API_KEY", "document"):
        token = sweep.tokens[name]
        encoded = base64.b64encode(token.encode()) if encode is base64.b64encode else encode(token)  # type: ignore[operator]
        for place in ("data/hb/catalog.db-wal", "log of the service"):
            sweep.add(place, encoded)
    leaks = ["OPENAI_API_KEY is in data/hb/catalog.db-wal", "OPENAI_API_KEY is in log of the service"]
    assert sweep.find_leaks() == [*leaks, "document is in log of the service"]
    assert sweep.list_missed() == ["question", "comment", "metadata"]
