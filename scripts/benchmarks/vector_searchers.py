"""The vector searchers that are compared: semsearch, raw FAISS, an exact scan, hnswlib."""

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
from .bulk_load import fill_collection
from .scale import Scale

K = 10
QUESTION_COUNT = 300
ROUNDS = 3
_TEXTS_PER_DOCUMENT = 5000
_COLLECTION_NAME = "bench"

Finder = Callable[[Vectors], Ids]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds of a query, and recall@10 against an exact scan."""

    ms: float
    recall: float


def prepare_collection(scale: Scale, size: int) -> Path:
    """Return the folder of the collection of this size; build it if it does not exist."""
    path = scale.scratch / f"engine-{size}"
    if not path.exists():
        embedded = texts.load_vectors(size, scale.data, QUESTION_COUNT)
        fill_collection(
            path, _COLLECTION_NAME, [f"row {row}" for row in range(size)], embedded.stored, _TEXTS_PER_DOCUMENT
        )
    return path


@contextmanager
def open_snapshot(scale: Scale, size: int) -> Iterator[ReadSnapshot]:
    """Open the collection of this size; the chunk of row n has the id n + 1 and a placeholder as its text."""
    with (
        Library(prepare_collection(scale, size)) as library,
        library.open(_COLLECTION_NAME).backends.store.snapshot() as snapshot,
    ):
        yield snapshot


def make_semsearch_finder(snapshot: ReadSnapshot, allowed_ids: Ids | None) -> Finder:
    """Return a function that searches with semsearch and returns rows."""
    return lambda vector: snapshot.vector_search(vector, K, allowed_ids).ids[:K] - 1


def make_exact_finder(stored: Vectors) -> Finder:
    """Return a function that scans every vector."""
    return lambda vector: np.argpartition(-(stored @ vector), K)[:K]


def make_faiss_finder(stored: Vectors, kind: str, candidates: int) -> Finder:
    """Return a function that gets candidates from FAISS codes of a kind and reranks them by their floats."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(stored.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(stored[:65_536])
    index.add(stored)

    def find(vector: Vectors) -> Ids:
        rows: Ids = index.search(vector[np.newaxis], min(candidates, len(stored)))[1][0]
        best: Ids = rows[np.argsort(-(stored[rows] @ vector))[:K]]
        return best

    return find


def measure_costs(scale: Scale, stored: Vectors, queries: Vectors, finders: Mapping[str, Finder]) -> dict[str, Cost]:
    """Measure the searchers in turns after a warm-up; return the median of the rounds for each."""
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
    result_rows: Sequence[Ids], stored: Vectors, queries: Vectors, allowed_rows: Ids | None = None
) -> float:
    """Return the mean recall@10 against an exact scan; a row that ties with the tenth exact one counts."""
    candidates = stored if allowed_rows is None else stored[allowed_rows]
    if not len(candidates):
        return 1.0
    k, total = min(K, len(candidates)), 0.0
    for start in range(0, len(queries), 50):
        batch = slice(start, start + 50)
        scores = queries[batch] @ candidates.T
        thresholds = np.partition(scores, -k, axis=1)[:, -k] - 1e-5
        for rows, query, threshold in zip(result_rows[batch], queries[batch], thresholds, strict=True):
            total += float((stored[rows[:k]] @ query >= threshold).sum()) / k
    return total / len(queries)


def measure_hnsw(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, Any]:
    """Build hnswlib's graph and search it at several ef; return CPU, memory and recall. Empty if not installed."""
    if scale.short or not peer_environment.is_installed("hnswlib"):
        return {}
    parameters = {**save_vectors(scale, size, stored, queries), "ef": [16, 32, 64, 128, 256, 512], "k": K}
    figures = peer_environment.run_peer_function("search_hnsw", parameters)
    depths = [
        Cost(depth["ms"], compute_recall([np.array(rows) for rows in depth["rows"]], stored, queries))
        for depth in figures["depths"]
    ]
    return {**figures, "depths": depths}


def save_vectors(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, str]:
    """Save the stored vectors and those of the queries for the peers' environment; return the paths by name."""
    files = {name: scale.scratch / f"peers-{size}-{name}.npy" for name in ("vectors", "queries")}
    if not files["vectors"].exists():
        np.save(files["vectors"], stored)
    np.save(files["queries"], queries)
    return {name: str(file) for name, file in files.items()}


def run_engine_worker(scale: Scale, size: int, action: str) -> dict[str, float]:
    """Run one action of `engine_worker.py` on the collection of this size, in a separate process."""
    command = [sys.executable, "-m", f"{__package__}.engine_worker", action, str(prepare_collection(scale, size))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    completed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, float] = json.loads(completed.stdout)
    return figures
