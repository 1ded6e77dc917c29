"""G1, G6, G7, G9, G10 and G14: the vector index without a service, beside raw FAISS, an exact scan and hnswlib.

Searches go through a collection's snapshot with one thread. The finders take turns; figures are medians of the rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from . import machine, texts, vector_finders
from .results import Bound, Figure, Result
from .scale import Scale
from .vector_finders import QUESTION_COUNT, Cost

ChartLines = dict[str, list[tuple[float, float]]]
_HARD_QUESTIONS: texts.QuestionKind = "snippets"


def g1(scale: Scale) -> Result:
    """Recall@10 with default settings, 10k to 1M (10 minutes the first time)"""
    figures, lines, notes = list[Figure](), ChartLines(), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        embedded = _load_vectors(scale, count, notes)
        size = len(embedded.stored)
        with vector_finders.open_snapshot(scale, size) as snapshot:
            for kind, vectors in embedded.question_vectors.items():
                queries = vectors[: scale.scale_questions(QUESTION_COUNT)]
                rows = [vector_finders.make_semsearch_finder(snapshot, None)(vector) for vector in queries]
                recall = vector_finders.compute_recall(rows, embedded.stored, queries)
                bound = Bound(">=", 0.98 if count <= 100_000 else 0.96)
                figures.append(Figure(f"recall@10, {size:,} {kind}", "", recall, bound=bound))
                lines.setdefault(kind, []).append((size, recall))
    axes = ("chunks", "recall@10")
    return Result(
        "G1", "Recall of the vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short
    )


def g6(scale: Scale) -> Result:
    """CPU of a vector search, 20k and 100k, beside raw FAISS and hnswlib (6 minutes)"""
    figures, lines = list[Figure](), ChartLines()
    notes = [
        "FAISS RaBitQ: the goal's baseline, direct calls of FAISS, one bit per dimension, 300 candidates. raw FAISS:"
        " direct calls with the same codes and the same number of candidates as semsearch",
        "hnswlib: M 16, ef_construction 200, the smallest ef with a recall of at least 0.95, else the largest",
    ]
    for count in (20_000, 100_000):
        embedded = _load_vectors(scale, count, notes)
        size, queries = len(embedded.stored), embedded.question_vectors[_HARD_QUESTIONS]
        with vector_finders.open_snapshot(scale, size) as snapshot:
            finders = {
                "semsearch": vector_finders.make_semsearch_finder(snapshot, None),
                "raw FAISS": vector_finders.make_faiss_finder(embedded.stored, "PQ128x4fs", 140 + size // 2000),
                "FAISS RaBitQ": vector_finders.make_faiss_finder(embedded.stored, "RaBitQfs", 300),
                "exact scan": vector_finders.make_exact_finder(embedded.stored),
            }
            costs = vector_finders.measure_costs(scale, embedded.stored, queries, finders)
        depths = vector_finders.measure_hnsw(scale, size, embedded.stored, queries).get("depths", [])
        lines |= {f"{name} {size // 1000}k": [(cost.ms, cost.recall)] for name, cost in costs.items()}
        if depths:
            costs["hnswlib"] = next((cost for cost in depths if cost.recall >= 0.95), depths[-1])
            lines[f"hnswlib {size // 1000}k"] = [(cost.ms, cost.recall) for cost in depths]
        figures += _compare_with_peers(f"{size:,} {_HARD_QUESTIONS}", costs)
    axes = ("CPU ms per query", "recall@10")
    return Result("G6", "CPU of a vector search", machine.describe_machine(), figures, notes, lines, axes, scale.short)


def g7(scale: Scale) -> Result:
    """CPU of a vector search at 1M beside an exact scan, and growth with the size (12 minutes the first time)"""
    costs_by_count, notes = dict[int, dict[str, Cost]](), list[str]()
    for count in (10_000, 100_000, 1_000_000):
        embedded = _load_vectors(scale, count, notes)
        queries = embedded.question_vectors[_HARD_QUESTIONS][: scale.scale_questions(100)]
        with vector_finders.open_snapshot(scale, len(embedded.stored)) as snapshot:
            finders = {
                "semsearch": vector_finders.make_semsearch_finder(snapshot, None),
                "exact scan": vector_finders.make_exact_finder(embedded.stored),
            }
            costs_by_count[count] = vector_finders.measure_costs(scale, embedded.stored, queries, finders)
    (ours, exact), smaller = costs_by_count[1_000_000].values(), costs_by_count[100_000]["semsearch"]
    ratio = ours.ms / exact.ms
    figures = [
        Figure(
            "CPU of a query, 1M", "ms", ours.ms, {"exact scan": exact.ms}, ratio, "of exact scan", Bound("<=", 0.04)
        ),
        Figure("recall@10, 1M", "", ours.recall, {"exact scan": exact.recall}, bound=Bound(">=", 0.96)),
        Figure("growth of CPU, 100k to 1M", "x", ours.ms / smaller.ms, bound=Bound("<=", 3)),
    ]
    lines = {
        name: [(float(count), costs[name].ms) for count, costs in costs_by_count.items()]
        for name in costs_by_count[10_000]
    }
    axes = ("chunks", "CPU ms per query")
    return Result(
        "G7", "Growth with the collection's size", machine.describe_machine(), figures, notes, lines, axes, scale.short
    )


def g9(scale: Scale) -> Result:
    """CPU of building the index for 20k vectors, beside hnswlib (1 minute)"""
    notes = [
        "vector index: from vectors in memory to the codes that rank them, like hnswlib's graph. Full index: texts are"
        " analysed again, and all files written and synced. New documents are searchable before that",
    ]
    embedded = _load_vectors(scale, 20_000, notes)
    size = len(embedded.stored)
    coding_cpu, build_cpu = (_measure_median_cpu(scale, size, verb) for verb in ("code", "build"))
    graph = vector_finders.measure_hnsw(scale, size, embedded.stored, embedded.question_vectors[_HARD_QUESTIONS])
    figure = Figure("vector index, 20k vectors", "CPU s", coding_cpu)
    if graph:
        ratio, peer = graph["build"] / coding_cpu, {"hnswlib": graph["build"]}
        figure = Figure(figure.what, "CPU s", coding_cpu, peer, ratio, "times faster", Bound(">=", 20))
    figures = [figure, Figure("full index, with BM25", "CPU s", build_cpu)]
    return Result("G9", "Index build", machine.describe_machine(), figures, notes, short=scale.short)


def _measure_median_cpu(scale: Scale, size: int, verb: str) -> float:
    """Return the median CPU seconds of one measurement of `index_process.py`."""
    return statistics.median(
        vector_finders.run_index_process(scale, size, verb)["cpu"] for _ in range(scale.scale_repetitions(3))
    )


def g10(scale: Scale) -> Result:
    """Private memory per vector at 1M, beside hnswlib at 20k (10 minutes the first time)"""
    notes = [
        "growth of private dirty memory from before the collection is opened to after 100 searches; hnswlib: 20,000"
        " vectors",
    ]
    size = scale.scale_texts(1_000_000)
    ours = vector_finders.run_index_process(scale, size, "open")["bytes"] / size
    hnsw_vectors = _load_vectors(scale, 20_000, [])
    graph = vector_finders.measure_hnsw(
        scale, len(hnsw_vectors.stored), hnsw_vectors.stored, hnsw_vectors.question_vectors[_HARD_QUESTIONS]
    )
    peer = {"hnswlib": graph["bytes"] / len(hnsw_vectors.stored)} if graph else {}
    figures = [Figure("private memory per vector, 256 d", "B", ours, peer, bound=Bound("<=", 100))]
    return Result("G10", "Memory per vector", machine.describe_machine(), figures, notes, short=scale.short)


def g14(scale: Scale) -> Result:
    """CPU of opening 1M chunks until the first hits (10 minutes the first time)"""
    size = scale.scale_texts(1_000_000)
    openings = [vector_finders.run_index_process(scale, size, "open") for _ in range(scale.scale_repetitions(3))]
    cpu, wall = (1000 * statistics.median(opening[clock] for opening in openings) for clock in ("cpu", "wall"))
    figures = [
        Figure("open to first hits", "CPU ms", cpu, bound=Bound("<=", 100)),
        Figure("open to first hits, wall time", "ms", wall),
    ]
    notes = [f"{size:,} chunks, in a new process after its imports; the files are in the page cache"]
    return Result("G14", "Opening a large collection", machine.describe_machine(), figures, notes, short=scale.short)


def _compare_with_peers(name: str, costs: dict[str, Cost]) -> list[Figure]:
    ours, baseline = costs.pop("semsearch"), costs["FAISS RaBitQ"]
    ms = {finder: cost.ms for finder, cost in costs.items()}
    recalls = {finder: cost.recall for finder, cost in costs.items()}
    return [
        Figure(
            f"CPU of a query, {name}", "ms", ours.ms, ms, ours.ms / baseline.ms, "of FAISS RaBitQ", Bound("<=", 1.2)
        ),
        Figure(f"recall@10, {name}", "", ours.recall, recalls, bound=Bound(">=", 0.95)),
    ]


def _load_vectors(scale: Scale, count: int, notes: list[str]) -> texts.EmbeddedTexts:
    """Return the vectors of texts and questions; append a note if there are too few texts."""
    size = scale.scale_texts(count)
    embedded = texts.load_vectors(size, scale.data, scale.scale_questions(QUESTION_COUNT))
    if embedded.windows:
        notes.append(
            f"{embedded.windows:,} of {size:,} texts are windows, cut at random offsets, that overlap other texts"
        )
    return embedded


GOALS: dict[str, Callable[[Scale], Result]] = {"G1": g1, "G6": g6, "G7": g7, "G9": g9, "G10": g10, "G14": g14}
