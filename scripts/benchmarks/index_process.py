"""Measure the opening, coding or index build of a large collection in a process of its own; print the cost as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from semsearch import Library

from . import machine


def measure_opening(folder: Path) -> dict[str, float]:
    """Open and search; return CPU seconds to the first hits, and the growth of private bytes after 100 searches."""
    import semsearch.storage.collections.local.index.pq_codes  # noqa: F401  # the import is not part of the measurement

    vectors = np.random.default_rng(1).normal(size=(100, 256)).astype(np.float32)
    with Library(folder) as library:
        bytes_before = _private_bytes()
        cpu, wall = time.process_time(), time.perf_counter()
        store = library.open("bench").backends.store
        with store.snapshot() as snapshot:
            snapshot.vector_search(vectors[0], 10)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            for vector in vectors:
                snapshot.vector_search(vector, 10)
            return {"cpu": cpu, "wall": wall, "bytes": _private_bytes() - bytes_before}


def measure_coding(folder: Path) -> dict[str, float]:
    """Compute the codes that rank the vectors; return the CPU seconds."""
    from semsearch.storage.collections.local.index import pq_codes, sign_codes
    from semsearch.storage.collections.local.store import LocalStore

    with closing(LocalStore(folder / "bench")) as store, store.snapshot() as snapshot:
        segment = snapshot.view.vectors.segment
        assert segment is not None
        vectors = np.array(segment.vectors.read_all())
    start = time.process_time()
    pq_codes.build_codes(vectors, with_lists=False)
    sign_codes.encode_signs(vectors)
    return {"cpu": time.process_time() - start}


def measure_build(folder: Path) -> dict[str, float]:
    """Rebuild the index from the stored texts and vectors; return the CPU seconds."""
    with Library(folder) as library:
        store = library.open("bench").backends.store
        start = machine.own_cpu_seconds()
        store.reindex()
        return {"cpu": machine.own_cpu_seconds() - start}


def _private_bytes() -> int:
    match = re.search(
        r"^Private_Dirty:\s+(\d+) kB", Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(), re.MULTILINE
    )
    return int(match[1]) * 1024 if match else 0


if __name__ == "__main__":
    measurements = {"open": measure_opening, "code": measure_coding, "build": measure_build}
    print(json.dumps(measurements[sys.argv[1]](Path(sys.argv[2]))))
