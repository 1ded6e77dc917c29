"""G8: vector searches behind filters that leave a small or a large share, spread or in one place, beside the peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.core.types.documents import Ids, Vectors

from . import machine, peer_environment, texts, vector_searchers
from .results import Bound, Figure, Result
from .scale import Scale
from .vector_searchers import Cost, Finder, K

CHUNK_COUNT = 100_000
SHARES = (0.001, 0.01, 0.1, 0.5)
MAX_FEW_ROWS = 10_000
"""Up to so many allowed rows a filtered search may cost half as much again as an unfiltered one; above, 2.5 times."""
_PEER_QUESTIONS = 50
_PEER_VERBS = {"hnswlib": "hnsw_filtered", "lancedb": "lancedb_filtered", "chromadb": "chroma_filtered"}


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """The rows that pass one filter, ascending."""

    name: str
    rows: Ids


def g8(scale: Scale) -> Result:
    """Filtered vector search, 100k, 0.1 to 50 % kept, beside hnswlib, lancedb and chroma (10 minutes the first time)"""
    size = scale.scale_texts(CHUNK_COUNT)
    embedded = texts.load_vectors(size, scale.data, vector_searchers.QUESTION_COUNT)
    queries = embedded.question_vectors["snippets"][: scale.scale_questions(vector_searchers.QUESTION_COUNT)]
    filters = _make_filters(embedded.stored)
    with vector_searchers.open_snapshot(scale, size) as snapshot:
        finders: dict[str, Finder] = {"all": vector_searchers.make_semsearch_finder(snapshot, None)}
        finders |= {each.name: vector_searchers.make_semsearch_finder(snapshot, each.rows + 1) for each in filters}
        whole = vector_searchers.measure_costs(scale, embedded.stored, queries, {"all": finders["all"]})["all"]
        ours = {
            each.name: _measure_filter(scale, embedded.stored, queries, each, finders[each.name]) for each in filters
        }
    theirs = _measure_peers(scale, embedded.stored, queries, filters)
    figures = [Figure(f"a query without a filter, {size:,}", "ms", whole.ms)]
    for each in filters:
        figures += _make_figures(
            each, ours[each.name], whole, {peer: costs[each.name] for peer, costs in theirs.items()}
        )
    lines = {"semsearch": [(cost.ms, cost.recall) for cost in ours.values()]}
    lines |= {peer: [(cost.ms, cost.recall) for cost in costs.values()] for peer, costs in theirs.items()}
    notes = [
        "spread: rows at random; in one place: the rows nearest to one of them. Each point of the chart is one filter",
        "hnswlib calls a Python function for each row that it meets; lancedb: IVF_HNSW_SQ, filtered beforehand; chroma:"
        " a condition on metadata. hnswlib searches with ef 100, the others with what is their default",
    ]
    axes = ("CPU ms per query", "recall@10")
    return Result("G8", "Filtered vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def _make_filters(stored: Vectors) -> list[FilteredRows]:
    rng = np.random.default_rng(8)
    filters = []
    for share in SHARES:
        count = max(1, round(share * len(stored)))
        spread = np.sort(rng.choice(len(stored), count, replace=False))
        near = stored @ stored[rng.integers(len(stored))]
        placed = np.sort(np.argpartition(-near, count - 1)[:count])
        filters += [FilteredRows(f"{share:.1%} spread", spread), FilteredRows(f"{share:.1%} in one place", placed)]
    return filters


def _measure_filter(scale: Scale, stored: Vectors, queries: Vectors, allowed: FilteredRows, find: Finder) -> Cost:
    """What a filter costs, after seeing that it lets nothing else through and gives all that there is."""
    for vector in queries:
        rows = find(vector)
        assert len(rows) == min(K, len(allowed.rows)), f"{len(rows)} hits of {len(allowed.rows)} rows"
        assert np.isin(rows, allowed.rows).all()
    ms = vector_searchers.measure_costs(scale, stored, queries, {"it": find})["it"].ms
    return Cost(
        ms, vector_searchers.compute_recall([find(vector) for vector in queries], stored, queries, allowed.rows)
    )


def _make_figures(allowed: FilteredRows, ours: Cost, whole: Cost, theirs: Mapping[str, Cost]) -> list[Figure]:
    ratio, max_ratio = ours.ms / whole.ms, 1.5 if len(allowed.rows) <= MAX_FEW_ROWS else 2.5
    ms = {peer: cost.ms for peer, cost in theirs.items()}
    recalls = {peer: cost.recall for peer, cost in theirs.items()}
    return [
        Figure(f"CPU of a query, {allowed.name}", "ms", ours.ms, ms, ratio, "of unfiltered", Bound("<=", max_ratio)),
        Figure(f"recall@10, {allowed.name}", "", ours.recall, recalls, bound=Bound(">=", 0.97)),
    ]


def _measure_peers(
    scale: Scale, stored: Vectors, queries: Vectors, filters: list[FilteredRows]
) -> dict[str, dict[str, Cost]]:
    """Cost and recall of each peer that is there, by filter."""
    if scale.short:
        return {}
    peer_queries = queries[:_PEER_QUESTIONS]
    file = scale.scratch / "filters.npz"
    rows: dict[str, Any] = {each.name: each.rows for each in filters}
    np.savez(file, **rows)
    parameters = {
        **vector_searchers.save_vectors(scale, len(stored), stored, peer_queries),
        "filters": str(file),
        "k": K,
    }
    costs = {}
    for peer, verb in _PEER_VERBS.items():
        if peer_environment.is_installed(peer):
            figures = peer_environment.run_peer_verb(
                verb, {**parameters, "folder": str(scale.scratch / f"filtered-{peer}")}
            )
            costs[peer] = {
                each.name: Cost(
                    figures[each.name]["ms"],
                    _compute_recall(figures[each.name]["rows"], stored, peer_queries, each.rows),
                )
                for each in filters
            }
    return costs


def _compute_recall(rows: list[list[int]], stored: Vectors, queries: Vectors, allowed: Ids) -> float:
    return vector_searchers.compute_recall([np.array(row, np.int64) for row in rows], stored, queries, allowed)
