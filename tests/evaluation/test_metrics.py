"""Metrics compared with ir-measures and worked examples, and the bootstrap with known distributions."""

import math
import warnings

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, Qrel, R, ScoredDoc, nDCG

from semsearch.evaluation.metrics import (
    Ratio,
    bootstrap,
    bootstrap_ratios,
    ndcg,
    recall,
    reciprocal_rank,
    score_citations,
)

DOCUMENTS = "abcdefghijklmn"
_grades = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1)
_rankings = st.permutations(DOCUMENTS).flatmap(
    lambda documents: st.integers(0, len(documents)).map(lambda n: list(documents)[:n])
)


@given(_rankings, _grades, st.sampled_from([1, 3, 10]))
def test_metrics_agree_with_ir_measures(ranking: list[str], grades: dict[str, int], k: int) -> None:
    """nDCG, reciprocal rank and recall are equal for any ranking and grades."""
    qrels = [Qrel("q", document, grade) for document, grade in grades.items()]
    run = [ScoredDoc("q", document, -float(rank)) for rank, document in enumerate(ranking)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {str(m.measure): m.value for m in ir_measures.iter_calc([nDCG @ k, RR @ k, R @ k], qrels, run)}
    metrics = {f"nDCG@{k}": ndcg, f"RR@{k}": reciprocal_rank, f"R@{k}": recall}
    for name, compute in metrics.items():
        assert math.isclose(compute(ranking, grades, k), expected.get(name, 0.0), abs_tol=1e-9), name


def test_metrics_of_a_worked_example() -> None:
    """The gains are 3, 2, 0, 1; the ideal gains are 3, 2, 1."""
    grades = {"a": 3, "b": 2, "d": 1}
    dcg = 3 + 2 / math.log2(3) + 1 / math.log2(5)
    assert ndcg(list("abcd"), grades, 10) == pytest.approx(dcg / (3 + 2 / math.log2(3) + 1 / 2))
    assert reciprocal_rank(list("cad"), grades, 10) == 0.5
    assert reciprocal_rank(list("cad"), grades, 1) == 0
    assert recall(list("abx"), grades, 3) == pytest.approx(2 / 3)
    assert ndcg(list("abc"), {"a": 0}, 10) == recall(["a"], {}, 10) == 0


SUPPORTING_CITATIONS = {
    "A": {frozenset("1"), frozenset("12"), frozenset("13")},
    "B": {frozenset("12"), frozenset("123")},
    "C": set(),
}


def score(*sentences: tuple[str, str]) -> tuple[Ratio, Ratio]:
    """Score sentences, each given as its key in `SUPPORTING_CITATIONS` and its citations."""

    def supports(number: int, cited: object) -> bool:
        return frozenset(cited) in SUPPORTING_CITATIONS[sentences[number][0]]  # type: ignore[call-overload]  # letters

    return score_citations([list(cited) for _, cited in sentences], supports)


@pytest.mark.parametrize(
    ("sentences", "precision", "expected_recall"),
    [
        ([("A", "1")], Ratio(1, 1), Ratio(1, 1)),
        ([("A", "2")], Ratio(0, 1), Ratio(0, 1)),
        ([("A", "")], Ratio(0, 0), Ratio(0, 1)),
        ([("A", "12")], Ratio(1, 2), Ratio(1, 1)),  # 2 is not useful
        ([("B", "12")], Ratio(2, 2), Ratio(1, 1)),  # each needs the other
        ([("B", "123")], Ratio(2, 3), Ratio(1, 1)),
        ([("C", "12"), ("A", "1")], Ratio(1, 3), Ratio(1, 2)),
    ],
)
def test_citations_are_counted_as_in_the_paper(
    sentences: list[tuple[str, str]], precision: Ratio, expected_recall: Ratio
) -> None:
    """A citation is useful if it supports the sentence alone, or if the others do not support it without it."""
    assert score(*sentences) == (precision, expected_recall)


def test_errors_of_the_published_program_are_not_repeated() -> None:
    """Citing an invented passage lowers precision, and citing a needed one twice does not."""
    assert score(("A", "1"), ("A", "9"))[0] == Ratio(1, 2)
    assert score(("B", "112"))[0] == Ratio(2, 2)


def test_ratio_of_no_cases_has_no_share() -> None:
    """Ratios are added by their counts."""
    assert Ratio(0, 0).share is None
    assert (Ratio(1, 2) + Ratio(2, 2)).share == 0.75


def test_bootstrap_separates_a_steady_gain_from_noise() -> None:
    """The interval of a steady gain excludes 0, that of noise includes it; the result is deterministic."""
    steady = bootstrap([0.1 + 0.01 * (n % 5) for n in range(50)])
    noise = bootstrap([0.3 * (-1) ** n for n in range(50)])
    assert steady.low > 0.11
    assert steady.p == 0
    assert noise.low < 0 < noise.high
    assert noise.p > 0.5
    assert bootstrap([0.1, -0.2, 0.3]) == bootstrap([0.1, -0.2, 0.3])
    assert (bootstrap([]).mean, bootstrap([]).p) == (0, 1)


def test_interval_of_many_values_is_that_of_the_mean() -> None:
    """It is the mean plus and minus 1.96 standard errors."""
    interval = bootstrap([math.sin(n) for n in range(2_000)])
    error = math.sqrt(0.5 / 2_000)
    assert interval.high - interval.mean == pytest.approx(1.96 * error, rel=0.05)
    assert interval.mean - interval.low == pytest.approx(1.96 * error, rel=0.05)


def test_ratios_of_one_case_each_equal_the_mean() -> None:
    """The difference of the shares is then the mean of the differences, with the same interval."""
    first, second = [n % 3 > 0 for n in range(60)], [n % 4 > 0 for n in range(60)]
    pairs = [(Ratio(int(a), 1), Ratio(int(b), 1)) for a, b in zip(first, second, strict=True)]
    interval, mean = bootstrap_ratios(pairs), bootstrap([a - b for a, b in zip(first, second, strict=True)])
    assert interval is not None
    assert [interval.mean, interval.low, interval.high, interval.p] == pytest.approx(
        [mean.mean, mean.low, mean.high, mean.p]
    )


def test_interval_of_many_ratios_is_that_of_a_ratio_estimate() -> None:
    """It is 1.96 standard errors of a ratio estimate (Cochran, 1977)."""
    ratios = [Ratio(n % 3, 1 + n % 5) for n in range(1_500)]
    share = sum(ratio.good for ratio in ratios) / sum(ratio.all for ratio in ratios)
    residuals = [ratio.good - share * ratio.all for ratio in ratios]
    error = math.sqrt(sum(value**2 for value in residuals)) / sum(ratio.all for ratio in ratios)
    interval = bootstrap_ratios([(ratio, Ratio(1, 1)) for ratio in ratios])
    assert interval is not None
    assert interval.mean == pytest.approx(share - 1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_interval_of_few_counts_includes_zero() -> None:
    """Two refusals in forty questions prove nothing; without counts there is no difference."""
    empty = Ratio(0, 0)
    interval = bootstrap_ratios([(Ratio(0, 1), empty), (empty, Ratio(1, 1)), *[(empty, empty)] * 38])
    assert interval is not None
    assert (interval.mean, interval.high) == (-1, 0)
    assert bootstrap_ratios([(Ratio(1, 1), empty)]) is None
    assert bootstrap_ratios([]) is None
