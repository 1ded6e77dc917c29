"""Collections of earlier versions are migrated when they are opened, and keep their documents and hits."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database
from support.old_catalogs import drop_originals
from support.stores import NewStore, create_store
from support.writing import VOCABULARY, embed_query, locate_hits, make_document, put_document

from semsearch.core.errors import StorageError
from semsearch.core.types.documents import ChunkedDocument, SourceRoot
from semsearch.ingest.chunking import chunk
from semsearch.storage.collections.local.catalog import CATALOG_FILE, FORMAT_VERSION
from semsearch.storage.collections.local.migrations import MIGRATIONS
from semsearch.storage.collections.local.rows.checksums import row_checksum
from semsearch.storage.collections.local.rows.records import ChunkRow
from semsearch.storage.collections.local.store import LocalStore
from semsearch.text.analyzer import extract_query_terms

pytestmark = pytest.mark.slow

TABLES = "space root document segment block chunk vector word change".split()
CHECKSUM_TABLES = "space document chunk vector word generation meta".split()


@pytest.fixture(scope="module")
def current_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of the current format, large enough for an index; tests copy it."""
    folder = tmp_path_factory.mktemp("current")
    with closing(create_store(folder)) as store:
        for number in range(600):
            text = f"{' '.join(VOCABULARY[number % 9 : number % 7 + 20])} number {number}."
            put_document(store, make_document(f"docs/{number:03}", text))
        store.remove(["docs/007"])
    return folder


@pytest.fixture
def current(new_store: NewStore, current_folder: Path, tmp_path: Path) -> LocalStore:
    """A copy of the collection."""
    shutil.copytree(current_folder, tmp_path / "current")
    return new_store("current")


def copy_rows(store: LocalStore, db: sqlite3.Connection, before: str, tables: Sequence[str]) -> None:
    """Copy the rows of a collection into the tables of an earlier format."""
    MIGRATIONS.apply(Database(db), stop_before=before)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("ATTACH ? AS today", (str(store.folder / CATALOG_FILE),))
    for table in tables:
        columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM today.{table}")


def copy_as_first_format(store: LocalStore, folder: Path) -> Path:
    """Make a copy of a collection in the first format."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as db:
        copy_rows(store, db, "m002_words_as_files", TABLES)
        db.execute("INSERT INTO meta SELECT id, seq, log_start, live_space, analysis FROM today.meta")
        db.execute("INSERT INTO word_index (word_index) VALUES ('rebuild')")
        db.execute("PRAGMA user_version = 1")
    return folder


def search_all(store: LocalStore) -> list[object]:
    """Return the counts, and the hits of some queries by vectors and by terms."""
    results: list[object] = [store.info().documents, store.info().chunks]
    for question in ("the lamp in the fog", "anchor 77", "number 7", "zebra"):
        with store.snapshot() as snapshot:
            dense = snapshot.top_k(snapshot.vector_search(embed_query(question), 8), 8)
            lexical = snapshot.top_k(snapshot.lexical_search(extract_query_terms(question), 8), 8)
        results += [locate_hits(store, dense), locate_hits(store, lexical)]
    return results


@pytest.mark.parametrize(("step", "version"), [("m005_other_codes", 4), ("m006_lists_in_a_file", 5)])
def test_index_files_of_earlier_formats_are_built_again(current: LocalStore, step: str, version: int) -> None:
    """Index files of earlier formats are not read, but built again."""
    current.refresh_index()
    expected, (old_folder,) = search_all(current), current.folder.glob("index.*")
    current.close()
    with closing(sqlite3.connect(current.folder / CATALOG_FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name >= ?", (step,))
        drop_originals(db)
        db.execute("ALTER TABLE document DROP COLUMN root")
        db.execute("ALTER TABLE segment DROP COLUMN sha256")
        db.execute("ALTER TABLE chunk DROP COLUMN role")
        for table in CHECKSUM_TABLES:
            db.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        db.execute(f"PRAGMA user_version = {version}")
    for file in old_folder.iterdir():
        file.write_bytes(b"")
    with closing(LocalStore(current.folder)) as store:
        assert search_all(store) == expected
        assert [path for path in store.folder.glob("index.*") if (path / "ids").stat().st_size]


def test_collection_of_the_first_version_is_migrated(current: LocalStore, tmp_path: Path) -> None:
    """Hits are the same, an index is built at once, and opening it again changes nothing."""
    folder = copy_as_first_format(current, tmp_path / "first_format")
    store = LocalStore(folder)
    assert list(folder.glob("index.*"))
    assert search_all(store) == search_all(current)
    put_document(store, make_document("docs/new", "A lamp in the fog, number 1000."))
    put_document(current, make_document("docs/new", "A lamp in the fog, number 1000."))
    assert search_all(store) == search_all(current)
    store.close()
    with closing(LocalStore(folder)) as reopened:
        assert search_all(reopened) == search_all(current)


def test_earlier_documents_belong_to_the_root_in_their_uri(current: LocalStore, tmp_path: Path) -> None:
    """Earlier documents belong to the root in their uri, so that they are pruned as before."""
    current.add_root(SourceRoot("docs", tmp_path / "docs"))
    put_document(current, make_document("docs-too/1", "A lamp."))
    assert current.file_uris("docs/") == []
    with closing(LocalStore(copy_as_first_format(current, tmp_path / "first_format"))) as store:
        assert len(store.file_uris("docs/")) == 599
        assert store.file_uris("docs-too/") == []


def copy_without_checksums(store: LocalStore, folder: Path, *damage: str) -> Path:
    """Make a copy of a collection in format 7, without checksums, and damage it with these statements."""
    shutil.copytree(store.folder, folder)
    (folder / CATALOG_FILE).unlink()
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as db:
        copy_rows(store, db, "m008_checksums", [*TABLES, "generation", "meta"])
        for statement in damage:
            assert db.execute(statement).rowcount == 1
        db.execute("PRAGMA user_version = 7")
    return folder


def load_checksums(folder: Path) -> list[object]:
    """Return the checksums of all rows."""
    with closing(sqlite3.connect(folder / CATALOG_FILE)) as db:
        row_checksums = [
            db.execute(f"SELECT checksum FROM {table} ORDER BY rowid").fetchall() for table in CHECKSUM_TABLES
        ]
        return [*row_checksums, db.execute("SELECT sha256 FROM segment ORDER BY document_id, ordinal").fetchall()]


def test_rows_of_earlier_versions_get_checksums(current: LocalStore, tmp_path: Path) -> None:
    """They are those of rows that are written now; the existing index is kept."""
    put_document(
        current,
        make_document("long", "\n\n".join(f"A långer text of 灯台 {number}." for number in range(2_000)), {"n": 1}),
    )
    current.add_root(SourceRoot("docs", tmp_path / "docs"))
    current.refresh_index()
    expected = search_all(current)
    current.close()
    folder = copy_without_checksums(current, tmp_path / "format_7")
    with closing(LocalStore(folder)) as store:
        assert search_all(store) == expected
        assert store.document("long") == current.document("long")
    assert load_checksums(folder) == load_checksums(current.folder)
    assert [path.name for path in folder.glob("index.*")] == [path.name for path in current.folder.glob("index.*")]
    with closing(sqlite3.connect(folder / CATALOG_FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == FORMAT_VERSION


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
def test_damage_from_before_the_checksums_is_an_error(current: LocalStore, tmp_path: Path, damage: str) -> None:
    """A text is checked against its stored hash; the collection is migrated all the same."""
    current.close()
    with closing(LocalStore(copy_without_checksums(current, tmp_path / "format_7", damage))) as store:
        with pytest.raises(StorageError, match="'docs/009' is damaged"):
            store.document("docs/009")
        assert store.document("docs/010") == current.document("docs/010")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunk SET start = 'x' WHERE document_id = 10",
        "UPDATE chunk SET start = 7 WHERE document_id = 10",
        "UPDATE chunk SET sentences = '[0,1,2' WHERE document_id = 10",
        "UPDATE chunk SET sentences = '[0,5000]' WHERE document_id = 10",
    ],
)
def test_chunks_damaged_before_the_checksums_are_reported(current: LocalStore, tmp_path: Path, damage: str) -> None:
    """The text of a chunk is checked against its stored hash."""
    current.close()
    with closing(LocalStore(copy_without_checksums(current, tmp_path / "format_7", damage))) as store:
        with store.snapshot() as snapshot:
            (chunk,) = snapshot.load([10])
        assert "'docs/009' is damaged" in chunk.damage


def test_chunks_of_earlier_versions_have_no_role(current: LocalStore, tmp_path: Path) -> None:
    """They keep their intact checksums; a chunk that was damaged before stays damaged."""
    current.close()
    folder = tmp_path / "format_8"
    shutil.copytree(current.folder, folder)
    with closing(sqlite3.connect(folder / CATALOG_FILE, isolation_level=None)) as db:
        db.create_function("row_checksum", -1, row_checksum)
        values = ", ".join(ChunkRow._fields[:-2])
        db.execute(f"UPDATE chunk SET checksum = row_checksum({values})")
        db.execute("UPDATE chunk SET heading = 'Another' WHERE document_id = 10")
        db.execute("ALTER TABLE chunk DROP COLUMN role")
        drop_originals(db)
        db.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm009_roles'")
        db.execute("PRAGMA user_version = 8")
    with closing(LocalStore(folder)) as store, store.snapshot() as snapshot:
        damaged, intact = snapshot.load([10, 11])
    assert "'docs/009' is damaged" in damaged.damage
    assert (intact.damage, intact.role) == ("", "")
    assert load_checksums(folder)[2] != load_checksums(current.folder)[2]


def test_role_of_an_unchanged_text_is_updated(new_store: NewStore) -> None:
    """A newer version may recognise a role; the chunk keeps its id and its vector."""
    store, document = new_store("roles"), make_document("docs/changes", "1.1: fixed. 1.0: released.")
    chunks = chunk(document)
    vectors = {chunks[0].text_hash: embed_query(chunks[0].text)}
    for role in ("", "changelog"):
        store.put([ChunkedDocument(document, [replace(chunks[0], role=role)])], vectors)
        with store.snapshot() as snapshot:
            assert [(stored.id, stored.role) for stored in snapshot.load([1])] == [(1, role)]
