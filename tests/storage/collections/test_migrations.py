"""Collections of earlier versions are brought up when they are opened, and are found to hold what they held."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.writing import VOCABULARY, embed_query, locate_hits, make_document, put_document

from semsearch.core.errors import StorageError
from semsearch.core.types.documents import SourceRoot
from semsearch.storage.collections.local.catalog import CATALOG_FILE
from semsearch.storage.collections.local.migrations import MIGRATIONS
from semsearch.storage.collections.local.store import LocalStore
from semsearch.text.analyzer import extract_query_terms

pytestmark = pytest.mark.slow

NewStore = Callable[[str], LocalStore]
TABLES = "space root document segment block chunk vector word change".split()
CHECKED = "space document chunk vector word generation meta".split()


@pytest.fixture
def today(new_store: NewStore) -> LocalStore:
    """A collection of today's format, large enough for files of its own."""
    store = new_store("today")
    for number in range(600):
        put_document(
            store,
            make_document(
                f"docs/{number:03}", f"{' '.join(VOCABULARY[number % 9 : number % 7 + 20])} number {number}."
            ),
        )
    store.remove(["docs/007"])
    return store


def copied(store: LocalStore, db: sqlite3.Connection, before: str, tables: Sequence[str]) -> None:
    """Copy the rows of a collection into tables as they were before a migration."""
    MIGRATIONS.apply(Database(db), stop_before=before)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("ATTACH ? AS today", (str(store.folder / CATALOG_FILE),))
    for table in tables:
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM today.{table}")


def aged(store: LocalStore, folder: Path) -> Path:
    """A copy of a collection as the first version wrote it."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as db:
        copied(store, db, "m002_words_as_files", TABLES)
        db.execute("INSERT INTO meta SELECT id, seq, log_start, live_space, analysis FROM today.meta")
        db.execute("INSERT INTO word_index (word_index) VALUES ('rebuild')")
        db.execute("PRAGMA user_version = 1")
    return folder


def found(store: LocalStore) -> list[object]:
    """What some questions find, both legs."""
    results: list[object] = [store.info().documents, store.info().chunks]
    for question in ("the lamp in the fog", "anchor 77", "number 7", "zebra"):
        with store.snapshot() as snapshot:
            near = snapshot.top_k(snapshot.vector_search(embed_query(question), 8), 8)
            words = snapshot.top_k(snapshot.lexical_search(extract_query_terms(question), 8), 8)
        results += [locate_hits(store, near), locate_hits(store, words)]
    return results


@pytest.mark.parametrize(("step", "version"), [("m005_other_codes", 4), ("m006_lists_in_a_file", 5)])
def test_indexes_with_older_codes_are_made_anew(today: LocalStore, step: str, version: int) -> None:
    """Of versions before, the files hold codes of another kind, or in another place: none of them is read."""
    today.refresh_index()
    wanted, (old,) = found(today), today.folder.glob("index.*")
    today.close()
    with closing(sqlite3.connect(today.folder / CATALOG_FILE, isolation_level=None)) as db:
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
    put_document(store, make_document("docs/new", "A lamp in the fog, number 1000."))
    put_document(today, make_document("docs/new", "A lamp in the fog, number 1000."))
    assert found(store) == found(today)
    store.close()
    with closing(LocalStore(folder)) as again:
        assert found(again) == found(today)


def test_documents_of_earlier_versions_are_of_the_folder_in_their_name(today: LocalStore, tmp_path: Path) -> None:
    """Nothing else tells, and so they are pruned as before."""
    today.add_root(SourceRoot("docs", tmp_path / "docs"))
    put_document(today, make_document("docs-too/1", "A lamp."))
    assert today.file_uris("docs/") == []
    with closing(LocalStore(aged(today, tmp_path / "aged"))) as store:
        assert len(store.file_uris("docs/")) == 599
        assert store.file_uris("docs-too/") == []


def unchecked(store: LocalStore, folder: Path, *damage: str) -> Path:
    """A copy of a collection of format 7, which had no checksums; statements damage it."""
    shutil.copytree(store.folder, folder)
    (folder / CATALOG_FILE).unlink()
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as db:
        copied(store, db, "m008_checksums", [*TABLES, "generation", "meta"])
        for statement in damage:
            assert db.execute(statement).rowcount == 1
        db.execute("PRAGMA user_version = 7")
    return folder


def checksums(folder: Path) -> list[object]:
    """All of them."""
    with closing(sqlite3.connect(folder / CATALOG_FILE)) as db:
        sums = [db.execute(f"SELECT checksum FROM {table} ORDER BY rowid").fetchall() for table in CHECKED]
        return [*sums, db.execute("SELECT sha256 FROM segment ORDER BY document_id, ordinal").fetchall()]


def test_rows_of_earlier_versions_get_the_checksums_of_today(today: LocalStore, tmp_path: Path) -> None:
    """The same as if they were written now; the index that there is stays."""
    put_document(
        today,
        make_document("long", "\n\n".join(f"A långer text of 灯台 {number}." for number in range(2_000)), {"n": 1}),
    )
    today.add_root(SourceRoot("docs", tmp_path / "docs"))
    today.refresh_index()
    wanted = found(today)
    today.close()
    folder = unchecked(today, tmp_path / "unchecked")
    with closing(LocalStore(folder)) as store:
        assert found(store) == wanted
        assert store.document("long") == today.document("long")
    assert checksums(folder) == checksums(today.folder)
    assert [path.name for path in folder.glob("index.*")] == [path.name for path in today.folder.glob("index.*")]
    with closing(sqlite3.connect(folder / CATALOG_FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 8


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE segment SET text = replace(text, 'number', 'nomber') WHERE document_id = 10",
        "UPDATE segment SET text = replace(text, 'number', CAST(x'ff' AS TEXT)) WHERE document_id = 10",
        "UPDATE document SET title = CAST(x'ff' AS TEXT) WHERE id = 10",
        "UPDATE document SET metadata = '{' WHERE id = 10",
        "UPDATE document SET characters = 'x' WHERE id = 10",
    ],
)
def test_what_was_damaged_before_it_had_a_checksum_is_an_error(today: LocalStore, tmp_path: Path, damage: str) -> None:
    """A text is held against the hash that it always had; the collection is brought up all the same."""
    today.close()
    with closing(LocalStore(unchecked(today, tmp_path / "unchecked", damage))) as store:
        with pytest.raises(StorageError, match="'docs/009' is damaged"):
            store.document("docs/009")
        assert store.document("docs/010") == today.document("docs/010")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunk SET start = 'x' WHERE document_id = 10",
        "UPDATE chunk SET start = 7 WHERE document_id = 10",
        "UPDATE chunk SET sentences = '[0,1,2' WHERE document_id = 10",
        "UPDATE chunk SET sentences = '[0,5000]' WHERE document_id = 10",
    ],
)
def test_chunks_that_were_damaged_before_are_not_found(today: LocalStore, tmp_path: Path, damage: str) -> None:
    """Their text is held against the hash that it always had."""
    today.close()
    with closing(LocalStore(unchecked(today, tmp_path / "unchecked", damage))) as store:
        with store.snapshot() as snapshot:
            (chunk,) = snapshot.load([10])
        assert "'docs/009' is damaged" in chunk.damage
