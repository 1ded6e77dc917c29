"""The SQLite file of a collection: durability, locks between processes, and messages of its errors."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.stores import NewStore
from support.writing import make_document, put_document

from semsearch.core.errors import ConflictError, LockedError, NotFoundError, StorageError
from semsearch.core.file_locks import hold_lock
from semsearch.storage.collections.local import catalog
from semsearch.storage.collections.local.store import LocalStore


def test_commits_survive_a_power_cut(new_store: NewStore) -> None:
    """The database is in WAL mode with synchronous=FULL: a commit is synced before it is acknowledged."""
    store = new_store("one")
    with store._catalog.write("read settings") as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_readers_can_change_nothing(new_store: NewStore) -> None:
    """A read connection cannot write."""
    store = new_store("one")
    with pytest.raises(StorageError, match="readonly"), store._catalog.read() as db:
        db.execute("DELETE FROM document")


def test_message_names_the_holder_of_a_lock(tmp_path: Path) -> None:
    """The message of a timeout names the process that holds the lock."""
    message = rf"cannot ingest in .* now: process {os.getpid()} \("
    with (
        hold_lock(tmp_path / "x.lock", wait_seconds=0, operation="sleep"),
        pytest.raises(LockedError, match=message),
        hold_lock(tmp_path / "x.lock", wait_seconds=0.01, operation="ingest"),
    ):
        pass
    with hold_lock(tmp_path / "x.lock", wait_seconds=0, operation="sleep"):
        pass


def test_lock_is_released_when_its_holder_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the holder the lock is free."""
    code = (
        "import sys, time, pathlib; from semsearch.core.file_locks import hold_lock\n"
        "with hold_lock(pathlib.Path(sys.argv[1]), wait_seconds=0, operation='hold'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x.lock")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LockedError), hold_lock(tmp_path / "x.lock", wait_seconds=0, operation="test"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with hold_lock(tmp_path / "x.lock", wait_seconds=1, operation="test"):
        pass


def test_two_jobs_exclude_each_other_but_not_single_writes(new_store: NewStore) -> None:
    """A second long job is an error at once; a single document is stored during the first."""
    first, second = new_store("one"), new_store("one")
    with first.job_lock("ingest"):
        with pytest.raises(LockedError, match="cannot reindex"), second.job_lock("reindex"):
            pass
        assert put_document(second, make_document("a", "A lamp.")).status == "added"


def test_writers_take_turns(new_store: NewStore) -> None:
    """Several threads and stores write concurrently, and every document is stored."""
    stores = [new_store("one") for _ in range(3)]

    def write(worker: int) -> None:
        for n in range(8):
            put_document(stores[worker % 3], make_document(f"{worker}/{n}", f"Lamp {n} of worker {worker}."))

    threads = [threading.Thread(target=write, args=[worker]) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].info().documents == 48


def test_deleted_collection_is_noticed(new_store: NewStore, tmp_path: Path) -> None:
    """Reads and writes fail after the file was deleted or replaced."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp."))
    (tmp_path / "one").rename(tmp_path / "gone")
    with pytest.raises(NotFoundError):
        store.info()
    with pytest.raises(NotFoundError):
        put_document(store, make_document("b", "A bell."))
    new_store("one")
    with pytest.raises(NotFoundError, match="replaced"):
        store.info()
    assert not store.is_current()


def test_newer_format_is_refused(new_store: NewStore) -> None:
    """A file of a newer version is an error with both numbers."""
    store = new_store("one")
    store.close()
    with sqlite3.connect(store.folder / catalog.CATALOG_FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConflictError, match=rf"format 99, this semsearch knows {catalog.FORMAT_VERSION}"):
        LocalStore(store.folder)


def test_another_analyser_asks_for_reindex(new_store: NewStore) -> None:
    """Terms of another analyser version are not searched; reindex replaces them."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog."))
    with store._catalog.write("change the version") as db:
        db.execute("UPDATE meta SET analysis = '0'")
    with pytest.raises(ConflictError, match="rebuild its index"), store.snapshot():
        pass
    store.reindex()
    with store.snapshot() as snapshot:
        assert len(snapshot.lexical_search(["lamp"], 5).ids) == 1


def test_message_names_a_damaged_catalogue(new_store: NewStore) -> None:
    """A file that is not a database is a StorageError with its path."""
    store = new_store("one")
    store.close()
    (store.folder / catalog.CATALOG_FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"catalog\.db: file is not a database; the file is damaged"):
        LocalStore(store.folder)


def test_full_disk_keeps_stored_documents(new_store: NewStore) -> None:
    """On a full disk the change fails as a whole, and stored documents are found as before."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog."))
    with store._catalog.write("limit the pages") as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
    text = " ".join(f"Remark {n} of the lamp." for n in range(2000))
    with pytest.raises(StorageError, match="free some space"):
        put_document(store, make_document("b", text))
    assert [info.uri for info in store.documents(None, 9)] == ["a"]
    with store.snapshot() as snapshot:
        assert len(snapshot.lexical_search(["lamp"], 9).ids) == 1
    with store._catalog.write("lift the limit") as db:
        db.execute("PRAGMA max_page_count = 1073741823")
    assert put_document(store, make_document("b", text)).status == "added"


def test_lock_file_that_cannot_be_opened_has_a_remedy(tmp_path: Path) -> None:
    """If the lock file cannot be opened, here because it is a folder, the message has a remedy."""
    with pytest.raises(StorageError, match="writable"), hold_lock(tmp_path, wait_seconds=0, operation="test"):
        pass


def test_every_reference_has_an_index(new_store: NewStore) -> None:
    """Each foreign key to a chunk or a document has an index: SQLite looks up references at each removal."""
    with new_store("one")._catalog.read() as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        plans = {}
        for table in tables:
            for reference in db.execute(f"PRAGMA foreign_key_list({table})"):
                if reference[2] in ("chunk", "document"):
                    plan = db.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {reference[3]} = 1").fetchone()
                    plans[table] = plan[3].partition(" ")[0]
    assert plans == dict.fromkeys(("segment", "block", "page_map", "chunk", "vector", "word"), "SEARCH")
