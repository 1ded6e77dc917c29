"""Collections of earlier versions are brought up when they are opened, and are found to hold what they held."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from writing import WORDS, document, places, put, vector

from semsearch.analysis import question_terms
from semsearch.stores.local.catalog import FILE
from semsearch.stores.local.migrations import MIGRATIONS
from semsearch.stores.local.store import LocalStore
from semsearch.types import Root

NewStore = Callable[[str], LocalStore]
TABLES = "space root document segment block chunk vector word change".split()
CHECKED = "space document chunk vector word generation meta".split()


@pytest.fixture
def today(new_store: NewStore) -> LocalStore:
    """A collection of today's format, large enough for files of its own."""
    store = new_store("today")
    for number in range(600):
        put(store, document(f"docs/{number:03}", f"{' '.join(WORDS[number % 9 : number % 7 + 20])} number {number}."))
    store.remove(["docs/007"])
    return store


def aged(store: LocalStore, folder: Path) -> Path:
    """A copy of a collection as the first version wrote it."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        MIGRATIONS.apply(Database(db), stop_before="m002_words_as_files")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("ATTACH ? AS today", (str(store.folder / FILE),))
        for table in TABLES:
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM today.{table}")
        db.execute("INSERT INTO meta SELECT id, seq, log_start, live_space, analysis FROM today.meta")
        db.execute("INSERT INTO word_index (word_index) VALUES ('rebuild')")
        db.execute("PRAGMA user_version = 1")
    return folder


def found(store: LocalStore) -> list[object]:
    """What some questions find, both legs."""
    results: list[object] = [store.info().documents, store.info().chunks]
    for question in ("the lamp in the fog", "anchor 77", "number 7", "zebra"):
        with store.snapshot() as snapshot:
            near = snapshot.order(snapshot.nearest(vector(question), 8), 8)
            words = snapshot.order(snapshot.match(question_terms(question), 8), 8)
        results += [places(store, near), places(store, words)]
    return results


@pytest.mark.parametrize(("step", "version"), [("m005_other_codes", 4), ("m006_lists_in_a_file", 5)])
def test_indexes_with_older_codes_are_made_anew(today: LocalStore, step: str, version: int) -> None:
    """Of versions before, the files hold codes of another kind, or in another place: none of them is read."""
    today.settle()
    wanted, (old,) = found(today), today.folder.glob("index.*")
    today.close()
    with closing(sqlite3.connect(today.folder / FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name >= ?", (step,))
        db.execute("ALTER TABLE document DROP COLUMN root")
        db.execute("ALTER TABLE segment DROP COLUMN sha256")
        for table in CHECKED:
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        db.execute(f"PRAGMA user_version = {version}")
    for file in old.iterdir():
        file.write_bytes(b"")
    with closing(LocalStore(today.folder)) as store:
        assert found(store) == wanted
        assert [path for path in store.folder.glob("index.*") if (path / "ids").stat().st_size]


def test_a_collection_of_the_first_version_is_brought_up(today: LocalStore, tmp_path: Path) -> None:
    """It is found to hold the same, its index is built at once, and a second opening changes nothing."""
    folder = aged(today, tmp_path / "aged")
    store = LocalStore(folder)
    assert list(folder.glob("index.*"))
    assert found(store) == found(today)
    put(store, document("docs/new", "A lamp in the fog, number 1000."))
    put(today, document("docs/new", "A lamp in the fog, number 1000."))
    assert found(store) == found(today)
    store.close()
    with closing(LocalStore(folder)) as again:
        assert found(again) == found(today)


def test_documents_of_earlier_versions_are_of_the_folder_in_their_name(today: LocalStore, tmp_path: Path) -> None:
    """Nothing else tells, and so they are pruned as before."""
    today.add_root(Root("docs", tmp_path / "docs"))
    put(today, document("docs-too/1", "A lamp."))
    assert today.files("docs/") == []
    with closing(LocalStore(aged(today, tmp_path / "aged"))) as store:
        assert len(store.files("docs/")) == 599
        assert store.files("docs-too/") == []
