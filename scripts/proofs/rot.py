"""Bytes of the catalogue are altered, as a failing disk does it: what is read is what was stored, or a storage error.

Each damage is done to a fresh copy of a collection, of which some chunks are in an index and some are newer. A filter
may pass over what is damaged, because it cannot be told what it holds.
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
from semsearch.core.types.documents import StoredDocument
from semsearch.core.types.search import Hit, SearchMode
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.sources import bytes_source
from semsearch.search.filters import parse_filter
from semsearch.search.retrieval import Query, Search, run_searches
from semsearch.storage.collections.local.store import LocalStore

DOCUMENTS = 24
NEWER = 6
SUBJECTS = "lamp tide rope boat signal storm glass oil stair door keeper wall rock gull fog bell 灯台 Nebel".split()
QUESTIONS = ("storm lamp", "glass door in the wall", "signal of keeper 7", "Nebel 灯台")
MODES: Sequence[SearchMode] = ("hybrid", "dense", "lexical")
WHERE = {"team": "even"}

FINE = ("same", "refused", "fewer")
"""Verdicts that are no errors."""

Read = Callable[[Store], Any]


def text(number: int) -> str:
    """A document with headings, the last of which is longer than two segments."""
    source = random.Random(number)
    sections = 90 if number == DOCUMENTS - 1 else source.randint(1, 4)
    return "\n\n".join(_section(source, number, section) for section in range(sections))


def _section(source: random.Random, number: int, section: int) -> str:
    sentences = (" ".join(source.choices(SUBJECTS, k=9)).capitalize() for _ in range(source.randint(3, 9)))
    return f"# Part {section}\n\n" + " ".join(f"{sentence} of {number}." for sentence in sentences)


def fill(collection: Collection) -> None:
    """Store the documents, most of them in an index and a few behind it; some were replaced or removed."""
    for number in range(DOCUMENTS):
        if number == DOCUMENTS - NEWER:
            collection.reindex()
        metadata = {"team": "odd" if number % 2 else "even", "number": number}
        data, title = text(number).encode(), f"Title {number}"
        collection.upsert([bytes_source(f"docs/{number:02}.md", data, "text/markdown", title=title, metadata=metadata)])
    collection.upsert([text_source("docs/03.md", "A lamp in the fog, and a bell of 3.")])
    collection.upsert([text_source("docs/gone.md", "A door that is gone.")])
    collection.remove(["docs/gone.md", "docs/05.md"])


def reads(collection: Collection) -> dict[str, Read]:
    """What is asked of the store, by name."""
    uris = [info.uri for info in collection.documents()]
    found: dict[str, Read] = {
        "info": lambda store: store.info(),
        "documents": lambda store: store.documents(None, 1000),
        **{uri: _show(uri) for uri in uris},
    }
    for question in QUESTIONS:
        vector = asyncio.run(collection.backends.embedder.embed([question], RequestContext("query"), query=True))[0]
        for mode in MODES:
            weight = {"hybrid": 0.35, "dense": 1.0, "lexical": 0.0}[mode]
            found[f"{mode} {question}"] = _search(Query(question, vector, None, mode, weight))
        found[f"filtered {question}"] = _search(Query(question, vector, parse_filter(WHERE), "hybrid", 0.35))
        found[f"ask {question}"] = _ask(Query(question, vector, None, "hybrid", 0.35))
    return found


def _show(uri: str) -> Read:
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


def alter(data: bytes, dice: random.Random) -> bytes:
    """The bytes with one of them altered, or a few side by side, or the rest of a sector zeroed; where data stand."""
    altered = bytearray(data)
    at, kind = dice.randrange(len(data)), dice.random()
    while not data[at]:
        at = dice.randrange(len(data))
    if kind < 0.7:
        altered[at] ^= dice.randint(1, 255)
    elif kind < 0.95:
        altered[at : at + 8] = dice.randbytes(min(8, len(data) - at))
    else:
        end = min(len(data), at // 512 * 512 + 512)
        altered[at:end] = bytes(end - at)
    return bytes(altered)


def look(folder: Path, reads: Mapping[str, Read]) -> dict[str, object]:
    """What each read gives: its answer, or the error that it raises."""
    found: dict[str, object] = {}
    try:
        store = LocalStore(folder)
    except SemsearchError as exc:
        return dict.fromkeys(reads, exc)
    with closing(store):
        for name, read in reads.items():
            try:
                found[name] = read(store)
            except Exception as exc:
                found[name] = exc
    return found


def judge(name: str, found: object, wanted: Mapping[str, Any]) -> str:
    """What became of a read: `same`, `refused`, `fewer`, or what is wrong with it."""
    if isinstance(found, StorageError):
        return "refused"
    if isinstance(found, Exception):
        return f"{name}: {type(found).__name__}: {found}"
    if found == wanted[name]:
        return "same"
    if name.startswith("filtered") and isinstance(found, list) and all(_is_true(hit, wanted[hit.uri]) for hit in found):
        return "fewer"
    return f"{name}: altered"


def _is_true(hit: Hit, stored: StoredDocument) -> bool:
    """Whether a hit is what is stored, whatever it scores beside what is left."""
    whole = hit.title == stored.title and hit.metadata == stored.metadata
    return whole and hit.text == stored.text[hit.start : hit.end]


def prove(folder: Path, mutations: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """Damage so many copies; how many reads gave the same or were refused, and what is wrong."""
    with Library(folder / "indexes") as library:
        collection = library.create("rot")
        fill(collection)
        asked = reads(collection)
    whole, copy = folder / "indexes" / "rot", folder / "copies" / "rot"
    with closing(sqlite3.connect(whole / "catalog.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    wanted = look(whole, asked)
    errors = [f"undamaged: {name}: {found}" for name, found in wanted.items() if isinstance(found, Exception)]
    data, dice, counts = (whole / "catalog.db").read_bytes(), random.Random(seed), Counter[str]()
    for number in range(mutations):
        shutil.copytree(whole, copy)
        (copy / "catalog.db").write_bytes(alter(data, dice))
        verdicts = [judge(name, found, wanted) for name, found in look(copy, asked).items()]
        errors += [f"mutation {number}: {verdict}" for verdict in verdicts if verdict not in FINE]
        counts.update(verdict for verdict in verdicts if verdict in FINE)
        counts["noticed"] += "refused" in verdicts
        shutil.rmtree(copy)
    return counts, errors


def main() -> None:
    """Prove, print, and end with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="scripts/prove rot", description=__doc__)
    parser.add_argument("--mutations", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        counts, errors = prove(Path(name), arguments.mutations, arguments.seed)
    print(f"{arguments.mutations} mutations in {time.monotonic() - began:.0f} s: {dict(counts)}")
    print("\n".join(errors[:40]) or "nothing altered was served, and every error is one of storage")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
