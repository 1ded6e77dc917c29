"""The measures of recommendations, and the cases that they are measured on."""

from pathlib import Path

import numpy as np
import pytest

from semsearch import InvalidError, Library, NotFoundError, text_source
from semsearch.core.settings import Settings
from semsearch.evaluation.datasets import RecommendationCase, read_recommendation_cases
from semsearch.evaluation.recommendation import BASELINES, evaluate_recommendations, score_rankings

CASE = RecommendationCase(("a",), frozenset("d"))
VECTORS = {uri: np.array(row, np.float32) for uri, row in {"b": [1, 0], "c": [0, 1], "d": [0, 1]}.items()}


def test_measures_are_those_computed_by_hand() -> None:
    """One hit at rank 2, one miss; distances 1 and 0; three of four documents."""
    scores = score_rankings([("b", "d"), ("c", "d")[:1]], [CASE, CASE], VECTORS, 4)
    assert (scores.hit_rate, scores.mrr, scores.diversity, scores.coverage) == (0.5, 0.25, 1.0, 0.75)
    assert score_rankings([("c", "d")], [CASE], VECTORS, 4).diversity == pytest.approx(0.0)
    assert score_rankings([()], [CASE], VECTORS, 4).hit_rate == 0.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "object"),
        ("{", "line 2"),
        ('{"positive": ["a"]}', "relevant"),
        ('{"positive": [], "relevant": ["a"]}', "positive"),
        ('{"positive": ["a"], "relevant": ["a"]}', "both"),
        ('{"positive": [null], "relevant": ["a"]}', "positive"),
    ],
)
def test_invalid_case_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    """The first line is right."""
    file = tmp_path / "cases.jsonl"
    file.write_text('{"positive": ["a"], "relevant": ["b"]}\n')
    assert read_recommendation_cases(file) == [RecommendationCase(("a",), frozenset("b"))]
    file.write_text(file.read_text() + line)
    with pytest.raises(InvalidError, match=rf"line 2.*{message}|{message}.*"):
        read_recommendation_cases(file)
    with pytest.raises(NotFoundError):
        read_recommendation_cases(tmp_path / "no.jsonl")


def test_no_method_ranks_what_was_read(tmp_path: Path) -> None:
    """Every method ranks k other documents; popular are those of other cases; an unknown document is an error."""
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("docs")
        words = ("lamp", "oil", "glass", "train", "ticket", "station")
        collection.ingest([text_source(word, f"The {word} is old. It is a {word} of the town.") for word in words])
        cases = [
            RecommendationCase(("lamp", "oil"), frozenset(["glass"])),
            RecommendationCase(("train",), frozenset(["ticket"])),
        ]
        run = evaluate_recommendations(collection, cases, k=2)
        assert set(run.methods) == {"average", "best", "sum", *BASELINES}
        assert (run.k, run.cases, set(run.hit_rate_gains)) == (2, 2, set(BASELINES))
        assert run.methods["popular"].hit_rate == 0.0  # no other case has the relevant documents
        whole = evaluate_recommendations(collection, cases, k=10)
        assert {scores.hit_rate for scores in whole.methods.values()} == {1.0}
        assert {scores.coverage for scores in whole.methods.values()} == {1.0}
        with pytest.raises(InvalidError, match="case 1 names 'no'"):
            evaluate_recommendations(collection, [RecommendationCase(("no",), frozenset("a"))])
