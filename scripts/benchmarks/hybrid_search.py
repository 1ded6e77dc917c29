"""G5: CPU of a hybrid search request, also with filters, beside SQLite FTS5; overlap with an exhaustive search."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Callable, Sequence

from semsearch import Library
from semsearch.collection import Collection
from semsearch.core.types.documents import Vectors
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.search.coverage import QueryCoverage
from semsearch.search.ranking import CANDIDATES_PER_LEG, RERANK_DEPTH, drop_near_duplicates, fuse, rerank
from semsearch.search.retrieval import analyze_query, choose_dense_weight
from semsearch.text.analyzer import extract_query_terms

from . import load_client, machine, texts
from .results import Bound, Figure, Result
from .scale import Scale
from .services import CLIENT_CORE, COLLECTION_NAME, RunningService, Semsearch, ServiceData, run_service

ROUNDS = 3
_QUESTIONS = 300
_SHARES = (None, 0.001, 0.01, 0.1, 0.5)


def g5(scale: Scale) -> Result:
    """CPU of a hybrid request, 10k and 200k chunks, also filtered, beside FTS5 OR (15 minutes the first time)"""
    figures = list[Figure]()
    for count, bound in ((10_000, 3.0), (200_000, 6.0)):
        corpus = texts.load(scale.scale_texts(count), scale.data)
        vectors = texts.embed(corpus.stored, "stored")
        data = ServiceData(scale.scratch / f"services-{len(vectors)}", corpus.stored, vectors)
        data.folder.mkdir(parents=True, exist_ok=True)
        questions = corpus.snippets[: scale.scale_questions(_QUESTIONS) * (scale.scale_repetitions(ROUNDS) + 1)]
        figures += _measure(scale, data, questions, bound)
    notes = [
        "semsearch: the whole HTTP request, with the embedding of the question. FTS5: a query in process, porter stems,"
        " the words of the question joined by OR, the ten best by BM25",
        "exhaustive search: BM25 and the exact inner product score every chunk; the best of each are fused and reranked"
        " by sentences",
        "each filter is used repeatedly, as for access rights; its first use after a commit costs more",
    ]
    return Result("G5", "Hybrid search", machine.describe_machine(), figures, notes, short=scale.short)


def _measure(scale: Scale, data: ServiceData, questions: Sequence[str], max_ms: float) -> list[Figure]:
    service, size = Semsearch("hybrid"), f"{len(data.texts):,}"
    service.fill(data)
    fts5_ms = _measure_fts5(data.texts, questions[: scale.scale_questions(30)])
    machine.pin(0, CLIENT_CORE)
    with run_service(service) as server:
        costs = _measure_costs(scale, server, service, questions)
    ours, overlap = costs[None], _measure_overlap(service, questions, scale)
    figures = [
        Figure(f"hybrid request, {size}", "CPU ms", ours, {"FTS5 OR": fts5_ms}, bound=Bound("<=", max_ms)),
        Figure(f"overlap with the exhaustive top ten, {size}", "", overlap, bound=Bound(">=", 0.95)),
    ]
    for share in _SHARES[1:]:
        assert share is not None
        name = f"filter that keeps {share:.1%}, {size}"
        figures.append(Figure(name, "CPU ms", costs[share], {}, costs[share] / ours, "of unfiltered", Bound("<=", 2)))
    return figures


def _measure_costs(
    scale: Scale, server: RunningService, service: Semsearch, questions: Sequence[str]
) -> dict[float | None, float]:
    """Return the CPU milliseconds of a request by the share that passes the filter, with new questions each round."""
    count = len(questions) // (scale.scale_repetitions(ROUNDS) + 1)
    load_client.run_requests(server.port, service.build_searches(questions[:count]))
    milliseconds: dict[float | None, list[float]] = {share: [] for share in _SHARES}
    for round_number in range(1, scale.scale_repetitions(ROUNDS) + 1):
        for share in _SHARES:
            raw_filter = None if share is None else {"share": {"$lt": share}}
            requests = service.build_searches(questions[round_number * count : (round_number + 1) * count], raw_filter)
            cpu_before = machine.tree_cpu_seconds(server.pid)
            result = load_client.run_requests(server.port, requests)
            assert not result.failed
            milliseconds[share].append(1000 * (machine.tree_cpu_seconds(server.pid) - cpu_before) / len(requests))
    return {share: statistics.median(values) for share, values in milliseconds.items()}


def _measure_overlap(service: Semsearch, questions: Sequence[str], scale: Scale) -> float:
    """Return the share of the exhaustive search's top ten that a search returns."""
    sample = questions[: scale.scale_questions(60)]
    with Library(service.folder) as library:
        collection = library.open(COLLECTION_NAME)
        return statistics.mean(
            _top_ten_overlap(collection, text, vector)
            for text, vector in zip(sample, texts.embed(list(sample)), strict=True)
        )


def _top_ten_overlap(collection: Collection, text: str, vector: Vectors) -> float:
    hit_ids = {hit.chunk_id for hit in collection.search(text)}
    with collection.backends.store.snapshot() as snapshot:
        question, chunk_count = analyze_query(snapshot, text), len(snapshot)
        lexical = snapshot.top_k(snapshot.lexical_search(question.terms, chunk_count), CANDIDATES_PER_LEG)
        dense = snapshot.top_k(snapshot.vector_search(vector, chunk_count), CANDIDATES_PER_LEG)
        weight = choose_dense_weight(LocalEmbedder(), text, "hybrid")
        legs = [(dense, weight), (lexical, 1 - weight)]
        fused = snapshot.top_k(fuse(legs if weight else legs[1:], 2 * CANDIDATES_PER_LEG), RERANK_DEPTH)
        chunks = zip(snapshot.load(fused.ids.tolist()), fused.scores.tolist(), strict=True)
        top_ids = [chunk.id for chunk, _ in drop_near_duplicates(rerank(list(chunks), QueryCoverage(question)))[:10]]
    return len(hit_ids & set(top_ids)) / max(1, len(top_ids))


def _measure_fts5(stored: Sequence[str], questions: Sequence[str]) -> float:
    """Return the CPU milliseconds of an FTS5 query."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(body, tokenize = 'porter unicode61')")
    db.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", enumerate(stored))
    expressions = [" OR ".join(f'"{term}"' for term in dict.fromkeys(extract_query_terms(text))) for text in questions]
    sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10"
    queries = [query for query in expressions if query]
    rounds = [
        machine.measure_cpu_seconds(lambda: [db.execute(sql, (query,)).fetchall() for query in queries])
        for _ in range(3)
    ]
    db.close()
    return 1000 * statistics.median(rounds) / max(1, len(queries))


GOALS: dict[str, Callable[[Scale], Result]] = {"G5": g5}
