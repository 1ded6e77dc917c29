"""What is damaged in the catalogue is never shown: an error of storage names the document, and all others are read."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest
from support.fakes import HashEmbedder
from support.writing import embed_query, make_document, put_document

from semsearch.answers.pipeline import retrieve_evidence
from semsearch.core.errors import StorageError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Hit, SearchMode
from semsearch.search.filters import parse
from semsearch.search.retrieval import Query, Search, run_searches
from semsearch.storage.collections.local.catalog import CATALOG_FILE
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

NewStore = Callable[[str], LocalStore]

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
    "metadata that are no JSON": "UPDATE document SET metadata = replace(metadata, '}', ']') WHERE title = 'lamp'",
}
CHUNK_DAMAGE = {
    "span": "UPDATE chunk SET start = start + 1 WHERE context = 'lamp'",
    "negative span": "UPDATE chunk SET start = -7 WHERE context = 'lamp'",
    "span behind the end": "UPDATE chunk SET end = 1000000 WHERE context = 'lamp'",
    "span that is no number": "UPDATE chunk SET start = 'x' WHERE context = 'lamp'",
    "heading": "UPDATE chunk SET heading = 'Lamps' WHERE context = 'lamp'",
    "page": "UPDATE chunk SET page = 7 WHERE context = 'lamp'",
    "sentences": "UPDATE chunk SET sentences = '[0' WHERE context = 'lamp'",
}


@pytest.fixture
def store(new_store: NewStore) -> LocalStore:
    """Three short documents."""
    store = new_store("one")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text, {"team": uri[-4:], "shift": "night"}))
    return store


def damage(store: LocalStore, statement: str) -> None:
    """Alter rows behind the back of the store, which then looks at the file as if it was opened anew."""
    with closing(sqlite3.connect(store.folder / CATALOG_FILE)) as db, db:
        assert db.execute(statement).rowcount
    store._view = None


def search(
    store: LocalStore, question: str, k: int = 1, *, where: dict[str, str] | None = None, mode: SearchMode = "hybrid"
) -> Sequence[Hit]:
    """The best hits."""
    condition = None if where is None else parse(where)
    query = Query(question, embed_query(question), condition, mode, {"hybrid": 0.3, "dense": 1.0, "lexical": 0.0}[mode])
    with store.snapshot() as snapshot:
        return run_searches(snapshot, [Search([query], k)])[0]


def ask(store: LocalStore, question: str) -> list[str]:
    """Uris of the passages that an answer would be written from."""
    found = retrieve_evidence(store, Search([Query(question, embed_query(question), None, "hybrid", 0.3)], 1), 1)
    return [passage.uri for passage in found.passages]


@pytest.mark.parametrize("what", [*DAMAGE, *CHUNK_DAMAGE])
def test_what_is_damaged_is_not_found_but_named(store: LocalStore, what: str) -> None:
    """A search or an answer that would show it is a storage error with its uri; others are as before."""
    wanted = search(store, "glass door"), ask(store, "glass door")
    damage(store, (DAMAGE | CHUNK_DAMAGE)[what])
    for look in (search, ask):
        with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
            look(store, "storm lamp in the fog")
    assert (search(store, "glass door"), ask(store, "glass door")) == wanted
    assert len(search(store, "rope", 3, where={"team": "rope"})) == 1


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_damaged_is_not_shown_but_named(store: LocalStore, what: str) -> None:
    """Nor is the document; the others are."""
    wanted = {uri: store.document(uri) for uri in TEXTS}
    damage(store, DAMAGE[what])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.document("docs/lamp")
    for uri in ("docs/door", "docs/rope"):
        assert store.document(uri) == wanted[uri]


@pytest.mark.parametrize("what", ["title", "metadata", "metadata that are no JSON"])
def test_a_list_names_what_is_damaged_in_it(store: LocalStore, what: str) -> None:
    """Pages without it are listed."""
    damage(store, DAMAGE[what])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.documents(None, 10)
    assert [info.uri for info in store.documents(None, 10, after="docs/lamp")] == ["docs/rope"]


@pytest.mark.parametrize("what", [*DAMAGE, *CHUNK_DAMAGE])
def test_removing_and_storing_again_mends_it(store: LocalStore, what: str) -> None:
    """As the error says."""
    wanted = search(store, "storm lamp")[0].text
    damage(store, (DAMAGE | CHUNK_DAMAGE)[what])
    assert store.remove(["docs/lamp"]) == ["docs/lamp"]
    put_document(store, make_document("docs/lamp", TEXTS["docs/lamp"]))
    assert search(store, "storm lamp")[0].text == wanted
    assert len(store.documents(None, 10)) == store.info().documents == 3


def test_a_damaged_entry_is_stored_anew_with_its_source(store: LocalStore) -> None:
    """It counts as not stored, so that an ingestion reads its file again."""
    damage(store, DAMAGE["metadata"])
    assert store.stored_versions(list(TEXTS)).keys() == {"docs/door", "docs/rope"}


def test_damaged_vectors_are_not_ranked(store: LocalStore) -> None:
    """Whether they are among the nearest cannot be told; words, filters and other documents are as before."""
    wanted = search(store, "glass door", mode="lexical")
    damage(
        store, "UPDATE vector SET data = zeroblob(256) WHERE chunk_id = (SELECT id FROM chunk WHERE context = 'lamp')"
    )
    modes: tuple[SearchMode, ...] = ("hybrid", "dense")
    for mode in modes:
        with pytest.raises(StorageError, match="'docs/lamp' is damaged on disk: its vector"):
            search(store, "glass door", mode=mode)
    assert search(store, "glass door", mode="lexical") == wanted
    assert search(store, "glass door", where={"team": "door"})[0].uri == "docs/door"
    assert store.document("docs/lamp") is not None
    store.remove(["docs/lamp"])
    assert search(store, "glass door")[0].uri == "docs/door"


def test_damaged_vectors_are_embedded_again(store: LocalStore) -> None:
    """They are not taken over for another document of the same text."""
    with store._catalog.read() as db:
        hashes = [row[0] for row in db.execute("SELECT text_hash FROM chunk ORDER BY id")]
    assert store.vectors(hashes).keys() == set(hashes)
    damage(store, "UPDATE vector SET data = zeroblob(256) WHERE chunk_id = 1")
    assert store.vectors(hashes).keys() == set(hashes[1:])


@pytest.mark.parametrize(
    "statement", ["UPDATE word SET body = 'x' WHERE chunk_id = 2", "DELETE FROM word WHERE chunk_id = 2"]
)
def test_damaged_words_are_made_again_from_the_text(store: LocalStore, statement: str) -> None:
    """They are found as before, in an index and behind it."""
    questions = ("storm lamp", "cellar", "rope")
    wanted = [search(store, question, 3) for question in questions]
    damage(store, statement)
    assert [search(store, question, 3) for question in questions] == wanted
    store.reindex()
    assert [search(store, question, 3) for question in questions] == wanted


def test_an_index_is_not_made_of_what_is_damaged(store: LocalStore) -> None:
    """Nor are its words analysed anew; what there is goes on, and what is stored stays stored."""
    damage(store, DAMAGE["text"])
    with pytest.raises(StorageError, match="'docs/lamp' is damaged"):
        store.reindex()
    assert search(store, "glass door")[0].uri == "docs/door"


def test_a_damaged_log_of_changes_hides_nothing(store: LocalStore) -> None:
    """A search that was open takes in what was written all the same."""
    search(store, "storm lamp")
    view = store._view
    put_document(store, make_document("docs/bell", "A bell rings in the wall."))
    damage(store, "UPDATE change SET op = -1, chunk_id = 1 WHERE seq = (SELECT max(seq) FROM change)")
    store._view = view
    assert search(store, "bell in the wall")[0].uri == "docs/bell"
    assert search(store, "glass door")[0].uri == "docs/door"


def test_damaged_counts_are_an_error(store: LocalStore) -> None:
    """They are not shown, and the next write does not make them good."""
    damage(store, "UPDATE meta SET documents = documents + 1")
    for _ in range(2):
        with pytest.raises(StorageError, match="counts"):
            store.info()
        put_document(store, make_document("docs/bell", "A bell rings in the wall."))


def test_an_index_whose_entry_is_damaged_is_not_used(new_store: NewStore) -> None:
    """Nothing is missing: the search is exact."""
    store = new_store("two")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text))
    store.reindex()
    wanted = search(store, "storm lamp", 3)
    for statement in ("UPDATE generation SET last_id = last_id - 1", "UPDATE generation SET files = '{'"):
        damage(store, statement)
        assert search(store, "storm lamp", 3) == wanted


def test_a_chunk_that_is_gone_is_an_error(new_store: NewStore) -> None:
    """The index still has it; its document is named."""
    store = new_store("two")
    for uri, text in TEXTS.items():
        put_document(store, make_document(uri, text))
    store.reindex()
    damage(store, "DELETE FROM chunk WHERE context = 'lamp'")
    with pytest.raises(StorageError, match="damaged on disk"):
        search(store, "storm lamp")
    assert search(store, "glass door")[0].uri == "docs/door"


def test_the_vector_of_an_embedder_has_its_length() -> None:
    """The vectors above are replaced by as many zeros."""
    row: Vectors = embed_query("lamp")
    assert row.nbytes == 4 * HashEmbedder.dim == 256
