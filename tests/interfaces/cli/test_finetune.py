"""The verb `finetune`: what it prints, its questions, and its exit codes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.command_line import run_command
from support.fine_tuning_server import FineTuningServer, find_training_problems
from support.things import THINGS
from support.upstream import run_upstream

from semsearch.core.settings import Settings

pytestmark = pytest.mark.slow

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server() -> Iterator[FineTuningServer]:
    """A chat server that also trains."""
    with run_upstream(FineTuningServer()) as running:
        assert isinstance(running, FineTuningServer)
        yield running


@pytest.fixture
def run(tmp_path: Path, server: FineTuningServer) -> Run:
    """Return a function that runs `semsearch ...` in a folder, with the server as chat model."""
    environ = {
        "SEMSEARCH_CHAT__BASE_URL": server.url,
        "SEMSEARCH_CHAT__MODEL": "m",
        "XDG_CONFIG_HOME": str(tmp_path / "own"),
    }
    return lambda *arguments: run_command(list(arguments), folder=tmp_path, environ=environ)


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Path:
    """Return the folder of an export of twelve answers."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for thing in THINGS[:12]:
        (docs / f"{thing}.txt").write_text(f"The {thing} is checked every two weeks by the {thing} keeper.")
    run("ingest", "docs", "-q")
    for thing in THINGS[:12]:
        assert run("ask", f"How often is the {thing} checked?").returncode == 0
    return tmp_path / "training"


def test_from_answers_to_a_profile_that_uses_the_model(
    run: Run, files: Path, server: FineTuningServer, tmp_path: Path
) -> None:
    """Export, submit, status, use: each prints what comes next; the other values of the profile stay."""
    export = run("finetune", "export", "training", "--held-out", "0")
    assert export.returncode == 0
    assert "chat.train.jsonl: 12 examples, about" in export.stdout
    assert "cost unknown with m" in export.stdout
    assert find_training_problems((files / "chat.train.jsonl").read_bytes()) == []
    assert (files / "chat.train.jsonl").stat().st_mode & 0o077 == 0

    refused = run("finetune", "submit", "training/chat.train.jsonl")
    assert refused.returncode == 2
    assert "there is no terminal; add --yes" in refused.stderr
    assert server.files == {}
    submitted = run("finetune", "submit", "training/chat.train.jsonl", "--yes")
    assert submitted.returncode == 0
    assert "12 examples, 8 epochs, about" in submitted.stderr
    assert 'cost unknown: set training under [prices."m"]' in submitted.stderr
    assert submitted.stdout.splitlines()[-1] == "next: semsearch finetune status ftjob-1"

    not_yet = run("finetune", "use", "ftjob-1", "--profile", "support", "--yes")
    assert (not_yet.returncode, "it is validating_files" in not_yet.stderr) == (4, True)
    server.finish("ftjob-1", "ft:m:1", 999)
    status = run("finetune", "status", "ftjob-1", "--json")
    assert json.loads(status.stdout)["fine_tuned_model"] == "ft:m:1"
    used = run("finetune", "use", "ftjob-1", "--profile", "support", "--yes")
    assert used.returncode == 0
    assert '+model = "ft:m:1"' in used.stderr
    file = tmp_path / "own" / "semsearch" / "semsearch.toml"
    profile = Settings.load({"XDG_CONFIG_HOME": str(tmp_path / "own")}, folder=tmp_path).profiles["support"]
    assert (profile.model, profile.policy, profile.k) == ("ft:m:1", "strict", 8)
    assert run("finetune", "use", "m2", "--profile", "support", "--yes").returncode == 0
    assert file.read_text().count("model = ") == 1
    run("ask", f"How often is the {THINGS[0]} checked?", "--profile", "support")
    assert server.calls[-1].body["model"] == "m2"


def test_too_few_examples_exit_with_1(run: Run, tmp_path: Path) -> None:
    """The files are written, and the reason is named."""
    (tmp_path / "lamp.txt").write_text("The lamp burns.")
    run("ingest", "lamp.txt", "-q")
    export = run("finetune", "export", "training", "--since", "2026-01-01")
    assert (export.returncode, export.stdout.splitlines()[-1]) == (
        1,
        "chat.train.jsonl has 0 examples; a job needs 10 at least",
    )
    assert run("finetune", "export", "training", "--since", "May").returncode == 2


def test_unknown_job_is_not_found(run: Run) -> None:
    """With the remedy; without jobs the list says how to start one."""
    assert run("finetune", "status").stdout == "no fine-tuning jobs; start one: semsearch finetune submit FILE\n"
    cancelled = run("finetune", "cancel", "ftjob-9")
    assert (cancelled.returncode, "list them: semsearch finetune status" in cancelled.stderr) == (3, True)


def test_profile_of_the_project_is_changed_where_it_is_set(run: Run, tmp_path: Path) -> None:
    """Its file goes before the user's own, so a copy there would have no effect; a profile in both keeps its values."""
    (tmp_path / "semsearch.toml").write_text('[profiles.desk]\npolicy = "strict"\nescalate_on = ["a person"]\n')
    own = tmp_path / "own" / "semsearch" / "semsearch.toml"
    refused = run("finetune", "use", "m2", "--profile", "desk", "--yes")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert f"the profile desk is set in {tmp_path / 'semsearch.toml'}" in refused.stderr
    assert 'write model = "m2" under [profiles.desk] there' in refused.stderr
    assert not own.exists()
    own.parent.mkdir(parents=True)
    own.write_text('[profiles.desk]\nescalate_on = ["a person"]\n')
    changed = run("finetune", "use", "m2", "--profile", "desk", "--yes", "--json")
    assert (changed.returncode, json.loads(changed.stdout)["is_used"]) == (0, False)
    assert own.read_text() == '[profiles.desk]\nescalate_on = ["a person"]\nmodel = "m2"\n'
