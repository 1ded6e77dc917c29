"""Chunks that no generation covers: many of them are indexed in child processes, with the same result."""

import errno
import os
import tempfile

import numpy as np
import pytest
from support.stores import NewStore
from support.writing import VOCABULARY, embed_query, make_document, put_document

from semsearch.core.child_process import ChildProcess
from semsearch.core.errors import StorageError
from semsearch.storage.collections.local.index import build_processes, new_postings
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

DOCUMENTS = 40


@pytest.fixture
def niceness(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much lower the priority of each started process is; more than eight rows are indexed by processes."""
    started = list[int]()

    class RecordedProcess(ChildProcess):
        def __init__(self, module: str, *arguments: str) -> None:
            super().__init__(module, *arguments)
            started.append(int(arguments[-1]))

    monkeypatch.setattr(build_processes, "ChildProcess", RecordedProcess)
    for module in (build_processes, new_postings):
        monkeypatch.setattr(module, "MAX_ROWS_IN_PROCESS", 8)
    return started


def fill(store: LocalStore, first: int = 0) -> None:
    """Store documents of one or two chunks, some of them not in English."""
    for number in range(first, first + DOCUMENTS):
        words = " ".join(VOCABULARY[number % 9 : number % 9 + 12])
        put_document(store, make_document(f"d{number:03}", f"{words} k {number}.\n\nDas Haus Nr. {number} 東京."))


def search_all_ways(store: LocalStore) -> list[tuple[str, list[int], list[float]]]:
    """Return the results of some searches of every kind."""
    with store.snapshot() as snapshot:
        results = {
            "words": snapshot.lexical_search(["lamp", "k 17", "haus"], 20),
            "trigrams": snapshot.trigram_search(["^ha", "hau", "東京"], 20),
            "vectors": snapshot.vector_search(embed_query("lamp tide"), 20),
        }
    return [(kind, scored.ids.tolist(), np.round(scored.scores, 4).tolist()) for kind, scored in results.items()]


def test_many_new_chunks_are_indexed_by_processes_for_the_search(new_store: NewStore, niceness: list[int]) -> None:
    """The first search finds what it finds with an index in memory, and its processes have its priority."""
    store = new_store("first")
    fill(store)
    results = search_all_ways(store)
    assert niceness
    assert set(niceness) == {0}
    store.reindex()
    assert search_all_ways(store) == results


def test_many_chunks_added_to_a_view_are_indexed_by_processes(new_store: NewStore, niceness: list[int]) -> None:
    """A search after a large commit finds the same, also after removals and further commits."""
    store = new_store("added")
    fill(store)
    search_all_ways(store)
    del niceness[:]
    fill(store, first=DOCUMENTS)
    store.remove(["d003", "d050"])
    results = search_all_ways(store)
    assert niceness
    store.reindex()
    assert search_all_ways(store) == results


def test_full_disk_is_named_and_the_next_search_tries_again(
    new_store: NewStore, niceness: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder for temporary files may be full; what is stored stays, and is found as soon as there is space."""
    store = new_store("full")
    fill(store)

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", fails)
        with pytest.raises(StorageError, match="No space left on device; make space in the folder for temporary"):
            search_all_ways(store)
    assert search_all_ways(store)[0][1]
