"""The verbs `approve` and `verify-answers`: what they print, and their exit codes."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.interfaces.cli.approval_text import MAX_LISTED_QUESTIONS
from semsearch.interfaces.cli.main import main

Run = Callable[..., tuple[int, str, str]]
QUESTION = "How long is parental leave?"
LEAVE = "Parental leave is 26 weeks at full pay for each parent."


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `semsearch ...` in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        assert isinstance(exit_info.value.code, int)
        return exit_info.value.code, out, err

    return command


@pytest.fixture
def answer_ids(tmp_path: Path) -> list[str]:
    """The ids of more answers than a report lists, all from the document `leave.txt`."""
    with Library(tmp_path / "indexes") as library:
        collection = library.create("default")
        collection.upsert([text_source("leave.txt", LEAVE)])
        return [collection.ask(QUESTION).id for _ in range(MAX_LISTED_QUESTIONS + 2)]


def test_approved_answer_is_printed_with_its_date(run: Run, answer_ids: list[str]) -> None:
    """The verb takes the id itself; another text of the reviewer is printed with its places."""
    code, out, _ = run("approve", answer_ids[0])
    assert code == 0
    assert out.startswith(f"{answer_ids[0]} · approved · 20")
    assert out.endswith(f" · local · leave.txt\n  {QUESTION}\n")
    printed = run("ask", "how long is the parental leave")[1]
    assert printed.startswith(f"Best excerpt\n{LEAVE}\n\n[1] leave.txt, characters 0–55\n\nApproved on 20")
    run("--json", "approve", "--answer", "Half a year.", answer_ids[1])
    assert run("ask", QUESTION)[1].startswith("Half a year. [1]\n\n[1] leave.txt")
    assert run("approve", "remove", answer_ids[1]) == (0, f"removed {answer_ids[1]}\n", "")
    assert run("approve", "list")[1].startswith("no approved answers; approve one: ")
    code, _, err = run("approve", "remove", answer_ids[1])
    assert (code, err) == (3, f"semsearch: there is no approved answer '{answer_ids[1]}'\n")


def test_ingest_names_the_answers_that_it_breaks(run: Run, answer_ids: list[str], tmp_path: Path) -> None:
    """With --dry-run before it does; a long list is cut, and is whole in JSON."""
    for number, answer_id in enumerate(answer_ids):
        run("approve", answer_id, "--question", f"What is question {number}?")
    (tmp_path / "leave.txt").write_text(LEAVE.replace("26", "30"))
    for options, verb in ((["--dry-run"], "breaks"), ([], "broke")):
        code, out, _ = run("ingest", "leave.txt", *options)
        lines = out.splitlines()
        assert code == 0
        assert lines[1] == f"{verb} the evidence of {len(answer_ids)} approved answers:"
        assert lines[2:4] == ["  What is question 0?", "    leave.txt has lost: 26"]
        assert lines[-1] == "  and of 2 more: see --json"
    assert json.loads(run("ingest", "leave.txt", "--json")[1])["broken_answers"] == []


def test_verification_fails_with_the_lost_words(run: Run, answer_ids: list[str], tmp_path: Path) -> None:
    """Exit code 1 for CI; 0 while all stand."""
    run("approve", answer_ids[0])
    assert run("verify-answers") == (0, "1 approved answer: all stand\n", "")
    (tmp_path / "leave.txt").write_text(LEAVE.replace("full pay", "half of it"))
    broken = json.loads(run("ingest", "leave.txt", "--dry-run", "--json")[1])["broken_answers"]
    assert broken == [
        {
            "id": answer_ids[0],
            "question": QUESTION,
            "lost": [{"uri": "leave.txt", "quote": LEAVE, "reason": "edited", "lost_words": ["full", "pay"]}],
        }
    ]
    run("ingest", "leave.txt")
    code, out, err = run("verify-answers")
    assert (code, err) == (1, "")
    assert "    leave.txt has lost: full pay\n1 of 1 approved answer is stale\n" in out
    run("remove", "leave.txt")
    assert "leave.txt was removed" in run("verify-answers")[1]
    assert run("verify-answers", "-c", "none")[0] == 3


def test_text_of_an_approved_answer_is_printed_once(
    run: Run, answer_ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An excerpt if a chat model was set since, which is not called; and an answer of a model that is set no more."""
    run("approve", answer_ids[0])
    with Library(tmp_path / "indexes") as library:
        record, _ = library.get_answer(answer_ids[1])
        generated = replace(record.answer, id="ans_g", kind="generated", text="Half a year. [1]")
        library.ledger.record_answer(replace(record, answer=generated), None)
    run("approve", "ans_g", "--question", "How much leave?")
    for _ in range(2):
        for question, text in ((QUESTION, LEAVE), ("How much leave?", "Half a year. [1]")):
            out = run("ask", question)[1]
            assert out.partition("[1] leave.txt")[0].count(text) == 1
            assert "\n\nApproved on " in out or "\nApproved on " in out
        monkeypatch.setenv("SEMSEARCH_CHAT__MODEL", "m")
        monkeypatch.setenv("SEMSEARCH_CHAT__BASE_URL", "http://127.0.0.1:9/v1")
