"""Acknowledged means durable: files are synced before they are named, and names before they are used.

A power cut cannot be tested here; the order of the system calls, which decides what it leaves, can.
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
from semsearch.core.file_sync import make_folders
from semsearch.storage.collections.local import commit_file
from semsearch.storage.collections.local.index.generations import Generations, UnpublishedGeneration
from semsearch.storage.collections.local.store import LocalStore
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.storage.sqlite import SqliteFile, create_database

pytestmark = pytest.mark.slow

Calls = list[tuple[str, Path]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The syncs and renames of Python, and the published indexes, in order; not the calls of SQLite."""
    recorded: Calls = []
    real_sync, real_rename, real_publish = os.fsync, os.rename, Generations.publish

    def record_sync(descriptor: int) -> None:
        recorded.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        real_sync(descriptor)

    def record_rename(path: str | Path, target: str | Path) -> None:
        real_rename(path, target)
        recorded.append(("rename", Path(target)))

    def record_publish(generations: Generations, db: sqlite3.Connection, generation: UnpublishedGeneration) -> None:
        assert generation.folder is not None
        recorded.append(("publish", generations.folder / generation.folder))
        real_publish(generations, db, generation)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record_rename)
    monkeypatch.setattr(Generations, "publish", record_publish)
    return recorded


@pytest.mark.parametrize("operation", [LocalStore.refresh_index, LocalStore.reindex], ids=["refresh", "reindex"])
def test_index_is_synced_before_it_is_published(
    tmp_path: Path, calls: Calls, operation: Callable[[LocalStore], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """First its files are synced, then their folder, then its name in the collection; then it is published."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    with closing(LocalStore(tmp_path)) as store:
        put_document(store, make_document("a.txt", "The lamp is lit."))
        monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
        calls.clear()
        operation(store)
    index_folder = next(path for call, path in calls if call == "rename")
    temp_folder = calls[0][1].parent
    files = {("sync", temp_folder / file.name) for file in index_folder.iterdir()}
    file_count = len(files)
    assert set(calls[:file_count]) == files
    assert calls[file_count:] == [
        ("sync", temp_folder),
        ("rename", index_folder),
        ("sync", index_folder.parent),
        ("publish", index_folder),
    ]


def test_new_database_is_renamed_when_it_is_complete(tmp_path: Path, calls: Calls) -> None:
    """Its folder is synced before the call returns."""
    create_database(tmp_path / "numbers.db", lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
    assert calls == [("rename", tmp_path / "numbers.db"), ("sync", tmp_path)]


@pytest.mark.parametrize("operation", [Library.create, Library.delete], ids=["create", "delete"])
def test_creating_and_deleting_a_collection_is_durable(
    tmp_path: Path, calls: Calls, operation: Callable[[Library, str], object]
) -> None:
    """The folder of the collection is renamed, and then the folder of the library is synced."""
    with Library(tmp_path) as library:
        if operation is Library.delete:
            library.create("hb")
            calls.clear()
        operation(library, "hb")
    (rename_index,) = [
        index for index, (call, path) in enumerate(calls) if call == "rename" and path.parent == tmp_path
    ]
    assert calls[rename_index + 1 :] == [("sync", tmp_path)]
    if operation is Library.create:
        assert calls[rename_index - 1][0] == "sync"  # the folder of the catalogue


def test_the_parents_of_a_new_data_directory_are_synced(tmp_path: Path, calls: Calls) -> None:
    """The parent of each new folder is synced before the collection is created; existing folders are not."""
    with Library(tmp_path / "new" / "a" / "b") as library:
        library.create("hb")
    parents = [("sync", tmp_path), ("sync", tmp_path / "new"), ("sync", tmp_path / "new" / "a")]
    assert calls[:3] == parents
    assert not set(parents) & set(calls[3:])


def test_the_parents_of_a_new_ledger_are_synced(tmp_path: Path, calls: Calls) -> None:
    """The ledger may be the first file of a data directory."""
    with closing(LocalLedger(tmp_path / "new" / "a")) as ledger:
        ledger.create_session("alice", "hb", None)
    assert calls[:2] == [("sync", tmp_path), ("sync", tmp_path / "new")]


class FailingSyncs:
    """Let the sync of this number fail, as on a failing disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing_number: int) -> None:
        self.remaining = failing_number
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            self.remaining -= 1
            if self.remaining == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        return call


def fail_each_sync(monkeypatch: pytest.MonkeyPatch, operation: Callable[[int], object]) -> int:
    """Return how many syncs an operation makes, after each of them failed once with a StorageError."""
    for number in count(1):
        with monkeypatch.context() as patch:
            syncs = FailingSyncs(patch, number)
            if _succeeds(operation, number):
                assert syncs.remaining > 0, f"the error of sync {number} was swallowed"
                return number - 1
    raise AssertionError


def _succeeds(operation: Callable[[int], object], number: int) -> bool:
    try:
        operation(number)
    except StorageError as exc:
        assert os.strerror(errno.EIO) in str(exc)
        return False
    return True


def test_every_failed_sync_of_a_first_put_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the new collection, its name, and the document: nothing is acknowledged."""

    def first_put(number: int) -> None:
        with Library(tmp_path / str(number)) as library:
            library.create("hb").upsert([text_source("a.txt", "The lamp is lit.")])

    assert fail_each_sync(monkeypatch, first_put) >= 6


def test_a_folder_whose_parent_cannot_be_synced_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next call would find the folder, and acknowledge it without a sync."""
    folder = tmp_path / "new" / "a" / "b"
    for number in (1, 2, 2):  # the folders above a failure stay
        with monkeypatch.context() as patch:
            FailingSyncs(patch, number)
            with pytest.raises(StorageError, match=os.strerror(errno.EIO)):
                make_folders(folder)
        assert not folder.exists()
        with monkeypatch.context() as patch:
            FailingSyncs(patch, 1)
            with pytest.raises(StorageError, match="cannot be synced"):
                make_folders(folder)
    make_folders(folder)
    assert folder.is_dir()


@pytest.mark.parametrize("operation", [LocalStore.refresh_index, LocalStore.reindex], ids=["refresh", "reindex"])
def test_every_failed_sync_of_an_index_is_an_error(
    tmp_path: Path, operation: Callable[[LocalStore], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents are stored as before."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
    with closing(LocalStore(tmp_path)) as store:

        def index(number: int) -> None:
            put_document(store, make_document("a.txt", f"The lamp is lit {number}."))
            operation(store)

        assert fail_each_sync(monkeypatch, index) > 4
        assert store.info().documents == 1


def test_every_failed_sync_of_a_new_ledger_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync of the folder after the first commit is one too: SQLite ignores its error."""

    def write(number: int) -> None:
        path = tmp_path / f"{number}.db"
        create_database(path, lambda db: db.execute("CREATE TABLE number (value INTEGER)"))
        with closing(SqliteFile(path, tmp_path / "lock")) as file, file.write("add a number") as db:
            db.execute("INSERT INTO number VALUES (7)")

    assert fail_each_sync(monkeypatch, write) == 2


def test_number_of_a_commit_is_synced_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit syncs its number before it returns."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    synced: list[str] = []
    with closing(LocalStore(tmp_path)) as store:
        real_sync = os.fdatasync

        def record_sync(descriptor: int) -> None:
            real_sync(descriptor)
            synced.append(f"{Path(os.readlink(f'/proc/self/fd/{descriptor}')).name} {commit_file.read(tmp_path)}")

        monkeypatch.setattr(os, "fdatasync", record_sync)
        for number in range(3):
            put_document(store, make_document("a.txt", f"The lamp is lit {number}."))
            assert synced == [f"commit.seq {commit + 1}" for commit in range(number + 1)]
