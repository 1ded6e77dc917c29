"""Alter bytes of the catalogue, as a failing disk does: each read returns what was stored, or raises a StorageError.

Each mutation damages a new copy of a collection with some chunks in an index and some newer ones. A filtered search may
miss a damaged document, because its metadata are not known.
"""

import argparse
import asyncio
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from semsearch import Library, text_source
from semsearch.answers.pipeline import retrieve_evidence
from semsearch.collection import Collection
from semsearch.core.errors import SemsearchError, StorageError
from semsearch.core.ports import Store
from semsearch.core.types.search import Hit, SearchMode
from semsearch.core.types.stored_documents import StoredDocument
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.sources import bytes_source
from semsearch.search.filters import parse_filter
from semsearch.search.retrieval import Query, Search, run_searches
from semsearch.storage.collections.local.store import LocalStore

DOCUMENT_COUNT = 24
UNINDEXED_COUNT = 6
WORDS = "lamp tide rope boat signal storm glass oil stair door keeper wall rock gull fog bell 灯台 Nebel".split()
QUESTIONS = ("storm lamp", "glass door in the wall", "signal of keeper 7", "Nebel 灯台")
MODES: Sequence[SearchMode] = ("hybrid", "dense", "lexical")
WHERE = {"team": "even"}

VALID_VERDICTS = ("same", "refused", "fewer")
"""Verdicts that are not errors."""

Read = Callable[[Store], Any]


def make_text(number: int) -> str:
    """Return the text of a document with headings; the last document is longer than two segments."""
    rng = random.Random(number)
    sections = 90 if number == DOCUMENT_COUNT - 1 else rng.randint(1, 4)
    return "\n\n".join(_make_section(rng, number, section) for section in range(sections))


def _make_section(rng: random.Random, number: int, section: int) -> str:
    sentences = (" ".join(rng.choices(WORDS, k=9)).capitalize() for _ in range(rng.randint(3, 9)))
    return f"# Part {section}\n\n" + " ".join(f"{sentence} of {number}." for sentence in sentences)


def fill(collection: Collection) -> None:
    """Store the documents, most of them in an index and a few newer ones; replace and remove some."""
    for number in range(DOCUMENT_COUNT):
        if number == DOCUMENT_COUNT - UNINDEXED_COUNT:
            collection.reindex()
        metadata = {"team": "odd" if number % 2 else "even", "number": number}
        data, title = make_text(number).encode(), f"Title {number}"
        collection.upsert([bytes_source(f"docs/{number:02}.md", data, "text/markdown", title=title, metadata=metadata)])
    collection.upsert([text_source("docs/03.md", "A lamp in the fog, and a bell of 3.")])
    collection.upsert([text_source("docs/gone.md", "A door that is gone.")])
    collection.remove(["docs/gone.md", "docs/05.md"])


def list_reads(collection: Collection) -> dict[str, Read]:
    """Return the reads of the store, by name."""
    uris = [info.uri for info in collection.documents()]
    read_by_name: dict[str, Read] = {
        "info": lambda store: store.info(),
        "documents": lambda store: store.documents(None, 1000),
        **{uri: _read_document(uri) for uri in uris},
    }
    for question in QUESTIONS:
        vector = asyncio.run(collection.backends.embedder.embed([question], RequestContext("query"), query=True))[0]
        for mode in MODES:
            weight = {"hybrid": 0.35, "dense": 1.0, "lexical": 0.0}[mode]
            read_by_name[f"{mode} {question}"] = _search(Query(question, vector, None, mode, weight))
        read_by_name[f"filtered {question}"] = _search(Query(question, vector, parse_filter(WHERE), "hybrid", 0.35))
        read_by_name[f"ask {question}"] = _ask(Query(question, vector, None, "hybrid", 0.35))
    return read_by_name


def _read_document(uri: str) -> Read:
    return lambda store: store.document(uri)


def _search(query: Query) -> Read:
    def read(store: Store) -> object:
        with store.snapshot() as snapshot:
            return run_searches(snapshot, [Search([query], 5)])[0]

    return read


def _ask(query: Query) -> Read:
    def read(store: Store) -> object:
        evidence = retrieve_evidence(store, Search([query], 3), 1)
        return evidence.hits, [replace(passage, id="") for passage in evidence.passages]

    return read


def alter(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one byte altered, or eight adjacent ones, or the end of a sector zeroed."""
    altered = bytearray(data)
    offset, kind = rng.randrange(len(data)), rng.random()
    while not data[offset]:
        offset = rng.randrange(len(data))
    if kind < 0.7:
        altered[offset] ^= rng.randint(1, 255)
    elif kind < 0.95:
        altered[offset : offset + 8] = rng.randbytes(min(8, len(data) - offset))
    else:
        end = min(len(data), offset // 512 * 512 + 512)
        altered[offset:end] = bytes(end - offset)
    return bytes(altered)


def run_reads(folder: Path, read_by_name: Mapping[str, Read]) -> dict[str, object]:
    """Return the result of each read, or the error that it raises."""
    results: dict[str, object] = {}
    try:
        store = LocalStore(folder)
    except SemsearchError as exc:
        return dict.fromkeys(read_by_name, exc)
    with closing(store):
        for name, read in read_by_name.items():
            try:
                results[name] = read(store)
            except Exception as exc:
                results[name] = exc
    return results


def judge(name: str, result: object, expected: Mapping[str, Any]) -> str:
    """Return the verdict on a read: `same`, `refused`, `fewer`, or a description of the error."""
    if isinstance(result, StorageError):
        return "refused"
    if isinstance(result, Exception):
        return f"{name}: {type(result).__name__}: {result}"
    if result == expected[name]:
        return "same"
    if (
        name.startswith("filtered")
        and isinstance(result, list)
        and all(_equals_stored(hit, expected[hit.uri]) for hit in result)
    ):
        return "fewer"
    return f"{name}: altered"


def _equals_stored(hit: Hit, stored: StoredDocument) -> bool:
    """Return whether a hit equals the stored document. Scores may differ, because another document may be missing."""
    has_same_fields = hit.title == stored.title and hit.metadata == stored.metadata
    return has_same_fields and hit.text == stored.text[hit.start : hit.end]


def prove(folder: Path, mutations: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """Damage this many copies; return the counts of the verdicts, and the errors."""
    with Library(folder / "indexes") as library:
        collection = library.create("damaged")
        fill(collection)
        read_by_name = list_reads(collection)
    original, copy = folder / "indexes" / "damaged", folder / "copies" / "damaged"
    with closing(sqlite3.connect(original / "catalog.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    expected = run_reads(original, read_by_name)
    errors = [f"undamaged: {name}: {result}" for name, result in expected.items() if isinstance(result, Exception)]
    data, rng, counts = (original / "catalog.db").read_bytes(), random.Random(seed), Counter[str]()
    for number in range(mutations):
        shutil.copytree(original, copy)
        (copy / "catalog.db").write_bytes(alter(data, rng))
        verdicts = [judge(name, result, expected) for name, result in run_reads(copy, read_by_name).items()]
        errors += [f"mutation {number}: {verdict}" for verdict in verdicts if verdict not in VALID_VERDICTS]
        counts.update(verdict for verdict in verdicts if verdict in VALID_VERDICTS)
        counts["noticed"] += "refused" in verdicts
        shutil.rmtree(copy)
    return counts, errors


def main() -> None:
    """Run the proof, print its result, and exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="scripts/prove catalog_damage", description=__doc__)
    parser.add_argument("--mutations", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        counts, errors = prove(Path(name), arguments.mutations, arguments.seed)
    print(f"{arguments.mutations} mutations in {time.monotonic() - start:.0f} s: {dict(counts)}")
    print("\n".join(errors[:40]) or "no altered data was returned, and every error is a StorageError")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
