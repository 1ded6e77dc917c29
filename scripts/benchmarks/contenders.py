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
from semsearch.core.ports import Snapshot
from semsearch.core.types.documents import Ids, Vectors

from . import machine, peers, texts
from .filling import fill
from .scale import Scale

K = 10
QUESTIONS = 300
ROUNDS = 3
_TOGETHER = 5000
_NAME = "bench"

Finder = Callable[[Vectors], Ids]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way of searching costs, and how much of the exact top ten it finds."""

    ms: float
    recall: float


def folder(scale: Scale, size: int) -> Path:
    """Return where the collection of this size lies, after making it if it is not there."""
    found = scale.scratch / f"engine-{size}"
    if not found.exists():
        given = texts.vectors(size, scale.data, QUESTIONS)
        fill(found, _NAME, [f"row {row}" for row in range(size)], given.stored, _TOGETHER)
    return found


@contextmanager
def snapshot(scale: Scale, size: int) -> Iterator[Snapshot]:
    """Open the collection of this size; the chunk of row n has the id n + 1, and its text is not a real one."""
    with Library(folder(scale, size)) as library, library.open(_NAME).store.snapshot() as opened:
        yield opened


def by(opened: Snapshot, allowed: Ids | None) -> Finder:
    """Search with semsearch; return rows."""
    return lambda vector: opened.nearest(vector, K, allowed).ids[:K] - 1


def exact(stored: Vectors) -> Finder:
    """Look at every vector."""
    return lambda vector: np.argpartition(-(stored @ vector), K)[:K]


def raw_faiss(stored: Vectors, kind: str, candidates: int) -> Finder:
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


def costs(scale: Scale, stored: Vectors, asked: Vectors, finders: Mapping[str, Finder]) -> dict[str, Cost]:
    """Measure each way in turns, after one turn to warm up; the median of the rounds."""
    asked = asked[: scale.some(QUESTIONS)]
    found = {name: [find(vector) for vector in asked] for name, find in finders.items()}
    spent: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(scale.times(ROUNDS)):
        for name, find in finders.items():
            seconds = machine.cpu_of(lambda find=find: [find(vector) for vector in asked])  # type: ignore[misc]
            spent[name].append(1000 * seconds / len(asked))
    return {name: Cost(statistics.median(spent[name]), recall(found[name], stored, asked)) for name in finders}


def recall(found: Sequence[Ids], stored: Vectors, asked: Vectors, allowed: Ids | None = None) -> float:
    """Return the share of the exact ten best rows that was found; what is as near as the last of them counts."""
    there = stored if allowed is None else stored[allowed]
    if not len(there):
        return 1.0
    k, hits = min(K, len(there)), 0.0
    for at in range(0, len(asked), 50):
        scores = asked[at : at + 50] @ there.T
        least = np.partition(scores, -k, axis=1)[:, -k] - 1e-5
        for rows, vector, score in zip(found[at : at + 50], asked[at : at + 50], least, strict=True):
            hits += float((stored[rows[:k]] @ vector >= score).sum()) / k
    return hits / len(asked)


def hnsw(scale: Scale, size: int, stored: Vectors, asked: Vectors) -> dict[str, Any]:
    """Build hnswlib's graph and search it at several depths; CPU of both, memory, and recall. Empty without it."""
    if scale.short or not peers.has("hnswlib"):
        return {}
    given = {**saved(scale, size, stored, asked), "ef": [16, 32, 64, 128, 256, 512], "k": K}
    found = peers.call("hnsw", given)
    depths = [
        Cost(each["ms"], recall([np.array(rows) for rows in each["rows"]], stored, asked)) for each in found["depths"]
    ]
    return {**found, "depths": depths}


def saved(scale: Scale, size: int, stored: Vectors, asked: Vectors) -> dict[str, str]:
    """Vectors and questions as files, for a process of the peers' environment."""
    files = {name: scale.scratch / f"peers-{size}-{name}.npy" for name in ("vectors", "asked")}
    if not files["vectors"].exists():
        np.save(files["vectors"], stored)
    np.save(files["asked"], asked)
    return {name: str(file) for name, file in files.items()}


def process(scale: Scale, size: int, verb: str) -> dict[str, float]:
    """Run one verb of `opening.py` on the collection, in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.opening", verb, str(folder(scale, size))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures
