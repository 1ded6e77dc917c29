"""Ways of searching vectors, to be measured against each other: semsearch, raw FAISS, an exact scan, hnswlib."""

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
    """What a way of searching costs, and how much of the exact top ten it finds."""

    ms: float
    recall: float


def prepare_collection(scale: Scale, size: int) -> Path:
    """Return where the collection of this size lies, after making it if it is not there."""
    path = scale.scratch / f"engine-{size}"
    if not path.exists():
        embedded = texts.load_vectors(size, scale.data, QUESTION_COUNT)
        fill_collection(
            path, _COLLECTION_NAME, [f"row {row}" for row in range(size)], embedded.stored, _TEXTS_PER_DOCUMENT
        )
    return path


@contextmanager
def open_snapshot(scale: Scale, size: int) -> Iterator[ReadSnapshot]:
    """Open the collection of this size; the chunk of row n has the id n + 1, and its text is not a real one."""
    with Library(prepare_collection(scale, size)) as library, library.open(_COLLECTION_NAME).store.snapshot() as opened:
        yield opened


def make_semsearch_finder(snapshot: ReadSnapshot, allowed_ids: Ids | None) -> Finder:
    """Search with semsearch; return rows."""
    return lambda vector: snapshot.vector_search(vector, K, allowed_ids).ids[:K] - 1


def make_exact_finder(stored: Vectors) -> Finder:
    """Look at every vector."""
    return lambda vector: np.argpartition(-(stored @ vector), K)[:K]


def make_faiss_finder(stored: Vectors, kind: str, candidates: int) -> Finder:
    """Call FAISS twice: codes of a kind for candidates, then the floats of these."""
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
    """Measure each way in turns, after one turn to warm up; the median of the rounds."""
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
    """Return the share of the exact ten best rows that was found; what is as near as the last of them counts."""
    candidates = stored if allowed_rows is None else stored[allowed_rows]
    if not len(candidates):
        return 1.0
    k, hits = min(K, len(candidates)), 0.0
    for at in range(0, len(queries), 50):
        scores = queries[at : at + 50] @ candidates.T
        thresholds = np.partition(scores, -k, axis=1)[:, -k] - 1e-5
        for rows, vector, score in zip(found_rows[at : at + 50], queries[at : at + 50], thresholds, strict=True):
            hits += float((stored[rows[:k]] @ vector >= score).sum()) / k
    return hits / len(queries)


def measure_hnsw(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, Any]:
    """Build hnswlib's graph and search it at several depths; CPU of both, memory, and recall. Empty without it."""
    if scale.short or not peer_environment.is_installed("hnswlib"):
        return {}
    parameters = {**save_vectors(scale, size, stored, queries), "ef": [16, 32, 64, 128, 256, 512], "k": K}
    figures = peer_environment.run_peer_verb("hnsw", parameters)
    depths = [
        Cost(each["ms"], compute_recall([np.array(rows) for rows in each["rows"]], stored, queries))
        for each in figures["depths"]
    ]
    return {**figures, "depths": depths}


def save_vectors(scale: Scale, size: int, stored: Vectors, queries: Vectors) -> dict[str, str]:
    """Vectors and questions as files, for a process of the peers' environment."""
    files = {name: scale.scratch / f"peers-{size}-{name}.npy" for name in ("vectors", "asked")}
    if not files["vectors"].exists():
        np.save(files["vectors"], stored)
    np.save(files["asked"], queries)
    return {name: str(file) for name, file in files.items()}


def run_opening_verb(scale: Scale, size: int, verb: str) -> dict[str, float]:
    """Run one verb of `engine_worker.py` on the collection, in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.engine_worker", verb, str(prepare_collection(scale, size))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures
