"""G8: vector searches behind filters that leave a small or a large share, spread or in one place, beside the peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch.core.types.documents import Ids, Vectors

from . import contenders, machine, peers, texts
from .contenders import Cost, Finder, K
from .results import Bound, Figure, Result
from .scale import Scale

COUNT = 100_000
SHARES = (0.001, 0.01, 0.1, 0.5)
FEW_ROWS = 10_000
"""Up to so many allowed rows a filtered search may cost half as much again as an unfiltered one; above, 2.5 times."""
_PEER_QUESTIONS = 50
_PEERS = {"hnswlib": "hnsw_filtered", "lancedb": "lancedb_filtered", "chromadb": "chroma_filtered"}


@dataclass(frozen=True, slots=True)
class Allowed:
    """The rows that pass one filter, ascending."""

    name: str
    rows: Ids


def g8(scale: Scale) -> Result:
    """Filtered vector search, 100k, 0.1 to 50 % kept, beside hnswlib, lancedb and chroma (10 minutes the first time)"""
    size = scale.size(COUNT)
    given = texts.vectors(size, scale.data, contenders.QUESTIONS)
    asked = given.asked["snippets"][: scale.some(contenders.QUESTIONS)]
    filters = _filters(given.stored)
    with contenders.snapshot(scale, size) as snapshot:
        finders: dict[str, Finder] = {"all": contenders.by(snapshot, None)}
        finders |= {each.name: contenders.by(snapshot, each.rows + 1) for each in filters}
        whole = contenders.costs(scale, given.stored, asked, {"all": finders["all"]})["all"]
        ours = {each.name: _cost(scale, given.stored, asked, each, finders[each.name]) for each in filters}
    theirs = _theirs(scale, given.stored, asked, filters)
    figures = [Figure(f"a query without a filter, {size:,}", "ms", whole.ms)]
    for each in filters:
        figures += _figures(each, ours[each.name], whole, {peer: costs[each.name] for peer, costs in theirs.items()})
    lines = {"semsearch": [(cost.ms, cost.recall) for cost in ours.values()]}
    lines |= {peer: [(cost.ms, cost.recall) for cost in costs.values()] for peer, costs in theirs.items()}
    notes = [
        "spread: rows at random; in one place: the rows nearest to one of them. Each point of the chart is one filter",
        "hnswlib calls a Python function for each row that it meets; lancedb: IVF_HNSW_SQ, filtered beforehand; chroma:"
        " a condition on metadata. hnswlib searches with ef 100, the others with what is their default",
    ]
    axes = ("CPU ms per query", "recall@10")
    return Result("G8", "Filtered vector search", machine.line(), figures, notes, lines, axes, scale.short)


def _filters(stored: Vectors) -> list[Allowed]:
    luck = np.random.default_rng(8)
    found = []
    for share in SHARES:
        count = max(1, round(share * len(stored)))
        spread = np.sort(luck.choice(len(stored), count, replace=False))
        near = stored @ stored[luck.integers(len(stored))]
        placed = np.sort(np.argpartition(-near, count - 1)[:count])
        found += [Allowed(f"{share:.1%} spread", spread), Allowed(f"{share:.1%} in one place", placed)]
    return found


def _cost(scale: Scale, stored: Vectors, asked: Vectors, allowed: Allowed, find: Finder) -> Cost:
    """What a filter costs, after seeing that it lets nothing else through and gives all that there is."""
    for vector in asked:
        rows = find(vector)
        assert len(rows) == min(K, len(allowed.rows)), f"{len(rows)} hits of {len(allowed.rows)} rows"
        assert np.isin(rows, allowed.rows).all()
    ms = contenders.costs(scale, stored, asked, {"it": find})["it"].ms
    return Cost(ms, contenders.recall([find(vector) for vector in asked], stored, asked, allowed.rows))


def _figures(allowed: Allowed, ours: Cost, whole: Cost, theirs: Mapping[str, Cost]) -> list[Figure]:
    ratio, most = ours.ms / whole.ms, 1.5 if len(allowed.rows) <= FEW_ROWS else 2.5
    ms = {peer: cost.ms for peer, cost in theirs.items()}
    recalls = {peer: cost.recall for peer, cost in theirs.items()}
    return [
        Figure(f"CPU of a query, {allowed.name}", "ms", ours.ms, ms, ratio, "of unfiltered", Bound("<=", most)),
        Figure(f"recall@10, {allowed.name}", "", ours.recall, recalls, bound=Bound(">=", 0.97)),
    ]


def _theirs(scale: Scale, stored: Vectors, asked: Vectors, filters: list[Allowed]) -> dict[str, dict[str, Cost]]:
    """Cost and recall of each peer that is there, by filter."""
    if scale.short:
        return {}
    some = asked[:_PEER_QUESTIONS]
    file = scale.scratch / "filters.npz"
    rows: dict[str, Any] = {each.name: each.rows for each in filters}
    np.savez(file, **rows)
    given = {**contenders.saved(scale, len(stored), stored, some), "filters": str(file), "k": K}
    found = {}
    for peer, verb in _PEERS.items():
        if peers.has(peer):
            said = peers.call(verb, {**given, "folder": str(scale.scratch / f"filtered-{peer}")})
            found[peer] = {
                each.name: Cost(said[each.name]["ms"], _recall(said[each.name]["rows"], stored, some, each.rows))
                for each in filters
            }
    return found


def _recall(rows: list[list[int]], stored: Vectors, asked: Vectors, allowed: Ids) -> float:
    return contenders.recall([np.array(row, np.int64) for row in rows], stored, asked, allowed)
