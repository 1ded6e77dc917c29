"""Ingest `documents.json` of a folder in a process of its own; print the cost as JSON."""

import json
import sys
import time
from pathlib import Path

from semsearch import Library, text_source
from semsearch.collection import Collection

from . import machine


def ingest(folder: Path) -> dict[str, float | int | str]:
    """Ingest each text as a document; write the chunks to `chunks.json`; return their number and the cost."""
    documents = json.loads((folder / "documents.json").read_text())
    with Library(folder / "indexes") as library:
        collection = library.create("bench")
        collection.search("warm")  # loads the embedding model
        cpu, wall = machine.own_cpu_seconds(), time.perf_counter()
        report = collection.ingest(text_source(f"texts/{row}", text) for row, text in enumerate(documents))
        cost = {"cpu": machine.own_cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
        chunks = _load_chunks(collection)
    assert not report.failures, report
    assert len(chunks) == report.chunks
    file = folder / "chunks.json"
    file.write_text(json.dumps(chunks))
    return {"chunks": len(chunks), "texts": str(file), **cost}


def _load_chunks(collection: Collection) -> list[str]:
    with collection.backends.store.snapshot() as snapshot:
        document_ids = range(1, len(snapshot) + 1)  # there are at most as many documents as chunks
        return [chunk.text for number in document_ids for chunk in snapshot.neighbours(number, 0, 10_000)]


if __name__ == "__main__":
    print(json.dumps(ingest(Path(sys.argv[1]))))
