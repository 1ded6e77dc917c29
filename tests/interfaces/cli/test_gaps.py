"""The verbs `gaps` and `gaps report`: what they print, and their exit codes."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from semsearch import Caller, Library, text_source
from semsearch.interfaces.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `semsearch ...` beside a library in which two owners asked about CORS."""
    monkeypatch.chdir(tmp_path)
    with Library("indexes") as library:
        library.create("default").upsert([text_source("web/http.md", "The gateway listens on port 8080 for requests.")])
        for owner, question in (("ann", "How do I enable CORS?"), ("bob", "How can I enable CORS?")):
            library.open("default", caller=Caller(owner)).ask(question)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, out, err

    return command


@pytest.mark.slow
def test_gap_is_printed_until_a_document_closes_it(run: Run) -> None:
    """With its counts, the reason and the nearest passages."""
    code, out, err = run("gaps", "--verify")
    assert (code, err) == (0, "")
    assert out.startswith("1. How ")
    assert "asked 2 times by 2 owners, " in out
    assert "still open. Reason: only the closest passages were shown\n    nearest: web/http.md" in out
    with Library("indexes") as library:
        text = "To enable CORS, add the CORS middleware to your application."
        library.open("default").upsert([text_source("web/cors.md", text)])
    assert "closed: it is answered now." in run("gaps", "--verify")[1]


def test_report_and_empty_results_are_printed(run: Run) -> None:
    """A table of weeks and topics, and a sentence where there is nothing."""
    code, out, _ = run("gaps", "report")
    assert code == 0
    header, row = out.splitlines()
    assert header.split() == ["week", "topic", "questions", "answered", "escalated", "wrong"]
    assert row.split()[1:] == ["web", "2", "0", "0", "0"]
    assert run("gaps", "report", "--since", "2999-01-01")[1] == "no recorded answers\n"
    assert run("gaps", "--since", "2999-01-01")[1].startswith("no content gaps")


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("--since", "yesterday"), 2, "--since: 'yesterday' is not a date"),
        (("--limit", "0"), 2, "limit is between 1 and 200"),
        (("-c", "nothing"), 3, "there is no collection 'nothing'"),
    ],
)
def test_wrong_options_are_named(run: Run, arguments: tuple[str, ...], code: int, named: str) -> None:
    """Nothing is printed to stdout."""
    assert run("gaps", *arguments)[:2] == (code, "")
    assert named in run("gaps", *arguments)[2]
