"""Q2, Q3 and Q4: what answers without a chat model hold, what they refuse, and whether their citations are there."""

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
    """What is to be reached with one embedder."""

    first_sentence: float
    up_to_three: float
    areas: tuple[float, float]
    """Under the curve, for questions on another topic and for unrelated ones."""
    refused: tuple[float, float]


_TARGETS = {
    _DEFAULT_EMBEDDER: Targets(0.69, 0.83, (0.97, 0.99), (0.90, 0.97)),
    "model": Targets(0.72, 0.85, (0.988, 0.996), (0.96, 0.99)),
}


def q2(scale: Scale) -> Result:
    """How often an answer without a chat model holds the expected words (1 minute; with --model 10)"""
    figures, notes = list[Figure](), ["all questions are answered here, also those that would be refused"]
    for embedder, spec in _list_embedders(scale, notes):
        targets = _TARGETS[embedder]
        with _open_ingested(scale, "squad2_a", spec) as collection:
            measured = [
                _measure_answer(collection, question)
                for question in load_judged(scale.data / "squad2_a", scale.limit).answerable_questions()
            ]
        share = {name: statistics.mean(getattr(one, name) for one in measured) for name in AnswerMeasurement.__slots__}
        figures += [
            Figure(
                f"first sentence holds it, {embedder}", "", share["first"], bound=Bound(">=", targets.first_sentence)
            ),
            Figure(
                f"answer of up to three holds it, {embedder}",
                "",
                share["answer"],
                bound=Bound(">=", targets.up_to_three),
            ),
            Figure(f"words of the first sentence, {embedder}", "", share["first_words"], bound=Bound("<=", 30)),
            Figure(f"words of the answer, {embedder}", "", share["words"]),
            Figure(f"its sentences, {embedder}", "", share["sentences"]),
            Figure(f"refused by default, {embedder}", "", share["refused"]),
            Figure(f"answered and holds it, {embedder}", "", share["kept"]),
        ]
    return Result("Q2", "Extractive answers", machine.describe_machine(), figures, notes, short=scale.short)


@dataclass(frozen=True, slots=True)
class AnswerMeasurement:
    """What the answer to one question held."""

    first: bool
    answer: bool
    first_words: int
    words: int
    sentences: int
    refused: bool
    kept: bool
    """It was not refused, and holds the expected words."""


def _measure_answer(collection: Collection, question: dict[str, Any]) -> AnswerMeasurement:
    sentences = [one.sentence.text for one in select_sentences(rank_candidates(collection, question["text"]))]
    gold = [text.casefold() for text in question["answers"]]
    first, whole = sentences[0].casefold(), " ".join(sentences).casefold()
    holds = any(text in whole for text in gold)
    answer = collection.ask(question["text"])
    return AnswerMeasurement(
        any(text in first for text in gold), holds, len(first.split()), len(whole.split()), len(sentences),
        not answer.answered, answer.answered and holds,
    )  # fmt: skip


def q3(scale: Scale) -> Result:
    """Telling what it cannot answer: area under the curve, and what is refused (1 minute; with --model 20)"""
    notes = [
        "two collections of every other article of squad2_a: own questions, those of the other half (other topic), and"
        " cranfield's (unrelated); refused at the threshold that refuses 5 % of the own ones",
    ]
    figures = list[Figure]()
    for embedder, spec in _list_embedders(scale, notes):
        confidences, refused = _measure_confidences(scale, spec)
        own, targets = np.array(confidences["own"]), _TARGETS[embedder]
        for at, kind in enumerate(_OTHER_KINDS):
            others = np.array(confidences[kind])
            share = float((others < np.quantile(own, 0.05)).mean())
            figures += [
                Figure(
                    f"area, {kind}, {embedder}", "", compute_roc_auc(own, others), bound=Bound(">=", targets.areas[at])
                ),
                Figure(f"refused at 5 %, {kind}, {embedder}", "", share, bound=Bound(">=", targets.refused[at])),
            ]
        figures += [Figure(f"refused by default, {kind}, {embedder}", "", share) for kind, share in refused.items()]
    return Result("Q3", "Telling what it cannot answer", machine.describe_machine(), figures, notes, short=scale.short)


def _measure_confidences(scale: Scale, spec: str | None) -> tuple[dict[str, list[float]], dict[str, float]]:
    """How strong the evidence is for questions of each kind, and which share is refused by default."""
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
            for text, of in questions:
                kind = "unrelated" if not of else "own" if of in half else "other topic"
                ranked = rank_candidates(collection, text)
                confidences[kind].append(max((one.confidence for one in ranked), default=0.0))
                refused[kind].append(not collection.ask(text).answered)
    return confidences, {kind: statistics.mean(values) for kind, values in refused.items()}


def q4(scale: Scale) -> Result:
    """Citations that stand in the stored text, to the character (1 minute)"""
    exact = count = 0
    for name in COLLECTIONS:
        with _open_ingested(scale, name, None) as collection:
            for question in load_judged(scale.data / name, scale.limit).questions:
                for cited in collection.ask(question["text"]).citations:
                    count += 1
                    exact += collection.document(cited.uri).text[cited.start : cited.end] == cited.quote
    notes = [
        f"{count:,} citations of answers without a chat model; `tests/test_hostile_replies.py` sees to those of chat"
        " models, whatever they reply"
    ]
    share = exact / count if count else 0.0
    figures = [Figure("citations that are in the text", "", share, bound=Bound(">=", 1.0))]
    return Result("Q4", "Citations", machine.describe_machine(), figures, notes, short=scale.short)


def rank_candidates(collection: Collection, text: str) -> list[Candidate]:
    """The sentences from which the answer is taken, the best first."""
    context, embedder = RequestContext("query"), collection.embedder
    vector = collection.loop.wait(embedder.embed([text], context, query=True))[0]
    query = Query(text, vector, None, "hybrid", choose_dense_weight(embedder, text, "hybrid"))
    evidence = retrieve_evidence(collection.store, Search([query], DEFAULT_ANSWER_K, collection.result_options), 0)
    return collection.loop.wait(score_sentences(embedder, evidence.question, evidence.passages, context))


def compute_roc_auc(good: Sequence[float] | np.ndarray[Any, Any], bad: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """The area under the ROC curve: how often one of the good is above one of the bad; a tie is half of that.

    >>> area([0.9, 0.6], [0.1, 0.6])
    0.875
    """
    ascending, good = np.sort(bad), np.asarray(good)
    below, to = np.searchsorted(ascending, good, "left"), np.searchsorted(ascending, good, "right")
    return float((below + to).sum() / 2 / len(good) / len(ascending))


@contextmanager
def _open_ingested(scale: Scale, name: str, spec: str | None) -> Iterator[Collection]:
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        yield ingest_judged(library, scale.data / name, embedder=spec)


def _list_embedders(scale: Scale, notes: list[str]) -> Iterator[tuple[str, str | None]]:
    """With which embedders is measured, and their specs."""
    yield _DEFAULT_EMBEDDER, None
    if scale.model:
        yield "model", f"onnx:{scale.model}"
    else:
        notes.append("the same with a contextual model: --model FOLDER")
