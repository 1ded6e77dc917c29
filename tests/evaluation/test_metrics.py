"""The measures against those of ir-measures, hand-made figures, and the bootstrap against what it must be."""

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
_rankings = st.permutations(DOCUMENTS).flatmap(lambda all_: st.integers(0, len(all_)).map(lambda n: list(all_)[:n]))


@given(_rankings, _grades, st.sampled_from([1, 3, 10]))
def test_measures_are_those_of_ir_measures(ranking: list[str], grades: dict[str, int], k: int) -> None:
    """nDCG, reciprocal rank and recall of any ranking agree with the field's own program."""
    qrels = [Qrel("q", document, grade) for document, grade in grades.items()]
    run = [ScoredDoc("q", document, -float(rank)) for rank, document in enumerate(ranking)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {str(m.measure): m.value for m in ir_measures.iter_calc([nDCG @ k, RR @ k, R @ k], qrels, run)}
    ours = {f"nDCG@{k}": ndcg, f"RR@{k}": reciprocal_rank, f"R@{k}": recall}
    for name, measure in ours.items():
        assert math.isclose(measure(ranking, grades, k), found.get(name, 0.0), abs_tol=1e-9), name


def test_canonical_figures() -> None:
    """A worked example: gains 3, 2, 0, 1 against the ideal 3, 2, 1."""
    grades = {"a": 3, "b": 2, "d": 1}
    dcg = 3 + 2 / math.log2(3) + 1 / math.log2(5)
    assert ndcg(list("abcd"), grades, 10) == pytest.approx(dcg / (3 + 2 / math.log2(3) + 1 / 2))
    assert reciprocal_rank(list("cad"), grades, 10) == 0.5
    assert reciprocal_rank(list("cad"), grades, 1) == 0
    assert recall(list("abx"), grades, 3) == pytest.approx(2 / 3)
    assert ndcg(list("abc"), {"a": 0}, 10) == recall(["a"], {}, 10) == 0


SUPPORT = {
    "A": {frozenset("1"), frozenset("12"), frozenset("13")},
    "B": {frozenset("12"), frozenset("123")},
    "C": set(),
}


def scores(*sentences: tuple[str, str]) -> tuple[Ratio, Ratio]:
    """Of sentences of a kind, which says what supports them, and what they cite."""

    def supports(number: int, cited: object) -> bool:
        return frozenset(cited) in SUPPORT[sentences[number][0]]  # type: ignore[call-overload]  # letters

    return score_citations([list(cited) for _, cited in sentences], supports)


@pytest.mark.parametrize(
    ("sentences", "precision", "recalled"),
    [
        ([("A", "1")], Ratio(1, 1), Ratio(1, 1)),
        ([("A", "2")], Ratio(0, 1), Ratio(0, 1)),
        ([("A", "")], Ratio(0, 0), Ratio(0, 1)),
        ([("A", "12")], Ratio(1, 2), Ratio(1, 1)),  # 2 helps nothing
        ([("B", "12")], Ratio(2, 2), Ratio(1, 1)),  # neither does without the other
        ([("B", "123")], Ratio(2, 3), Ratio(1, 1)),
        ([("C", "12"), ("A", "1")], Ratio(1, 3), Ratio(1, 2)),
    ],
)
def test_citations_are_counted_as_the_paper_says(
    sentences: list[tuple[str, str]], precision: Ratio, recalled: Ratio
) -> None:
    """A citation is precise if it supports alone, or if the others do not without it."""
    assert scores(*sentences) == (precision, recalled)


def test_the_two_errors_of_the_published_program_are_not_ours() -> None:
    """Inventing a passage costs precision, and citing a needed one twice costs none."""
    assert scores(("A", "1"), ("A", "9"))[0] == Ratio(1, 2)
    assert scores(("B", "112"))[0] == Ratio(2, 2)


def test_no_share_of_nothing() -> None:
    """Where nothing was counted there is no figure, and sums add up."""
    assert Ratio(0, 0).share is None
    assert (Ratio(1, 2) + Ratio(2, 2)).share == 0.75


def test_the_bootstrap_knows_chance_from_more() -> None:
    """A steady gain is outside the interval of chance, noise around 0 is inside; the same again each time."""
    steady = bootstrap([0.1 + 0.01 * (n % 5) for n in range(50)])
    noise = bootstrap([0.3 * (-1) ** n for n in range(50)])
    assert steady.low > 0.11
    assert steady.p == 0
    assert noise.low < 0 < noise.high
    assert noise.p > 0.5
    assert bootstrap([0.1, -0.2, 0.3]) == bootstrap([0.1, -0.2, 0.3])
    assert (bootstrap([]).mean, bootstrap([]).p) == (0, 1)


def test_the_interval_is_that_of_the_mean() -> None:
    """For many values it is the mean plus and minus 1.96 standard errors."""
    found = bootstrap([math.sin(n) for n in range(2_000)])
    error = math.sqrt(0.5 / 2_000)
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.05)
    assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.05)


def test_shares_of_one_each_are_a_mean() -> None:
    """Where every question counts once, the difference of shares is the mean of differences, with its interval."""
    ours, theirs = [n % 3 > 0 for n in range(60)], [n % 4 > 0 for n in range(60)]
    counted = [(Ratio(int(a), 1), Ratio(int(b), 1)) for a, b in zip(ours, theirs, strict=True)]
    found, mean = bootstrap_ratios(counted), bootstrap([a - b for a, b in zip(ours, theirs, strict=True)])
    assert found is not None
    assert [found.mean, found.low, found.high, found.p] == pytest.approx([mean.mean, mean.low, mean.high, mean.p])


def test_the_interval_of_shares_is_that_of_a_ratio() -> None:
    """For many questions it is 1.96 standard errors of a ratio estimate (Cochran, 1977), as for citations."""
    ours = [Ratio(n % 3, 1 + n % 5) for n in range(1_500)]
    share = sum(one.good for one in ours) / sum(one.all for one in ours)
    apart = [one.good - share * one.all for one in ours]
    error = math.sqrt(sum(value**2 for value in apart)) / sum(one.all for one in ours)
    found = bootstrap_ratios([(one, Ratio(1, 1)) for one in ours])
    assert found is not None
    assert found.mean == pytest.approx(share - 1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_shares_of_few_questions_may_be_chance() -> None:
    """A refusal more and a refusal less among forty questions prove nothing; of nothing there is no difference."""
    none = Ratio(0, 0)
    found = bootstrap_ratios([(Ratio(0, 1), none), (none, Ratio(1, 1)), *[(none, none)] * 38])
    assert found is not None
    assert (found.mean, found.high) == (-1, 0)
    assert bootstrap_ratios([(Ratio(1, 1), none)]) is None
    assert bootstrap_ratios([]) is None
