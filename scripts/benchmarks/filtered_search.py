"""G8: filtered vector search, with small and large shares of allowed rows, random or clustered, and peers."""

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
"""With at most this many allowed rows a filtered search may cost 1.5 times an unfiltered one, with more 2.5 times."""
_PEER_QUESTIONS = 50
_PEER_FUNCTIONS = {
    "hnswlib": "search_hnsw_filtered",
    "lancedb": "search_lancedb_filtered",
    "chromadb": "search_chroma_filtered",
}
"""The function of `peer_worker.py` for each peer."""


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """The rows that one filter allows, ascending."""

    name: str
    rows: Ids


def g8(scale: Scale) -> Result:
    """Filtered vector search, 100k, 0.1 to 50 % allowed, with hnswlib, lancedb, chroma (10 minutes the first time)"""
    size = scale.scale_texts(CHUNK_COUNT)
    embedded = texts.load_vectors(size, scale.data, vector_searchers.QUESTION_COUNT)
    queries = embedded.question_vectors["snippets"][: scale.scale_questions(vector_searchers.QUESTION_COUNT)]
    filters = _make_filters(embedded.stored)
    with vector_searchers.open_snapshot(scale, size) as snapshot:
        finders: dict[str, Finder] = {"all": vector_searchers.make_semsearch_finder(snapshot, None)}
        finders |= {
            allowed.name: vector_searchers.make_semsearch_finder(snapshot, allowed.rows + 1) for allowed in filters
        }
        unfiltered = vector_searchers.measure_costs(scale, embedded.stored, queries, {"all": finders["all"]})["all"]
        ours = {
            allowed.name: _measure_filter(scale, embedded.stored, queries, allowed, finders[allowed.name])
            for allowed in filters
        }
    peer_costs = _measure_peers(scale, embedded.stored, queries, filters)
    figures = [Figure(f"a query without a filter, {size:,}", "ms", unfiltered.ms)]
    for allowed in filters:
        costs_by_peer = {peer: costs[allowed.name] for peer, costs in peer_costs.items()}
        figures += _make_figures(allowed, ours[allowed.name], unfiltered, costs_by_peer)
    lines = {"semsearch": [(cost.ms, cost.recall) for cost in ours.values()]}
    lines |= {peer: [(cost.ms, cost.recall) for cost in costs.values()] for peer, costs in peer_costs.items()}
    notes = [
        "spread: random rows; in one place: the rows nearest to one row. Each point of the chart is one filter",
        "hnswlib calls a Python function for each row that it visits; lancedb: IVF_HNSW_SQ with a prefilter; chroma:"
        " a condition on metadata. hnswlib searches with ef 100, the others with their defaults",
    ]
    axes = ("CPU ms per query", "recall@10")
    return Result("G8", "Filtered vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def _make_filters(stored: Vectors) -> list[FilteredRows]:
    rng = np.random.default_rng(8)
    filters = []
    for share in SHARES:
        count = max(1, round(share * len(stored)))
        spread_rows = np.sort(rng.choice(len(stored), count, replace=False))
        similarities = stored @ stored[rng.integers(len(stored))]
        near_rows = np.sort(np.argpartition(-similarities, count - 1)[:count])
        filters += [
            FilteredRows(f"{share:.1%} spread", spread_rows),
            FilteredRows(f"{share:.1%} in one place", near_rows),
        ]
    return filters


def _measure_filter(scale: Scale, stored: Vectors, queries: Vectors, allowed: FilteredRows, find: Finder) -> Cost:
    """Check that only allowed rows are returned, K of them where K exist; then measure cost and recall."""
    for query in queries:
        rows = find(query)
        assert len(rows) == min(K, len(allowed.rows)), f"{len(rows)} hits of {len(allowed.rows)} rows"
        assert np.isin(rows, allowed.rows).all()
    ms = vector_searchers.measure_costs(scale, stored, queries, {"filtered": find})["filtered"].ms
    rows_by_query = [find(query) for query in queries]
    return Cost(ms, vector_searchers.compute_recall(rows_by_query, stored, queries, allowed.rows))


def _make_figures(
    allowed: FilteredRows, ours: Cost, unfiltered: Cost, costs_by_peer: Mapping[str, Cost]
) -> list[Figure]:
    ratio, max_ratio = ours.ms / unfiltered.ms, 1.5 if len(allowed.rows) <= MAX_FEW_ROWS else 2.5
    ms = {peer: cost.ms for peer, cost in costs_by_peer.items()}
    recalls = {peer: cost.recall for peer, cost in costs_by_peer.items()}
    return [
        Figure(f"CPU of a query, {allowed.name}", "ms", ours.ms, ms, ratio, "of unfiltered", Bound("<=", max_ratio)),
        Figure(f"recall@10, {allowed.name}", "", ours.recall, recalls, bound=Bound(">=", 0.97)),
    ]


def _measure_peers(
    scale: Scale, stored: Vectors, queries: Vectors, filters: list[FilteredRows]
) -> dict[str, dict[str, Cost]]:
    """Return cost and recall by peer and filter, for each installed peer."""
    if scale.short:
        return {}
    peer_queries = queries[:_PEER_QUESTIONS]
    file = scale.scratch / "filters.npz"
    rows_by_filter: dict[str, Any] = {allowed.name: allowed.rows for allowed in filters}
    np.savez(file, **rows_by_filter)
    files = vector_searchers.save_vectors(scale, len(stored), stored, peer_queries)
    costs = {}
    for peer, function in _PEER_FUNCTIONS.items():
        if peer_environment.is_installed(peer):
            folder = scale.scratch / f"filtered-{peer}"
            arguments = {**files, "filters": str(file), "k": K, "folder": str(folder)}
            figures = peer_environment.run_peer_function(function, arguments)
            costs[peer] = {
                allowed.name: Cost(
                    figures[allowed.name]["ms"],
                    _compute_recall(figures[allowed.name]["rows"], stored, peer_queries, allowed.rows),
                )
                for allowed in filters
            }
    return costs


def _compute_recall(rows: list[list[int]], stored: Vectors, queries: Vectors, allowed: Ids) -> float:
    return vector_searchers.compute_recall([np.array(row, np.int64) for row in rows], stored, queries, allowed)
