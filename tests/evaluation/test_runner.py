"""A run summed up, two runs compared, and a run kept as JSON."""

import json

import pytest

from semsearch.core.errors import InvalidError
from semsearch.evaluation.metrics import Ratio
from semsearch.evaluation.runner import (
    EvaluationRun,
    QuestionResult,
    compare_runs,
    find_regressions,
    run_from_json,
    run_to_json,
)


def run(*outcomes: QuestionResult) -> EvaluationRun:
    """A run over these questions."""
    return EvaluationRun("book", {"k": 10, "mode": "hybrid", "ask": True}, outcomes, None)


def outcome(
    number: int, scores: dict[str, float] | None = None, counts: dict[str, Ratio] | None = None, query: str = "?"
) -> QuestionResult:
    """What became of one question."""
    return QuestionResult(f"q{number}", f"{query} {number}", scores or {}, counts or {}, ("a.md",), 1.0, 1.0)


def test_shares_are_of_all_questions_together() -> None:
    """Four citations of one question count four times; of nothing there is no share."""
    found = run(
        outcome(1, {"ndcg": 1.0}, {"citation_precision": Ratio(4, 4), "refusal_recall": Ratio(0, 0)}),
        outcome(2, {"ndcg": 0.5}, {"citation_precision": Ratio(0, 1)}),
        outcome(3),
    )
    assert found.compute_means() == {"ndcg": 0.75, "citation_precision": 0.8}


@pytest.mark.parametrize("name", ["citation_precision", "citation_recall", "refusal_precision", "refusal_recall"])
def test_citations_and_refusals_that_became_worse_are_caught(name: str) -> None:
    """A share that fell in every question is a regression; one that fell in one of many may be chance."""
    good = run(*(outcome(n, counts={name: Ratio(2, 2)}) for n in range(20)))
    worse = run(*(outcome(n, counts={name: Ratio(1, 2)}) for n in range(20)))
    once = run(*(outcome(n, counts={name: Ratio(int(n > 0), 2) + Ratio(int(n > 0), 0)}) for n in range(20)))
    assert find_regressions(compare_runs(worse, good), 0.01) == [name]
    assert compare_runs(worse, good)[name].mean == -0.5
    assert find_regressions(compare_runs(once, good), 0.01) == find_regressions(compare_runs(good, worse), 0.01) == []


def test_only_the_same_question_is_compared() -> None:
    """Neither another question with the same id, nor one that the other run lacks."""
    ours = run(outcome(1, {"mrr": 1.0}), outcome(2, {"mrr": 0.0}), outcome(3, {"mrr": 0.0}))
    theirs = run(outcome(1, {"mrr": 0.5}), outcome(2, {"mrr": 1.0}, query="another"))
    assert compare_runs(ours, theirs)["mrr"].mean == 0.5


def test_a_saved_run_is_the_same_again() -> None:
    """Scores and counts by question come back from the file."""
    found = run(outcome(1, {"ndcg": 0.5}, {"citation_recall": Ratio(1, 2)}), outcome(2))
    assert run_from_json(json.loads(json.dumps(run_to_json(found)))) == found


def test_a_saved_run_of_an_earlier_form_is_refused() -> None:
    """It lacks what is needed to compare each question."""
    earlier = run_to_json(run(outcome(1)))
    del earlier["format"]
    with pytest.raises(InvalidError, match=r"another version of semsearch .* save the run anew"):
        run_from_json(earlier)


@pytest.mark.parametrize(
    ("milliseconds", "median", "slow"),
    [
        (range(100, 0, -1), 50.5, 96.0),
        (range(20), 9.5, 19.0),
        ([7.0], 7.0, 7.0),
        ([1.0, 9.0], 5.0, 9.0),
    ],
)
def test_latency(milliseconds: list[float], median: float, slow: float) -> None:
    """Half of the questions are sooner than the median, 95 of 100 sooner than the slow ones, in whatever order."""
    took = (QuestionResult(str(n), "q", {}, {}, (), each, each / 2) for n, each in enumerate(milliseconds))
    found = run(*took).compute_latency()
    assert (found["p50_ms"], found["p95_ms"]) == (median, slow)
    assert found["cpu_ms"] == pytest.approx(sum(milliseconds) / len(milliseconds) / 2)
