"""G5: what a search by words and meaning costs as a service, also under a filter, beside plain FTS5 in SQLite."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Callable, Sequence

from semsearch import Library
from semsearch.collection import Collection
from semsearch.core.types.documents import Vectors
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.search.coverage import Asked
from semsearch.search.ranking import DEPTH, RERANKED, collapsed, fuse, rerank
from semsearch.search.retrieval import analyse, dense_weight
from semsearch.text.analyzer import question_terms

from . import load, machine, texts
from .results import Bound, Figure, Result
from .scale import Scale
from .services import CLIENT_CORE, NAME, Filled, Running, Semsearch, running

ROUNDS = 3
_QUESTIONS = 300
_SHARES = (None, 0.001, 0.01, 0.1, 0.5)


def g5(scale: Scale) -> Result:
    """CPU of a hybrid request, 10k and 200k chunks, also filtered, beside FTS5 OR (15 minutes the first time)"""
    figures = list[Figure]()
    for count, bound in ((10_000, 3.0), (200_000, 6.0)):
        given = texts.load(scale.size(count), scale.data)
        stored = texts.embed(given.stored, "stored")
        filled = Filled(scale.scratch / f"services-{len(stored)}", given.stored, stored)
        filled.folder.mkdir(parents=True, exist_ok=True)
        questions = given.snippets[: scale.some(_QUESTIONS) * (scale.times(ROUNDS) + 1)]
        figures += _measured(scale, filled, questions, bound)
    notes = [
        "the whole request over HTTP, with the embedding of the question; FTS5: the words alone, in process, porter"
        " stems, all words of the question joined by OR, the ten best by bm25",
        "the unbounded recipe: every chunk scored by all words and by its vector itself, the best of each fused, and"
        " ranked again by sentences",
        "each filter is asked for again and again, as rights of access are; its first use in a commit costs more",
    ]
    return Result("G5", "Words and meaning together", machine.line(), figures, notes, short=scale.short)


def _measured(scale: Scale, filled: Filled, questions: Sequence[str], most: float) -> list[Figure]:
    service, size = Semsearch("hybrid"), f"{len(filled.texts):,}"
    service.fill(filled)
    plain = _fts5(filled.texts, questions[: scale.some(30)])
    machine.pin(0, CLIENT_CORE)
    with running(service) as server:
        costs = _costs(scale, server, service, questions)
    ours, kept = costs[None], _kept(service, questions, scale)
    figures = [
        Figure(f"a request, {size}", "cpu ms", ours, {"FTS5 OR": plain}, bound=Bound("<=", most)),
        Figure(f"of the unbounded recipe's top ten, {size}", "", kept, bound=Bound(">=", 0.95)),
    ]
    for share in _SHARES[1:]:
        assert share is not None
        what = f"under a filter of {share:.1%}, {size}"
        figures.append(Figure(what, "cpu ms", costs[share], {}, costs[share] / ours, "of unfiltered", Bound("<=", 2)))
    return figures


def _costs(scale: Scale, server: Running, service: Semsearch, questions: Sequence[str]) -> dict[float | None, float]:
    """CPU milliseconds of a request for each share that passes the filter, other questions each round."""
    each = len(questions) // (scale.times(ROUNDS) + 1)
    load.run(server.port, service.searches(questions[:each]))
    spent: dict[float | None, list[float]] = {share: [] for share in _SHARES}
    for number in range(1, scale.times(ROUNDS) + 1):
        for share in _SHARES:
            where = None if share is None else {"share": {"$lt": share}}
            requests = service.searches(questions[number * each : (number + 1) * each], where)
            before = machine.cpu(server.pid)
            answered = load.run(server.port, requests)
            assert not answered.failed
            spent[share].append(1000 * (machine.cpu(server.pid) - before) / len(requests))
    return {share: statistics.median(values) for share, values in spent.items()}


def _kept(service: Semsearch, questions: Sequence[str], scale: Scale) -> float:
    """The share of the unbounded recipe's top ten that a search gives."""
    asked = questions[: scale.some(60)]
    with Library(service.folder) as library:
        collection = library.open(NAME)
        return statistics.mean(
            _overlap(collection, text, vector) for text, vector in zip(asked, texts.embed(list(asked)), strict=True)
        )


def _overlap(collection: Collection, text: str, vector: Vectors) -> float:
    found = {hit.chunk_id for hit in collection.search(text)}
    with collection.store.snapshot() as snapshot:
        question, everything = analyse(snapshot, text), len(snapshot)
        words = snapshot.order(snapshot.match(question.terms, everything), DEPTH)
        vectors = snapshot.order(snapshot.nearest(vector, everything), DEPTH)
        weight = dense_weight(LocalEmbedder(), text, "hybrid")
        legs = [(vectors, weight), (words, 1 - weight)]
        fused = snapshot.order(fuse(legs if weight else legs[1:], 2 * DEPTH), RERANKED)
        chunks = zip(snapshot.load(fused.ids.tolist()), fused.scores.tolist(), strict=True)
        best = [chunk.id for chunk, _ in collapsed(rerank(list(chunks), Asked(question)))[:10]]
    return len(found & set(best)) / max(1, len(best))


def _fts5(stored: Sequence[str], questions: Sequence[str]) -> float:
    """CPU milliseconds of a question to FTS5."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(body, tokenize = 'porter unicode61')")
    db.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", enumerate(stored))
    asked = [" OR ".join(f'"{term}"' for term in dict.fromkeys(question_terms(text))) for text in questions]
    find = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 10"
    work = [query for query in asked if query]
    rounds = [machine.cpu_of(lambda: [db.execute(find, (query,)).fetchall() for query in work]) for _ in range(3)]
    db.close()
    return 1000 * statistics.median(rounds) / max(1, len(work))


GOALS: dict[str, Callable[[Scale], Result]] = {"G5": g5}
