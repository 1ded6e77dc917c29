"""Damaged rows of the catalogue are never shown: a StorageError names the document, and all others are read."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from support.fakes import HashEmbedder
from support.stores import NewStore
from support.writing import embed_query, make_document, put_document

from semsearch.answers.pipeline import retrieve_evidence
from semsearch.core.errors import StorageError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Hit, SearchMode
from semsearch.search.filters import parse_filter
from semsearch.search.retrieval import Query, Search, run_searches
from semsearch.storage.collections.local.catalog import CATALOG_FILE
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

TEXTS = {
    "docs/door": "The glass door of the cellar is locked.\n\nNobody has its key.",
    "docs/lamp": "The storm lamp burns in the fog.\n\nIts oil is in the cellar.",
    "docs/rope": "A rope lies in the boat.\n\nThe tide lifts both.",
}
DAMAGE = {
    "text": "UPDATE segment SET text = replace(text, 'storm', 'sturm')",
    "undecodable text": "UPDATE segment SET text = replace(text, 'storm', CAST(x'ff' AS TEXT))",
    "missing text": "DELETE FROM segment WHERE text LIKE '%storm%'",
    "title": "UPDATE document SET title = 'limp' WHERE title = 'lamp'",
    "hash of the text": "UPDATE document SET text_sha256 = replace(text_sha256, 'a', 'b') WHERE title = 'lamp'",
    "metadata": "UPDATE document SET metadata = replace(metadata, 'night', 'might') WHERE title = 'lamp'",
    "metadata that are not JSON": "UPDATE document SET metadata = replace(metadata, '}', ']') WHERE title = 'lamp'",
}
CHUNK_DAMAGE = {
    "span": "UPDATE chunk SET start = start + 1 WHERE context = 'lamp'",
    "negative span": "UPDATE chunk SET start = -7 WHERE context = 'lamp'",
    "span beyond the end": "UPDATE chunk SET end = 1000000 WHERE context = 'lamp'",
    "span that is not a number": "UPDATE chunk SET start = 'x' WHERE context = 'lamp'",
    "heading": "UPDATE chunk SET heading = 'Lamps' WHERE context = 'lamp'",
    "page": "UPDATE chunk SET page = 7 WHERE context = 'lamp'",
    "sentences": "UPDATE chunk SET sentences = '[0' WHERE context = 'lamp'",
}


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """A store with three short documents."""
    store = new_store("one")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text, {"team": uri[-4:], "shift": "night"}))
    return store


def damage(store: LocalStore, statement: str) -> None:
    """Change rows directly in the file, and drop the view, as if the store was opened again."""
    with closing(sqlite3.connect(store.folder / CATALOG_FILE)) as db, db:
        assert db.execute(statement).rowcount
    store._view = None


def search(
    store: LocalStore, question: str, k: int = 1, *, where: dict[str, str] | None = None, mode: SearchMode = "hybrid"
) -> Sequence[Hit]:
    """Return the best hits."""
    condition = None if where is None else parse_filter(where)
    query = Query(question, embed_query(question), condition, mode, {"hybrid": 0.3, "dense": 1.0, "lexical": 0.0}[mode])
    with store.snapshot() as snapshot:
        return run_searches(snapshot, [Search([query], k)])[0]


def ask(store: LocalStore, question: str) -> list[str]:
    """Return the uris of the passages for an answer."""
    evidence = retrieve_evidence(store, Search([Query(question, embed_query(question), None, "hybrid", 0.3)], 1), 1)
    return [passage.uri for passage in evidence.passages]


@pytest.mark.parametrize("kind", [*DAMAGE, *CHUNK_DAMAGE])
def test_damaged_hit_is_an_error_with_its_uri(store: LocalStore, kind: str) -> None:
    """A search or an answer that would show it is a StorageError with its uri; others are as before."""
    expected = search(store, "glass door"), ask(store, "glass door")
    damage(store, (DAMAGE | CHUNK_DAMAGE)[kind])
    for read in (search, ask):
        with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
            read(store, "storm lamp in the fog")
    assert (search(store, "glass door"), ask(store, "glass door")) == expected
    assert len(search(store, "rope", 3, where={"team": "rope"})) == 1


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_document_is_an_error_with_its_uri(store: LocalStore, kind: str) -> None:
    """Reading the damaged document is a StorageError; the others are read."""
    expected = {uri: store.document(uri) for uri in TEXTS}
    damage(store, DAMAGE[kind])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.document("docs/lamp")
    for uri in ("docs/door", "docs/rope"):
        assert store.document(uri) == expected[uri]


@pytest.mark.parametrize("kind", ["title", "metadata", "metadata that are not JSON"])
def test_list_with_a_damaged_document_is_an_error_with_its_uri(store: LocalStore, kind: str) -> None:
    """A page of the list with the damaged document is a StorageError; pages without it are listed."""
    damage(store, DAMAGE[kind])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.documents(None, 10)
    assert [info.uri for info in store.documents(None, 10, after="docs/lamp")] == ["docs/rope"]


@pytest.mark.parametrize("kind", [*DAMAGE, *CHUNK_DAMAGE])
def test_removing_and_storing_again_repairs_it(store: LocalStore, kind: str) -> None:
    """The remedy of the error message works."""
    expected = search(store, "storm lamp")[0].text
    damage(store, (DAMAGE | CHUNK_DAMAGE)[kind])
    assert store.remove(["docs/lamp"]) == ["docs/lamp"]
    put_document(store, make_document("docs/lamp", TEXTS["docs/lamp"]))
    assert search(store, "storm lamp")[0].text == expected
    assert len(store.documents(None, 10)) == store.info().documents == 3


def test_damaged_entry_is_ingested_again(store: LocalStore) -> None:
    """A damaged entry counts as not stored, so that the next ingestion reads its file again."""
    damage(store, DAMAGE["metadata"])
    assert store.stored_versions(list(TEXTS)).keys() == {"docs/door", "docs/rope"}


def test_damaged_vectors_are_not_ranked(store: LocalStore) -> None:
    """A vector search that may match them is an error; lexical and filtered searches are as before."""
    expected = search(store, "glass door", mode="lexical")
    damage(
        store, "UPDATE vector SET data = zeroblob(256) WHERE chunk_id = (SELECT id FROM chunk WHERE context = 'lamp')"
    )
    modes: tuple[SearchMode, ...] = ("hybrid", "dense")
    for mode in modes:
        with pytest.raises(StorageError, match="'docs/lamp' is damaged on disk: its vector"):
            search(store, "glass door", mode=mode)
    assert search(store, "glass door", mode="lexical") == expected
    assert search(store, "glass door", where={"team": "door"})[0].uri == "docs/door"
    assert store.document("docs/lamp") is not None
    store.remove(["docs/lamp"])
    assert search(store, "glass door")[0].uri == "docs/door"


def test_damaged_vectors_are_embedded_again(store: LocalStore) -> None:
    """They are not reused for another document with the same text."""
    with store._catalog.read() as db:
        hashes = [row[0] for row in db.execute("SELECT text_hash FROM chunk ORDER BY id")]
    assert store.vectors(hashes).keys() == set(hashes)
    damage(store, "UPDATE vector SET data = zeroblob(256) WHERE chunk_id = 1")
    assert store.vectors(hashes).keys() == set(hashes[1:])


@pytest.mark.parametrize(
    "statement", ["UPDATE word SET body = 'x' WHERE chunk_id = 2", "DELETE FROM word WHERE chunk_id = 2"]
)
def test_damaged_terms_are_analysed_again(store: LocalStore, statement: str) -> None:
    """The chunks are found as before, in an index and among newer chunks."""
    questions = ("storm lamp", "cellar", "rope")
    expected = [search(store, question, 3) for question in questions]
    damage(store, statement)
    assert [search(store, question, 3) for question in questions] == expected
    store.reindex()
    assert [search(store, question, 3) for question in questions] == expected


def test_no_index_is_built_from_damaged_documents(store: LocalStore) -> None:
    """Reindex of a damaged document is an error; searches and stored documents are as before."""
    damage(store, DAMAGE["text"])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.reindex()
    assert search(store, "glass door")[0].uri == "docs/door"


def test_damaged_log_of_changes_hides_nothing(store: LocalStore) -> None:
    """A view that is advanced by a damaged log has all stored chunks."""
    search(store, "storm lamp")
    view = store._view
    put_document(store, make_document("docs/bell", "A bell rings in the wall."))
    damage(store, "UPDATE change SET op = -1, chunk_id = 1 WHERE seq = (SELECT max(seq) FROM change)")
    store._view = view
    assert search(store, "bell in the wall")[0].uri == "docs/bell"
    assert search(store, "glass door")[0].uri == "docs/door"


def test_damaged_counts_are_an_error(store: LocalStore) -> None:
    """Damaged counts are not shown, and the next write does not repair their checksum."""
    damage(store, "UPDATE meta SET documents = documents + 1")
    for _ in range(2):
        with pytest.raises(StorageError, match="counts"):
            store.info()
        put_document(store, make_document("docs/bell", "A bell rings in the wall."))


def test_index_whose_entry_is_damaged_is_not_used(new_store: NewStore) -> None:
    """Without the index the search is exact, and its hits are the same."""
    store = new_store("two")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text))
    store.reindex()
    expected = search(store, "storm lamp", 3)
    for statement in ("UPDATE generation SET last_id = last_id - 1", "UPDATE generation SET files = '{'"):
        damage(store, statement)
        assert search(store, "storm lamp", 3) == expected


def test_missing_chunk_is_an_error(new_store: NewStore) -> None:
    """A chunk in the index without a row is an error that names its document."""
    store = new_store("two")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text))
    store.reindex()
    damage(store, "DELETE FROM chunk WHERE context = 'lamp'")
    with pytest.raises(StorageError, match="damaged on disk"):
        search(store, "storm lamp")
    assert search(store, "glass door")[0].uri == "docs/door"


def test_vector_of_an_embedder_has_its_length() -> None:
    """The tests above replace a vector by as many zeros."""
    row: Vectors = embed_query("lamp")
    assert row.nbytes == 4 * HashEmbedder.dim == 256


def test_damaged_map_of_pages_is_an_error_with_its_uri(store: LocalStore) -> None:
    """The map is not used; the document itself is read."""
    put_document(store, replace(make_document("docs/lamp", "A lamp."), page_map=b"map"))
    damage(store, "UPDATE page_map SET data = x'00'")
    with pytest.raises(StorageError, match="'docs/lamp' is damaged on disk: its map of pages"):
        store.page_map("docs/lamp")
    assert store.document("docs/lamp")
