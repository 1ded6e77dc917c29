"""A catalogue whose last commits were lost is refused, and left as it is; what a crash leaves is accepted."""

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
from support.stores import NewStore
from support.writing import make_document, put_document

from semsearch.core.errors import StorageError
from semsearch.core.types.documents import SourceRoot
from semsearch.storage.collections.local import commit_file
from semsearch.storage.collections.local.catalog import CATALOG_FILE, accept_catalog
from semsearch.storage.collections.local.store import LocalStore

WAL = f"{CATALOG_FILE}-wal"


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """A collection of 20 documents, which is open, so that its log is not yet in the catalogue."""
    store = new_store("hb")
    add(store, 20)
    return store


def add(store: LocalStore, more: int) -> None:
    """Put so many documents more, in a commit each."""
    before = store.info().documents
    for number in range(before, before + more):
        put_document(store, make_document(f"{number:03}", f"Lamp {number}."))


def killed(store: LocalStore, name: str = "hb") -> Path:
    """The folder as it is when the process is killed now, in a place of its own."""
    folder = store.folder.parent / "killed" / name
    shutil.copytree(store.folder, folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """A hash of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def number(store: LocalStore) -> int:
    """The catalogue's."""
    with store._catalog.read() as db:
        return int(db.execute("SELECT seq FROM meta").fetchone()[0])


def test_a_lost_log_is_refused_and_no_file_is_changed(store: LocalStore) -> None:
    """Both numbers are named, and the remedy."""
    folder = killed(store)
    (folder / WAL).unlink()
    before = contents(folder)
    for _ in range(2):
        told = r"hb is at commit 0, but commit\.seq is at 20: .*reindex --accept-loss -c hb"
        with pytest.raises(StorageError, match=told):
            LocalStore(folder)
        assert contents(folder) == before


def test_a_stale_log_is_refused_and_no_file_of_the_truth_is_changed(store: LocalStore, new_store: NewStore) -> None:
    """A log of commit 20 over a catalogue of commit 41; SQLite makes only its shared memory."""
    log = (store.folder / WAL).read_bytes()
    add(store, 21)
    store.close()
    (store.folder / WAL).write_bytes(log)
    before = contents(store.folder)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 41"):
        new_store("hb")
    after = contents(store.folder)
    after.pop(f"{CATALOG_FILE}-shm", None)
    before.pop(f"{CATALOG_FILE}-shm", None)
    assert after == before


def test_a_kill_between_commit_and_file_is_accepted(store: LocalStore) -> None:
    """The catalogue is one commit ahead: it is read, and the next write goes on from there."""
    folder = killed(store)
    commit_file.create(folder, 19)
    with closing(LocalStore(folder)) as found:
        assert found.info().documents == 20
        assert commit_file.read(folder) == 19
        add(found, 1)
        assert commit_file.read(folder) == 21


def test_two_commits_ahead_are_refused(store: LocalStore) -> None:
    """An old file beside a newer catalogue; no file is changed but SQLite's shared memory."""
    folder = killed(store)
    commit_file.create(folder, 18)
    before = contents(folder)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 18: an old commit\.seq"):
        LocalStore(folder)
    assert {**contents(folder), f"{CATALOG_FILE}-shm": ""} == {**before, f"{CATALOG_FILE}-shm": ""}


def test_a_write_is_refused_where_the_file_was_exchanged_meanwhile(store: LocalStore) -> None:
    """Who has the collection open looks before each commit."""
    commit_file.create(store.folder, 30)
    with pytest.raises(StorageError, match=r"at commit 20, but commit\.seq is at 30"):
        add(store, 1)
    assert store.info().documents == 20


def test_a_collection_without_the_file_gets_it_with_its_next_write(store: LocalStore) -> None:
    """It was written before there was one; reading makes none."""
    folder = killed(store)
    (folder / commit_file.FILE_NAME).unlink()
    with closing(LocalStore(folder)) as found:
        assert found.info().documents == 20
        assert commit_file.read(folder) is None
        add(found, 1)
        assert commit_file.read(folder) == number(found) == 21


def test_accepting_the_loss_sets_the_number(store: LocalStore) -> None:
    """What the catalogue holds is served again, and can be written to."""
    folder = killed(store)
    (folder / WAL).unlink()
    accept_catalog(folder)
    assert commit_file.read(folder) == 0
    with closing(LocalStore(folder)) as found:
        assert found.info().documents == 0
        add(found, 3)
    with closing(LocalStore(folder)) as found:
        assert found.info().documents == commit_file.read(folder) == 3


def test_every_change_is_one_commit_and_in_the_file(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of documents, also of one uri twice, of folders and of the index; what changes nothing has no number."""
    monkeypatch.setattr("semsearch.storage.collections.local.index.generations.MAX_STALE_ROWS", 0)
    made = make_document("twice", "A lamp.")

    def twice() -> None:
        from semsearch.core.types.documents import ChunkedDocument

        store.put([ChunkedDocument(made, ()), ChunkedDocument(made, ())], {})

    deeds: list[tuple[Callable[[], object], int]] = [
        (lambda: put_document(store, make_document("a", "A bell.")), 1),
        (twice, 1),
        (lambda: store.remove(["a", "000"]), 1),
        (lambda: store.remove(["not there"]), 0),
        (lambda: store.add_root(SourceRoot("docs", Path("/docs"))), 1),
        (lambda: store.add_root(SourceRoot("docs", Path("/docs"))), 0),
        (store.refresh_index, 1),
        (store.reindex, 1),
    ]
    for deed, more in deeds:
        before = number(store)
        deed()
        assert commit_file.read(store.folder) == number(store) == before + more


def test_a_commit_that_cannot_be_noted_is_not_acknowledged(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write notes it first, so that the catalogue is never two ahead."""
    write = commit_file.write
    noted: list[int] = []

    def failing(folder: Path, number: int) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(commit_file, "write", failing)
    for _ in range(2):  # the second finds that it cannot note the first
        with pytest.raises(StorageError, match="no room"):
            put_document(store, make_document("a", "A bell."))
    assert (number(store), commit_file.read(store.folder)) == (21, 20)

    def noting(folder: Path, number: int) -> None:
        noted.append(number)
        write(folder, number)

    monkeypatch.setattr(commit_file, "write", noting)
    put_document(store, make_document("b", "A bell."))
    assert noted == [21, 22]


def test_others_may_commit_while_the_numbers_are_read(store: LocalStore) -> None:
    """Many times, before the catalogue is read and after it."""

    def look() -> int:
        add(store, 3)
        seen = number(store)
        add(store, 3)
        return seen

    commit_file.check(store.folder, look)


def test_opening_beside_a_writer_is_no_alarm(store: LocalStore, new_store: NewStore) -> None:
    """Readers open the collection again and again while another writes and closes it."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with closing(LocalStore(store.folder)) as writer:
                add(writer, 5)

    store.close()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = []
        for _ in range(150):
            with closing(LocalStore(store.folder)) as reader:
                seen.append(reader.info().documents)
    finally:
        done.set()
        thread.join()
    assert seen == sorted(seen)
    assert seen[-1] > 20


@given(number=st.integers(0, 1 << 40), kept=st.integers(0, 64), filling=st.binary(min_size=64, max_size=64))
def test_a_torn_write_leaves_the_number_before(
    tmp_path_factory: pytest.TempPathFactory, number: int, kept: int, filling: bytes
) -> None:
    """However much of the new record reached the disk, and whatever stands in place of the rest."""
    folder = tmp_path_factory.mktemp("torn")
    commit_file.create(folder, number)
    commit_file.write(folder, number + 1)
    file = folder / commit_file.FILE_NAME
    data = bytearray(file.read_bytes())
    at = (number + 1) % 2 * (len(data) // 2)
    data[at + kept : at + 64] = filling[kept:]
    file.write_bytes(data)
    assert commit_file.read(folder) in (number, number + 1)
    commit_file.catch_up(folder, number + 1)
    assert commit_file.read(folder) == number + 1


@pytest.mark.parametrize("damage", [b"", b"\0" * 8192, b"SEMSSEQ1 and no more"])
def test_a_damaged_file_is_an_error_with_a_way_out(store: LocalStore, damage: bytes) -> None:
    """Neither slot is valid, which no torn write leaves."""
    folder = killed(store)
    (folder / commit_file.FILE_NAME).write_bytes(damage)
    with pytest.raises(StorageError, match=r"commit\.seq is damaged.*--accept-loss -c hb"):
        LocalStore(folder)
    accept_catalog(folder)
    with closing(LocalStore(folder)) as found:
        assert found.info().documents == 20


def test_a_migration_is_a_commit(store: LocalStore, new_store: NewStore) -> None:
    """A collection of an earlier version is brought up, and its number with it."""
    store.close()
    with closing(sqlite3.connect(store.folder / CATALOG_FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm008_checksums'")
        db.execute("ALTER TABLE segment DROP COLUMN sha256")
        for table in ("document", "chunk", "word", "vector", "space", "generation", "meta"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        db.execute("PRAGMA user_version = 7")
    found = new_store("hb")
    assert commit_file.read(store.folder) == number(found) == 21


def test_a_copy_of_the_folder_or_of_the_catalogue_alone_is_opened(store: LocalStore) -> None:
    """A whole copy is what it was; a catalogue without the file counts as one from before."""
    folder = killed(store)
    store.close()
    alone = store.folder.parent / "alone"
    alone.mkdir()
    shutil.copy(store.folder / CATALOG_FILE, alone)
    for place in (folder, alone):
        with closing(LocalStore(place)) as found:
            assert found.info().documents == 20


def test_a_new_collection_has_the_file(tmp_path: Path) -> None:
    """From the start: an empty one whose log is lost is not mistaken for one that was never written to."""
    LocalStore.create(tmp_path, space=HashEmbedder.name, dim=HashEmbedder.dim, spec="hash")
    assert commit_file.read(tmp_path) == 0
