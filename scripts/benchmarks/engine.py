"""G1, G6, G7, G9, G10 and G14: the vector engine without a service, beside raw FAISS, an exact scan and hnswlib.

Called through a collection's snapshot, with one thread; each contender in turns, the median of the rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from . import contenders, machine, texts
from .contenders import QUESTIONS, Cost
from .results import Bound, Figure, Result
from .scale import Scale

Lines = dict[str, list[tuple[float, float]]]
_HARD: texts.Questions = "snippets"


def g1(scale: Scale) -> Result:
    """Recall@10 by default, 10k to 1M (10 minutes the first time)"""
    figures, lines, notes = list[Figure](), Lines(), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        given = _given(scale, count, notes)
        size = len(given.stored)
        with contenders.snapshot(scale, size) as snapshot:
            for kind, asked in given.asked.items():
                some = asked[: scale.some(QUESTIONS)]
                rows = [contenders.by(snapshot, None)(vector) for vector in some]
                found = contenders.recall(rows, given.stored, some)
                bound = Bound(">=", 0.98 if count <= 100_000 else 0.96)
                figures.append(Figure(f"recall@10, {size:,} {kind}", "", found, bound=bound))
                lines.setdefault(kind, []).append((size, found))
    axes = ("chunks", "recall@10")
    return Result("G1", "Recall of the vector search", machine.line(), figures, notes, lines, axes, scale.short)


def g6(scale: Scale) -> Result:
    """CPU of a vector search, 20k and 100k, beside raw FAISS and hnswlib (6 minutes)"""
    figures, lines = list[Figure](), Lines()
    notes = [
        "FAISS RaBitQ: the bare calls that the goal is about, one bit a dimension, 300 candidates; raw FAISS: the bare"
        " calls with the codes that semsearch has, and as many candidates",
        "hnswlib: M 16, ef_construction 200, and the smallest ef whose recall reaches 0.95, else the largest",
    ]
    for count in (20_000, 100_000):
        given = _given(scale, count, notes)
        size, asked = len(given.stored), given.asked[_HARD]
        with contenders.snapshot(scale, size) as snapshot:
            finders = {
                "semsearch": contenders.by(snapshot, None),
                "raw FAISS": contenders.raw_faiss(given.stored, "PQ128x4fs", 140 + size // 2000),
                "FAISS RaBitQ": contenders.raw_faiss(given.stored, "RaBitQfs", 300),
                "exact scan": contenders.exact(given.stored),
            }
            costs = contenders.costs(scale, given.stored, asked, finders)
        depths = contenders.hnsw(scale, size, given.stored, asked).get("depths", [])
        lines |= {f"{name} {size // 1000}k": [(cost.ms, cost.recall)] for name, cost in costs.items()}
        if depths:
            costs["hnswlib"] = next((cost for cost in depths if cost.recall >= 0.95), depths[-1])
            lines[f"hnswlib {size // 1000}k"] = [(cost.ms, cost.recall) for cost in depths]
        figures += _beside(f"{size:,} {_HARD}", costs)
    axes = ("CPU ms per query", "recall@10")
    return Result("G6", "CPU of a vector search", machine.line(), figures, notes, lines, axes, scale.short)


def g7(scale: Scale) -> Result:
    """CPU of a vector search at 1M beside an exact scan, and growth with n (12 minutes the first time)"""
    found, notes = dict[int, dict[str, Cost]](), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        given = _given(scale, count, notes)
        asked = given.asked[_HARD][: scale.some(100)]
        with contenders.snapshot(scale, len(given.stored)) as snapshot:
            finders = {"semsearch": contenders.by(snapshot, None), "exact scan": contenders.exact(given.stored)}
            found[count] = contenders.costs(scale, given.stored, asked, finders)
    (ours, whole), less = found[1_000_000].values(), found[100_000]["semsearch"]
    ratio = ours.ms / whole.ms
    figures = [
        Figure("CPU of a query, 1M", "ms", ours.ms, {"exact scan": whole.ms}, ratio, "of exact", Bound("<=", 0.04)),
        Figure("recall@10, 1M", "", ours.recall, {"exact scan": whole.recall}, bound=Bound(">=", 0.96)),
        Figure("growth of CPU, 100k to 1M", "x", ours.ms / less.ms, bound=Bound("<=", 3)),
    ]
    lines = {name: [(float(count), costs[name].ms) for count, costs in found.items()] for name in found[10_000]}
    axes = ("chunks", "CPU ms per query")
    return Result("G7", "Growth with n", machine.line(), figures, notes, lines, axes, scale.short)


def g9(scale: Scale) -> Result:
    """CPU of building the index for 20k vectors, beside hnswlib (1 minute)"""
    notes = [
        "of vectors: from vectors in memory to all by which they are ranked, as hnswlib makes its graph; with words:"
        " analysed anew, from the catalogue to files that are synced and named. What is new waits for neither"
    ]
    given = _given(scale, 20_000, notes)
    size = len(given.stored)
    coded, built = (_median(scale, size, verb) for verb in ("code", "build"))
    graph = contenders.hnsw(scale, size, given.stored, given.asked[_HARD])
    figure = Figure("index of 20k vectors", "CPU s", coded)
    if graph:
        times, peer = graph["build"] / coded, {"hnswlib": graph["build"]}
        figure = Figure(figure.what, "CPU s", coded, peer, times, "times faster", Bound(">=", 20))
    figures = [figure, Figure("the whole index, with words", "CPU s", built)]
    return Result("G9", "Index build", machine.line(), figures, notes, short=scale.short)


def _median(scale: Scale, size: int, verb: str) -> float:
    """CPU seconds of one verb of `opening.py`."""
    return statistics.median(contenders.process(scale, size, verb)["cpu"] for _ in range(scale.times(3)))


def g10(scale: Scale) -> Result:
    """Private memory per vector at 1M, beside hnswlib at 20k (10 minutes the first time)"""
    notes = ["dirty private pages above the bare process, after 100 searches; hnswlib at 20,000 vectors"]
    size = scale.size(1_000_000)
    ours = contenders.process(scale, size, "open")["bytes"] / size
    few = _given(scale, 20_000, [])
    graph = contenders.hnsw(scale, len(few.stored), few.stored, few.asked[_HARD])
    peer = {"hnswlib": graph["bytes"] / len(few.stored)} if graph else {}
    figures = [Figure("private memory per vector, 256 d", "B", ours, peer, bound=Bound("<=", 100))]
    return Result("G10", "Memory per vector", machine.line(), figures, notes, short=scale.short)


def g14(scale: Scale) -> Result:
    """CPU of opening 1M chunks until a search is answered (10 minutes the first time)"""
    size = scale.size(1_000_000)
    times = [contenders.process(scale, size, "open") for _ in range(scale.times(3))]
    cpu, wall = (1000 * statistics.median(each[part] for each in times) for part in ("cpu", "wall"))
    figures = [
        Figure("opening, to the first hits", "CPU ms", cpu, bound=Bound("<=", 100)),
        Figure("the same by the clock", "ms", wall),
    ]
    notes = [f"{size:,} chunks in a new process, its imports done and its files in the system's cache"]
    return Result("G14", "Opening a large collection", machine.line(), figures, notes, short=scale.short)


def _beside(name: str, costs: dict[str, Cost]) -> list[Figure]:
    ours, bare = costs.pop("semsearch"), costs["FAISS RaBitQ"]
    ms = {who: cost.ms for who, cost in costs.items()}
    recalls = {who: cost.recall for who, cost in costs.items()}
    return [
        Figure(f"CPU of a query, {name}", "ms", ours.ms, ms, ours.ms / bare.ms, "of FAISS RaBitQ", Bound("<=", 1.2)),
        Figure(f"recall@10, {name}", "", ours.recall, recalls, bound=Bound(">=", 0.95)),
    ]


def _given(scale: Scale, count: int, notes: list[str]) -> texts.Embedded:
    """Vectors and questions; notes where there were not enough texts."""
    size = scale.size(count)
    given = texts.vectors(size, scale.data, scale.some(QUESTIONS))
    if given.windows:
        notes.append(f"of {size:,} texts {given.windows:,} are windows cut at random places, which overlap others")
    return given


GOALS: dict[str, Callable[[Scale], Result]] = {"G1": g1, "G6": g6, "G7": g7, "G9": g9, "G10": g10, "G14": g14}
