"""One opening, coding or building of a large collection in a process of its own; prints what it cost as JSON."""

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
    """Open and search; CPU seconds to the first hits, and private bytes above the bare process after 100 searches."""
    import semsearch.storage.collections.local.index.pq_codes  # noqa: F401  # what it costs to import is not what it costs to open

    vectors = np.random.default_rng(1).normal(size=(100, 256)).astype(np.float32)
    with Library(folder) as library:
        bare = _private_bytes()
        cpu, wall = time.process_time(), time.perf_counter()
        store = library.open("bench").store
        with store.snapshot() as snapshot:
            snapshot.vector_search(vectors[0], 10)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            for vector in vectors:
                snapshot.vector_search(vector, 10)
            return {"cpu": cpu, "wall": wall, "bytes": _private_bytes() - bare}


def measure_coding(folder: Path) -> dict[str, float]:
    """Make all by which vectors are ranked from the vectors themselves; CPU seconds of it."""
    from semsearch.storage.collections.local.index import pq_codes as codes
    from semsearch.storage.collections.local.index import sign_codes as signs
    from semsearch.storage.collections.local.store import LocalStore

    with closing(LocalStore(folder / "bench")) as store, store.snapshot() as snapshot:
        base = snapshot.view.vectors.segment
        assert base is not None
        floats = np.array(base.vectors.read_all())
    began = time.process_time()
    codes.build_codes(floats, with_lists=False)
    signs.encode_signs(floats)
    return {"cpu": time.process_time() - began}


def measure_build(folder: Path) -> dict[str, float]:
    """Make everything derived again from the stored texts and vectors; CPU seconds of it."""
    with Library(folder) as library:
        store = library.open("bench").store
        began = machine.own_cpu_seconds()
        store.reindex()
        return {"cpu": machine.own_cpu_seconds() - began}


def _private_bytes() -> int:
    match = re.search(
        r"^Private_Dirty:\s+(\d+) kB", Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(), re.MULTILINE
    )
    return int(match[1]) * 1024 if match else 0


if __name__ == "__main__":
    print(
        json.dumps(
            {"open": measure_opening, "code": measure_coding, "build": measure_build}[sys.argv[1]](Path(sys.argv[2]))
        )
    )
