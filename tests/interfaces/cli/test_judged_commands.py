"""The commands `feedback export` and `feedback review`."""

import json
import os
from pathlib import Path

import pytest
from support.command_line import run_command
from support.pty_session import open_session

from semsearch import Library, text_source
from semsearch.core.settings import Settings

TEXTS = {
    "leave": "Parental leave is 26 weeks at full pay for each parent.",
    "vpn": "The VPN gateway is at vpn.example.org for all staff.",
}
QUESTIONS = ("How long is parental leave?", "Where is the VPN gateway?")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an exported file of two judged questions."""
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source(uri, text) for uri, text in TEXTS.items()])
        for question in QUESTIONS:
            library.add_feedback(collection.ask(question).id, helpful=True)
    assert run_command(["feedback", "export", "judged.jsonl"], folder=tmp_path, environ={}).returncode == 0
    return tmp_path


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return the objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_exported_file_is_private_and_not_replaced(folder: Path) -> None:
    """It holds what people asked, and may hold reviews."""
    path = folder / "judged.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [line["query"] for line in read_lines(path)] == list(QUESTIONS)
    again = run_command(["feedback", "export", "judged.jsonl"], folder=folder, environ={})
    assert (again.returncode, again.stdout) == (4, "")
    assert "add --overwrite" in again.stderr
    replaced = run_command(
        ["--json", "feedback", "--json", "export", "judged.jsonl", "--overwrite"], folder=folder, environ={}
    )
    assert json.loads(replaced.stdout)["questions"] == 2


def test_review_without_a_terminal_needs_decisions(folder: Path) -> None:
    """Accepted questions are in the files of the splits; rejected ones are nowhere."""
    refused = run_command(["feedback", "review", "judged.jsonl"], folder=folder, environ={})
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--accept" in refused.stderr
    first, second = (str(line["id"]) for line in read_lines(folder / "judged.jsonl"))
    options = ["--reject", first, "--accept", second]
    done = run_command(["feedback", "review", "judged.jsonl", *options], folder=folder, environ={})
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 reviewed, 0 left")
    (split,) = folder.glob("judged.*.jsonl")
    assert [line["query"] for line in read_lines(split)] == [QUESTIONS[1]]
    assert run_command(["eval", split.name], folder=folder, environ={}).returncode == 0


@pytest.mark.slow
def test_review_on_a_terminal_saves_each_decision(folder: Path) -> None:
    """An edited question has the new text; a skipped one stays for the next review."""
    environ = {**os.environ, "HOME": str(folder)}
    with open_session(["-m", "semsearch", "feedback", "review", "judged.jsonl"], folder, environ) as session:
        session.expect(TEXTS["leave"])
        session.answer("q(uit)", "s")
        session.answer("q(uit)", "e")
        session.answer("Question", "Where is the gateway?")
        session.answer("Is vpn relevant?", "y")
        session.wait()
    assert "1 reviewed, 1 left" in session.output
    lines = {line["query"]: line["reviewed"] for line in read_lines(folder / "judged.jsonl")}
    assert lines == {"Where is the gateway?": True, QUESTIONS[0]: False}
