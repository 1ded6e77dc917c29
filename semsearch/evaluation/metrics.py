"""How good rankings, answers and citations are, in the field's standard measures. Does not search or read files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BOOTSTRAP_RESAMPLES = 10_000
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
class Ratio:
    """So many of so many."""

    good: int
    all: int

    def __add__(self, other: "Ratio") -> "Ratio":
        """Both together."""
        return Ratio(self.good + other.good, self.all + other.all)

    @property
    def share(self) -> float | None:
        """Of the good among all; None of nothing."""
        return self.good / self.all if self.all else None


def score_citations(
    sentences: Iterable[Sequence[_C]], supports: Callable[[int, Sequence[_C]], bool]
) -> tuple[Ratio, Ratio]:
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
    precision, recall_ = Ratio(0, 0), Ratio(0, 0)
    for number, citations in enumerate(sentences):
        distinct_citations = list(dict.fromkeys(citations))
        supported = bool(distinct_citations) and supports(number, distinct_citations)
        recall_ += Ratio(int(supported), 1)
        helping = [
            one
            for one in distinct_citations
            if supported and (len(distinct_citations) == 1 or _is_needed(one, distinct_citations, number, supports))
        ]
        precision += Ratio(len(helping), len(distinct_citations))
    return precision, recall_


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """A mean with the bounds between which 95 of 100 resamples lie."""

    mean: float
    low: float
    high: float
    p: float
    """How often chance alone would give a mean so far from 0, on either side."""


def bootstrap(values: Sequence[float], seed: int = 0) -> ConfidenceInterval:
    """Return the mean of paired differences with its percentile interval (Efron & Tibshirani, 1993)."""
    if not values:
        return ConfidenceInterval(0.0, 0.0, 0.0, 1.0)
    samples = np.array(values)
    means = np.concatenate([samples[chosen].mean(axis=1) for chosen in _draw_resamples(len(samples), seed)])
    return _percentile_interval(float(samples.mean()), means)


def bootstrap_ratios(pairs: Sequence[tuple[Ratio, Ratio]], seed: int = 0) -> ConfidenceInterval | None:
    """Return by how much the first share of all questions is above the second, with its percentile interval.

    What is drawn are questions, each with all that was counted of it; the shares are taken of those drawn. None where
    one of the two has counted nothing.
    """
    counted = np.array([(a.good, a.all, b.good, b.all) for a, b in pairs], float).reshape(-1, 4).T
    if not counted[[1, 3]].sum(axis=1).all():
        return None
    draws = _draw_resamples(len(pairs), seed)
    sums = np.concatenate([np.stack([each[chosen].sum(axis=1) for each in counted]) for chosen in draws], axis=1)
    # A draw in which one of the two has counted nothing shows no difference: of a few refusals none is proof.
    known = sums[[1, 3]].all(axis=0)
    return _percentile_interval(
        float(_ratio_difference(counted.sum(axis=1))), np.where(known, _ratio_difference(sums), 0.0)
    )


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _ratio_difference(sums: Floats) -> Floats:
    good, all_, other_good, other_all = sums
    difference: Floats = good / np.maximum(all_, 1) - other_good / np.maximum(other_all, 1)
    return difference


def _percentile_interval(mean: float, resampled: Floats) -> ConfidenceInterval:
    beyond = 2 * min(float((resampled <= 0).mean()), float((resampled >= 0).mean()))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return ConfidenceInterval(mean, float(low), float(high), min(1.0, beyond))


def _is_needed(citation: _C, cited: Sequence[_C], number: int, supports: Callable[[int, Sequence[_C]], bool]) -> bool:
    return supports(number, [citation]) or not supports(number, [other for other in cited if other != citation])


def _draw_resamples(size: int, seed: int) -> Iterator[Indices]:
    """Which values each resample takes; not all at once, so that many questions need no more memory than few."""
    rng = np.random.default_rng(seed)
    batch_size = max(1, 4_000_000 // size)
    for done in range(0, BOOTSTRAP_RESAMPLES, batch_size):
        yield rng.integers(0, size, (min(batch_size, BOOTSTRAP_RESAMPLES - done), size))
