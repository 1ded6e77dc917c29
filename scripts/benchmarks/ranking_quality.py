"""Q1 and Q1b: nDCG@10 of hybrid search beside lexical search, dense search and RRF, on judged collections."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence

from semsearch import Library
from semsearch.collection import Collection
from semsearch.core.types.search import SearchMode
from semsearch.evaluation.metrics import bootstrap

from . import machine
from .judged_collections import JudgedCollection, ingest_judged, load_judged, ndcg
from .results import Bound, Figure, Result
from .scale import Scale

COLLECTIONS = ("squad2_a", "cranfield")
CHUNKS_PER_QUESTION = 100
"""Enough chunks to contain ten different documents."""
MISSING_MODEL_NOTE = (
    "not measured: needs --model FOLDER, the folder of all-MiniLM-L6-v2 as published, with its ONNX file"
)
_RRF_K = 60
_LEGS: Sequence[SearchMode] = ("lexical", "dense")

NdcgByMethod = dict[str, list[float]]
"""nDCG@10 of each question, by search method."""


def q1(scale: Scale) -> Result:
    """nDCG@10 of hybrid, lexical and dense search with default settings (1 minute)"""
    return _measure(scale, "Q1", "Ranking with default settings", None, {"squad2_a": 0.871, "cranfield": 0.400})


def q1b(scale: Scale) -> Result:
    """Q1 with a contextual local model (--model FOLDER; 5 minutes)"""
    title = "Ranking with a contextual local model"
    if scale.model is None:
        return Result("Q1b", title, machine.describe_machine(), [], [MISSING_MODEL_NOTE], short=scale.short)
    return _measure(scale, "Q1b", title, f"onnx:{scale.model}", {"squad2_a": 0.889, "cranfield": 0.437})


def _measure(scale: Scale, goal: str, title: str, embedder: str | None, targets: Mapping[str, float]) -> Result:
    figures, notes = list[Figure](), ["documents are ranked by their best chunk"]
    for name in COLLECTIONS:
        with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
            collection = ingest_judged(library, scale.data / name, embedder=embedder)
            scores = measure_rankings(load_judged(scale.data / name, scale.limit), collection)
        means = {method: statistics.mean(values) for method, values in scores.items()}
        ours = means.pop("hybrid")
        best_leg = max(_LEGS, key=means.__getitem__)
        figures += [
            Figure(f"nDCG@10, {name}", "", ours, means, bound=Bound(">=", targets[name])),
            Figure(f"gain over the better leg, {name}", "", ours - means[best_leg], {}, bound=Bound(">=", -0.01)),
        ]
        gain = bootstrap([a - b for a, b in zip(scores["hybrid"], scores[best_leg], strict=True)])
        notes.append(
            f"{name}: {ours - means[best_leg]:+.4f} over {best_leg} search, 95 % interval"
            f" {gain.low:+.4f} to {gain.high:+.4f}, p {gain.p:.4f} (paired bootstrap)"
        )
    return Result(goal, title, machine.describe_machine(), figures, notes, short=scale.short)


def measure_rankings(judged: JudgedCollection, collection: Collection) -> NdcgByMethod:
    """Measure hybrid search, each leg, and the reciprocal rank fusion of both (Cormack et al., SIGIR 2009)."""
    scores: NdcgByMethod = {"hybrid": [], **{leg: [] for leg in _LEGS}, "RRF of both": []}
    for question in judged.answerable_questions():
        text, relevant = question["text"], judged.relevant[question["id"]]
        by_leg: dict[str, list[str]] = {leg: search_documents(collection, text, leg) for leg in _LEGS}
        rankings = {
            "hybrid": search_documents(collection, text, "hybrid"),
            **by_leg,
            "RRF of both": fuse_by_rrf([*by_leg.values()]),
        }
        for method, documents in rankings.items():
            scores[method].append(ndcg(documents, relevant))
    return scores


def search_documents(collection: Collection, text: str, mode: SearchMode) -> list[str]:
    """Return the documents of the hits, ranked by their best chunk."""
    hits = collection.search(text, CHUNKS_PER_QUESTION, mode=mode)
    return list(dict.fromkeys(hit.uri for hit in hits))


def fuse_by_rrf(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Fuse rankings by the sum of 1 / (60 + rank)."""
    scores: dict[str, float] = {}
    for documents in rankings:
        for rank, document in enumerate(documents, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (_RRF_K + rank)
    return sorted(scores, key=lambda document: -scores[document])
