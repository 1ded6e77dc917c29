"""CPU seconds of ingesting and searching (squad2_a and cranfield in one collection; 1 minute)"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.types import Mode

from .judged import lines

MODES: tuple[Mode, ...] = ("hybrid", "lexical", "dense")


def measure(data: Path, limit: int | None) -> dict[str, Any]:
    """Print and return the figures."""
    corpus = [
        entry
        for name in ("squad2_a", "cranfield")
        for entry in lines(data / name / "corpus.jsonl")
        if entry["text"].strip()
    ]
    questions = [entry["text"] for name in ("squad2_a", "cranfield") for entry in lines(data / name / "queries.jsonl")]
    sample = random.Random(1).sample(questions, min(limit or 500, len(questions)))
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = library.create("both")
        figures: dict[str, Any] = {"ingest": _ingest(collection, corpus), "again": _ingest(collection, corpus)}
        for mode in MODES:
            figures[mode] = _search(collection, sample, mode)
        figures["ask"] = _each(sample, lambda question: collection.ask(question))
    for name, values in figures.items():
        print(f"{name:8}" + ", ".join(f"{what} {value:.4g}" for what, value in values.items()))
    return figures


def _ingest(collection: Collection, corpus: list[dict[str, Any]]) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    report = collection.ingest(text_source(entry["id"], entry["text"], title=entry["title"]) for entry in corpus)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    chunks = collection.info().chunks
    return {"chunks": report.embedded_chunks, "cpu s": cpu, "wall s": wall, "chunks per cpu s": chunks / cpu}


def _search(collection: Collection, questions: list[str], mode: Mode) -> dict[str, float]:
    return _each(questions, lambda question: collection.search(question, mode=mode))


def _each(questions: list[str], work: Callable[[str], object]) -> dict[str, float]:
    work(questions[0])
    cpu, times = time.process_time(), []
    for question in questions:
        began = time.perf_counter()
        work(question)
        times.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / len(questions)
    return {"cpu ms": cpu, "p50 ms": statistics.median(times), "p95 ms": statistics.quantiles(times, n=20)[-1]}
