"""Compute standard metrics of rankings, answers and citations. Does not search or read files."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BOOTSTRAP_RESAMPLES = 10_000
"""More resamples do not change the second digit of an interval."""

_C = TypeVar("_C")


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return nDCG@k with the grade itself as the gain, as in trec_eval (Järvelin & Kekäläinen, 2002).

    >>> round(ndcg(["a", "b", "c"], {"a": 1, "c": 2}, 10), 3)
    0.76
    """
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    ideal_dcg = _dcg(ideal[:k])
    return _dcg([max(0, grades.get(document, 0)) for document in ranking[:k]]) / ideal_dcg if ideal_dcg else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return 1 over the rank of the first relevant document among the first k, else 0; its mean is the MRR."""
    return next((1 / rank for rank, document in enumerate(ranking[:k], 1) if grades.get(document, 0) > 0), 0.0)


def recall(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return the share of the relevant documents that are among the first k."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant) if relevant else 0.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """A count of good cases out of all cases."""

    good: int
    all: int

    def __add__(self, other: "Ratio") -> "Ratio":
        """Add the counts of two ratios."""
        return Ratio(self.good + other.good, self.all + other.all)

    @property
    def share(self) -> float | None:
        """Return the share of good cases; None if there are no cases."""
        return self.good / self.all if self.all else None


def score_citations(
    sentences: Iterable[Sequence[_C]], supports: Callable[[int, Sequence[_C]], bool]
) -> tuple[Ratio, Ratio]:
    """Return the citation precision and recall of an answer, from the citations of each of its sentences.

    Both are defined by Gao et al., "Enabling Large Language Models to Generate Text with Citations" (EMNLP 2023).
    Recall is the share of sentences that their citations together support. Precision is the share of useful citations:
    those of a supported sentence that support it alone, or without which the other citations do not support it.
    `supports(n, cited)` returns whether these citations support sentence n, counted from 0.

    The program published with the paper differs from the text in two points; we follow the text. The program ignores
    all citations of a sentence that cites an unknown passage, so that inventing passages raises precision; here every
    citation counts. If a sentence has a citation twice, the program removes only one of them to test whether it is
    needed, so that repeating a needed citation makes it look useless; here duplicates are removed first.
    """
    citation_precision, citation_recall = Ratio(0, 0), Ratio(0, 0)
    for number, citations in enumerate(sentences):
        distinct_citations = list(dict.fromkeys(citations))
        is_supported = bool(distinct_citations) and supports(number, distinct_citations)
        citation_recall += Ratio(int(is_supported), 1)
        useful_count = sum(
            is_supported
            and (len(distinct_citations) == 1 or _is_useful(citation, distinct_citations, number, supports))
            for citation in distinct_citations
        )
        citation_precision += Ratio(useful_count, len(distinct_citations))
    return citation_precision, citation_recall


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """A mean with the bounds of 95 % of the resampled means."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided p-value: how often chance alone gives a mean this far from 0."""


def bootstrap(values: Sequence[float], seed: int = 0) -> ConfidenceInterval:
    """Return the mean of paired differences with its 95 % percentile interval (Efron & Tibshirani, 1993)."""
    if not values:
        return ConfidenceInterval(0.0, 0.0, 0.0, 1.0)
    samples = np.array(values)
    means = np.concatenate([samples[indices].mean(axis=1) for indices in _draw_resamples(len(samples), seed)])
    return _percentile_interval(float(samples.mean()), means)


def bootstrap_ratios(pairs: Sequence[tuple[Ratio, Ratio]], seed: int = 0) -> ConfidenceInterval | None:
    """Return the difference of two overall shares, first minus second, with its 95 % percentile interval.

    `pairs` holds the two ratios of each question. Each resample draws questions and computes both shares over all their
    counts. None if one of the two has no counts.
    """
    counts = np.array([(a.good, a.all, b.good, b.all) for a, b in pairs], float).reshape(-1, 4).T
    if not counts[[1, 3]].sum(axis=1).all():
        return None
    resamples = _draw_resamples(len(pairs), seed)
    sums = np.concatenate([np.stack([row[indices].sum(axis=1) for row in counts]) for indices in resamples], axis=1)
    # A resample without counts for one of the two shows no difference: a few refusals prove nothing.
    has_counts = sums[[1, 3]].all(axis=0)
    return _percentile_interval(
        float(_ratio_difference(counts.sum(axis=1))), np.where(has_counts, _ratio_difference(sums), 0.0)
    )


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _ratio_difference(sums: Floats) -> Floats:
    good, total, other_good, other_total = sums
    difference: Floats = good / np.maximum(total, 1) - other_good / np.maximum(other_total, 1)
    return difference


def _percentile_interval(mean: float, resampled: Floats) -> ConfidenceInterval:
    p_value = 2 * min(float((resampled <= 0).mean()), float((resampled >= 0).mean()))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return ConfidenceInterval(mean, float(low), float(high), min(1.0, p_value))


def _is_useful(citation: _C, cited: Sequence[_C], number: int, supports: Callable[[int, Sequence[_C]], bool]) -> bool:
    return supports(number, [citation]) or not supports(number, [other for other in cited if other != citation])


def _draw_resamples(size: int, seed: int) -> Iterator[Indices]:
    """Yield the indices of the resamples in batches, shape (batch, size), so that memory does not grow with `size`."""
    rng = np.random.default_rng(seed)
    batch_size = max(1, 4_000_000 // size)
    for start in range(0, BOOTSTRAP_RESAMPLES, batch_size):
        yield rng.integers(0, size, (min(batch_size, BOOTSTRAP_RESAMPLES - start), size))
