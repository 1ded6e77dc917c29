"""Vector searches to compare: semsearch, raw FAISS, an exact scan, hnswlib; with their CPU time and recall."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semsearch import Library
from semsearch.core.ports import ReadSnapshot
from semsearch.core.types.documents import Ids, Vectors

from . import machine, peer_environment, texts
from .collection_builder import fill_collection
from .scale import Scale

K = 10
QUESTION_COUNT = 300
ROUNDS = 3
_TEXTS_PER_DOCUMENT = 5000
_COLLECTION_NAME = "bench"

Finder = Callable[[Vectors], Ids]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds per query of a search, and its recall of the exact top ten."""

    ms: float
    recall: float


def prepare_collection(scale: Scale, size: int) -> Path:
    """Return the folder of the collection of this size; create the collection if it does not exist."""
    path = scale.scratch / f"engine-{size}"
    if not path.exists():
        vectors = texts.load_vectors(size, scale.data, QUESTION_COUNT).stored
        fill_collection(path, _COLLECTION_NAME, [f"row {row}" for row in range(size)], vectors, _TEXTS_PER_DOCUMENT)
    return path


@contextmanager
def open_snapshot(scale: Scale, size: int) -> Iterator[ReadSnapshot]:
    """Open a snapshot of the collection of this size. The chunk of row n has the id n + 1 and the text "row n"."""
    with (
        Library(prepare_collection(scale, size)) as library,
        library.open(_COLLECTION_NAME).backends.store.snapshot() as opened,
    ):
        yield opened


def make_semsearch_finder(snapshot: ReadSnapshot, allowed_ids: Ids | None) -> Finder:
    """Return a finder that searches with semsearch."""
    return lambda vector: snapshot.vector_search(vector, K, allowed_ids).ids[:K] - 1


def make_exact_finder(stored: Vectors) -> Finder:
    """Return a finder that scans all vectors."""
    return lambda vector: np.argpartition(-(stored @ vector), K)[:K]


def make_faiss_finder(stored: Vectors, kind: str, candidates: int) -> Finder:
    """Return a finder that takes candidates from a FAISS index of a kind and reranks them by their float vectors."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(stored.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(stored[:65_536])
    index.add(stored)

    def find(vector: Vectors) -> Ids:
        rows: Ids = index.search(vector[np.newaxis], min(candidates, len(stored)))[1][0]
        best_rows: Ids = rows[np.argsort(-(stored[rows] @ vector))[:K]]
        return best_rows

    return find


def measure_costs(scale: Scale, stored: Vectors, queries: Vectors, finders: Mapping[str, Finder]) -> dict[str, Cost]:
    """Measure the finders in turns, after one turn to warm up; return the median of the rounds."""
    queries = queries[: scale.scale_questions(QUESTION_COUNT)]
    rows_by_finder = {name: [find(vector) for vector in queries] for name, find in finders.items()}
    milliseconds: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(scale.scale_repetitions(ROUNDS)):
        for name, find in finders.items():
            seconds = machine.measure_cpu_seconds(lambda find=find: [find(vector) for vector in queries])  # type: ignore[misc]
            milliseconds[name].append(1000 * seconds / len(queries))
    return {
        name: Cost(statistics.median(milliseconds[name]), compute_recall(rows_by_finder[name], stored, queries))
        for name in finders
    }


def compute_recall(
    found_rows: Sequence[Ids], stored: Vectors, queries: Vectors, allowed_rows: Ids | None = None
) -> float:
    """Return recall@10 against an exact scan. A row with the score of the exact tenth row counts as found."""
    candidates = stored if allowed_rows is None else stored[allowed_rows]
    if not len(candidates):
        return 1.0
    k, total = min(K, len(candidates)), 0.0
    for start in range(0, len(queries), 50):
        batch = slice(start, start + 50)
        scores = queries[batch] @ candidates.T
        thresholds = np.partition(scores, -k, axis=1)[:, -k] - 1e-5
        for rows, vector, threshold in zip(found_rows[batch], queries[batch], thresholds, strict=True):
            total += float((stored[rows[:k]] @ vector >= threshold).sum()) / k
    return total / len(queries)


def measure_hnsw(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, Any]:
    """Build an hnswlib graph and search it at several ef; return CPU, memory and recall, or nothing without hnswlib."""
    if scale.short or not peer_environment.is_installed("hnswlib"):
        return {}
    parameters = {**save_vectors(scale, size, stored, queries), "ef": [16, 32, 64, 128, 256, 512], "k": K}
    figures = peer_environment.run_peer_verb("hnsw", parameters)
    depths = [
        Cost(depth["ms"], compute_recall([np.array(rows) for rows in depth["rows"]], stored, queries))
        for depth in figures["depths"]
    ]
    return {**figures, "depths": depths}


def save_vectors(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, str]:
    """Save vectors and queries for a process of the peers' environment; return the paths."""
    files = {name: scale.scratch / f"peers-{size}-{name}.npy" for name in ("vectors", "queries")}
    if not files["vectors"].exists():
        np.save(files["vectors"], stored)
    np.save(files["queries"], queries)
    return {name: str(file) for name, file in files.items()}


def run_index_process(scale: Scale, size: int, verb: str) -> dict[str, float]:
    """Run one measurement of `index_process.py` on the collection in a new process; return its figures."""
    command = [sys.executable, "-m", f"{__package__}.index_process", verb, str(prepare_collection(scale, size))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    completed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, float] = json.loads(completed.stdout)
    return figures
