"""Acknowledged means durable: what gets a name is whole on the disk before, and the name before anybody relies on it.

What a power cut would leave cannot be tried here: the order of the system calls is looked at, which decides it.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from fakes import HashEmbedder
from writing import document, put

from semsearch import Library
from semsearch.sqlite_files import make
from semsearch.stores.local.generations import Draft, Generations
from semsearch.stores.local.store import LocalStore

Calls = list[tuple[str, Path]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What Python syncs and renames, and each index that the catalogue is told of, in order; not what SQLite does."""
    noted: Calls = []
    sync, rename, name = os.fsync, os.rename, Generations.name

    def syncing(descriptor: int) -> None:
        noted.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        sync(descriptor)

    def renaming(path: str | Path, target: str | Path) -> None:
        rename(path, target)
        noted.append(("rename", Path(target)))

    def naming(generations: Generations, db: sqlite3.Connection, draft: Draft) -> None:
        assert draft.folder is not None
        noted.append(("name", generations.folder / draft.folder))
        name(generations, db, draft)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    monkeypatch.setattr(Generations, "name", naming)
    return noted


@pytest.mark.parametrize("deed", [LocalStore.settle, LocalStore.reindex], ids=["settle", "reindex"])
def test_an_index_is_on_the_disk_before_it_is_named(
    tmp_path: Path, calls: Calls, deed: Callable[[LocalStore], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its files, then their folder, then its name in the collection; only then the catalogue's commit."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(tmp_path)) as store:
        put(store, document("a.txt", "The lamp is lit."))
        monkeypatch.setattr("semsearch.stores.local.generations.STALE_ROWS", 0)
        calls.clear()
        deed(store)
    whole = next(path for what, path in calls if what == "rename")
    aside = calls[0][1].parent
    files = {("sync", aside / file.name) for file in whole.iterdir()}
    at = len(files)
    assert set(calls[:at]) == files
    assert calls[at:] == [("sync", aside), ("rename", whole), ("sync", whole.parent), ("name", whole)]


def test_a_new_database_is_named_when_it_is_whole(tmp_path: Path, calls: Calls) -> None:
    """And its folder is synced before whoever made it goes on."""
    make(tmp_path / "numbers.db", lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
    assert calls == [("rename", tmp_path / "numbers.db"), ("sync", tmp_path)]


@pytest.mark.parametrize("deed", [Library.create, Library.delete], ids=["create", "delete"])
def test_a_collection_comes_and_goes_for_good(
    tmp_path: Path, calls: Calls, deed: Callable[[Library, str], object]
) -> None:
    """Its folder is renamed, and then the library's folder is synced."""
    with Library(tmp_path) as library:
        if deed is Library.delete:
            library.create("hb")
            calls.clear()
        deed(library, "hb")
    (renamed,) = [at for at, (what, _) in enumerate(calls) if what == "rename"]
    assert calls[renamed + 1 :] == [("sync", tmp_path)]
    if deed is Library.create:
        assert calls[renamed - 1][0] == "sync"  # the folder with the catalogue in it
