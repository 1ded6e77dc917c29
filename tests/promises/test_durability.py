"""Acknowledged means durable: what gets a name is whole on the disk before, and the name before anybody relies on it.

What a power cut would leave cannot be tried here: the order of the system calls is looked at, which decides it.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from support.fakes import HashEmbedder
from support.writing import make_document, put_document

from semsearch import Library, text_source
from semsearch.core.errors import StorageError
from semsearch.storage.collections.local import commit_file as commits
from semsearch.storage.collections.local.index.generations import Generations, UnpublishedGeneration
from semsearch.storage.collections.local.store import LocalStore
from semsearch.storage.sqlite import SqliteFile, create_database

pytestmark = pytest.mark.slow

Calls = list[tuple[str, Path]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What Python syncs and renames, and each index that the catalogue is told of, in order; not what SQLite does."""
    noted: Calls = []
    sync, rename, name = os.fsync, os.rename, Generations.publish

    def syncing(descriptor: int) -> None:
        noted.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        sync(descriptor)

    def renaming(path: str | Path, target: str | Path) -> None:
        rename(path, target)
        noted.append(("rename", Path(target)))

    def naming(generations: Generations, db: sqlite3.Connection, draft: UnpublishedGeneration) -> None:
        assert draft.folder is not None
        noted.append(("publish", generations.folder / draft.folder))
        name(generations, db, draft)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    monkeypatch.setattr(Generations, "publish", naming)
    return noted


@pytest.mark.parametrize("deed", [LocalStore.refresh_index, LocalStore.reindex], ids=["settle", "reindex"])
def test_an_index_is_on_the_disk_before_it_is_named(
    tmp_path: Path, calls: Calls, deed: Callable[[LocalStore], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its files, then their folder, then its name in the collection; only then the catalogue's commit."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(tmp_path)) as store:
        put_document(store, make_document("a.txt", "The lamp is lit."))
        monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
        calls.clear()
        deed(store)
    whole = next(path for what, path in calls if what == "rename")
    aside = calls[0][1].parent
    files = {("sync", aside / file.name) for file in whole.iterdir()}
    at = len(files)
    assert set(calls[:at]) == files
    assert calls[at:] == [("sync", aside), ("rename", whole), ("sync", whole.parent), ("publish", whole)]


def test_a_new_database_is_named_when_it_is_whole(tmp_path: Path, calls: Calls) -> None:
    """And its folder is synced before whoever made it goes on."""
    create_database(tmp_path / "numbers.db", lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
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
    (renamed,) = [at for at, (what, path) in enumerate(calls) if what == "rename" and path.parent == tmp_path]
    assert calls[renamed + 1 :] == [("sync", tmp_path)]
    if deed is Library.create:
        assert calls[renamed - 1][0] == "sync"  # the folder with the catalogue in it


class FailingSyncs:
    """Every sync of ours in its turn; the one of this number fails, as on a disk that does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
        self.left = fails
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        return call


def failures(monkeypatch: pytest.MonkeyPatch, deed: Callable[[int], object]) -> int:
    """How many syncs a deed makes; each of them fails once, which must be a Storage error."""
    for fails in count(1):
        with monkeypatch.context() as patch:
            syncs = FailingSyncs(patch, fails)
            if _succeeds(deed, fails):
                assert syncs.left > 0, f"the error of sync {fails} was swallowed"
                return fails - 1
    raise AssertionError


def _succeeds(deed: Callable[[int], object], fails: int) -> bool:
    try:
        deed(fails)
    except StorageError as exc:
        assert os.strerror(errno.EIO) in str(exc)
        return False
    return True


def test_every_failed_sync_of_a_first_put_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the new collection's files, of its name, and of the document: nothing is acknowledged."""

    def first_put(number: int) -> None:
        with Library(tmp_path / str(number)) as library:
            library.create("hb").upsert([text_source("a.txt", "The lamp is lit.")])

    assert failures(monkeypatch, first_put) >= 6


@pytest.mark.parametrize("deed", [LocalStore.refresh_index, LocalStore.reindex], ids=["settle", "reindex"])
def test_every_failed_sync_of_an_index_is_an_error(
    tmp_path: Path, deed: Callable[[LocalStore], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the documents are there as before."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
    with closing(LocalStore(tmp_path)) as store:

        def index(number: int) -> None:
            put_document(store, make_document("a.txt", f"The lamp is lit {number}."))
            deed(store)

        assert failures(monkeypatch, index) > 4
        assert store.info().documents == 1


def test_every_failed_sync_of_a_new_ledger_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the folder after the first commit, of which SQLite ignores the error."""

    def write(number: int) -> None:
        path = tmp_path / f"{number}.db"
        create_database(path, lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
        with closing(SqliteFile(path, tmp_path / "lock")) as file, file.write("add a number") as db:
            db.execute("INSERT INTO number VALUES (7)")

    assert failures(monkeypatch, write) == 2


def test_the_number_of_a_commit_is_on_the_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit syncs it before it returns."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    synced: list[str] = []
    with closing(LocalStore(tmp_path)) as store:
        sync = os.fdatasync

        def syncing(descriptor: int) -> None:
            sync(descriptor)
            synced.append(f"{Path(os.readlink(f'/proc/self/fd/{descriptor}')).name} {commits.read(tmp_path)}")

        monkeypatch.setattr(os, "fdatasync", syncing)
        for number in range(3):
            put_document(store, make_document("a.txt", f"The lamp is lit {number}."))
            assert synced == [f"commit.seq {at + 1}" for at in range(number + 1)]
