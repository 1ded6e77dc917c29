"""From a question to ranked chunks: nearest + match → fuse → load → rerank → shape. Does not embed or answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from ..core.errors import Invalid, Storage
from ..core.ports import Embedder, Snapshot
from ..core.types.answers import Question
from ..core.types.documents import Vectors
from ..core.types.filters import Filter
from ..core.types.search import Explanation, Hit, HitSentence, Mode, Place, Ranked, Scored, Shape, StoredChunk
from ..text.analyzer import language, question_terms
from ..text.questions import identifiers
from .coverage import Asked
from .interleaving import Steps, in_step
from .ranking import DEPTH, RERANKED, best_first, collapsed, diverse, few_of_each, fuse, rerank

MAX_K = 1000

DEEPEST = 8 * MAX_K
"""Chunks that are looked at for one search, at most, however many of them say the same or belong to one document."""

DIVERSE = 50
"""How many of the best are chosen from where a request wants diversity."""

AS_RANKED = Shape(collapse=False)

_NOTHING = np.empty(0, np.int64), np.empty(0)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the legs of a search take it. `vector` is None where the mode needs none."""

    text: str
    vector: Vectors | None
    where: Filter | None
    mode: Mode
    dense_weight: float


def checked_k(k: int) -> int:
    """Return how many chunks are wanted; Invalid if that is out of bounds."""
    if not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise Invalid(f"k is a whole number between 1 and {MAX_K}, not {k!r}")
    return k


def checked_mode(mode: Mode) -> Mode:
    """Return the way to search; Invalid if there is none of this name."""
    if mode not in get_args(Mode):
        raise Invalid(f"the mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
    return mode


def dense_weight(embedder: Embedder, question: str, mode: Mode) -> float:
    """How much the embedder's vectors count for this question, from 0 to 1; words count for the rest."""
    return embedder.weights[language(question)] if mode == "hybrid" else 1.0 if mode == "dense" else 0.0


def analyse(snapshot: Snapshot, text: str) -> Question:
    """A question with its terms, and what each of them weighs in this collection."""
    words = question_terms(text)
    names = tuple(identifiers(text))
    phrases = [" ".join(name) for name in names]
    terms = (*words, *(phrase for phrase in phrases if phrase not in words))
    return Question(text, terms, snapshot.weights(terms), names)


@dataclass(frozen=True, slots=True)
class Search:
    """What one search looks for; several queries count alike, each by its share of its own best score."""

    queries: Sequence[Query]
    k: int
    shape: Shape = AS_RANKED
    explain: bool = False


def hits(snapshot: Snapshot, searches: Sequence[Search]) -> list[list[Hit]]:
    """The best chunks of each search, best first; the searches are made in step, and each as if it were alone."""
    return in_step(_hits(snapshot, search) for search in searches)


def retrieve(snapshot: Snapshot, search: Search) -> Retrieved:
    """The best chunks, best first, and what was seen on the way."""
    (found,) = in_step([_retrieved(snapshot, search)])
    return found


def _hits(snapshot: Snapshot, search: Search) -> Steps[list[Hit]]:
    found = yield from _retrieved(snapshot, search)
    yield
    return found.hits(explain=search.explain)


def _retrieved(snapshot: Snapshot, search: Search) -> Steps[Retrieved]:
    """Where the shape leaves some out, it is looked deeper, so that there are k if the best `DEEPEST` have them."""
    k, shape = search.k, search.shape
    looks = [_Look(snapshot, query) for query in search.queries]
    depth = max(k, DIVERSE if shape.diversity else RERANKED if search.queries[0].mode == "hybrid" else 1)
    most = max(k, DIVERSE) if shape.diversity else k
    while True:
        yield
        ranked = yield from (looks[0].ranked(depth) if len(looks) == 1 else _together(looks, depth))
        yield
        if shape.collapse:
            shaped = collapsed(ranked, most, of_each=shape.per_document)
        else:
            shaped = few_of_each(ranked, shape.per_document) if shape.per_document else ranked
        if len(shaped) >= k or len(ranked) < depth or depth >= DEEPEST:
            break
        depth = min(2 * depth, DEEPEST)
    if shape.diversity:
        head = shaped[:most]
        shaped = diverse(head, snapshot.vectors([chunk.id for chunk, _ in head]), shape.diversity)
    return Retrieved(_intact(shaped[:k]), looks)


def _intact(ranked: list[Ranked]) -> list[Ranked]:
    """What is to be shown; Storage if any of it is not as it was written."""
    for chunk, _ in ranked:
        if chunk.damage:
            raise Storage(chunk.damage)
    return ranked


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found, and what was seen on the way."""

    ranked: list[Ranked]
    _looks: Sequence[_Look]

    @property
    def question(self) -> Question:
        """The first query, analysed; one behind it looks wider."""
        first, *wider = (look.question for look in self._looks)
        return replace(first, wider=wider[-1]) if wider else first

    def hits(self, *, explain: bool = False) -> list[Hit]:
        """The chunks as results, each with its best sentence, and with its scores if they are to be explained."""
        chunks = [chunk for chunk, _ in self.ranked]
        best = self._looks[0].asked.best(chunks)
        explained: list[list[Explanation] | None] = [None] * len(chunks)
        if explain:
            explained = [[*how] for how in zip(*(look.explained(chunks) for look in self._looks), strict=True)]
        return [
            _hit(chunk, score, held, how)
            for (chunk, score), held, how in zip(self.ranked, best, explained, strict=True)
        ]


class _Look:
    """One query in one snapshot; its legs are searched when they are needed, and deeper if need be."""

    def __init__(self, snapshot: Snapshot, query: Query) -> None:
        self.query = query
        self.question = analyse(snapshot, query.text)
        self.asked = Asked(self.question)
        self._snapshot = snapshot
        self._allowed = None if query.where is None else snapshot.allowed(query.where)
        self._legs: Mapping[str, tuple[Scored, float]] = {}
        self._fused = Scored(*_NOTHING)

    def ranked(self, k: int) -> Steps[list[Ranked]]:
        """The best k chunks, best first; in hybrid mode the head is ranked again by its best sentences."""
        hybrid = self.query.mode == "hybrid"
        self._legs = yield from self._searched(max(DEPTH, k) if hybrid else k)
        yield
        legs = list(self._legs.values())
        if not hybrid:
            return self._loaded(self._snapshot.order(legs[0][0], k))
        everything = sum(len(leg.ids) for leg, _ in legs)
        self._fused = self._snapshot.order(fuse(legs, everything), max(k, RERANKED))
        ranked = self._loaded(self._fused)
        yield
        return rerank(ranked, self.asked)[:k]

    def explained(self, chunks: Sequence[StoredChunk]) -> Iterator[Explanation]:
        """How this query came to the score of each chunk."""
        for chunk, (held, _) in zip(chunks, self.asked.best(chunks), strict=True):
            places = {name: _place(leg, chunk.id) for name, (leg, _) in self._legs.items()}
            fused = _place(self._fused, chunk.id)
            yield Explanation(
                query=self.query.text,
                dense=places.get("dense"),
                lexical=places.get("lexical"),
                fused=None if fused is None else fused.score,
                sentence=round(held, 6),
            )

    def _searched(self, depth: int) -> Steps[dict[str, tuple[Scored, float]]]:
        query, legs = self.query, dict[str, tuple[Scored, float]]()
        weight = query.dense_weight
        if query.vector is not None and weight > 0:
            legs["dense"] = self._snapshot.nearest(query.vector, depth, self._allowed), weight
        yield
        if query.mode != "dense":
            found = self._snapshot.match(self.question.terms, depth, self._allowed, language=language(query.text))
            legs["lexical"] = found, 1 - weight
        return legs

    def _loaded(self, found: Scored) -> list[Ranked]:
        return list(zip(self._snapshot.load(found.ids.tolist()), found.scores.tolist(), strict=True))


def _together(looks: Sequence[_Look], k: int) -> Steps[list[Ranked]]:
    chunks: dict[int, StoredChunk] = {}
    scores: dict[int, float] = {}
    for look in looks:
        ranked = yield from look.ranked(max(DEPTH, k))
        highest = max((score for _, score in ranked), default=0.0)
        for chunk, score in ranked:
            chunks[chunk.id] = chunk
            share = score / highest / len(looks) if highest > 0 else 0.0
            scores[chunk.id] = scores.get(chunk.id, 0.0) + share
    return best_first((chunks[chunk_id], score) for chunk_id, score in scores.items())[:k]


def _place(found: Scored, chunk_id: int) -> Place | None:
    (at,) = (found.ids == chunk_id).nonzero()
    return Place(int(at[0]) + 1, round(float(found.scores[at[0]]), 6)) if len(at) else None


def _hit(chunk: StoredChunk, score: float, best: tuple[float, int], explanation: list[Explanation] | None) -> Hit:
    sentence = None
    if best[0] > 0:
        start, end = chunk.sentences[best[1]]
        sentence = HitSentence(chunk.start + start, chunk.start + end, chunk.text[start:end])
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
        sentence=sentence,
        explanation=explanation,
    )
