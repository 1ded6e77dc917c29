"""The `eval` command: figures, comparisons, saved runs, pages and errors."""

import json
import sqlite3
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from semsearch.core.errors import InvalidError, NotFoundError, StorageError
from semsearch.evaluation.svg_charts import draw_bar_chart, draw_line_chart
from semsearch.interfaces.cli.commands import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with documents, a collection of them, and judged questions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (tmp_path / "docs" / name).write_text(text)
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    assert run("ingest", "docs").exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    """Run the command; errors are raised."""
    return CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)


def test_recommendations_are_measured(folder: Path) -> None:
    """With a table of all methods, or JSON that is also saved; other options are refused."""
    (folder / "r.jsonl").write_text(json.dumps({"positive": ["docs/leave.md"], "relevant": ["docs/travel.md"]}))
    table = run("eval", "--recommend", "r.jsonl", "-k", "1").stdout
    assert table.split("\n")[0].split() == ["method", "hit", "rate@1", "MRR@1", "diversity", "coverage"]
    assert "nearest to mean" in table
    report = json.loads(run("eval", "--recommend", "r.jsonl", "--json", "--save", "run.json").stdout)
    assert report == json.loads((folder / "run.json").read_text())
    assert report["methods"]["average"]["hit_rate"] == 1.0
    for wrong in (["--recommend", "r.jsonl", "q.jsonl"], [], ["--recommend", "r.jsonl", "--ask"]):
        with pytest.raises(UsageError):
            run("eval", *wrong)


def test_the_figures_are_printed(folder: Path) -> None:
    """The output has rankings, answers, citations, refusals and latency."""
    report = json.loads(run("eval", "q.jsonl", "--ask", "--json").stdout)
    assert report["means"]["ndcg"] == report["means"]["recall"] == 1.0
    assert report["means"]["citation_precision"] == report["means"]["citation_recall"] == 1.0
    assert report["means"]["answer"] == 1.0
    assert report["means"]["refusal_precision"] == report["means"]["refusal_recall"] == 1.0
    assert report["latency"]["p50_ms"] > 0
    assert report["cost_usd"] == 0
    assert len(report["outcomes"]) == len(QUESTIONS)
    text = run("eval", "q.jsonl", "--ask").stdout
    assert "nDCG@10" in text
    assert "citation recall" in text


def test_a_regression_against_a_saved_run_exits_with_1(folder: Path) -> None:
    """A regression is a significant drop of a measure by more than the tolerance; without one the exit code is 0."""
    assert run("eval", "q.jsonl", "--save", "good.json").return_value == 0
    assert run("eval", "q.jsonl", "--baseline", "good.json").return_value == 0
    run("remove", *(f"docs/{name}" for name in DOCUMENTS))
    worse = run("eval", "q.jsonl", "--baseline", "good.json")
    assert worse.return_value == 1
    assert "significantly worse than the saved run: nDCG@10, MRR@10, recall@10" in worse.stdout
    assert json.loads(run("eval", "q.jsonl", "--baseline", "good.json", "--json").stdout)["regressed"] == [
        "ndcg",
        "mrr",
        "recall",
    ]
    assert run("eval", "q.jsonl", "--baseline", "good.json", "--tolerance", "1").return_value == 0


def test_a_measure_of_one_run_only_is_an_empty_cell(folder: Path) -> None:
    """A measure that the other run lacks is an empty cell in the table, and has no bar on the page."""
    run("eval", "q.jsonl", "--save", "rankings.json")
    result = run("eval", "q.jsonl", "--ask", "--baseline", "rankings.json", "--html", "page.html")
    assert result.return_value == 0
    assert "refusal recall                1.0000\n" in result.stdout
    page = (folder / "page.html").read_text()
    assert ">0</text>" not in page
    run("eval", "q.jsonl", "--ask", "--save", "answers.json")
    text = run("eval", "q.jsonl", "--baseline", "answers.json").stdout
    assert [line.split() for line in text.splitlines() if line.startswith("refusal recall")] == [
        ["refusal", "recall", "1.0000"]
    ]


def test_refusal_precision_of_a_collection_without_refusals_is_empty(folder: Path) -> None:
    """If only one of two collections refuses a question, only that one has a refusal precision."""
    (folder / "docs" / "painter.md").write_text("Leonardo painted the Mona Lisa.")
    run("ingest", "docs", "-c", "more")
    for arguments in (("--against", "more"), ("-c", "more", "--against", "default")):
        result = run("eval", "q.jsonl", "--ask", *arguments)
        (line,) = [line for line in result.stdout.splitlines() if line.startswith("refusal precision")]
        assert line.split() == ["refusal", "precision", "1.0000"]


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        (("--baseline", "good.json"), ("default, hybrid", "default, hybrid, good.json")),
        (("--against", "default"), ("default, hybrid", "default, hybrid, again")),
        (("--against-mode", "dense"), ("default, hybrid", "default, dense")),
    ],
)
def test_two_runs_have_different_titles(folder: Path, arguments: tuple[str, ...], titles: tuple[str, str]) -> None:
    """Two runs of the same collection and mode have different titles, in the table and in the legends."""
    run("eval", "q.jsonl", "--save", "good.json")
    result = run("eval", "q.jsonl", *arguments, "--html", "page.html")
    page = (folder / "page.html").read_text()
    for title in titles:
        assert page.count(f">{title}</text>") == 2
        assert title in result.stdout.splitlines()[0]


def test_runs_are_compared_over_their_common_questions(folder: Path) -> None:
    """Questions are paired by id and text, not by position; the report states their number if some have no pair."""
    run("eval", "q.jsonl", "--save", "good.json")
    new_question = {"query": "Does a taxi need a reason?", "relevant": ["leave.md"]}
    (folder / "more.jsonl").write_text("\n".join(map(json.dumps, [new_question, *QUESTIONS])))
    result = run("eval", "more.jsonl", "--baseline", "good.json")
    assert result.return_value == 0
    assert "compared over the 4 questions that both runs have" in result.stdout
    assert "compared over" not in run("eval", "q.jsonl", "--baseline", "good.json").stdout
    report = json.loads(run("eval", "more.jsonl", "--baseline", "good.json", "--json").stdout)
    assert {difference["mean"] for difference in report["differences"].values()} == {0.0}
    assert report["compared"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("q.jsonl", "-k", "3"), r"good\.json was measured with -k 10, not 3: use -k 10, or save a run with -k 3"),
        (
            ("other.jsonl",),
            r"good\.json and other\.jsonl have no question in common, by id and text: save a run of other\.jsonl",
        ),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """Another k and other questions are errors before the first search, because a run may cost money."""
    run("eval", "q.jsonl", "--save", "good.json")
    (folder / "other.jsonl").write_text(json.dumps({"query": "leave", "relevant": ["leave.md"]}))
    monkeypatch.delattr("semsearch.collection.searches.SearchOperations.search")
    with pytest.raises(InvalidError, match=message):
        run("eval", *arguments, "--baseline", "good.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "not a saved run"),
        ('{"outcomes": 1}', "good.json: another version"),
        ('{"format": 2, "outcomes": [1]}', "not a saved run"),
        ('{"format": 2, "outcomes": [], "name": "x", "settings": 1, "cost_usd": null}', "not a saved run"),
        ("[" * 100_000, "not a saved run"),
    ],
)
def test_a_file_that_is_not_a_saved_run_is_named(folder: Path, text: str, message: str) -> None:
    """No JSON content of the file leads to another error."""
    (folder / "good.json").write_text(text)
    with pytest.raises(InvalidError, match=message):
        run("eval", "q.jsonl", "--baseline", "good.json")


def test_answers_instead_of_refusals_are_a_regression(folder: Path) -> None:
    """With --ask the shares of answers and refusals are compared too, not only the rankings."""
    unanswerable = [
        f"Who painted the {name}?" for name in ("Mona Lisa", "Night Watch", "Guernica", "Scream", "Sunflowers")
    ]
    lines = [json.dumps({"query": query, "answerable": False}) for query in unanswerable]
    (folder / "unknown.jsonl").write_text("\n".join(lines))
    run("eval", "unknown.jsonl", "--ask", "--save", "good.json")
    painters = ("Leonardo", "Rembrandt", "Picasso", "Munch", "Van Gogh")
    for query, painter in zip(unanswerable, painters, strict=True):
        name = query.removeprefix("Who painted the ").rstrip("?")
        (folder / "docs" / f"{painter}.md").write_text(f"{painter} painted the {name} in his house.")
    run("ingest", "docs")
    worse = run("eval", "unknown.jsonl", "--ask", "--baseline", "good.json")
    assert worse.return_value == 1
    assert "significantly worse than the saved run: refusal recall" in worse.stdout


def test_a_follow_up_is_asked_with_its_history(folder: Path) -> None:
    """The answer uses the questions before it; the session is deleted afterwards."""
    follow_up = {"query": "How long is it?", "answers": ["26 weeks"], "history": ["May parents take leave?"]}
    for name, question in (("with", follow_up), ("without", {**follow_up, "history": []})):
        (folder / f"{name}.jsonl").write_text(json.dumps(question))
    with_history = json.loads(run("eval", "with.jsonl", "--ask", "--json").stdout)
    without_history = json.loads(run("eval", "without.jsonl", "--ask", "--json").stdout)
    assert with_history["means"]["answer"] == 1.0
    assert without_history["means"]["answer"] == 0.0
    with sqlite3.connect(folder / "indexes" / "ledger.db") as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)


def test_two_modes_are_compared(folder: Path) -> None:
    """The JSON has the difference with its interval; the page has every question and no script or link."""
    result = run("eval", "q.jsonl", "--mode", "lexical", "--against-mode", "dense", "--html", "page.html", "--json")
    assert set(json.loads(result.stdout)["differences"]["ndcg"]) == {"mean", "low", "high", "p"}
    page = (folder / "page.html").read_text()
    assert all(question["query"] in page for question in QUESTIONS)
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_page_escapes_questions(folder: Path) -> None:
    """Markup in a question is text on the page."""
    question = {"id": "<b>", "query": "<script>alert(1)</script> leave", "relevant": ["leave.md"]}
    (folder / "evil.jsonl").write_text(json.dumps(question))
    run("eval", "evil.jsonl", "--html", "page.html")
    page = (folder / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_missing_judged_documents_are_named(folder: Path) -> None:
    """They count as not retrieved, and stderr names them."""
    (folder / "more.jsonl").write_text(json.dumps({"query": "leave", "relevant": ["leave.md", "gone.md"]}))
    result = run("eval", "more.jsonl", "--json")
    assert "1 judged documents are not in default, such as gone.md" in result.stderr
    assert "semsearch documents -c default lists the names" in result.stderr
    assert json.loads(result.stdout)["means"]["recall"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bare.jsonl",), "no question has a judgement"),
        (("answers.jsonl",), r"answers\.jsonl: answers and refusals are measured with --ask only; rankings need --qre"),
        (("q.jsonl", "--tolerance", "0.1"), "--tolerance needs --baseline"),
        (("q.jsonl", "--baseline", "q.jsonl", "--tolerance", "nan"), "--tolerance must be between 0 and 1, not nan"),
        (("q.jsonl", "--baseline", "q.jsonl", "--tolerance", "-1"), "--tolerance must be between 0 and 1, not -1"),
        (("q.jsonl", "--baseline", "q.jsonl"), "not a saved run"),
        (("q.jsonl", "--baseline", "q.jsonl", "--against-mode", "dense"), "one at a time"),
        (("q.jsonl", "-k", "2000"), "k is between 1 and 100, not 2000: a search ranks 1000 chunks"),
        (("q.jsonl", "-k", "101"), "k is between 1 and 100, not 101"),
        (("q.jsonl", "-k", "0"), "k is between 1 and 100, not 0"),
    ],
)
def test_wrong_usage_is_explained(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    """Each error states the remedy."""
    (folder / "bare.jsonl").write_text(json.dumps({"query": "leave"}))
    (folder / "answers.jsonl").write_text(json.dumps({"query": "How long is leave?", "answers": ["26 weeks"]}))
    with pytest.raises(InvalidError, match=message):
        run("eval", *arguments)


@pytest.mark.parametrize(
    "arguments", [("none.jsonl",), ("q.jsonl", "--qrels", "none"), ("q.jsonl", "--baseline", "none")]
)
def test_a_missing_file_is_not_found(folder: Path, arguments: tuple[str, ...]) -> None:
    """The message is the same for questions, judgements and saved runs."""
    with pytest.raises(NotFoundError, match=r"there is no .*none"):
        run("eval", *arguments)


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_a_path_that_cannot_be_written_is_an_error_before_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """After the run the result, which may have cost money, would be lost."""
    monkeypatch.delattr("semsearch.collection.searches.SearchOperations.search")
    with pytest.raises(StorageError, match=r"nowhere/run cannot be written: there is no folder .*nowhere"):
        run("eval", "q.jsonl", option, "nowhere/run")


def test_the_figures_are_printed_if_the_run_cannot_be_saved(folder: Path) -> None:
    """A disk that fills up during the run does not lose the figures."""
    result = CliRunner().invoke(cli, ["eval", "q.jsonl", "--save", "/dev/full"], standalone_mode=False)
    assert "nDCG@10    1.0000" in result.stdout
    assert isinstance(result.exception, StorageError)
    assert "No space left" in str(result.exception)


def test_charts_are_well_formed() -> None:
    """Charts are valid XML for any labels and numbers, with logarithmic axes and with single points."""
    for chart in (
        draw_bar_chart("a < b", {"x & y": [1.0, 0.0], "z": [0.5, 2.0]}, ["one", "<two>"]),
        draw_bar_chart("nothing", {}, []),
        draw_line_chart(
            "growth", {"a": [(1e3, 0.1), (1e6, 3.0)], "b": [(1e3, 5.0)]}, ("rows", "ms"), log_axes=(True, True)
        ),
    ):
        assert ElementTree.fromstring(chart).tag.endswith("svg")
