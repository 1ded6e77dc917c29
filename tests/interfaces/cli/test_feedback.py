"""The verb `feedback`: what it prints and stores, and its exit codes."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.interfaces.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `semsearch ...` in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, out, err

    return command


@pytest.fixture
def answer_id(tmp_path: Path) -> str:
    """The id of an answer with one citation, from the chunk 1."""
    with Library(tmp_path / "indexes") as library:
        collection = library.create("default")
        collection.upsert([text_source("leave", "Parental leave is 26 weeks at full pay for each parent.")])
        return collection.ask("How long is parental leave?").id


def test_each_option_is_stored_and_printed(run: Run, answer_id: str) -> None:
    """A later value replaces the earlier one of its option; the output has all that is stored."""
    assert run("feedback", answer_id, "--helpful") == (0, f"feedback on {answer_id}\n  helpful\n", "")
    options = ("--not-helpful", "--wrong-marker", "1", "--right-chunk", "1", "--comment", "-")
    code, out, err = run("feedback", answer_id, *options, stdin="Too old.\n")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [
        "  not helpful",
        "  citation [1] is wrong",
        "  chunk 1 holds the answer",
        "  comment: Too old.",
    ]
    stored = json.loads(run("feedback", answer_id, "--helpful", "--json")[1])
    assert stored.pop("created").endswith("Z")
    assert stored == {
        "answer_id": answer_id,
        "helpful": True,
        "wrong_marker": 1,
        "right_chunk_id": 1,
        "comment": "Too old.",
    }


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), "the feedback is empty"),
        (("--wrong-marker", "2"), "no citation 2; its markers are 1"),
        (("--right-chunk", "99"), "no chunk 99"),
        (("--right-chunk", "9" * 30), "no chunk 999"),
        (("--comment", " "), "the comment is empty"),
        (("--comment", "x" * 2001), "2,001 characters; the limit is 2,000"),
        (("--wrong-marker", "x"), "--wrong-marker"),
    ],
)
def test_invalid_feedback_is_wrong_usage(run: Run, answer_id: str, options: tuple[str, ...], named: str) -> None:
    """The message says what is wrong, and nothing is stored."""
    code, out, err = run("feedback", answer_id, *options)
    assert (code, out) == (2, "")
    assert named in err
    with Library("indexes") as library:
        assert library.get_feedback(answer_id) is None


def test_unknown_answer_is_not_found(run: Run) -> None:
    """The exit code is 3, also without any ledger, and no file is created."""
    code, out, err = run("feedback", "ans_0", "--helpful")
    assert (code, out) == (3, "")
    assert "there is no answer 'ans_0'; answers are kept for 90 days" in err
    assert not Path("indexes").exists()
