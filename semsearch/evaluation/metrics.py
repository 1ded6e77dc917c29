"""How good rankings, answers and citations are, in the field's standard measures. Does not search or read files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

RESAMPLES = 10_000
"""Of the bootstrap; more changes the second digit of an interval no longer."""

_C = TypeVar("_C")


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return nDCG@k with the grade itself as the gain, as trec_eval has it (Järvelin & Kekäläinen, 2002).

    >>> round(ndcg(["a", "b", "c"], {"a": 1, "c": 2}, 10), 3)
    0.76
    """
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    best = _dcg(ideal[:k])
    return _dcg([max(0, grades.get(document, 0)) for document in ranking[:k]]) / best if best else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return 1 over the rank of the first relevant document among the first k, else 0; its mean is the MRR."""
    return next((1 / rank for rank, document in enumerate(ranking[:k], 1) if grades.get(document, 0) > 0), 0.0)


def recall(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return the share of the relevant documents that are among the first k."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant) if relevant else 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of so many."""

    good: int
    all: int

    def __add__(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(self.good + other.good, self.all + other.all)

    @property
    def share(self) -> float | None:
        """Of the good among all; None of nothing."""
        return self.good / self.all if self.all else None


def citations(
    sentences: Iterable[Sequence[_C]], supports: Callable[[int, Sequence[_C]], bool]
) -> tuple[Counted, Counted]:
    """Return the citation precision and recall of an answer, given what each of its sentences cites.

    Both are those of Gao et al., "Enabling Large Language Models to Generate Text with Citations" (EMNLP 2023).
    Recall: sentences that all their citations together support, of all sentences. Precision: citations that help, of
    all citations: those of a supported sentence that support it alone, or without which the others do not.
    `supports(n, cited)` says whether these citations support sentence n, from 0.

    The program published with the paper departs from its text in two points, and we follow the text. It leaves the
    citations of a sentence that names a passage that is not there out of the count, so that inventing passages raises
    precision: here every citation counts. And of a citation that a sentence has twice it takes away only one when it
    asks whether the others do without it, so that repeating a needed one makes it look needless: here a sentence cites
    each thing once.
    """
    precision, recall_ = Counted(0, 0), Counted(0, 0)
    for number, given in enumerate(sentences):
        cited = list(dict.fromkeys(given))
        supported = bool(cited) and supports(number, cited)
        recall_ += Counted(int(supported), 1)
        helping = [one for one in cited if supported and (len(cited) == 1 or _helps(one, cited, number, supports))]
        precision += Counted(len(helping), len(cited))
    return precision, recall_


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the bounds between which 95 of 100 resamples lie."""

    mean: float
    low: float
    high: float
    p: float
    """How often chance alone would give a mean so far from 0, on either side."""


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean of paired differences with its percentile interval (Efron & Tibshirani, 1993)."""
    if not values:
        return Interval(0.0, 0.0, 0.0, 1.0)
    given = np.array(values)
    means = np.concatenate([given[chosen].mean(axis=1) for chosen in _draws(len(given), seed)])
    return _interval(float(given.mean()), means)


def bootstrap_shares(pairs: Sequence[tuple[Counted, Counted]], seed: int = 0) -> Interval | None:
    """Return by how much the first share of all questions is above the second, with its percentile interval.

    What is drawn are questions, each with all that was counted of it; the shares are taken of those drawn. None where
    one of the two has counted nothing.
    """
    counted = np.array([(a.good, a.all, b.good, b.all) for a, b in pairs], float).reshape(-1, 4).T
    if not counted[[1, 3]].sum(axis=1).all():
        return None
    draws = _draws(len(pairs), seed)
    sums = np.concatenate([np.stack([each[chosen].sum(axis=1) for each in counted]) for chosen in draws], axis=1)
    # A draw in which one of the two has counted nothing shows no difference: of a few refusals none is proof.
    known = sums[[1, 3]].all(axis=0)
    return _interval(float(_difference(counted.sum(axis=1))), np.where(known, _difference(sums), 0.0))


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _difference(sums: Floats) -> Floats:
    good, all_, other_good, other_all = sums
    found: Floats = good / np.maximum(all_, 1) - other_good / np.maximum(other_all, 1)
    return found


def _interval(mean: float, drawn: Floats) -> Interval:
    beyond = 2 * min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(mean, float(low), float(high), min(1.0, beyond))


def _helps(one: _C, cited: Sequence[_C], number: int, supports: Callable[[int, Sequence[_C]], bool]) -> bool:
    return supports(number, [one]) or not supports(number, [other for other in cited if other != one])


def _draws(size: int, seed: int) -> Iterator[Places]:
    """Which values each resample takes; not all at once, so that many questions need no more memory than few."""
    dice = np.random.default_rng(seed)
    at_once = max(1, 4_000_000 // size)
    for done in range(0, RESAMPLES, at_once):
        yield dice.integers(0, size, (min(at_once, RESAMPLES - done), size))
