"""Measure recommendations on cases, beside random and popular documents and the nearest neighbours. Prints nothing.

Each case has documents that someone has read, and documents that are relevant to them. A method ranks k documents that
were not read.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt

from ..collection import Collection
from ..core.errors import InvalidError
from ..core.types.recommendations import RecommendationStrategy
from ..search.recommendation import compute_document_vectors
from .datasets import RecommendationCase
from .metrics import ConfidenceInterval, bootstrap

OUR_METHODS: Sequence[RecommendationStrategy] = get_args(RecommendationStrategy)
BASELINES = ("nearest to first", "nearest to mean", "popular", "random")
"""Nearest: by the cosine of document vectors, to the first document read, and to the mean of all that were."""

Ranking = tuple[str, ...]
"""Uris of documents, best first."""
_Ranker = Callable[[RecommendationCase], Ranking]


@dataclass(frozen=True, slots=True)
class MethodScores:
    """The measures of one method over all cases."""

    hit_rate: float
    """Share of the cases with a relevant document among the k."""
    mrr: float
    """Mean of 1 / rank of the first relevant document; 0 if there is none."""
    diversity: float
    """Mean cosine distance of two documents of the same ranking."""
    coverage: float
    """Share of all documents that are in at least one ranking."""


@dataclass(frozen=True, slots=True)
class RecommendationRun:
    """The scores of each method, and how much better the default strategy is than the nearest neighbours."""

    name: str
    k: int
    cases: int
    methods: Mapping[str, MethodScores]
    hit_rate_gains: Mapping[str, ConfidenceInterval]
    """Of the strategy `average` over each baseline, paired by case."""


def evaluate_recommendations(
    collection: Collection,
    cases: Sequence[RecommendationCase],
    *,
    k: int = 10,
    on_progress: Callable[[int], None] = lambda completed: None,
) -> RecommendationRun:
    """Rank k documents for each case by each method; call `on_progress` with the number of completed cases.

    InvalidError if a document that was read is not in the collection; a relevant one that is not counts as missed.
    """
    uris = [document.uri for document in collection.documents()]
    _validate_cases(collection, cases, frozenset(uris))
    vectors = _load_document_vectors(collection, uris)
    rankers = {**_make_own_rankers(collection, k), **_make_baselines(vectors, uris, cases, k)}
    rankings: dict[str, list[Ranking]] = {name: [] for name in rankers}
    for number, case in enumerate(cases, 1):
        for name, rank in rankers.items():
            rankings[name].append(rank(case))
        on_progress(number)
    methods = {name: score_rankings(rankings[name], cases, vectors, len(uris)) for name in rankers}
    hits = {name: [_is_hit(*pair) for pair in zip(rankings[name], cases, strict=True)] for name in rankers}
    gains = {
        name: bootstrap([float(a) - float(b) for a, b in zip(hits["average"], hits[name], strict=True)])
        for name in BASELINES
    }
    return RecommendationRun(collection.name, k, len(cases), methods, gains)


def score_rankings(
    rankings: Sequence[Ranking],
    cases: Sequence[RecommendationCase],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    document_count: int,
) -> MethodScores:
    """Return the measures of the rankings of these cases."""
    ranks = [
        next((rank for rank, uri in enumerate(ranking, 1) if uri in case.relevant), None)
        for ranking, case in zip(rankings, cases, strict=True)
    ]
    diversities = [value for ranking in rankings if (value := _compute_diversity(ranking, vectors)) is not None]
    return MethodScores(
        statistics.fmean(rank is not None for rank in ranks),
        statistics.fmean(0.0 if rank is None else 1 / rank for rank in ranks),
        statistics.fmean(diversities) if diversities else 0.0,
        len({uri for ranking in rankings for uri in ranking}) / document_count,
    )


def _validate_cases(collection: Collection, cases: Sequence[RecommendationCase], uris: frozenset[str]) -> None:
    for number, case in enumerate(cases, 1):
        if missing := [uri for uri in case.positive if uri not in uris]:
            raise InvalidError(
                f"case {number} names {missing[0]!r:.200}, which is no document of {collection.name};"
                " use the uris of the collection"
            )


def _load_document_vectors(collection: Collection, uris: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the unit vector of each document that has one, not centred."""
    with collection.backends.store.snapshot() as snapshot:
        return compute_document_vectors(snapshot, uris, np.zeros(1, np.float32), None)


def _make_own_rankers(collection: Collection, k: int) -> dict[str, _Ranker]:
    def rank(case: RecommendationCase, *, strategy: RecommendationStrategy) -> Ranking:
        return tuple(hit.uri for hit in collection.recommend(case.positive, strategy=strategy, k=k))

    return {strategy: partial(rank, strategy=strategy) for strategy in OUR_METHODS}


def _make_baselines(
    vectors: Mapping[str, npt.NDArray[np.float32]], uris: Sequence[str], cases: Sequence[RecommendationCase], k: int
) -> dict[str, _Ranker]:
    table, rows = np.array(list(vectors.values())), list(vectors)
    popularity = Counter(uri for case in cases for uri in (*case.positive, *case.relevant))
    generator = np.random.default_rng(0)

    def rank_nearest(case: RecommendationCase, read: Sequence[str]) -> Ranking:
        known = [vectors[uri] for uri in read if uri in vectors]
        scores = table @ np.mean(known, axis=0) if known else np.zeros(len(rows))
        return _select((rows[row] for row in np.argsort(-scores, kind="stable")), case, k)

    def rank_popular(case: RecommendationCase) -> Ranking:
        own = Counter((*case.positive, *case.relevant))  # the case itself must not tell what is relevant to it
        return _select(sorted(uris, key=lambda uri: (own[uri] - popularity[uri], uri)), case, k)

    def rank_random(case: RecommendationCase) -> Ranking:
        return _select((uris[row] for row in generator.permutation(len(uris)).tolist()), case, k)

    nearest: list[_Ranker] = [
        lambda case: rank_nearest(case, case.positive[:1]),
        lambda case: rank_nearest(case, case.positive),
    ]
    return dict(zip(BASELINES, [*nearest, rank_popular, rank_random], strict=True))


def _select(ranked: Iterable[str], case: RecommendationCase, k: int) -> Ranking:
    """Return the first k documents that were not read."""
    return tuple([uri for uri in ranked if uri not in case.positive][:k])


def _is_hit(ranking: Ranking, case: RecommendationCase) -> bool:
    return not case.relevant.isdisjoint(ranking)


def _compute_diversity(ranking: Ranking, vectors: Mapping[str, npt.NDArray[np.float32]]) -> float | None:
    """Return the mean cosine distance of two documents of a ranking; None for fewer than two."""
    known = np.array([vectors[uri] for uri in ranking if uri in vectors])
    if len(known) < 2:
        return None
    sum_of_cosines = float((known @ known.T).sum()) - len(known)
    return 1 - sum_of_cosines / (len(known) * (len(known) - 1))
