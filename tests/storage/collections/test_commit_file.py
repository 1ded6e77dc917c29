"""A catalogue that lost its last commits is an error and is not changed; the state after a crash is accepted."""

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import HashEmbedder
from support.old_catalogs import drop_originals
from support.stores import NewStore
from support.writing import make_document, put_document

from semsearch.core.errors import StorageError
from semsearch.core.types.documents import SourceRoot
from semsearch.storage.collections.local import catalog, commit_file
from semsearch.storage.collections.local.catalog import CATALOG_FILE, accept_catalog
from semsearch.storage.collections.local.store import LocalStore
from semsearch.storage.sqlite import connect

WAL = f"{CATALOG_FILE}-wal"


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """An open collection of 20 documents: its write-ahead log is not checkpointed yet."""
    store = new_store("hb")
    add_documents(store, 20)
    return store


def add_documents(store: LocalStore, count: int) -> None:
    """Store `count` more documents, one per commit."""
    stored_count = store.info().documents
    for number in range(stored_count, stored_count + count):
        put_document(store, make_document(f"{number:03}", f"Lamp {number}."))


def copy_as_killed(store: LocalStore, name: str = "hb") -> Path:
    """Return a copy of the folder, as a kill of the process would leave it."""
    folder = store.folder.parent / "killed" / name
    shutil.copytree(store.folder, folder)
    return folder


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def read_commit_number(store: LocalStore) -> int:
    """Return the number of the last commit in the catalogue."""
    with store._catalog.read() as db:
        return int(db.execute("SELECT seq FROM meta").fetchone()[0])


def test_lost_log_is_refused_and_no_file_is_changed(store: LocalStore) -> None:
    """The message has both numbers and the remedy."""
    folder = copy_as_killed(store)
    (folder / WAL).unlink()
    expected_contents = hash_files(folder)
    for _ in range(2):
        message = r"hb is at commit 0, but commit\.seq is at 20: .*accept the catalogue as it is"
        with pytest.raises(StorageError, match=message):
            LocalStore(folder)
        assert hash_files(folder) == expected_contents


def test_stale_log_is_refused_and_no_data_file_is_changed(store: LocalStore, new_store: NewStore) -> None:
    """A log of commit 20 with a catalogue of commit 41; SQLite creates only its shared memory."""
    log = (store.folder / WAL).read_bytes()
    add_documents(store, 21)
    store.close()
    (store.folder / WAL).write_bytes(log)
    contents_before = hash_files(store.folder)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 41"):
        new_store("hb")
    contents_after = hash_files(store.folder)
    contents_after.pop(f"{CATALOG_FILE}-shm", None)
    contents_before.pop(f"{CATALOG_FILE}-shm", None)
    assert contents_after == contents_before


def test_kill_between_commit_and_file_is_accepted(store: LocalStore) -> None:
    """A catalogue that is one commit ahead is opened, and the next write updates the file."""
    folder = copy_as_killed(store)
    commit_file.create(folder, 19)
    with closing(LocalStore(folder)) as reopened:
        assert reopened.info().documents == 20
        assert commit_file.read(folder) == 19
        add_documents(reopened, 1)
        assert commit_file.read(folder) == 21


def test_two_commits_ahead_are_refused(store: LocalStore) -> None:
    """An old file with a newer catalogue is an error; no file is changed but the shared memory of SQLite."""
    folder = copy_as_killed(store)
    commit_file.create(folder, 18)
    contents_before = hash_files(folder)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 18: an old commit\.seq"):
        LocalStore(folder)
    assert {**hash_files(folder), f"{CATALOG_FILE}-shm": ""} == {**contents_before, f"{CATALOG_FILE}-shm": ""}


def test_write_is_refused_if_the_file_was_replaced(store: LocalStore) -> None:
    """An open store checks the file before each commit."""
    commit_file.create(store.folder, 30)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 30"):
        add_documents(store, 1)
    assert store.info().documents == 20


def test_next_write_creates_a_missing_file(store: LocalStore) -> None:
    """A collection of an earlier version has no file; reading does not create one."""
    folder = copy_as_killed(store)
    (folder / commit_file.FILE_NAME).unlink()
    with closing(LocalStore(folder)) as reopened:
        assert reopened.info().documents == 20
        assert commit_file.read(folder) is None
        add_documents(reopened, 1)
        assert commit_file.read(folder) == read_commit_number(reopened) == 21


def test_accepting_the_loss_sets_the_number(store: LocalStore) -> None:
    """The collection can be read and written again."""
    folder = copy_as_killed(store)
    (folder / WAL).unlink()
    accept_catalog(folder)
    assert commit_file.read(folder) == 0
    with closing(LocalStore(folder)) as reopened:
        assert reopened.info().documents == 0
        add_documents(reopened, 3)
    with closing(LocalStore(folder)) as reopened:
        assert reopened.info().documents == commit_file.read(folder) == 3


def test_every_change_is_one_recorded_commit(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of documents, roots and indexes are one commit each; a call that changes nothing is none."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
    document = make_document("twice", "A lamp.")

    def put_twice() -> None:
        from semsearch.core.types.documents import ChunkedDocument

        store.put([ChunkedDocument(document, ()), ChunkedDocument(document, ())], {})

    operations: list[tuple[Callable[[], object], int]] = [
        (lambda: put_document(store, make_document("a", "A bell.")), 1),
        (put_twice, 1),
        (lambda: store.remove(["a", "000"]), 1),
        (lambda: store.remove(["not there"]), 0),
        (lambda: store.add_root(SourceRoot("docs", Path("/docs"))), 1),
        (lambda: store.add_root(SourceRoot("docs", Path("/docs"))), 0),
        (store.refresh_index, 1),
        (store.reindex, 1),
    ]
    for operation, commit_count in operations:
        before = read_commit_number(store)
        operation()
        assert commit_file.read(store.folder) == read_commit_number(store) == before + commit_count


def test_commit_that_cannot_be_recorded_is_not_acknowledged(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write records the commit first, so that the catalogue is never two ahead."""
    real_write = commit_file.write
    written: list[int] = []

    def fail(folder: Path, number: int) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(commit_file, "write", fail)
    for _ in range(2):  # the second cannot record the first
        with pytest.raises(StorageError, match="no room"):
            put_document(store, make_document("a", "A bell."))
    assert (read_commit_number(store), commit_file.read(store.folder)) == (21, 20)

    def record(folder: Path, number: int) -> None:
        written.append(number)
        real_write(folder, number)

    monkeypatch.setattr(commit_file, "write", record)
    put_document(store, make_document("b", "A bell."))
    assert written == [21, 22]


def test_concurrent_commits_are_no_mismatch(store: LocalStore) -> None:
    """Commits before and after the catalogue is read are no mismatch."""

    def read_catalog() -> int:
        add_documents(store, 3)
        commit_number = read_commit_number(store)
        add_documents(store, 3)
        return commit_number

    commit_file.check(store.folder, read_catalog)


def test_opening_during_writes_is_no_error(store: LocalStore, new_store: NewStore) -> None:
    """Readers open the collection repeatedly while another store writes and closes it."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with closing(LocalStore(store.folder)) as writer:
                add_documents(writer, 5)

    store.close()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = []
        for _ in range(150):
            with closing(LocalStore(store.folder)) as reader:
                counts.append(reader.info().documents)
    finally:
        done.set()
        thread.join()
    assert counts == sorted(counts)
    assert counts[-1] > 20


@pytest.mark.parametrize("is_temporary", [True, False])
def test_file_that_looks_damaged_is_read_again_under_the_lock(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, is_temporary: bool
) -> None:
    """By then a checkpoint of another process has ended; a file that still looks damaged is an error."""
    add_documents(store, 3)
    store.close()
    has_failed = False

    def connect_during_checkpoint(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
        nonlocal has_failed
        if immutable and not (has_failed and is_temporary):
            has_failed = True
            raise sqlite3.DatabaseError("database disk image is malformed")
        return connect(path, mode, immutable=immutable)

    monkeypatch.setattr(catalog, "connect", connect_during_checkpoint)
    if is_temporary:
        with closing(LocalStore(store.folder)) as reader:
            assert reader.info().documents == 23
    else:
        with pytest.raises(StorageError, match="malformed"):
            LocalStore(store.folder)
    assert has_failed


@given(number=st.integers(0, 1 << 40), written_bytes=st.integers(0, 64), filling=st.binary(min_size=64, max_size=64))
def test_torn_write_leaves_a_valid_number(
    tmp_path_factory: pytest.TempPathFactory, number: int, written_bytes: int, filling: bytes
) -> None:
    """Any prefix of the new record, with any bytes after it, leaves the previous or the new number."""
    folder = tmp_path_factory.mktemp("torn")
    commit_file.create(folder, number)
    commit_file.write(folder, number + 1)
    file = folder / commit_file.FILE_NAME
    content = bytearray(file.read_bytes())
    offset = (number + 1) % 2 * (len(content) // 2)
    content[offset + written_bytes : offset + 64] = filling[written_bytes:]
    file.write_bytes(content)
    assert commit_file.read(folder) in (number, number + 1)
    commit_file.reconcile(folder, number + 1)
    assert commit_file.read(folder) == number + 1


@pytest.mark.parametrize("damage", [b"", b"\0" * 8192, b"SEMSSEQ1 and no more"])
def test_damaged_file_is_an_error_with_a_remedy(store: LocalStore, damage: bytes) -> None:
    """A file without a valid slot, which no torn write leaves, is an error with a remedy."""
    folder = copy_as_killed(store)
    (folder / commit_file.FILE_NAME).write_bytes(damage)
    with pytest.raises(StorageError, match=r"commit\.seq is damaged.*accept the catalogue as it is"):
        LocalStore(folder)
    accept_catalog(folder)
    with closing(LocalStore(folder)) as reopened:
        assert reopened.info().documents == 20


def test_migration_is_a_commit(store: LocalStore, new_store: NewStore) -> None:
    """A migration increases the number of the last commit in the file."""
    store.close()
    with closing(sqlite3.connect(store.folder / CATALOG_FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm008_checksums'")
        drop_originals(db)
        db.execute("ALTER TABLE segment DROP COLUMN sha256")
        db.execute("ALTER TABLE chunk DROP COLUMN role")
        for table in ("document", "chunk", "word", "vector", "space", "generation", "meta"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        db.execute("PRAGMA user_version = 7")
    migrated = new_store("hb")
    assert commit_file.read(store.folder) == read_commit_number(migrated) == 21


def test_copy_of_the_folder_or_of_the_catalogue_alone_is_opened(store: LocalStore) -> None:
    """A copy of the folder is opened; so is a catalogue without the file, as of an earlier version."""
    folder = copy_as_killed(store)
    store.close()
    catalog_only = store.folder.parent / "alone"
    catalog_only.mkdir()
    shutil.copy(store.folder / CATALOG_FILE, catalog_only)
    for copy in (folder, catalog_only):
        with closing(LocalStore(copy)) as reopened:
            assert reopened.info().documents == 20


def test_new_collection_has_the_file(tmp_path: Path) -> None:
    """The file exists from creation on, so that a lost log of the first commits is detected."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    assert commit_file.read(tmp_path) == 0
