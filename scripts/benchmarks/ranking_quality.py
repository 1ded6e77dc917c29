"""Q1: nDCG@10 of hybrid search compared with each of its legs alone, on judged collections."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence

from semsearch import Library
from semsearch.collection import Collection
from semsearch.core.types.search import SearchMode
from semsearch.evaluation.metrics import bootstrap

from . import machine
from .judged_data import JudgedCollection, ingest_judged, load_judged, ndcg
from .results import Bound, Figure, Result
from .scale import Scale

COLLECTIONS = ("squad2_a", "cranfield")
CHUNKS_PER_QUESTION = 100
"""Enough chunks to contain ten different documents."""
MISSING_MODEL_NOTE = (
    "not measured: needs --model FOLDER with the published files of all-MiniLM-L6-v2, including its ONNX file"
)
_RRF_K = 60
_LEGS: Mapping[str, SearchMode] = {"words alone": "lexical", "vectors alone": "dense"}

NdcgByMethod = dict[str, list[float]]
"""nDCG@10 of each question, by search method."""


def q1(scale: Scale) -> Result:
    """nDCG@10 of hybrid search and of each leg, with the default settings (1 minute)"""
    return _measure(scale, "Q1", "Ranking, with nothing set", None, {"squad2_a": 0.871, "cranfield": 0.400})


def q1b(scale: Scale) -> Result:
    """The same with a local contextual model (--model FOLDER; 5 minutes)"""
    title = "Ranking, with a contextual local model"
    if scale.model is None:
        return Result("Q1b", title, machine.describe_machine(), [], [MISSING_MODEL_NOTE], short=scale.short)
    return _measure(scale, "Q1b", title, f"onnx:{scale.model}", {"squad2_a": 0.889, "cranfield": 0.437})


def _measure(scale: Scale, goal: str, title: str, embedder: str | None, targets: Mapping[str, float]) -> Result:
    figures, notes = list[Figure](), ["documents are ranked by their best chunk"]
    for name in COLLECTIONS:
        with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
            collection = ingest_judged(library, scale.data / name, embedder=embedder)
            gains = measure_rankings(load_judged(scale.data / name, scale.limit), collection)
        means = {method: statistics.mean(values) for method, values in gains.items()}
        ours = means.pop("hybrid")
        best_leg = max(_LEGS, key=means.__getitem__)
        difference = ours - means[best_leg]
        figures += [
            Figure(f"nDCG@10, {name}", "", ours, means, bound=Bound(">=", targets[name])),
            Figure(f"more than the better leg, {name}", "", difference, {}, bound=Bound(">=", -0.01)),
        ]
        gain = bootstrap([hybrid - leg for hybrid, leg in zip(gains["hybrid"], gains[best_leg], strict=True)])
        notes.append(
            f"{name}: {difference:+.4f} over the {best_leg.removesuffix(' alone')}, 95 % interval"
            f" {gain.low:+.4f} to {gain.high:+.4f}, p {gain.p:.4f} (paired bootstrap)"
        )
    return Result(goal, title, machine.describe_machine(), figures, notes, short=scale.short)


def measure_rankings(judged: JudgedCollection, collection: Collection) -> NdcgByMethod:
    """Measure hybrid search, each leg, and reciprocal rank fusion (Cormack et al., SIGIR 2009) as a baseline."""
    gains: NdcgByMethod = {"hybrid": [], **{leg: [] for leg in _LEGS}, "RRF of both": []}
    for question in judged.answerable_questions():
        text, relevant = question["text"], judged.relevant[question["id"]]
        leg_rankings = {leg: search_documents(collection, text, mode) for leg, mode in _LEGS.items()}
        rankings = {
            "hybrid": search_documents(collection, text, "hybrid"),
            **leg_rankings,
            "RRF of both": fuse_by_rrf([*leg_rankings.values()]),
        }
        for method, ranking in rankings.items():
            gains[method].append(ndcg(ranking, relevant))
    return gains


def search_documents(collection: Collection, text: str, mode: SearchMode) -> list[str]:
    """Return the documents ranked by their best chunks."""
    hits = collection.search(text, CHUNKS_PER_QUESTION, mode=mode)
    return list(dict.fromkeys(hit.uri for hit in hits))


def fuse_by_rrf(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Fuse rankings by the sum of 1 / (60 + rank)."""
    scores: dict[str, float] = {}
    for documents in rankings:
        for rank, document in enumerate(documents, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (_RRF_K + rank)
    return sorted(scores, key=lambda document: -scores[document])
