"""G8: vector searches with filters that keep a small or large share, random or clustered, beside the peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.core.types.documents import Ids, Vectors

from . import machine, peer_environment, texts, vector_finders
from .results import Bound, Figure, Result
from .scale import Scale
from .vector_finders import Cost, Finder, K

CHUNK_COUNT = 100_000
SHARES = (0.001, 0.01, 0.1, 0.5)
MAX_FEW_ROWS = 10_000
"""Up to this many allowed rows a filtered search may take 1.5 times the CPU of an unfiltered one; above, 2.5 times."""
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
    embedded = texts.load_vectors(size, scale.data, vector_finders.QUESTION_COUNT)
    queries = embedded.question_vectors["snippets"][: scale.scale_questions(vector_finders.QUESTION_COUNT)]
    filters = _make_filters(embedded.stored)
    with vector_finders.open_snapshot(scale, size) as snapshot:
        finders: dict[str, Finder] = {"all": vector_finders.make_semsearch_finder(snapshot, None)}
        finders |= {
            allowed.name: vector_finders.make_semsearch_finder(snapshot, allowed.rows + 1) for allowed in filters
        }
        unfiltered = vector_finders.measure_costs(scale, embedded.stored, queries, {"all": finders["all"]})["all"]
        ours = {
            allowed.name: _measure_filter(scale, embedded.stored, queries, allowed, finders[allowed.name])
            for allowed in filters
        }
    peer_costs = _measure_peers(scale, embedded.stored, queries, filters)
    figures = [Figure(f"CPU of an unfiltered query, {size:,}", "ms", unfiltered.ms)]
    for allowed in filters:
        costs_by_peer = {peer: costs[allowed.name] for peer, costs in peer_costs.items()}
        figures += _make_figures(allowed, ours[allowed.name], unfiltered, costs_by_peer)
    lines = {"semsearch": [(cost.ms, cost.recall) for cost in ours.values()]}
    lines |= {peer: [(cost.ms, cost.recall) for cost in costs.values()] for peer, costs in peer_costs.items()}
    notes = [
        "random: rows at random; clustered: the nearest rows to one row. Each point of the chart is one filter",
        "hnswlib calls a Python filter function for each row that it visits; lancedb: IVF_HNSW_SQ, prefiltered; chroma:"
        " a condition on metadata. hnswlib searches with ef 100, the others with their defaults",
    ]
    axes = ("CPU ms per query", "recall@10")
    return Result("G8", "Filtered vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def _make_filters(stored: Vectors) -> list[FilteredRows]:
    rng = np.random.default_rng(8)
    filters = []
    for share in SHARES:
        count = max(1, round(share * len(stored)))
        random_rows = np.sort(rng.choice(len(stored), count, replace=False))
        scores = stored @ stored[rng.integers(len(stored))]
        clustered_rows = np.sort(np.argpartition(-scores, count - 1)[:count])
        filters += [
            FilteredRows(f"{share:.1%} random", random_rows),
            FilteredRows(f"{share:.1%} clustered", clustered_rows),
        ]
    return filters


def _measure_filter(scale: Scale, stored: Vectors, queries: Vectors, allowed: FilteredRows, find: Finder) -> Cost:
    """Return the cost of a filter, after a check that the hits pass it and are as many as possible."""
    for vector in queries:
        rows = find(vector)
        assert len(rows) == min(K, len(allowed.rows)), f"{len(rows)} hits of {len(allowed.rows)} rows"
        assert np.isin(rows, allowed.rows).all()
    ms = vector_finders.measure_costs(scale, stored, queries, {"filtered": find})["filtered"].ms
    return Cost(ms, vector_finders.compute_recall([find(vector) for vector in queries], stored, queries, allowed.rows))


def _make_figures(allowed: FilteredRows, ours: Cost, unfiltered: Cost, peer_costs: Mapping[str, Cost]) -> list[Figure]:
    ratio, max_ratio = ours.ms / unfiltered.ms, 1.5 if len(allowed.rows) <= MAX_FEW_ROWS else 2.5
    ms = {peer: cost.ms for peer, cost in peer_costs.items()}
    recalls = {peer: cost.recall for peer, cost in peer_costs.items()}
    return [
        Figure(f"CPU of a query, {allowed.name}", "ms", ours.ms, ms, ratio, "of unfiltered", Bound("<=", max_ratio)),
        Figure(f"recall@10, {allowed.name}", "", ours.recall, recalls, bound=Bound(">=", 0.97)),
    ]


def _measure_peers(
    scale: Scale, stored: Vectors, queries: Vectors, filters: list[FilteredRows]
) -> dict[str, dict[str, Cost]]:
    """Return the cost and recall of each installed peer by filter."""
    if scale.short:
        return {}
    peer_queries = queries[:_PEER_QUESTIONS]
    file = scale.scratch / "filters.npz"
    rows: dict[str, Any] = {allowed.name: allowed.rows for allowed in filters}
    np.savez(file, **rows)
    parameters = {**vector_finders.save_vectors(scale, len(stored), stored, peer_queries), "filters": str(file), "k": K}
    costs = {}
    for peer, verb in _PEER_VERBS.items():
        if peer_environment.is_installed(peer):
            figures = peer_environment.run_peer_verb(
                verb, {**parameters, "folder": str(scale.scratch / f"filtered-{peer}")}
            )
            costs[peer] = {
                allowed.name: Cost(
                    figures[allowed.name]["ms"],
                    _compute_recall(figures[allowed.name]["rows"], stored, peer_queries, allowed.rows),
                )
                for allowed in filters
            }
    return costs


def _compute_recall(rows: list[list[int]], stored: Vectors, queries: Vectors, allowed: Ids) -> float:
    return vector_finders.compute_recall([np.array(row, np.int64) for row in rows], stored, queries, allowed)
