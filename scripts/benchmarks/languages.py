"""Q6: other languages without a model, on the paragraphs and questions of XQuAD, whoever has them."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from semsearch import Library, text_source

from . import machine
from .judged import ndcg
from .ranked import ENOUGH_CHUNKS
from .results import Bound, Figure, Result
from .scale import Scale

LANGUAGES = ("en", "de", "es", "ro", "tr", "vi", "el", "ru", "ar", "hi", "zh", "th")
_NEEDED = (
    "not measured: needs the files xquad.LANGUAGE.json of XQuAD (Artetxe et al., ACL 2020) in a folder xquad of --data"
)


def q6(scale: Scale) -> Result:
    """Other languages without a model, on XQuAD if it is there (1 minute)"""
    folder, title = scale.data / "xquad", "Other languages"
    gains = {name: _gain(_file(folder, name), scale) for name in LANGUAGES if _file(folder, name).exists()}
    figures = [Figure(f"nDCG@10, {name}", "", gain) for name, gain in gains.items()]
    missing = [name for name in LANGUAGES if name not in gains]
    notes = [f"without {', '.join(missing)}"] if missing else []
    if gains:
        figures += [
            Figure("mean", "", statistics.mean(gains.values()), bound=Bound(">=", 0.95)),
            Figure("worst", "", min(gains.values()), bound=Bound(">=", 0.93)),
        ]
    return Result("Q6", title, machine.line(), figures, notes if gains else [_NEEDED], short=scale.short)


def _file(folder: Path, language: str) -> Path:
    return folder / f"xquad.{language}.json"


def _gain(file: Path, scale: Scale) -> float:
    """The mean nDCG@10 of all questions, a paragraph counting by its best chunk."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = library.create("xquad")
        collection.ingest(text_source(f"p{at}", entry["context"]) for at, entry in enumerate(paragraphs))
        asked = [(qa["question"], f"p{at}") for at, entry in enumerate(paragraphs) for qa in entry["qas"]]
        found = []
        for text, relevant in asked[: scale.limit]:
            hits = collection.search(text, ENOUGH_CHUNKS)
            found.append(ndcg(list(dict.fromkeys(hit.uri for hit in hits)), {relevant}))
    return statistics.mean(found)
