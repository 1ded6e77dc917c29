"""`eval --compare`, `--budget` and `--history`, with a model server that counts its calls."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import support.upstream as double
from click.testing import CliRunner, Result

from semsearch.core.errors import BudgetError, InvalidError, NotFoundError
from semsearch.interfaces.cli.commands import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

DOCUMENTS = {
    "leave.md": "Parents take up to 26 weeks of leave. Ask the people team ahead.",
    "travel.md": "Take the train to the other office. A taxi needs a reason.",
    "alarms.md": "The alarm E-417 means that the pump is dry. It must cool before it starts again.",
}
QUESTIONS: list[dict[str, Any]] = [
    {"query": "How many weeks of leave do parents take?", "relevant": ["leave.md"], "answers": ["26 weeks"]},
    {"query": "What does the alarm E-417 mean?", "relevant": ["alarms.md"], "answers": ["the pump is dry"]},
    {"query": "What does a taxi need?", "relevant": ["travel.md"], "answers": ["a reason"]},
]
CONFIG = '[chat]\nmodel = "m"\nbase_url = "{url}"\n[prices.m]\ninput = 1.0\noutput = 1.0\n[prices.big]\ninput = 10.0\n'


def answer(messages: list[dict[str, str]]) -> str:
    """Return a cited sentence; with the prompt `wordy` also one that no passage supports."""
    text = double.cite_first_sentence(messages)
    return f"{text} Dragons live in the cellar." if "Write much." in messages[0]["content"] else text


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[double.Upstream]:
    """Run a model server; the working folder has a collection, judged questions, a prompt and a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (tmp_path / "docs" / name).write_text(text)
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    (tmp_path / "wordy.txt").write_text("version: wordy-2\n\nWrite much.\n")
    with double.run_upstream() as server:
        server.answer = answer
        (tmp_path / "c.toml").write_text(CONFIG.format(url=server.url))
        assert run("ingest", "docs").exit_code == 0
        yield server


def run(*arguments: str) -> Result:
    """Run the command; errors are raised."""
    return CliRunner().invoke(cli, [*arguments, "--config", "c.toml"], standalone_mode=False, catch_exceptions=False)


def compare(*arguments: str) -> Any:
    """Return the JSON of a comparison with answers."""
    return json.loads(run("eval", "q.jsonl", "--ask", "--json", *arguments).stdout)


def test_configurations_are_compared_in_one_interleaved_run(upstream: double.Upstream) -> None:
    """Each has measures, tokens, cost and latency; the differences are paired; the server sees them in turn."""
    wordy = "name=wordy,prompt_file=wordy.txt,model=big,temperature=0,k=1"
    result = compare("--compare", "default", "--compare", wordy)
    default, other = result["runs"]
    assert default["means"]["support"] == 1.0
    assert other["means"]["support"] == 0.5
    assert result["differences"]["wordy"]["support"] == {"mean": -0.5, "low": -0.5, "high": -0.5, "p": 0.0}
    assert result["differences"]["wordy"]["answer_usd"]["low"] > 0
    billed = [(path, inputs + outputs) for path, inputs, outputs in upstream.billed]
    assert sum(outcome["tokens"] for each in result["runs"] for outcome in each["outcomes"]) == sum(
        tokens for _, tokens in billed
    )
    assert result["spent_usd"] == pytest.approx(default["cost_usd"] + other["cost_usd"])
    assert [call.body["model"] for call in upstream.calls] == ["m", "big", "big", "m", "m", "big"]
    assert [call.body.get("temperature") for call in upstream.calls] == [None, 0, 0, None, None, 0]
    assert other["settings"]["prompt"].startswith("wordy-2@")
    assert default["settings"]["prompt"].startswith("default-3@")
    assert all(each["answer_costs"]["answer_p50_ms"] > 0 for each in result["runs"])


def test_table_names_test_and_configurations(upstream: double.Upstream) -> None:
    """The text has the columns, the differences with their test, and what each configuration was."""
    arguments = ("--compare", "default", "--compare", "name=none,model=none")
    text = run("eval", "q.jsonl", "--ask", *arguments).stdout
    header = text.splitlines()[0].split()
    assert header == ["measure", "default", "none"]
    assert "none minus default" in text
    assert "paired bootstrap, 10,000 resamples" in text
    assert "none: model=none, model extractive" in text
    assert "3 questions, each with every configuration; cost in all $0.00" in text
    assert len(upstream.calls) == len(QUESTIONS)


def test_budget_ends_the_run_before_it_is_exceeded(upstream: double.Upstream) -> None:
    """The measures are of the questions that every configuration has completed; the exit code is that of a budget."""
    arguments = ("--compare", "default", "--compare", "k=1")
    full = compare(*arguments)
    calls = len(upstream.calls)
    reserved_usd = max(count_reserved_tokens(call.body) for call in upstream.calls) / 1e6
    budget = 0.5 * full["spent_usd"] + reserved_usd
    result = run("eval", "q.jsonl", "--ask", *arguments, "--budget", str(budget), "--save", "run.json")
    saved = json.loads(Path("run.json").read_text())
    assert result.return_value == 6
    assert "stopped before a request that could have exceeded --budget" in result.stdout
    assert not saved["complete"]
    assert 0 < saved["spent_usd"] <= budget
    assert sum(each["cost_usd"] for each in saved["runs"]) == pytest.approx(saved["spent_usd"])
    sent = len(upstream.calls) - calls
    assert 2 <= sent < calls
    assert [len(each["outcomes"]) for each in saved["runs"]] == [sent // 2, sent // 2]


def test_budget_ends_a_single_run(upstream: double.Upstream) -> None:
    """What was measured is printed, and stderr says why the rest is missing."""
    run("eval", "q.jsonl", "--ask")
    budget = max(count_reserved_tokens(call.body) for call in upstream.calls) / 1e6
    result = run("eval", "q.jsonl", "--ask", "--budget", str(budget))
    assert result.return_value == 6
    assert "1 question; " in result.stdout
    assert "stopped before a request that could have exceeded --budget" in result.stderr


def count_reserved_tokens(body: dict[str, Any]) -> int:
    """Return the most tokens that a chat request may take: all bytes of the prompt, and all output."""
    return sum(len(message["content"].encode()) + 8 for message in body["messages"]) + int(body["max_tokens"])


def test_budget_below_the_first_request_spends_nothing(upstream: double.Upstream) -> None:
    """There is nothing to report, so it is an error; the same for a single run and for a model without a price."""
    for arguments in (("--compare", "default", "--compare", "k=1"), ()):
        with pytest.raises(BudgetError, match="this request alone could take"):
            run("eval", "q.jsonl", "--ask", *arguments, "--budget", "0.000001")
    with pytest.raises(BudgetError, match="the price of 'other' is unknown"):
        run("eval", "q.jsonl", "--ask", "--compare", "model=other", "--compare", "k=1", "--budget", "1")
    assert not upstream.calls


def test_history_has_every_run_and_is_drawn(upstream: double.Upstream) -> None:
    """Plain runs and comparisons of the same questions are in it; other questions have their own."""
    with pytest.raises(NotFoundError, match="there is no earlier run"):
        run("eval", "q.jsonl", "--history")
    run("eval", "q.jsonl")
    run("eval", "q.jsonl", "--ask", "--compare", "default", "--compare", "name=wordy,prompt_file=wordy.txt")
    run("eval", "q.jsonl", "--limit", "2")
    calls = len(upstream.calls)
    runs = json.loads(run("eval", "q.jsonl", "--history", "--json").stdout)["runs"]
    assert [each["name"] for each in runs] == ["default, hybrid", "default", "wordy"]
    assert runs[2]["settings"]["configuration"] == {"prompt_file": "wordy.txt"}
    assert runs[2]["settings"]["prompt"].startswith("wordy-2@")
    assert runs[2]["cost_usd"] > 0
    text = run("eval", "q.jsonl", "--history", "--chart", "runs.svg", "--measure", "support").stdout
    assert text.splitlines()[0].split()[:2] == ["date", "configuration"]
    svg = Path("runs.svg").read_text()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert ">wordy</text>" in svg
    assert len(upstream.calls) == calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--compare", "default", "--compare", "k=1"), "k=1: k matters for answers only; add --ask"),
        (
            ("--compare", "default", "--compare", "mode=dense", "--against-mode", "dense"),
            "--against-mode and --compare",
        ),
        (("--measure", "ndcg"), "--measure chooses what --chart draws"),
        (("--budget", "0"), "--budget is a number of US dollars above 0"),
        (("--budget", "nan"), "--budget is a number of US dollars above 0"),
    ],
)
def test_wrong_usage_is_explained(upstream: double.Upstream, arguments: tuple[str, ...], message: str) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidError, match=message):
        run("eval", "q.jsonl", *arguments)
    assert not upstream.calls
