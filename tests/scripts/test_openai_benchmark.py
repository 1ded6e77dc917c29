"""`scripts/bench openai`, against the model server of the tests only: no figures of a real server are known."""

import json
from pathlib import Path

import pytest
import support.upstream as double
from benchmarks import openai_answers

from semsearch.core.errors import BudgetError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import Price

pytestmark = pytest.mark.slow

PARAGRAPHS = {
    "Lamp#0": "The lamp of the tower is lit at dusk. It burns two litres of oil each night.",
    "Ferry#0": "The ferry leaves the island at nine. A ticket costs four crowns.",
    "Pump#0": "The pump is checked every spring. Two people sign the record of the check.",
}
QUESTIONS = [
    ("q1", "When is the lamp of the tower lit?", "at dusk", "Lamp#0"),
    ("q2", "When does the ferry leave the island?", "nine", "Ferry#0"),
    ("q3", "When is the pump checked?", "every spring", "Pump#0"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a judged collection in the layout of squad2_a."""
    folder = tmp_path / openai_answers.COLLECTION
    folder.mkdir()
    write_lines(folder / "corpus.jsonl", [{"id": name, "text": text} for name, text in PARAGRAPHS.items()])
    write_lines(folder / "queries.jsonl", [{"id": i, "text": q, "answers": [a]} for i, q, a, _ in QUESTIONS])
    (folder / "qrels.tsv").write_text("".join(f"{i}\t{document}\t1\n" for i, _, _, document in QUESTIONS))
    unanswerable = ["Who painted the ferry of the island?", "Which galaxy is nearest?", "Who won the cup in 1998?"]
    write_lines(folder / "unanswerable.jsonl", [{"id": f"u{n}", "text": text} for n, text in enumerate(unanswerable)])
    return tmp_path


def write_lines(path: Path, entries: list[dict[str, object]]) -> None:
    """Write a JSON Lines file."""
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))


def make_settings(url: str) -> Settings:
    """Return the settings of a chat model that costs a dollar per million tokens."""
    return Settings(
        chat=Endpoint(url, Secret(double.KEY)),
        chat_model="org/m-1",
        prices=(Price("org/m-1", "2020-01-01", 1.0, 1.0),),
    )


def answer(messages: list[dict[str, str]]) -> str:
    """Return a citation, or no answer for the questions without one."""
    question = messages[-1]["content"].splitlines()[0]
    return double.cite_first_sentence(messages) if "When" in question else "NO_ANSWER"


def test_result_has_date_measures_and_cost(data: Path) -> None:
    """The page has all measures of answers, and no key."""
    with double.run_upstream() as upstream:
        upstream.answer = answer
        path = openai_answers.measure_server(data, settings=make_settings(upstream.url), folder=data / "docs")
        calls = len(upstream.calls)
    text = path.read_text()
    summary = json.loads(text.rpartition("```json")[2].partition("```")[0])
    assert path.name == f"openai-{summary['date']}-org-m-1.md"
    assert summary["measures"]["citation_precision"] == summary["measures"]["citation_recall"] == 1.0
    assert summary["measures"]["support"] == summary["measures"]["answer"] == 1.0
    assert summary["measures"]["refusal_recall"] == summary["measures"]["refusal_precision"] == 1.0
    assert 3 <= calls <= 6
    assert "6 of 6 questions" in text
    assert "of a budget of $1" in text
    assert double.KEY not in text


def test_budget_ends_the_measurement(data: Path) -> None:
    """A budget that allows no request is an error; no page is written."""
    with double.run_upstream() as upstream, pytest.raises(BudgetError):
        openai_answers.measure_server(data, budget=0.000001, settings=make_settings(upstream.url), folder=data / "docs")
    assert not upstream.calls
    assert not (data / "docs").exists()


def test_without_a_chat_model_the_remedy_is_named(data: Path) -> None:
    """Nothing is measured without a server."""
    with pytest.raises(openai_answers.NoModelError, match="SEMSEARCH_CHAT__MODEL"):
        openai_answers.measure_server(data, settings=Settings())
