"""Metrics of a run, comparison of two runs, and runs as JSON."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.webhook_receiver import write_secret

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import BudgetError, InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.answer_requests import AnswerRequest, GenerationOptions
from semsearch.core.types.answers import Answer
from semsearch.evaluation.datasets import JudgedQuery
from semsearch.evaluation.metrics import Ratio
from semsearch.evaluation.runner import (
    EvaluationRun,
    QuestionResult,
    Variant,
    compare_costs,
    compare_runs,
    evaluate,
    evaluate_variants,
    find_regressions,
    run_from_json,
    run_to_json,
)


def make_run(*results: QuestionResult) -> EvaluationRun:
    """Return a run with these results."""
    return EvaluationRun("book", {"k": 10, "mode": "hybrid", "ask": True}, results, None)


def make_result(
    number: int, scores: dict[str, float] | None = None, counts: dict[str, Ratio] | None = None, query: str = "?"
) -> QuestionResult:
    """Return the result of one question."""
    return QuestionResult(f"q{number}", f"{query} {number}", scores or {}, counts or {}, ("a.md",), 1.0, 1.0)


def test_shares_are_computed_over_all_questions() -> None:
    """Four citations of one question count four times; a ratio without cases has no share."""
    run = make_run(
        make_result(1, {"ndcg": 1.0}, {"citation_precision": Ratio(4, 4), "refusal_recall": Ratio(0, 0)}),
        make_result(2, {"ndcg": 0.5}, {"citation_precision": Ratio(0, 1)}),
        make_result(3),
    )
    assert run.compute_means() == {"ndcg": 0.75, "citation_precision": 0.8}


@pytest.mark.parametrize("name", ["citation_precision", "citation_recall", "refusal_precision", "refusal_recall"])
def test_regression_of_a_share_is_detected(name: str) -> None:
    """A share that is lower for every question is a regression; one lower for a single question may be chance."""
    good = make_run(*(make_result(n, counts={name: Ratio(2, 2)}) for n in range(20)))
    worse = make_run(*(make_result(n, counts={name: Ratio(1, 2)}) for n in range(20)))
    worse_once = make_run(
        *(make_result(n, counts={name: Ratio(int(n > 0), 2) + Ratio(int(n > 0), 0)}) for n in range(20))
    )
    assert find_regressions(compare_runs(worse, good), 0.01) == [name]
    assert compare_runs(worse, good)[name].mean == -0.5
    assert (
        find_regressions(compare_runs(worse_once, good), 0.01)
        == find_regressions(compare_runs(good, worse), 0.01)
        == []
    )


def test_only_questions_of_both_runs_are_compared() -> None:
    """A different question with the same id is not compared, nor is one that the other run lacks."""
    run = make_run(make_result(1, {"mrr": 1.0}), make_result(2, {"mrr": 0.0}), make_result(3, {"mrr": 0.0}))
    other = make_run(make_result(1, {"mrr": 0.5}), make_result(2, {"mrr": 1.0}, query="another"))
    assert compare_runs(run, other)["mrr"].mean == 0.5


def test_run_survives_json() -> None:
    """A restored run has the same scores and counts by question."""
    run = make_run(make_result(1, {"ndcg": 0.5}, {"citation_recall": Ratio(1, 2)}), make_result(2))
    assert run_from_json(json.loads(json.dumps(run_to_json(run)))) == run


def test_saved_run_of_an_earlier_format_is_refused() -> None:
    """It lacks the counts by question."""
    value = run_to_json(make_run(make_result(1)))
    del value["format"]
    with pytest.raises(InvalidError, match=r"another version of semsearch .* save a new run"):
        run_from_json(value)


@pytest.mark.parametrize(
    ("milliseconds", "median", "percentile_95"),
    [
        (range(100, 0, -1), 50.5, 96.0),
        (range(20), 9.5, 19.0),
        ([7.0], 7.0, 7.0),
        ([1.0, 9.0], 5.0, 9.0),
    ],
)
def test_latency(milliseconds: list[float], median: float, percentile_95: float) -> None:
    """The latency has median, 95th percentile and mean CPU time, for questions in any order."""
    results = (QuestionResult(str(n), "q", {}, {}, (), wall, wall / 2) for n, wall in enumerate(milliseconds))
    latency = make_run(*results).compute_latency()
    assert (latency["p50_ms"], latency["p95_ms"]) == (median, percentile_95)
    assert latency["cpu_ms"] == pytest.approx(sum(milliseconds) / len(milliseconds) / 2)


def test_excerpts_are_answers_and_passages_are_refusals(tmp_path: Path) -> None:
    """Of an excerpt the best sentence counts as the main one, and a copy is a correct citation, however long."""
    text = "Sheep graze around the tower. Parental leave is 26 weeks at full pay. It rains often and the tide is high."
    judged = [
        JudgedQuery("1", "How long is parental leave?", {"a.txt": 1}, answers=("26 weeks",)),
        JudgedQuery("2", "Where do the sheep graze around?", {"a.txt": 1}, answers=("26 weeks",)),
        JudgedQuery("3", "Which galaxy is nearest?", {}, answerable=False),
    ]
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("book")
        collection.upsert([text_source("a.txt", text)])
        outcomes = evaluate(collection, judged, ask=True).outcomes
    leave, sheep, galaxy = outcomes
    assert (leave.scores["answer"], leave.scores["answer_first"]) == (1.0, 1.0)
    assert (sheep.scores["answer"], sheep.scores["answer_first"]) == (1.0, 0.0)
    for outcome in (leave, sheep):
        assert outcome.counts == {"citation_precision": Ratio(1, 1), "citation_recall": Ratio(1, 1)}
    assert galaxy.counts == {"refusal_precision": Ratio(1, 1), "refusal_recall": Ratio(1, 1)}


def test_questions_of_an_evaluation_are_not_recorded_or_escalated(tmp_path: Path) -> None:
    """Reports and training data have no test questions, and no person is told of them; follow-ups have a history."""
    write_secret(tmp_path)
    config = tmp_path / "desk.toml"
    config.write_text(
        '[profiles.desk]\non_no_answer = "escalate"\nwebhook_url = "http://127.0.0.1:1/"\n'
        'webhook_secret_file = "webhook.secret"\n'
    )
    judged = [
        JudgedQuery("1", "Who painted the Mona Lisa?", {}, answerable=False),
        JudgedQuery("2", "How many weeks is it?", {"a.txt": 1}, history=("How long is parental leave?",)),
    ]
    with Library(tmp_path / "indexes", settings=Settings.load({}, folder=tmp_path, config=config)) as library:
        collection = library.create("book")
        collection.upsert([text_source("a.txt", "Parental leave is 26 weeks. Sheep graze around the tower.")])
        variant = Variant("desk", collection, collection, options=GenerationOptions(profile="desk"))
        outcomes = evaluate_variants([variant], judged, ask=True)[0].outcomes
        assert [outcome.counts["citation_recall"] for outcome in outcomes[1:]] == [Ratio(1, 1)]
        assert list(library.ledger.rated_answers("book")) == []
        assert library.ledger.claim_messages(10, 60.0) == []
        assert library.sessions() == []


class RefusedCollection(Collection):
    """A collection whose budget allows no question that contains `sheep`."""

    __slots__ = ()

    def ask(self, question: str | AnswerRequest, **options: Any) -> Answer:
        """Answer the question, or raise BudgetError."""
        if "sheep" in str(question):
            raise BudgetError("the budget is spent")
        return super().ask(question, **options)


@pytest.mark.slow
def test_refused_question_is_left_out_of_all_runs(tmp_path: Path) -> None:
    """The other configuration has answered it already; nothing to report is an error."""
    judged = [JudgedQuery("1", "How long is leave?", answers=("26",)), JudgedQuery("2", "Where are sheep?")]
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("book")
        collection.upsert([text_source("a.txt", "Sheep graze around the tower. Leave is 26 weeks.")])
        refused = RefusedCollection("book", collection.backends)
        variants = [Variant("refused", collection, refused), Variant("other", collection, collection)]
        completed: list[int] = []
        runs = evaluate_variants(variants, judged, ask=True, on_progress=completed.append)
        assert [[outcome.id for outcome in run.outcomes] for run in runs] == [["1"], ["1"]]
        assert [run.refused for run in runs] == ["the budget is spent"] * 2
        assert completed == [1]
        with pytest.raises(BudgetError):
            evaluate_variants(variants, judged[1:], ask=True)


def test_costs_are_compared_by_question() -> None:
    """Paired differences of latency, tokens and cost; a cost that is unknown is not compared."""
    results = [
        QuestionResult(str(n), "?", {}, {}, (), 1.0, 1.0, answer_milliseconds=10.0 * n, tokens=100 * n, cost_usd=n / 10)
        for n in (1, 2, 3)
    ]
    more = [replace(result, tokens=result.tokens + 50, cost_usd=None) for result in results]
    differences = compare_costs(make_run(*more), make_run(*results))
    assert set(differences) == {"answer_ms", "answer_tokens"}
    assert (differences["answer_tokens"].low, differences["answer_tokens"].high) == (50.0, 50.0)
    assert differences["answer_ms"].p == 1.0
    assert compare_costs(make_run(make_result(1)), make_run(make_result(1))) == {}
