"""`semsearch eval` as its users type it."""

import json
import sqlite3
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from semsearch.core.errors import InvalidError, NotFoundError, StorageError
from semsearch.evaluation.svg_charts import draw_bar_chart, draw_line_chart
from semsearch.interfaces.cli.commands import cli

pytestmark = pytest.mark.slow

DOCUMENTS = {
    "leave.md": "Parents take up to 26 weeks of leave. Ask the people team ahead.",
    "travel.md": "Take the train. A taxi needs a reason.",
    "alarms.md": "The alarm E-417 means that the pump is dry. It must cool before it starts again.",
}
QUESTIONS: list[dict[str, Any]] = [
    {"query": "How long is parental leave?", "relevant": ["leave.md"], "answers": ["26 weeks"]},
    {"query": "What does the alarm E-417 mean?", "relevant": ["alarms"], "answers": ["the pump is dry"]},
    {"query": "May I take a taxi?", "relevant": {"travel.md": 2}},
    {"query": "Who painted the Mona Lisa?", "answerable": False},
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with documents, a collection of them, and judged questions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (tmp_path / "docs" / name).write_text(text)
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    assert run("ingest", "docs").exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    """The command, with its errors as they are."""
    return CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)


def test_the_figures_are_printed(here: Path) -> None:
    """Rankings, answers, citations and refusals, with the time that a question takes."""
    done = run("eval", "q.jsonl", "--ask", "--json")
    found = json.loads(done.stdout)
    assert found["means"]["ndcg"] == found["means"]["recall"] == 1.0
    assert found["means"]["citation_precision"] == found["means"]["citation_recall"] == 1.0
    assert found["means"]["answer"] == 1.0
    assert found["means"]["refusal_precision"] == found["means"]["refusal_recall"] == 1.0
    assert found["latency"]["p50_ms"] > 0
    assert found["cost_usd"] == 0
    assert len(found["outcomes"]) == len(QUESTIONS)
    text = run("eval", "q.jsonl", "--ask").stdout
    assert "nDCG@10" in text
    assert "citation recall" in text


def test_a_saved_run_catches_what_became_worse(here: Path) -> None:
    """The exit code is 1 when a measure fell by more than the tolerance and not by chance, else 0."""
    assert run("eval", "q.jsonl", "--save", "good.json").return_value == 0
    assert run("eval", "q.jsonl", "--baseline", "good.json").return_value == 0
    run("remove", *(f"docs/{name}" for name in DOCUMENTS))
    worse = run("eval", "q.jsonl", "--baseline", "good.json")
    assert worse.return_value == 1
    assert "worse than the saved run, and not by chance: nDCG@10, MRR@10, recall@10" in worse.stdout
    assert run("eval", "q.jsonl", "--baseline", "good.json", "--tolerance", "1").return_value == 0


def test_what_only_one_run_has_measured_is_left_empty(here: Path) -> None:
    """A measure that the other lacks is an empty cell in the table, and no bar on the page."""
    run("eval", "q.jsonl", "--save", "rankings.json")
    done = run("eval", "q.jsonl", "--ask", "--baseline", "rankings.json", "--html", "page.html")
    assert done.return_value == 0
    assert "refusal recall                1.0000\n" in done.stdout
    page = (here / "page.html").read_text()
    assert ">0</text>" not in page
    run("eval", "q.jsonl", "--ask", "--save", "answers.json")
    text = run("eval", "q.jsonl", "--baseline", "answers.json").stdout
    assert [line.split() for line in text.splitlines() if line.startswith("refusal recall")] == [
        ["refusal", "recall", "1.0000"]
    ]


def test_a_collection_that_refuses_nothing_beside_one_that_does(here: Path) -> None:
    """Where only one of two refuses, precision of refusals is that one's alone."""
    (here / "docs" / "painter.md").write_text("Leonardo painted the Mona Lisa.")
    run("ingest", "docs", "-c", "more")
    for arguments in (("--against", "more"), ("-c", "more", "--against", "default")):
        done = run("eval", "q.jsonl", "--ask", *arguments)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("refusal precision")]
        assert line.split() == ["refusal", "precision", "1.0000"]


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        (("--baseline", "good.json"), ("default, hybrid", "default, hybrid, good.json")),
        (("--against", "default"), ("default, hybrid", "default, hybrid, again")),
        (("--against-mode", "dense"), ("default, hybrid", "default, dense")),
    ],
)
def test_both_runs_can_be_told_apart(here: Path, arguments: tuple[str, ...], titles: tuple[str, str]) -> None:
    """Two runs of one name have two titles, in the table and in the legends."""
    run("eval", "q.jsonl", "--save", "good.json")
    done = run("eval", "q.jsonl", *arguments, "--html", "page.html")
    page = (here / "page.html").read_text()
    for title in titles:
        assert page.count(f">{title}</text>") == 2
        assert title in done.stdout.splitlines()[0]


def test_a_line_more_changes_no_pair(here: Path) -> None:
    """Questions are compared with themselves wherever they stand, and it is said how many are."""
    run("eval", "q.jsonl", "--save", "good.json")
    new = {"query": "Does a taxi need a reason?", "relevant": ["leave.md"]}
    (here / "more.jsonl").write_text("\n".join(map(json.dumps, [new, *QUESTIONS])))
    done = run("eval", "more.jsonl", "--baseline", "good.json")
    assert done.return_value == 0
    assert "compared over the 4 questions that both runs have" in done.stdout
    assert "compared over" not in run("eval", "q.jsonl", "--baseline", "good.json").stdout
    found = json.loads(run("eval", "more.jsonl", "--baseline", "good.json", "--json").stdout)
    assert {each["mean"] for each in found["differences"].values()} == {0.0}
    assert found["compared"] == 4


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("q.jsonl", "-k", "3"), r"good\.json was measured with -k 10, not 3: take the same, or save a run with -k 3"),
        (
            ("other.jsonl",),
            r"good\.json and other\.jsonl have no question in common, by id and text: save a run of other\.jsonl",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    """Another k and other questions are said before anything is asked, which may cost money."""
    run("eval", "q.jsonl", "--save", "good.json")
    (here / "other.jsonl").write_text(json.dumps({"query": "leave", "relevant": ["leave.md"]}))
    monkeypatch.delattr("semsearch.collection.Collection.search")
    with pytest.raises(InvalidError, match=why):
        run("eval", *arguments, "--baseline", "good.json")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "no saved run"),
        ('{"outcomes": 1}', "good.json: another version"),
        ('{"format": 2, "outcomes": [1]}', "no saved run"),
        ('{"format": 2, "outcomes": [], "name": "x", "settings": 1, "cost_usd": null}', "no saved run"),
        ("[" * 100_000, "no saved run"),
    ],
)
def test_what_is_no_saved_run_is_named(here: Path, text: str, why: str) -> None:
    """Whatever JSON stands in the file."""
    (here / "good.json").write_text(text)
    with pytest.raises(InvalidError, match=why):
        run("eval", "q.jsonl", "--baseline", "good.json")


def test_answers_that_should_have_been_refusals_are_caught(here: Path) -> None:
    """With --ask the shares are compared too, not only the rankings."""
    unknown = [f"Who painted the {name}?" for name in ("Mona Lisa", "Night Watch", "Guernica", "Scream", "Sunflowers")]
    lines = [json.dumps({"query": query, "answerable": False}) for query in unknown]
    (here / "unknown.jsonl").write_text("\n".join(lines))
    run("eval", "unknown.jsonl", "--ask", "--save", "good.json")
    painters = ("Leonardo", "Rembrandt", "Picasso", "Munch", "Van Gogh")
    for query, painter in zip(unknown, painters, strict=True):
        name = query.removeprefix("Who painted the ").rstrip("?")
        (here / "docs" / f"{painter}.md").write_text(f"{painter} painted the {name} in his house.")
    run("ingest", "docs")
    worse = run("eval", "unknown.jsonl", "--ask", "--baseline", "good.json")
    assert worse.return_value == 1
    assert "worse than the saved run, and not by chance: refusal recall" in worse.stdout


def test_a_follow_up_is_asked_in_its_conversation(here: Path) -> None:
    """What an answer needs of the questions before it is there, and the conversation is forgotten again."""
    asked = {"query": "How long is it?", "answers": ["26 weeks"], "history": ["May parents take leave?"]}
    for name, question in (("follow", asked), ("alone", {**asked, "history": []})):
        (here / f"{name}.jsonl").write_text(json.dumps(question))
    found = {name: json.loads(run("eval", f"{name}.jsonl", "--ask", "--json").stdout) for name in ("follow", "alone")}
    assert found["follow"]["means"]["answer"] == 1.0
    assert found["alone"]["means"]["answer"] == 0.0
    with sqlite3.connect(here / "indexes" / "ledger.db") as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)


def test_two_modes_side_by_side(here: Path) -> None:
    """A comparison has the difference with its interval, and the page shows both, with every question."""
    done = run("eval", "q.jsonl", "--mode", "lexical", "--against-mode", "dense", "--html", "page.html", "--json")
    found = json.loads(done.stdout)
    assert set(found["differences"]["ndcg"]) == {"mean", "low", "high", "p"}
    page = (here / "page.html").read_text()
    assert all(question["query"] in page for question in QUESTIONS)
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_question_cannot_write_the_page(here: Path) -> None:
    """What stands in questions is text there."""
    question = {"id": "<b>", "query": "<script>alert(1)</script> leave", "relevant": ["leave.md"]}
    (here / "evil.jsonl").write_text(json.dumps(question))
    run("eval", "evil.jsonl", "--html", "page.html")
    page = (here / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_judged_documents_that_are_missing_are_named(here: Path) -> None:
    """They count as not found, and are said."""
    (here / "more.jsonl").write_text(json.dumps({"query": "leave", "relevant": ["leave.md", "gone.md"]}))
    done = run("eval", "more.jsonl", "--json")
    assert "1 judged documents are not in default, such as gone.md" in done.stderr
    assert "semsearch documents -c default has the names" in done.stderr
    assert json.loads(done.stdout)["means"]["recall"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("bare.jsonl",), "nothing is known to be right"),
        (("answers.jsonl",), r"answers\.jsonl: answers and refusals are measured with --ask; rankings need --qrels"),
        (("q.jsonl", "--tolerance", "0.1"), "--tolerance says what --baseline catches"),
        (("q.jsonl", "--baseline", "q.jsonl", "--tolerance", "nan"), "--tolerance is between 0 and 1, not nan"),
        (("q.jsonl", "--baseline", "q.jsonl", "--tolerance", "-1"), "--tolerance is between 0 and 1, not -1"),
        (("q.jsonl", "--baseline", "q.jsonl"), "no saved run"),
        (("q.jsonl", "--baseline", "q.jsonl", "--against-mode", "dense"), "one at a time"),
        (("q.jsonl", "-k", "2000"), "k is between 1 and 100, not 2000: a search ranks 1000 chunks"),
        (("q.jsonl", "-k", "101"), "k is between 1 and 100, not 101"),
        (("q.jsonl", "-k", "0"), "k is between 1 and 100, not 0"),
    ],
)
def test_wrong_use_is_explained(here: Path, arguments: tuple[str, ...], why: str) -> None:
    """Each error says what is missing."""
    (here / "bare.jsonl").write_text(json.dumps({"query": "leave"}))
    (here / "answers.jsonl").write_text(json.dumps({"query": "How long is leave?", "answers": ["26 weeks"]}))
    with pytest.raises(InvalidError, match=why):
        run("eval", *arguments)


@pytest.mark.parametrize(
    "arguments", [("none.jsonl",), ("q.jsonl", "--qrels", "none"), ("q.jsonl", "--baseline", "none")]
)
def test_a_file_that_is_not_there_is_not_found(here: Path, arguments: tuple[str, ...]) -> None:
    """Whichever it is, it is named in the same way."""
    with pytest.raises(NotFoundError, match=r"there is no .*none"):
        run("eval", *arguments)


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_a_place_for_no_file_is_said_before_anything_is_asked(
    here: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """What was paid for would be lost."""
    monkeypatch.delattr("semsearch.collection.Collection.search")
    with pytest.raises(StorageError, match=r"nowhere/run cannot be written: there is no folder .*nowhere"):
        run("eval", "q.jsonl", option, "nowhere/run")


def test_what_cannot_be_kept_is_shown(here: Path) -> None:
    """A disk that fills up meanwhile does not take the figures with it."""
    done = CliRunner().invoke(cli, ["eval", "q.jsonl", "--save", "/dev/full"], standalone_mode=False)
    assert "nDCG@10    1.0000" in done.stdout
    assert isinstance(done.exception, StorageError)
    assert "No space left" in str(done.exception)


def test_charts_are_well_formed() -> None:
    """They are XML whatever the labels and numbers, logarithmic axes and single points included."""
    for chart in (
        draw_bar_chart("a < b", {"x & y": [1.0, 0.0], "z": [0.5, 2.0]}, ["one", "<two>"]),
        draw_bar_chart("nothing", {}, []),
        draw_line_chart(
            "growth", {"a": [(1e3, 0.1), (1e6, 3.0)], "b": [(1e3, 5.0)]}, ("rows", "ms"), log_axes=(True, True)
        ),
    ):
        assert ElementTree.fromstring(chart).tag.endswith("svg")
