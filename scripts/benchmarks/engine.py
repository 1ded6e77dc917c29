"""G1, G6, G7, G9, G10 and G14: the vector engine without a service, compared with raw FAISS, an exact scan, hnswlib.

Each searcher runs with one thread, semsearch through the snapshot of a collection. The searchers run in turns; a figure
is the median of the rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from . import machine, texts, vector_searchers
from .results import Bound, Figure, Result
from .scale import Scale
from .vector_searchers import QUESTION_COUNT, Cost

ChartLines = dict[str, list[tuple[float, float]]]
_HARD_QUESTIONS: texts.QuestionKind = "snippets"


def g1(scale: Scale) -> Result:
    """Recall@10 by default, 10k to 1M (10 minutes the first time)"""
    figures, lines, notes = list[Figure](), ChartLines(), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        embedded = _load_vectors(scale, count, notes)
        size = len(embedded.stored)
        with vector_searchers.open_snapshot(scale, size) as snapshot:
            finder = vector_searchers.make_semsearch_finder(snapshot, None)
            for kind, vectors in embedded.question_vectors.items():
                queries = vectors[: scale.scale_questions(QUESTION_COUNT)]
                rows = [finder(query) for query in queries]
                recall = vector_searchers.compute_recall(rows, embedded.stored, queries)
                bound = Bound(">=", 0.98 if count <= 100_000 else 0.96)
                figures.append(Figure(f"recall@10, {size:,} {kind}", "", recall, bound=bound))
                lines.setdefault(kind, []).append((size, recall))
    axes = ("chunks", "recall@10")
    return Result(
        "G1", "Recall of the vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short
    )


def g6(scale: Scale) -> Result:
    """CPU of a vector search, 20k and 100k, compared with raw FAISS and hnswlib (6 minutes)"""
    figures, lines = list[Figure](), ChartLines()
    notes = [
        "FAISS RaBitQ, which the goal is about: bare calls, one bit for each dimension, 300 candidates; raw FAISS: bare"
        " calls with the codes and the number of candidates of semsearch",
        "hnswlib: M 16, ef_construction 200, and the smallest ef whose recall reaches 0.95, else the largest",
    ]
    for count in (20_000, 100_000):
        embedded = _load_vectors(scale, count, notes)
        size, queries = len(embedded.stored), embedded.question_vectors[_HARD_QUESTIONS]
        with vector_searchers.open_snapshot(scale, size) as snapshot:
            finders = {
                "semsearch": vector_searchers.make_semsearch_finder(snapshot, None),
                "raw FAISS": vector_searchers.make_faiss_finder(embedded.stored, "PQ128x4fs", 140 + size // 2000),
                "FAISS RaBitQ": vector_searchers.make_faiss_finder(embedded.stored, "RaBitQfs", 300),
                "exact scan": vector_searchers.make_exact_finder(embedded.stored),
            }
            costs = vector_searchers.measure_costs(scale, embedded.stored, queries, finders)
        depths = vector_searchers.measure_hnsw(scale, size, embedded.stored, queries).get("depths", [])
        lines |= {f"{name} {size // 1000}k": [(cost.ms, cost.recall)] for name, cost in costs.items()}
        if depths:
            costs["hnswlib"] = next((cost for cost in depths if cost.recall >= 0.95), depths[-1])
            lines[f"hnswlib {size // 1000}k"] = [(cost.ms, cost.recall) for cost in depths]
        figures += _compare_with_peers(f"{size:,} {_HARD_QUESTIONS}", costs)
    axes = ("CPU ms per query", "recall@10")
    return Result("G6", "CPU of a vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def g7(scale: Scale) -> Result:
    """CPU of a vector search at 1M compared with an exact scan, and growth with n (12 minutes the first time)"""
    costs_by_count, notes = dict[int, dict[str, Cost]](), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        embedded = _load_vectors(scale, count, notes)
        queries = embedded.question_vectors[_HARD_QUESTIONS][: scale.scale_questions(100)]
        with vector_searchers.open_snapshot(scale, len(embedded.stored)) as snapshot:
            finders = {
                "semsearch": vector_searchers.make_semsearch_finder(snapshot, None),
                "exact scan": vector_searchers.make_exact_finder(embedded.stored),
            }
            costs_by_count[count] = vector_searchers.measure_costs(scale, embedded.stored, queries, finders)
    (ours, exact), smaller = costs_by_count[1_000_000].values(), costs_by_count[100_000]["semsearch"]
    ratio = ours.ms / exact.ms
    figures = [
        Figure("CPU of a query, 1M", "ms", ours.ms, {"exact scan": exact.ms}, ratio, "of exact", Bound("<=", 0.04)),
        Figure("recall@10, 1M", "", ours.recall, {"exact scan": exact.recall}, bound=Bound(">=", 0.96)),
        Figure("growth of CPU, 100k to 1M", "x", ours.ms / smaller.ms, bound=Bound("<=", 3)),
    ]
    lines = {
        name: [(float(count), costs[name].ms) for count, costs in costs_by_count.items()]
        for name in costs_by_count[10_000]
    }
    axes = ("chunks", "CPU ms per query")
    return Result("G7", "Growth with n", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def g9(scale: Scale) -> Result:
    """CPU of building the index for 20k vectors, compared with hnswlib (1 minute)"""
    notes = [
        "vectors: from vectors in memory to codes, as hnswlib builds its graph; with words: from the catalogue to"
        " published and synced files, with a new analysis of the texts. New documents are searchable before either ends"
    ]
    embedded = _load_vectors(scale, 20_000, notes)
    size = len(embedded.stored)
    code_cpu, build_cpu = (_measure_median_cpu(scale, size, action) for action in ("code", "build"))
    graph = vector_searchers.measure_hnsw(scale, size, embedded.stored, embedded.question_vectors[_HARD_QUESTIONS])
    figure = Figure("index of 20k vectors", "CPU s", code_cpu)
    if graph:
        speedup, peer = graph["build"] / code_cpu, {"hnswlib": graph["build"]}
        figure = Figure(figure.what, "CPU s", code_cpu, peer, speedup, "times faster", Bound(">=", 20))
    figures = [figure, Figure("the whole index, with words", "CPU s", build_cpu)]
    return Result("G9", "Index build", machine.describe_machine(), figures, notes, short=scale.short)


def _measure_median_cpu(scale: Scale, size: int, action: str) -> float:
    """Return the median CPU seconds of one action of `engine_worker.py`."""
    return statistics.median(
        vector_searchers.run_engine_worker(scale, size, action)["cpu"] for _ in range(scale.scale_repetitions(3))
    )


def g10(scale: Scale) -> Result:
    """Private memory per vector at 1M, compared with hnswlib at 20k (10 minutes the first time)"""
    notes = ["dirty private pages more than the process without a collection, after 100 searches; hnswlib at 20,000"]
    size = scale.scale_texts(1_000_000)
    ours = vector_searchers.run_engine_worker(scale, size, "open")["bytes"] / size
    small = _load_vectors(scale, 20_000, [])
    small_size, queries = len(small.stored), small.question_vectors[_HARD_QUESTIONS]
    graph = vector_searchers.measure_hnsw(scale, small_size, small.stored, queries)
    peer = {"hnswlib": graph["bytes"] / small_size} if graph else {}
    figures = [Figure("private memory per vector, 256 d", "B", ours, peer, bound=Bound("<=", 100))]
    return Result("G10", "Memory per vector", machine.describe_machine(), figures, notes, short=scale.short)


def g14(scale: Scale) -> Result:
    """CPU of opening 1M chunks, to the first hits (10 minutes the first time)"""
    size = scale.scale_texts(1_000_000)
    times = [vector_searchers.run_engine_worker(scale, size, "open") for _ in range(scale.scale_repetitions(3))]
    cpu, wall = (1000 * statistics.median(run_times[clock] for run_times in times) for clock in ("cpu", "wall"))
    figures = [
        Figure("opening, to the first hits", "CPU ms", cpu, bound=Bound("<=", 100)),
        Figure("the same by the clock", "ms", wall),
    ]
    notes = [f"{size:,} chunks in a new process, after its imports, with the files in the page cache"]
    return Result("G14", "Opening a large collection", machine.describe_machine(), figures, notes, short=scale.short)


def _compare_with_peers(name: str, costs: dict[str, Cost]) -> list[Figure]:
    ours, rabitq = costs.pop("semsearch"), costs["FAISS RaBitQ"]
    ms = {peer: cost.ms for peer, cost in costs.items()}
    recalls = {peer: cost.recall for peer, cost in costs.items()}
    return [
        Figure(f"CPU of a query, {name}", "ms", ours.ms, ms, ours.ms / rabitq.ms, "of FAISS RaBitQ", Bound("<=", 1.2)),
        Figure(f"recall@10, {name}", "", ours.recall, recalls, bound=Bound(">=", 0.95)),
    ]


def _load_vectors(scale: Scale, count: int, notes: list[str]) -> texts.EmbeddedTexts:
    """Load vectors and questions; add a note if some texts are overlapping windows."""
    size = scale.scale_texts(count)
    embedded = texts.load_vectors(size, scale.data, scale.scale_questions(QUESTION_COUNT))
    if embedded.windows:
        notes.append(f"of {size:,} texts {embedded.windows:,} are windows at random offsets that overlap other texts")
    return embedded


GOALS: dict[str, Callable[[Scale], Result]] = {"G1": g1, "G6": g6, "G7": g7, "G9": g9, "G10": g10, "G14": g14}
