"""Q2, Q3 and Q4: extractive answers: how often they are right, what they refuse, and whether citations are exact."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsearch import Library
from semsearch.answers.answerers.extractive import select_sentences
from semsearch.answers.answerers.similarity import score_sentences
from semsearch.answers.evidence import Candidate
from semsearch.answers.pipeline import retrieve_evidence
from semsearch.answers.profiles import DEFAULT_ANSWER_K
from semsearch.collection import Collection
from semsearch.core.types.usage import RequestContext
from semsearch.search.retrieval import Query, Search, choose_dense_weight

from . import machine
from .judged_data import get_article, ingest_judged, load_judged, read_json_lines
from .ranking_quality import COLLECTIONS
from .results import Bound, Figure, Result
from .scale import Scale

_DEFAULT_EMBEDDER = "nothing set"
_OTHER_KINDS = ("other topic", "unrelated")


@dataclass(frozen=True, slots=True)
class Targets:
    """The goals for one embedder."""

    first_sentence: float
    up_to_three: float
    areas: tuple[float, float]
    """Areas under the ROC curve, for questions on another topic and for unrelated ones."""
    refused: tuple[float, float]
    """Shares of refused questions, of the same two kinds."""


_TARGETS = {
    _DEFAULT_EMBEDDER: Targets(0.69, 0.83, (0.97, 0.99), (0.90, 0.97)),
    "model": Targets(0.72, 0.85, (0.988, 0.996), (0.96, 0.99)),
}


def q2(scale: Scale) -> Result:
    """How often an answer without a chat model contains the expected words (1 minute; with --model 10)"""
    figures, notes = list[Figure](), ["every question is answered here, including those that are refused by default"]
    for embedder, spec in _list_embedders(scale, notes):
        targets = _TARGETS[embedder]
        with _open_ingested(scale, "squad2_a", spec) as collection:
            measurements = [
                _measure_answer(collection, question)
                for question in load_judged(scale.data / "squad2_a", scale.limit).answerable_questions()
            ]
        mean = {
            name: statistics.mean(getattr(measurement, name) for measurement in measurements)
            for name in AnswerMeasurement.__slots__
        }
        first_bound, answer_bound = Bound(">=", targets.first_sentence), Bound(">=", targets.up_to_three)
        figures += [
            Figure(f"first sentence holds it, {embedder}", "", mean["first_is_right"], bound=first_bound),
            Figure(f"answer of up to three holds it, {embedder}", "", mean["answer_is_right"], bound=answer_bound),
            Figure(f"words of the first sentence, {embedder}", "", mean["first_words"], bound=Bound("<=", 30)),
            Figure(f"words of the answer, {embedder}", "", mean["answer_words"]),
            Figure(f"its sentences, {embedder}", "", mean["sentence_count"]),
            Figure(f"refused by default, {embedder}", "", mean["is_refused"]),
            Figure(f"answered and holds it, {embedder}", "", mean["is_answered_and_right"]),
        ]
    return Result("Q2", "Extractive answers", machine.describe_machine(), figures, notes, short=scale.short)


@dataclass(frozen=True, slots=True)
class AnswerMeasurement:
    """The answer to one question; a text is right if it contains one of the expected answers."""

    first_is_right: bool
    """The first sentence alone."""
    answer_is_right: bool
    first_words: int
    answer_words: int
    sentence_count: int
    is_refused: bool
    """By default, at the threshold of the service."""
    is_answered_and_right: bool


def _measure_answer(collection: Collection, question: dict[str, Any]) -> AnswerMeasurement:
    candidates = select_sentences(rank_candidates(collection, question["text"]))
    sentences = [candidate.sentence.text.casefold() for candidate in candidates]
    expected = [text.casefold() for text in question["answers"]]
    first, answer = sentences[0], " ".join(sentences)
    is_right = any(text in answer for text in expected)
    is_answered = collection.ask(question["text"]).answered
    return AnswerMeasurement(
        any(text in first for text in expected), is_right, len(first.split()), len(answer.split()), len(sentences),
        not is_answered, is_answered and is_right,
    )  # fmt: skip


def q3(scale: Scale) -> Result:
    """Refusal of unanswerable questions: area under the ROC curve and shares (1 minute; with --model 20)"""
    notes = [
        "two collections of every other article of squad2_a: own questions, those of the other half (other topic), and"
        " cranfield's (unrelated); refused at the threshold that refuses 5 % of the own ones",
    ]
    figures = list[Figure]()
    for embedder, spec in _list_embedders(scale, notes):
        confidences, refused = _measure_confidences(scale, spec)
        own, targets = np.array(confidences["own"]), _TARGETS[embedder]
        for kind, min_area, min_share in zip(_OTHER_KINDS, targets.areas, targets.refused, strict=True):
            others = np.array(confidences[kind])
            area, share = compute_roc_auc(own, others), float((others < np.quantile(own, 0.05)).mean())
            figures += [
                Figure(f"area, {kind}, {embedder}", "", area, bound=Bound(">=", min_area)),
                Figure(f"refused at 5 %, {kind}, {embedder}", "", share, bound=Bound(">=", min_share)),
            ]
        figures += [Figure(f"refused by default, {kind}, {embedder}", "", share) for kind, share in refused.items()]
    return Result("Q3", "Telling what it cannot answer", machine.describe_machine(), figures, notes, short=scale.short)


def _measure_confidences(scale: Scale, spec: str | None) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the confidence of each question by kind, and by kind the share that is refused by default."""
    folder = scale.data / "squad2_a"
    articles = sorted({get_article(entry["id"]) for entry in read_json_lines(folder / "corpus.jsonl")})
    judged = load_judged(folder, scale.limit)
    questions = [
        (entry["text"], get_article(min(judged.relevant[entry["id"]]))) for entry in judged.answerable_questions()
    ]
    questions += [(entry["text"], "") for entry in load_judged(scale.data / "cranfield", scale.limit).questions]
    confidences: dict[str, list[float]] = {kind: [] for kind in ("own", *_OTHER_KINDS)}
    refused: dict[str, list[bool]] = {kind: [] for kind in confidences}
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        for number in (0, 1):
            half = set(articles[number::2])
            collection = ingest_judged(library, folder, name=f"half{number}", embedder=spec, only=half)
            for text, article in questions:
                kind = "unrelated" if not article else "own" if article in half else "other topic"
                candidates = rank_candidates(collection, text)
                confidences[kind].append(max((candidate.confidence for candidate in candidates), default=0.0))
                refused[kind].append(not collection.ask(text).answered)
    return confidences, {kind: statistics.mean(values) for kind, values in refused.items()}


def q4(scale: Scale) -> Result:
    """Share of citations whose offsets give the quote in the stored text (1 minute)"""
    exact_count = count = 0
    for name in COLLECTIONS:
        with _open_ingested(scale, name, None) as collection:
            for question in load_judged(scale.data / name, scale.limit).questions:
                for citation in collection.ask(question["text"]).citations:
                    count += 1
                    document = collection.document(citation.uri)
                    exact_count += document.text[citation.start : citation.end] == citation.quote
    notes = [
        f"{count:,} citations of answers without a chat model; `tests/promises/test_hostile_replies.py` tests those of"
        " chat models with hostile replies"
    ]
    share = exact_count / count if count else 0.0
    figures = [Figure("citations that are in the text", "", share, bound=Bound(">=", 1.0))]
    return Result("Q4", "Citations", machine.describe_machine(), figures, notes, short=scale.short)


def rank_candidates(collection: Collection, text: str) -> list[Candidate]:
    """Return the candidate sentences of an extractive answer, best first."""
    context, embedder = RequestContext("query"), collection.backends.embedder
    vector = collection.backends.loop.wait(embedder.embed([text], context, query=True))[0]
    query = Query(text, vector, None, "hybrid", choose_dense_weight(embedder, text, "hybrid"))
    evidence = retrieve_evidence(
        collection.backends.store, Search([query], DEFAULT_ANSWER_K, collection.backends.result_options), 0
    )
    return collection.backends.loop.wait(score_sentences(embedder, evidence.question, evidence.passages, context))


def compute_roc_auc(good: Sequence[float] | np.ndarray[Any, Any], bad: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """Return the area under the ROC curve: the share of pairs in which the good value is higher; a tie counts half.

    >>> compute_roc_auc([0.9, 0.6], [0.1, 0.6])
    0.875
    """
    sorted_bad, good = np.sort(bad), np.asarray(good)
    lower, not_higher = np.searchsorted(sorted_bad, good, "left"), np.searchsorted(sorted_bad, good, "right")
    return float((lower + not_higher).sum() / 2 / len(good) / len(sorted_bad))


@contextmanager
def _open_ingested(scale: Scale, name: str, spec: str | None) -> Iterator[Collection]:
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        yield ingest_judged(library, scale.data / name, embedder=spec)


def _list_embedders(scale: Scale, notes: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the name and the spec of each embedder to measure; note a missing --model."""
    yield _DEFAULT_EMBEDDER, None
    if scale.model:
        yield "model", f"onnx:{scale.model}"
    else:
        notes.append("for a contextual model use --model FOLDER")
