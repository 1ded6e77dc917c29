"""From a question to ranked chunks: nearest + match → fuse → load → rerank. Does not embed and does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .analysis import identifiers, language, question_terms
from .filters import Filter
from .ports import Embedder, Snapshot
from .ranking import DEPTH, RERANKED, best_first, fuse, rerank
from .types import Hit, Ids, Mode, Question, Scored, StoredChunk, Vectors

MAX_K = 1000

Ranked = tuple[StoredChunk, float]


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the legs of a search take it. `vector` is None where the mode needs none."""

    text: str
    vector: Vectors | None
    where: Filter | None
    mode: Mode
    dense_weight: float


def dense_weight(embedder: Embedder, question: str) -> float:
    """How much the embedder's vectors count for this question."""
    return embedder.weights[language(question)]


def analyse(snapshot: Snapshot, text: str) -> Question:
    """A question with its terms, and what each of them weighs in this collection."""
    words = question_terms(text)
    phrases = [" ".join(name) for name in identifiers(text)]
    terms = (*words, *(phrase for phrase in phrases if phrase not in words))
    return Question(text, terms, snapshot.weights(terms))


def retrieve(snapshot: Snapshot, queries: Sequence[Query], k: int) -> list[Ranked]:
    """The best k chunks, best first; several queries count alike, each by its share of its own best score."""
    if len(queries) == 1:
        return _retrieve(snapshot, queries[0], analyse(snapshot, queries[0].text), k)
    chunks: dict[int, StoredChunk] = {}
    scores: dict[int, float] = {}
    for query in queries:
        ranked = _retrieve(snapshot, query, analyse(snapshot, query.text), max(DEPTH, k))
        highest = max((score for _, score in ranked), default=0.0)
        for chunk, score in ranked:
            chunks[chunk.id] = chunk
            share = score / highest / len(queries) if highest > 0 else 0.0
            scores[chunk.id] = scores.get(chunk.id, 0.0) + share
    return best_first((chunks[chunk_id], score) for chunk_id, score in scores.items())[:k]


def _retrieve(snapshot: Snapshot, query: Query, question: Question, k: int) -> list[Ranked]:
    """The best k chunks, best first; in hybrid mode the head is ranked again by its best sentences."""
    allowed = None if query.where is None else snapshot.allowed(query.where)
    legs = _legs(snapshot, query, question.terms, max(DEPTH, k) if query.mode == "hybrid" else k, allowed)
    if query.mode != "hybrid":
        return _loaded(snapshot, legs[0][0])[:k]
    everything = sum(len(leg.ids) for leg, _ in legs)
    fused = snapshot.order(fuse(legs, everything), max(k, RERANKED))
    return rerank(_loaded(snapshot, fused), question)[:k]


def _loaded(snapshot: Snapshot, found: Scored) -> list[Ranked]:
    return list(zip(snapshot.load(found.ids.tolist()), found.scores.tolist(), strict=True))


def _legs(
    snapshot: Snapshot, query: Query, terms: Sequence[str], depth: int, allowed: Ids | None
) -> list[tuple[Scored, float]]:
    weight = {"hybrid": query.dense_weight, "dense": 1.0, "lexical": 0.0}[query.mode]
    legs = []
    if query.vector is not None and weight > 0:
        legs.append((snapshot.nearest(query.vector, depth, allowed), weight))
    if query.mode != "dense":
        legs.append((snapshot.match(terms, depth, allowed), 1 - weight))
    return legs


def hit(chunk: StoredChunk, score: float) -> Hit:
    """The chunk as a result."""
    return Hit(
        chunk_id=chunk.id,
        uri=chunk.uri,
        title=chunk.title,
        heading=chunk.heading,
        page=chunk.page,
        start=chunk.start,
        end=chunk.end,
        text=chunk.text,
        score=round(score, 6),
        metadata=chunk.metadata,
    )
