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


def opened(folder: Path) -> dict[str, float]:
    """Open and search; CPU seconds to the first hits, and private bytes above the bare process after 100 searches."""
    import semsearch.storage.collections.local.index.pq_codes  # noqa: F401  # what it costs to import is not what it costs to open

    vectors = np.random.default_rng(1).normal(size=(100, 256)).astype(np.float32)
    with Library(folder) as library:
        bare = _private()
        cpu, wall = time.process_time(), time.perf_counter()
        store = library.open("bench").store
        with store.snapshot() as snapshot:
            snapshot.nearest(vectors[0], 10)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            for vector in vectors:
                snapshot.nearest(vector, 10)
            return {"cpu": cpu, "wall": wall, "bytes": _private() - bare}


def coded(folder: Path) -> dict[str, float]:
    """Make all by which vectors are ranked from the vectors themselves; CPU seconds of it."""
    from semsearch.storage.collections.local.index import pq_codes as codes
    from semsearch.storage.collections.local.index import sign_codes as signs
    from semsearch.storage.collections.local.store import LocalStore

    with closing(LocalStore(folder / "bench")) as store, store.snapshot() as snapshot:
        base = snapshot.view.points.base
        assert base is not None
        floats = np.array(base.floats.whole())
    began = time.process_time()
    codes.make(floats, lists=False)
    signs.make(floats)
    return {"cpu": time.process_time() - began}


def built(folder: Path) -> dict[str, float]:
    """Make everything derived again from the stored texts and vectors; CPU seconds of it."""
    with Library(folder) as library:
        store = library.open("bench").store
        began = machine.spent()
        store.reindex()
        return {"cpu": machine.spent() - began}


def _private() -> int:
    found = re.search(
        r"^Private_Dirty:\s+(\d+) kB", Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(), re.MULTILINE
    )
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    print(json.dumps({"open": opened, "code": coded, "build": built}[sys.argv[1]](Path(sys.argv[2]))))
