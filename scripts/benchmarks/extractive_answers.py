"""Q2, Q3 and Q4: quality, refusals and citations of extractive answers, without a chat model."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from semsearch import Library
from semsearch.answers.answerers import make_evidence_ranker
from semsearch.answers.pipeline import retrieve_evidence
from semsearch.answers.profiles import DEFAULT_ANSWER_K
from semsearch.collection import Collection
from semsearch.core.settings import DEFAULT_ANSWER_THRESHOLD, Settings
from semsearch.core.types.answers import ClosestPassage, RankedEvidence
from semsearch.core.types.usage import RequestContext
from semsearch.search.retrieval import Query, Search, choose_dense_weight

from . import machine
from .judged_collections import get_article, ingest_judged, load_judged, read_json_lines
from .ranking_quality import COLLECTIONS
from .results import Bound, Figure, Result
from .scale import Scale

_DEFAULT_EMBEDDER = "default embedder"
_CONTEXTUAL_MODEL = "contextual model"
_UNANSWERABLE_KINDS = ("other topic", "unrelated")


@dataclass(frozen=True, slots=True)
class Targets:
    """Goals for one embedder."""

    best_sentence: float
    areas: tuple[float, float]
    """ROC AUC for questions on another topic, and for unrelated questions."""
    refused: tuple[float, float]
    """Share of these questions that are refused at 5 % false refusals."""


_TARGETS = {
    _DEFAULT_EMBEDDER: Targets(0.69, (0.97, 0.99), (0.90, 0.97)),
    _CONTEXTUAL_MODEL: Targets(0.72, (0.988, 0.996), (0.96, 0.99)),
}
_MIN_WITH_PASSAGES = 0.90
_MAX_MEAN_WORDS = 60


def q2(scale: Scale) -> Result:
    """Share of excerpts that contain the expected words (1 minute; with --model 10)"""
    figures = list[Figure]()
    notes = ["an excerpt is shown for every question: the threshold of the confidence is 0"]
    for embedder, spec in _list_embedders(scale, notes):
        with _open_ingested(scale, "squad2_a", spec, replace(Settings.load(), answer_threshold=0.0)) as collection:
            measurements = [
                _measure_answer(collection, question)
                for question in load_judged(scale.data / "squad2_a", scale.limit).answerable_questions()
            ]
        means = {
            name: statistics.mean(getattr(measurement, name) for measurement in measurements)
            for name in AnswerMeasurement.__slots__
        }
        bounds = {
            "best_contains_answer": Bound(">=", _TARGETS[embedder].best_sentence),
            "excerpt_or_passages_contain_answer": Bound(">=", _MIN_WITH_PASSAGES),
            "words": Bound("<=", _MAX_MEAN_WORDS),
        }
        figures += [
            Figure(f"{label}, {embedder}", "", means[name], bound=bounds.get(name)) for name, label in _LABELS.items()
        ]
    return Result("Q2", "Extractive answers", machine.describe_machine(), figures, notes, short=scale.short)


@dataclass(frozen=True, slots=True)
class AnswerMeasurement:
    """Figures of the answer to one question."""

    best_contains_answer: bool
    """Whether the best sentence of the excerpt contains the expected words; false without an excerpt."""
    excerpt_contains_answer: bool
    excerpt_or_passages_contain_answer: bool
    words: int
    refused: bool
    answered_correctly: bool
    """Whether the excerpt is not refused by default and contains the expected words."""


_LABELS = {
    "best_contains_answer": "best sentence contains the answer",
    "excerpt_contains_answer": "excerpt contains the answer",
    "excerpt_or_passages_contain_answer": "excerpt or passages contain the answer",
    "words": "words in the excerpt",
    "refused": "refused by default",
    "answered_correctly": "not refused and excerpt contains the answer",
}
"""Names of the figures by field of AnswerMeasurement."""


def _measure_answer(collection: Collection, question: dict[str, Any]) -> AnswerMeasurement:
    answer = collection.ask(question["text"])
    expected = [text.casefold() for text in question["answers"]]
    excerpt = " ".join(citation.quote for citation in answer.citations[:1])

    def contains_answer(*texts: str) -> bool:
        return any(words in text.casefold() for words in expected for text in texts)

    refused = answer.confidence < DEFAULT_ANSWER_THRESHOLD or not answer.answered
    return AnswerMeasurement(
        best_contains_answer=answer.answered and contains_answer(get_best_part(answer.passages[0])),
        excerpt_contains_answer=contains_answer(excerpt),
        excerpt_or_passages_contain_answer=contains_answer(excerpt, *(passage.text for passage in answer.passages)),
        words=len(excerpt.split()),
        refused=refused,
        answered_correctly=not refused and contains_answer(excerpt),
    )


def get_best_part(passage: ClosestPassage) -> str:
    """Return the part of a passage that fits the question best."""
    return passage.text[passage.best.start - passage.start : passage.best.end - passage.start]


def q3(scale: Scale) -> Result:
    """ROC AUC and refusals of questions without an answer in the collection (1 minute; with --model 20)"""
    notes = [
        "two collections with every other article of squad2_a each. Answerable: questions on the collection's articles;"
        " other topic: questions on the other articles; unrelated: questions of cranfield. Refused at 5 %: with the"
        " threshold that refuses 5 % of the answerable questions",
    ]
    figures = list[Figure]()
    for embedder, spec in _list_embedders(scale, notes):
        confidences, refused = _measure_confidences(scale, spec)
        answerable, targets = np.array(confidences["answerable"]), _TARGETS[embedder]
        for kind, min_auc, min_refused in zip(_UNANSWERABLE_KINDS, targets.areas, targets.refused, strict=True):
            unanswerable = np.array(confidences[kind])
            auc = compute_roc_auc(answerable, unanswerable)
            share = float((unanswerable < np.quantile(answerable, 0.05)).mean())
            figures += [
                Figure(f"ROC AUC, {kind}, {embedder}", "", auc, bound=Bound(">=", min_auc)),
                Figure(f"refused at 5 %, {kind}, {embedder}", "", share, bound=Bound(">=", min_refused)),
            ]
        figures += [Figure(f"refused by default, {kind}, {embedder}", "", share) for kind, share in refused.items()]
    return Result("Q3", "Unanswerable questions", machine.describe_machine(), figures, notes, short=scale.short)


def _measure_confidences(scale: Scale, spec: str | None) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the confidences of the answers by kind of question, and the share refused by default."""
    folder = scale.data / "squad2_a"
    articles = sorted({get_article(entry["id"]) for entry in read_json_lines(folder / "corpus.jsonl")})
    judged = load_judged(folder, scale.limit)
    questions = [
        (entry["text"], get_article(min(judged.relevant[entry["id"]]))) for entry in judged.answerable_questions()
    ]
    questions += [(entry["text"], "") for entry in load_judged(scale.data / "cranfield", scale.limit).questions]
    confidences: dict[str, list[float]] = {kind: [] for kind in ("answerable", *_UNANSWERABLE_KINDS)}
    refused: dict[str, list[bool]] = {kind: [] for kind in confidences}
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        for number in (0, 1):
            half = set(articles[number::2])
            collection = ingest_judged(library, folder, name=f"half{number}", embedder=spec, only=half)
            for text, article in questions:
                kind = "unrelated" if not article else "answerable" if article in half else "other topic"
                answer = collection.ask(text)
                confidences[kind].append(answer.confidence)
                refused[kind].append(not answer.answered)
    return confidences, {kind: statistics.mean(values) for kind, values in refused.items()}


def q4(scale: Scale) -> Result:
    """Share of citations that equal the stored text at their offsets (1 minute)"""
    exact_count = count = 0
    for name in COLLECTIONS:
        with _open_ingested(scale, name, None) as collection:
            for question in load_judged(scale.data / name, scale.limit).questions:
                for cited in collection.ask(question["text"]).citations:
                    count += 1
                    exact_count += collection.document(cited.uri).text[cited.start : cited.end] == cited.quote
    notes = [
        f"{count:,} citations of answers without a chat model; `tests/promises/test_hostile_replies.py` tests those of"
        " chat models against hostile replies",
    ]
    share = exact_count / count if count else 0.0
    figures = [Figure("citations equal to the stored text", "", share, bound=Bound(">=", 1.0))]
    return Result("Q4", "Citations", machine.describe_machine(), figures, notes, short=scale.short)


def rank_evidence(collection: Collection, text: str) -> RankedEvidence:
    """Return the evidence that an answer can be made of."""
    context, embedder = RequestContext("query"), collection.backends.embedder
    vector = collection.backends.loop.wait(embedder.embed([text], context, query=True))[0]
    query = Query(text, vector, None, "hybrid", choose_dense_weight(embedder, text, "hybrid"))
    evidence = retrieve_evidence(
        collection.backends.store, Search([query], DEFAULT_ANSWER_K, collection.backends.result_options), 0
    )
    ranker = make_evidence_ranker(embedder, collection.backends.answerer_deps)
    return collection.backends.loop.wait(ranker.rank(evidence.question, evidence.passages, context))


def compute_roc_auc(good: Sequence[float] | np.ndarray[Any, Any], bad: Sequence[float] | np.ndarray[Any, Any]) -> float:
    """Return the area under the ROC curve: the share of pairs in which the good value is higher; a tie counts half.

    >>> compute_roc_auc([0.9, 0.6], [0.1, 0.6])
    0.875
    """
    ascending, good = np.sort(bad), np.asarray(good)
    lower, lower_or_equal = np.searchsorted(ascending, good, "left"), np.searchsorted(ascending, good, "right")
    return float((lower + lower_or_equal).sum() / 2 / len(good) / len(ascending))


@contextmanager
def _open_ingested(scale: Scale, name: str, spec: str | None, settings: Settings | None = None) -> Iterator[Collection]:
    with tempfile.TemporaryDirectory() as folder, Library(folder, settings=settings) as library:
        yield ingest_judged(library, scale.data / name, embedder=spec)


def _list_embedders(scale: Scale, notes: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the name and the spec of each embedder to measure."""
    yield _DEFAULT_EMBEDDER, None
    if scale.model:
        yield _CONTEXTUAL_MODEL, f"onnx:{scale.model}"
    else:
        notes.append("not measured with a contextual model: needs --model FOLDER")
