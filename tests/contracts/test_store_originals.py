"""The contract of a store for originals: kept once by content, as long as a document has it, within a bound."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stores import NewStore
from support.writing import embed_query, make_document, make_file_document, put_document

from semsearch.core.ports import Store
from semsearch.core.types.documents import ChunkedDocument, SourceRoot
from semsearch.core.types.originals import OriginalFile
from semsearch.ingest.chunking import chunk
from semsearch.search.filters import parse_filter
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow


def read_original(store: Store, uri: str) -> tuple[str | None, bytes | None]:
    """Return state and bytes of an original; of an absent document (None, None)."""
    stored = store.original(uri)
    return (None, None) if stored is None else (stored.state, stored.data)


def test_original_of_a_file_is_kept(new_store: NewStore) -> None:
    """With its hash and media type; it is read by the next process too."""
    put_document(new_store("one"), make_file_document("a.txt", "A lämp.\r\n"))
    stored = new_store("one").original("a.txt")
    assert stored is not None
    assert (stored.data, stored.state, stored.media_type) == ("A lämp.\r\n".encode(), "kept", "text/plain")
    assert stored.sha256 == make_document("a.txt", "A lämp.\r\n").sha256
    assert stored.root_name is None


def test_texts_and_files_below_a_root_are_not_kept(new_store: NewStore, tmp_path: Path) -> None:
    """A file below a root has its name; unknown documents have nothing."""
    store = new_store("one")
    store.add_root(SourceRoot("docs", tmp_path / "docs"))
    put_document(store, make_document("text", "A lamp."))
    put_document(store, replace(make_document("docs/a.txt", "A bell."), root_name="docs"))
    assert read_original(store, "text") == ("text", None)
    below_root = store.original("docs/a.txt")
    assert below_root is not None
    assert (below_root.root_name, below_root.state, below_root.data) == ("docs", None, None)
    assert store.original("unknown") is None


def test_original_is_read_under_the_filter(new_store: NewStore) -> None:
    """A document that does not match has none, although another one has the same bytes."""
    store = new_store("one")
    for team in ("me", "them"):
        put_document(store, make_file_document(team, "A lamp.", {"team": team}))
    mine = parse_filter({"team": "me"})
    assert store.original("them", mine) is None
    stored = store.original("me", mine)
    assert stored is not None
    assert stored.data == b"A lamp."


def test_put_tells_versions_with_an_original(new_store: NewStore) -> None:
    """So that a file whose original is missing can be ingested again."""
    store = new_store("one", max_original_bytes=10)
    put_document(store, make_file_document("small", "A lamp."))
    put_document(store, make_file_document("large", "A lamp in the fog."))
    put_document(store, make_document("text", "A bell."))
    states = {uri: version.original for uri, version in store.stored_versions(["small", "large", "text"]).items()}
    assert states == {"small": "kept", "large": "no_space", "text": "text"}


def test_space_for_originals_is_bounded(new_store: NewStore) -> None:
    """Equal bytes count once; what does not fit is stored without; removing a document frees its space."""
    store = new_store("one", max_original_bytes=20)
    for uri in ("a", "b"):
        put_document(store, make_file_document(uri, "A lamp, 10"))
    assert (store.has_space_for_original(10), store.has_space_for_original(11)) == (True, False)
    put_document(store, make_file_document("c", "A bell, 10"))
    assert put_document(store, make_file_document("d", "A door, 10")).status == "added"
    states = {uri: read_original(store, uri)[0] for uri in "abcd"}
    assert states == {"a": "kept", "b": "kept", "c": "kept", "d": "no_space"}
    store.remove(["a"])
    put_document(store, make_file_document("d", "A door, 10"))
    assert read_original(store, "d") == ("no_space", None)
    store.remove(["b"])
    put_document(store, make_file_document("d", "A door, 10"))
    assert read_original(store, "d") == ("kept", b"A door, 10")


def test_no_space_keeps_none(new_store: NewStore) -> None:
    """The documents are stored."""
    store = new_store("one", max_original_bytes=0)
    put_document(store, make_file_document("a", "A lamp."))
    assert read_original(store, "a") == ("no_space", None)
    assert not store.has_space_for_original(1)


@pytest.mark.parametrize("failing", [False, True], ids=["changed", "gone"])
def test_source_that_changed_is_not_kept(new_store: NewStore, failing: bool) -> None:
    """The original must be the file from which the document was made."""

    def reopen() -> BytesIO:
        if failing:
            raise FileNotFoundError(2, "no such file")
        return BytesIO(b"A bell!")

    store, document = new_store("one"), make_document("a", "A lamp.")
    put_document(store, replace(document, original=OriginalFile(reopen, 7)))
    assert read_original(store, "a") == ("changed", None)


def test_text_replaces_a_file(new_store: NewStore) -> None:
    """Then it has no original any more, although its bytes are the same."""
    store = new_store("one", max_original_bytes=7)
    put_document(store, make_file_document("a", "A lamp."))
    put_document(store, make_document("a", "A lamp.", {"team": "me"}))
    assert read_original(store, "a") == ("text", None)
    assert store.has_space_for_original(7)


_TEXTS = st.sampled_from([None, *(f"A {word} burns." for word in ("lamp", "light", "fire"))])
_STEPS = st.lists(st.tuples(st.sampled_from("abcd"), _TEXTS, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_STEPS)
def test_after_any_history_the_originals_of_documents_are_kept(
    new_store: NewStore, steps: list[tuple[str, str | None, bool]]
) -> None:
    """Each document has its own bytes, and the folder has no other file."""
    store = new_store(f"lived{len(list(new_store('x').folder.parent.iterdir()))}")
    expected: dict[str, bytes | None] = {}
    for uri, text, is_file in steps:
        if text is None:
            store.remove([uri])
            expected.pop(uri, None)
        else:
            put_document(store, (make_file_document if is_file else make_document)(uri, text))
            expected[uri] = text.encode() if is_file else None
        assert {name: read_original(store, name)[1] for name in "abcd"} == dict.fromkeys("abcd") | expected
        assert count_files(store) == len({data for data in expected.values() if data is not None})


def count_files(store: LocalStore) -> int:
    """Return how many originals lie in the folder of the store."""
    folder = store.folder / "originals"
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_documents_of_one_put_share_an_original(new_store: NewStore) -> None:
    """A uri that is in it twice has the bytes of the last one."""
    store = new_store("one")
    documents = [make_file_document("x", "The text a."), make_file_document("y", "The text b.")]
    documents += [make_file_document("x", "The text b.")]
    put = [ChunkedDocument(document, chunk(document)) for document in documents]
    chunks = [item for chunked in put for item in chunked.chunks]
    store.put(put, {item.text_hash: embed_query(item.embedding_text) for item in chunks})
    assert [read_original(store, uri) for uri in "xy"] == [("kept", b"The text b.")] * 2
    assert count_files(store) == 1
