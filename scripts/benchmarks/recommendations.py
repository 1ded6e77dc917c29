"""Q15: recommendations beside random, popular and nearest documents, on documents that belong together.

Documents belong together if they are paragraphs of one article, pages of one section, or parts of one chapter. A case
has three documents of such a group that were read, and one that was held out: the relevant one. The titles of articles
are not ingested, because they would name the group.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.evaluation.datasets import RecommendationCase, read_recommendation_cases
from semsearch.evaluation.recommendation import BASELINES, RecommendationRun, evaluate_recommendations

from . import machine
from .judged_collections import get_article, read_json_lines
from .results import Bound, Figure, Result
from .scale import Scale

READ_DOCUMENTS = 3
MIN_GROUP_DOCUMENTS = READ_DOCUMENTS + 2
CASES_PER_GROUP = 24
_NEAREST = BASELINES[:2]
_MEASURES = {"hit_rate": "hit rate@10", "mrr": "MRR@10", "diversity": "diversity", "coverage": "coverage"}
_FOLDERS = {
    "fastapi": "realdocs/files/fastapi",
    "tts-handbook": "realdocs/files/tts-handbook",
    "rust-book": "docs_tree/files/rust-book",
}
_CHAPTER = re.compile(r"/(ch\d+)-")

Groups = Mapping[str, Sequence[str]]
"""Uris of the documents that belong together, by the name of the group."""


def q15(scale: Scale) -> Result:
    """Hit rate and diversity of recommendations beside the nearest documents (5 minutes)"""
    with tempfile.TemporaryDirectory() as folder, Library(Path(folder) / "indexes") as library:
        runs = {collection.name: _measure(collection, scale, Path(folder)) for collection in _ingest(library, scale)}
    figures = [figure for name, run in runs.items() for figure in _make_figures(name, run)]
    notes = ["semsearch is the strategy average; each case has three documents that were read, one is held out"]
    notes += [_describe_gain(name, run) for name, run in runs.items()]
    return Result(
        "Q15", "Recommendations", machine.describe_machine(), [*_make_means(runs), *figures], notes, short=scale.short
    )


def build_cases(groups: Groups, cases_per_group: int) -> list[RecommendationCase]:
    """Return cases of documents drawn from the same group; the same ones in each run."""
    generator = random.Random(0)
    cases = []
    for _, uris in sorted(groups.items()):
        if len(uris) < MIN_GROUP_DOCUMENTS:
            continue
        for _ in range(cases_per_group):
            *read, held_out = generator.sample(sorted(uris), READ_DOCUMENTS + 1)
            cases.append(RecommendationCase(tuple(read), frozenset([held_out])))
    return cases


def write_cases(cases: Sequence[RecommendationCase], path: Path) -> None:
    """Write cases in the format of `semsearch eval --recommend`."""
    lines = [json.dumps({"positive": case.positive, "relevant": sorted(case.relevant)}) for case in cases]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _ingest(library: Library, scale: Scale) -> Iterator[Collection]:
    """Create the collections; in a short run only that of paragraphs."""
    paragraphs = library.create("squad2_a")
    paragraphs.ingest(
        text_source(entry["id"], entry["text"])
        for entry in read_json_lines(scale.data / "squad2_a" / "corpus.jsonl")
        if entry["text"].strip()
    )
    yield paragraphs
    for name, folder in {} if scale.short else _FOLDERS.items():
        collection = library.create(name)
        collection.ingest(str(scale.data / folder))
        yield collection


def _measure(collection: Collection, scale: Scale, folder: Path) -> RecommendationRun:
    groups = _group_documents([document.uri for document in collection.documents()], _group_names()[collection.name])
    path = folder / f"{collection.name}.jsonl"
    write_cases(build_cases(groups, scale.scale_repetitions(CASES_PER_GROUP)), path)
    return evaluate_recommendations(collection, read_recommendation_cases(path))


def _group_names() -> Mapping[str, Callable[[str], str]]:
    """Return for each collection the function of the group of a uri, empty if it is in none."""

    def get_folder(uri: str) -> str:
        return uri.rpartition("/")[0]

    def get_chapter(uri: str) -> str:
        match = _CHAPTER.search(uri)
        return match[1] if match else ""

    return {"squad2_a": get_article, "fastapi": get_folder, "tts-handbook": get_folder, "rust-book": get_chapter}


def _group_documents(uris: Sequence[str], get_group: Callable[[str], str]) -> Groups:
    groups: dict[str, list[str]] = {}
    for uri in uris:
        if group := get_group(uri):
            groups.setdefault(group, []).append(uri)
    return groups


def _make_figures(name: str, run: RecommendationRun) -> list[Figure]:
    return [
        Figure(
            f"{label}, {name}",
            "",
            getattr(run.methods["average"], measure),
            {method: getattr(scores, measure) for method, scores in run.methods.items() if method != "average"},
        )
        for measure, label in _MEASURES.items()
    ]


def _make_means(runs: Mapping[str, RecommendationRun]) -> list[Figure]:
    """Return hit rate and diversity over all cases, judged by the lead over the better of the nearest documents."""
    figures = []
    for measure in ("hit_rate", "diversity"):
        means = {
            method: sum(run.cases * getattr(run.methods[method], measure) for run in runs.values())
            / sum(run.cases for run in runs.values())
            for method in next(iter(runs.values())).methods
        }
        ours = means.pop("average")
        lead = ours - max(means[method] for method in _NEAREST)
        figures.append(
            Figure(
                f"{_MEASURES[measure]}, all cases",
                "",
                ours,
                means,
                lead,
                "over the nearest documents",
                Bound(">=", 0.0),
            )
        )
    return figures


def _describe_gain(name: str, run: RecommendationRun) -> str:
    gain = run.hit_rate_gains["nearest to mean"]
    return (
        f"{name}, {run.cases} cases: hit rate {gain.mean:+.3f} over nearest to mean, 95 % interval"
        f" {gain.low:+.3f} to {gain.high:+.3f} (paired bootstrap)"
    )
