"""Q1: how well the two legs of a search rank together, against each alone, on judged collections."""

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
"""So many chunks that ten different documents are among them."""
MISSING_MODEL_NOTE = (
    "not measured: needs --model FOLDER, a folder of all-MiniLM-L6-v2 as it is published, with its ONNX file"
)
_RRF_K = 60
_LEGS: Mapping[str, SearchMode] = {"words alone": "lexical", "vectors alone": "dense"}

NdcgByMethod = dict[str, list[float]]
"""nDCG@10 of each question, by way of searching."""


def q1(scale: Scale) -> Result:
    """nDCG@10 of words and vectors together, and alone, with nothing set (1 minute)"""
    return _measure(scale, "Q1", "Ranking, with nothing set", None, {"squad2_a": 0.871, "cranfield": 0.400})


def q1b(scale: Scale) -> Result:
    """The same with a contextual model that runs here (--model FOLDER; 5 minutes)"""
    title = "Ranking, with a contextual local model"
    if scale.model is None:
        return Result("Q1b", title, machine.describe_machine(), [], [MISSING_MODEL_NOTE], short=scale.short)
    return _measure(scale, "Q1b", title, f"onnx:{scale.model}", {"squad2_a": 0.889, "cranfield": 0.437})


def _measure(scale: Scale, goal: str, title: str, embedder: str | None, targets: Mapping[str, float]) -> Result:
    figures, notes = list[Figure](), ["scored per document: a document counts by its best chunk"]
    for name in COLLECTIONS:
        with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
            collection = ingest_judged(library, scale.data / name, embedder=embedder)
            gains = measure_rankings(load_judged(scale.data / name, scale.limit), collection)
        means = {way: statistics.mean(values) for way, values in gains.items()}
        ours = means.pop("hybrid")
        better = max(_LEGS, key=means.__getitem__)
        figures += [
            Figure(f"nDCG@10, {name}", "", ours, means, bound=Bound(">=", targets[name])),
            Figure(f"more than the better leg, {name}", "", ours - means[better], {}, bound=Bound(">=", -0.01)),
        ]
        gain = bootstrap([one - other for one, other in zip(gains["hybrid"], gains[better], strict=True)])
        notes.append(
            f"{name}: {ours - means[better]:+.4f} over the {better.removesuffix(' alone')}, 95 % interval"
            f" {gain.low:+.4f} to {gain.high:+.4f}, p {gain.p:.4f} (paired bootstrap)"
        )
    return Result(goal, title, machine.describe_machine(), figures, notes, short=scale.short)


def measure_rankings(judged: JudgedCollection, collection: Collection) -> NdcgByMethod:
    """Search both ways, each alone, and joined by reciprocal ranks (Cormack et al., SIGIR 2009) as a baseline."""
    gains: NdcgByMethod = {"hybrid": [], **{leg: [] for leg in _LEGS}, "RRF of both": []}
    for question in judged.answerable_questions():
        text, relevant = question["text"], judged.relevant[question["id"]]
        alone = {leg: search_documents(collection, text, mode) for leg, mode in _LEGS.items()}
        rankings = {
            "hybrid": search_documents(collection, text, "hybrid"),
            **alone,
            "RRF of both": fuse_by_rrf([*alone.values()]),
        }
        for way, documents_in_order in rankings.items():
            gains[way].append(ndcg(documents_in_order, relevant))
    return gains


def search_documents(collection: Collection, text: str, mode: SearchMode) -> list[str]:
    """Documents by their best chunks, best first."""
    hits = collection.search(text, CHUNKS_PER_QUESTION, mode=mode)
    return list(dict.fromkeys(hit.uri for hit in hits))


def fuse_by_rrf(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Join rankings by the sum of 1 / (60 + rank)."""
    scores: dict[str, float] = {}
    for documents in rankings:
        for rank, document in enumerate(documents, 1):
            scores[document] = scores.get(document, 0.0) + 1 / (_RRF_K + rank)
    return sorted(scores, key=lambda document: -scores[document])
