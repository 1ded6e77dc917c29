"""Read and ingest judged collections (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`), and score rankings with nDCG."""

import json
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsearch import Library, text_source
from semsearch.collection import Collection


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """Questions, and the ids of the documents that are relevant to each."""

    name: str
    questions: list[dict[str, Any]]
    relevant: dict[str, set[str]]

    def answerable_questions(self) -> list[dict[str, Any]]:
        """Return the questions that have a relevant document."""
        return [question for question in self.questions if self.relevant.get(question["id"])]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def load_judged(folder: Path, limit: int | None = None) -> JudgedCollection:
    """Return the questions and judgements of a collection; with a limit, about that many evenly spaced questions."""
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines():
        question, document, grade = line.split("\t")
        if int(grade) > 0:
            relevant.setdefault(question, set()).add(document)
    questions = read_json_lines(folder / "queries.jsonl")
    return JudgedCollection(folder.name, questions[:: -(-len(questions) // limit) if limit else 1], relevant)


def ingest_judged(
    library: Library, folder: Path, *, name: str = "", embedder: str | None = None, only: Container[str] | None = None
) -> Collection:
    """Create a collection of the documents, each under its id; `only` selects articles as in `get_article`."""
    collection = library.create(name or folder.name, embedder=embedder)
    report = collection.ingest(
        text_source(entry["id"], entry["text"], title=entry.get("title") or None)
        for entry in read_json_lines(folder / "corpus.jsonl")
        if entry["text"].strip() and (only is None or get_article(entry["id"]) in only)
    )
    assert not report.failures, report.failures
    return collection


def get_article(document: str) -> str:
    """Return the article of a paragraph: `Normans` for `Normans#3`."""
    return document.rpartition("#")[0]


def ndcg(ranking: Sequence[str], relevant: set[str], k: int = 10) -> float:
    """Return the binary nDCG@k of a ranking of documents (Järvelin & Kekäläinen 2002)."""
    gain = sum(1 / math.log2(rank + 2) for rank, document in enumerate(ranking[:k]) if document in relevant)
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))
