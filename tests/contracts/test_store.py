"""The contract of a store: atomic writes, stable ids, exact search, and the same results after any history."""

import asyncio
import secrets
import sqlite3
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import HashEmbedder
from support.stores import NewStore
from support.writing import VOCABULARY, embed_query, locate_hits, make_document, put_document

from semsearch.core.errors import ConflictError
from semsearch.core.types.documents import Block, ChunkedDocument, Locator, Metadata, SourceRoot
from semsearch.core.types.search import FacetValue
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.chunking import chunk
from semsearch.search.filters import parse_filter
from semsearch.search.lexical import search_terms
from semsearch.storage.collections.local import snapshot as snapshot_module
from semsearch.storage.collections.local.rows import facets
from semsearch.storage.collections.local.store import LocalStore
from semsearch.text.analyzer import analyze, character_trigrams, detect_language, extract_query_terms

pytestmark = pytest.mark.slow

_sentences = st.lists(st.sampled_from(VOCABULARY), min_size=3, max_size=30).map(
    lambda words: " ".join(words).capitalize() + "."
)
_texts = st.lists(_sentences, min_size=1, max_size=12).map("\n\n".join)
_uris = st.sampled_from([f"docs/{letter}.txt" for letter in "abcdef"])
_steps = st.lists(st.tuples(_uris, st.none() | _texts), min_size=1, max_size=12)
QUESTIONS = ("the lamp in the fog", "anchor", "rain on the harbour wall at night", "zebra")


Leg = list[tuple[str, int, float]]


def search(store: LocalStore, question: str) -> tuple[Leg, Leg, Leg]:
    """Return the hits by vectors, by terms, and by terms and trigrams, without ids."""
    terms = extract_query_terms(question)
    with store.snapshot() as snapshot:
        legs = (
            snapshot.vector_search(embed_query(question), 8),
            snapshot.lexical_search(terms, 8),
            search_terms(snapshot, terms, 8, language="other"),
        )
        dense, lexical, combined = (snapshot.top_k(leg, 8) for leg in legs)
    return locate_hits(store, dense), locate_hits(store, lexical), locate_hits(store, combined)


def test_part_of_a_document_has_the_blocks_of_its_span(new_store: NewStore) -> None:
    """The parts of a long document join to its text; a long table at an end is cut at lines and has its header."""
    store = new_store("one")
    rows = "\n".join(["Item | Price", *(f"Lamp {number} | {number * 7}" for number in range(2_000))])
    blocks = (
        Block("Prices", "heading", Locator(("Prices",), sheet="Lamps")),
        Block("A lamp in the fog.", locator=Locator(("Prices",), page=2)),
        Block(rows, "table", Locator(("Prices",), sheet="Lamps")),
        Block("Notes", "heading", Locator(("Prices", "Notes"), page=3)),
    )
    document = replace(make_document("a", ""), blocks=blocks)
    put_document(store, document)
    part = store.document_part("a", 0, 10)
    assert part is not None
    assert [(block.kind, block.sheet, block.level, block.page) for block in part.blocks] == [
        ("heading", "Lamps", 1, None),
        ("paragraph", None, 0, 2),
    ]
    assert [(entry.title, entry.level, entry.page) for entry in part.contents] == [("Prices", 1, None), ("Notes", 2, 3)]
    assert (part.last_page, part.characters) == (3, len(document.text))
    middle = document.text.index("Lamp 1000 |")
    cut = store.document_part("a", middle - 300, middle + 300)
    assert cut is not None
    assert [block.header for block in cut.blocks] == ["Item | Price"]
    assert cut.blocks[0].text in document.text
    assert "\nLamp 1000 | 7000\n" in cut.blocks[0].text
    for offset in range(0, len(document.text), 5_000):
        window = store.document_part("a", offset, offset + 6_000)
        assert window is not None
        assert all(document.text[block.start : block.end] == block.text for block in window.blocks)
        assert window.blocks[0].start <= offset + 800
        assert window.blocks[-1].end >= min(offset + 5_000, len(document.text))
    assert store.document_part("a", len(document.text) + 9, len(document.text) + 20) is not None
    assert store.document_part("b", 0, 10) is None
    assert store.document_part("a", 0, 10, parse_filter({"team": "hr"})) is None


def test_stored_document_is_read_back(new_store: NewStore) -> None:
    """A stored document is returned with its text, its metadata, and chunks that are spans of the text."""
    store = new_store("one")
    document = make_document(
        "docs/a.txt", "A lamp. " * 90 + "\n\n" + "Äpfel über Brücken. " * 2000, {"team": "hr", "tags": ["x", 1]}
    )
    assert put_document(store, document).status == "added"
    stored = store.document("docs/a.txt")
    assert stored is not None
    assert (stored.text, stored.metadata, stored.chunks) == (document.text, document.metadata, len(chunk(document)))
    with store.snapshot() as snapshot:
        for stored_chunk in snapshot.load(range(1, stored.chunks + 1)):
            assert stored.text[stored_chunk.start : stored_chunk.end] == stored_chunk.text
            assert len(stored_chunk.sentences) == len(stored_chunk.terms)
            assert stored_chunk.content_sha256 == stored.content_sha256


def test_unchanged_chunks_keep_their_ids(new_store: NewStore) -> None:
    """Storing a changed document replaces only the chunks with new text; the others keep id and embedding."""
    store = new_store("one")
    paragraphs = [" ".join(f"Remark {n} of {word} says little." for n in range(30)) for word in VOCABULARY]
    put_document(store, make_document("a", "\n\n".join(paragraphs)))
    with store.snapshot() as snapshot:
        before = {stored_chunk.text: stored_chunk.id for stored_chunk in snapshot.neighbours(1, 0, 10_000)}
    assert put_document(store, make_document("a", "\n\n".join(["New in front.", *paragraphs[1:]]))).status == "updated"
    with store.snapshot() as snapshot:
        after = {stored_chunk.text: stored_chunk.id for stored_chunk in snapshot.neighbours(1, 0, 10_000)}
    unchanged = before.keys() & after.keys()
    assert len(unchanged) > 0.8 * len(before)
    assert all(before[text] == after[text] for text in unchanged)
    assert not {after[text] for text in after.keys() - unchanged} & set(before.values())


def test_chunk_id_is_never_reused(new_store: NewStore) -> None:
    """The id of a removed chunk is never given to another chunk."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog."))
    store.remove(["a"])
    put_document(store, make_document("a", "A bell in the night."))
    with store.snapshot() as snapshot:
        assert [part.id for part in snapshot.neighbours(2, 0, 9)] == [2]


def test_chunk_exists_while_its_document_is_stored_and_matches(new_store: NewStore) -> None:
    """The id of a removed chunk, and one that was never given, name no chunk."""
    store = new_store("one")
    for uri in "ab":
        put_document(store, make_document(uri, f"A lamp in the fog of {uri}."))
    only_b = parse_filter({"$or": [{"uri": "b"}, {"uri": "c"}]})
    assert [store.has_chunk(chunk_id) for chunk_id in (0, 1, 2, 3, 2**63 - 1)] == [False, True, True, False, False]
    assert [store.has_chunk(chunk_id, only_b) for chunk_id in (0, 1, 2, 3)] == [False, False, True, False]
    store.remove(["b"])
    assert not store.has_chunk(2)


def test_chunks_of_documents_are_in_reading_order(new_store: NewStore) -> None:
    """Of those that exist and match, also of one whose first chunk is newer than the others."""
    store = new_store("one")
    paragraphs = [" ".join(f"Remark {n} of {word} says little." for n in range(30)) for word in VOCABULARY[:6]]
    put_document(store, make_document("a", "\n\n".join(paragraphs)))
    put_document(store, make_document("b", "A lamp in the fog."))
    put_document(store, make_document("a", "\n\n".join(["New in front.", *paragraphs])))
    with store.snapshot() as snapshot:
        ids = snapshot.document_chunk_ids(["b", "no", "a"])
        assert list(ids) == ["b", "a"]
        assert ids["a"].tolist() == [part.id for part in snapshot.neighbours(1, 0, 10_000)] != sorted(ids["a"].tolist())
        assert list(snapshot.document_chunk_ids(["a", "b"], parse_filter({"uri": "b"}))) == ["b"]
        assert snapshot.document_chunk_ids([]) == {}


def test_equal_texts_share_one_embedding(new_store: NewStore) -> None:
    """The vector of a stored text is returned for another document with the same text."""
    store = new_store("one")
    document = make_document("a", "A lamp in the fog.")
    put_document(store, document)
    (only_chunk,) = chunk(document)
    assert np.array_equal(
        store.vectors([only_chunk.text_hash, "other"])[only_chunk.text_hash], embed_query(only_chunk.embedding_text)
    )
    assert "other" not in store.vectors(["other"])


def test_remove_returns_the_uris_that_were_stored(new_store: NewStore) -> None:
    """Removing returns the uris that were stored; no search finds them afterwards."""
    store = new_store("one")
    for uri in "abc":
        put_document(store, make_document(uri, f"A lamp in the fog of {uri}."))
    assert store.remove(["a", "zz", "c", "a"]) == ["a", "c"]
    assert [info.uri for info in store.documents(None, 10)] == ["b"]
    assert {uri for leg in search(store, "lamp fog") for uri, _, _ in leg} == {"b"}


def test_page_map_belongs_to_one_version_of_a_document(new_store: NewStore) -> None:
    """It is replaced and removed with its document, and shown only where the document matches the filter."""
    store = new_store("one")
    document = make_document("a", "A lamp in the fog.", {"team": "hr"})
    put_document(store, replace(document, page_map=b"first map"))
    assert store.page_map("a") == store.page_map("a", parse_filter({"team": "hr"})) == b"first map"
    assert store.page_map("a", parse_filter({"team": "it"})) == store.page_map("b") == b""
    put_document(store, replace(make_document("a", "A bell."), page_map=b"second map"))
    assert store.page_map("a") == b"second map"
    put_document(store, make_document("a", "A bell in the fog."))
    assert store.page_map("a") == b""
    put_document(store, replace(document, page_map=b"third map"))
    store.remove(["a"])
    put_document(store, document)
    assert store.page_map("a") == b""


def test_documents_that_match_a_filter_are_removed(new_store: NewStore) -> None:
    """Their uris are returned in order; the others stay."""
    store = new_store("one")
    for uri in "cab":
        put_document(store, make_document(uri, f"A lamp in the fog of {uri}."))
    condition = parse_filter({"uri": {"$in": ["c", "zz", "a"]}})
    assert store.remove_matching(condition) == ["a", "c"]
    assert store.remove_matching(condition) == []
    assert [info.uri for info in store.documents(None, 10)] == ["b"]
    assert {uri for leg in search(store, "lamp fog") for uri, _, _ in leg} == {"b"}


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps)
def test_after_any_history_search_equals_a_fresh_build(
    new_store: NewStore, steps: list[tuple[str, str | None]]
) -> None:
    """After any sequence of writes and removals hits and scores equal those of a fresh collection."""
    number = len(list(new_store("x").folder.parent.iterdir()))
    changed, fresh = new_store(f"lived{number}"), new_store(f"fresh{number}")
    texts: dict[str, str] = {}
    for uri, text in steps:
        if text is None:
            changed.remove([uri])
            texts.pop(uri, None)
        else:
            put_document(changed, make_document(uri, text))
            texts[uri] = text
        search(changed, QUESTIONS[0])  # the view is advanced at each step
    for uri, text in sorted(texts.items(), reverse=True):
        put_document(fresh, make_document(uri, text))
    for question in QUESTIONS:
        assert search(changed, question) == search(fresh, question)


def test_vector_search_equals_an_exact_scan(new_store: NewStore) -> None:
    """Vector search returns the same hits and scores as a matrix product over all chunks."""
    store = new_store("one")
    texts = {f"{n:03}": f"{' '.join(VOCABULARY[n % 7 : n % 11 + 9])} number {n}." for n in range(200)}
    for uri, text in texts.items():
        put_document(store, make_document(uri, text))
    embedding_texts = [chunk(make_document(uri, text))[0].embedding_text for uri, text in texts.items()]
    rows = asyncio.run(HashEmbedder().embed(embedding_texts, RequestContext("ingest"))).astype(np.float64)
    for question in QUESTIONS[:3]:
        scores = rows @ embed_query(question)
        best = sorted(zip(texts, scores, strict=True), key=lambda pair: (-round(pair[1], 9), pair[0]))[:10]
        with store.snapshot() as snapshot:
            hits = snapshot.top_k(snapshot.vector_search(embed_query(question), 10), 10)
        assert [uri for uri, _, _ in locate_hits(store, hits)] == [uri for uri, _ in best]
        assert np.allclose(hits.scores, [score for _, score in best])


def test_ties_are_in_the_order_of_uris(new_store: NewStore) -> None:
    """Chunks with equal text are in the order of their uris, not of their ids."""
    store = new_store("one")
    for uri in "dbeac":
        put_document(store, make_document(f"{uri}/same", "A lamp in the fog."))
    for leg in search(store, "lamp"):
        assert [uri for uri, _, _ in leg] == ["a/same", "b/same", "c/same", "d/same", "e/same"]


METADATA: dict[str, Metadata] = {
    "hr": {"team": "hr", "year": 2024, "tags": ["a", "b"], "draft": False},
    "it": {"team": "it", "year": 2025.5, "tags": ["b"], "draft": True},
    "ops": {"team": "ops", "year": "2024", "none": None},
    "bare": {},
}


@pytest.mark.parametrize(
    ("where", "matching_uris"),
    [
        ({"team": "hr"}, {"hr"}),
        ({"team": {"$ne": "hr"}}, {"it", "ops", "bare"}),
        ({"year": {"$gte": 2024}}, {"hr", "it"}),
        ({"year": {"$gt": 2024}}, {"it"}),
        ({"year": {"$lt": "2025"}}, {"ops"}),
        ({"year": {"$gte": 2024, "$lt": 2025}}, {"hr"}),
        ({"tags": "b"}, {"hr", "it"}),
        ({"tags": {"$in": ["a", "z"]}}, {"hr"}),
        ({"tags": {"$nin": ["a"]}}, {"it", "ops", "bare"}),
        ({"tags": {"$in": []}}, set()),
        ({"team": {"$in": [*map(str, range(999)), "hr"]}}, {"hr"}),
        ({"year": {"$nin": [2025.5, 2024, "2024"]}}, {"bare"}),
        ({"year": {"$in": [2024.0, *range(999)]}}, {"hr"}),
        ({"draft": {"$in": [1, "x", True, None]}}, {"it"}),
        ({"none": {"$nin": [None, False]}}, {"hr", "it", "bare"}),
        ({"draft": True}, {"it"}),
        ({"draft": 1}, set()),
        ({"none": None}, {"ops"}),
        ({"none": {"$exists": True}}, {"ops"}),
        ({"team": {"$exists": False}}, {"bare"}),
        ({"$or": [{"team": "hr"}, {"year": 2025.5}]}, {"hr", "it"}),
        ({"$not": {"team": {"$exists": True}}}, {"bare"}),
        ({"team": {"$not": {"$in": ["hr", "it"]}}}, {"ops", "bare"}),
        ({"uri": "hr"}, {"hr"}),
        ({"uri": {"$in": ["hr\0", "it\0.md"]}}, set()),
        ({"uri": {"$gt": "hr"}}, {"it", "ops"}),
        ({"media_type": "text/plain", "title": {"$in": ["it", "bare"]}}, {"it", "bare"}),
        ({"uri": {"$exists": True}}, {"hr", "it", "ops", "bare"}),
        ({"unknown": "x"}, set()),
        ({}, {"hr", "it", "ops", "bare"}),
        ({"team": "' OR 1=1 --"}, set()),
    ],
)
def test_filters_apply_to_searches_and_lists(
    new_store: NewStore, where: dict[str, object], matching_uris: set[str]
) -> None:
    """A filter applies before ranking, to both legs, to the list of documents, and to a single document."""
    store = new_store("one")
    for uri, metadata in METADATA.items():
        put_document(store, make_document(uri, "A lamp in the fog.", metadata))
    condition = parse_filter(where)
    with store.snapshot() as snapshot:
        allowed_ids = snapshot.matching_ids(condition)
        dense = snapshot.vector_search(embed_query("lamp"), 10, allowed_ids)
        lexical = snapshot.lexical_search(["lamp"], 10, allowed_ids)
    assert {uri for uri, _, _ in locate_hits(store, dense)} == matching_uris
    assert {uri for uri, _, _ in locate_hits(store, lexical)} == matching_uris
    assert {info.uri for info in store.documents(condition, 10)} == matching_uris
    assert {uri for uri in METADATA if store.document(uri, condition)} == matching_uris


def test_matching_ids_are_cached_for_one_commit(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache tells True from 1, is dropped with the next commit, and is bounded."""
    monkeypatch.setattr(snapshot_module, "MAX_CACHED_FILTER_IDS", 3)
    store = new_store("one")
    put_document(store, make_document("yes", "A lamp.", {"draft": True}))
    put_document(store, make_document("one", "Another lamp.", {"draft": 1}))
    for _ in range(2):
        with store.snapshot() as snapshot:
            matching_ids = [
                snapshot.matching_ids(parse_filter(where))
                for where in ({"draft": True}, {"draft": 1}, {"draft": 1.0}, {})
            ]
            assert [len(ids) for ids in matching_ids] == [1, 1, 1, 2]
            assert sum(map(len, snapshot.view.filter_cache.values())) <= 3
            assert matching_ids[0].tolist() != matching_ids[1].tolist()
    put_document(store, make_document("new", "A third lamp.", {"draft": True}))
    with store.snapshot() as snapshot:
        assert len(snapshot.matching_ids(parse_filter({"draft": True}))) == 2


_scalars = st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 2.5, "", "1", "a", "ä'\"", "b" * 2000])
_metadata = st.dictionaries(
    st.sampled_from(["team", "two words", "uri", "ä.b", "count(*)"]), _scalars | st.lists(_scalars, max_size=4)
)


def count_by_hand(documents: list[Metadata], field: str) -> dict[tuple[str, object], int]:
    """Return how many documents have each value of a field, by type and value."""
    counts = Counter[tuple[str, object]]()
    for metadata in documents:
        value = metadata.get(field, [])
        members = value if isinstance(value, list) else [value]
        counts.update({(_kind(member), member) for member in members})
    return dict(counts)


def _kind(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@given(documents=st.lists(_metadata, min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_facets_count_the_documents_with_each_value(new_store: NewStore, documents: list[Metadata]) -> None:
    """Members of lists count one by one, and a document once for a value; each count is that of the filter."""
    store = new_store(secrets.token_hex(8))
    for number, metadata in enumerate(documents):
        put_document(store, make_document(f"{number}", "A lamp.", metadata))
    fields = ["team", "two words", "ä.b", "count(*)", "missing"]
    for field, values in store.facets(fields, None, 50).items():
        assert {(_kind(item.value), item.value): item.count for item in values} == count_by_hand(documents, field)
        assert [item.count for item in values] == sorted((item.count for item in values), reverse=True)
        for item in values:
            assert store.info(parse_filter({field: item.value})).documents == item.count
        assert store.facets([field], None, 2)[field] == values[:2]
    assert store.facets(["media_type"], None, 50) == {"media_type": [FacetValue("text/plain", len(documents))]}


def test_facets_are_counted_over_the_documents_that_match(new_store: NewStore) -> None:
    """The number of chunks does not matter; ties are in order of value, and a metadata field `title` is not counted."""
    store = new_store("one")
    for uri, metadata in METADATA.items():
        put_document(store, make_document(uri, "A lamp in the fog.\n\n" * 50, {**metadata, "title": "x"}))
    assert store.facets(["team", "tags"], None, 50) == {
        "team": [FacetValue("hr", 1), FacetValue("it", 1), FacetValue("ops", 1)],
        "tags": [FacetValue("b", 2), FacetValue("a", 1)],
    }
    for uri, number in (("int", 7), ("float", 7.0), ("bool", True)):
        put_document(store, make_document(uri, "A lamp.", {"number": number}))
    assert store.facets(["number"], None, 50) == {"number": [FacetValue(7, 2), FacetValue(True, 1)]}
    store.remove(["int", "float", "bool"])
    condition = parse_filter({"draft": {"$exists": True}})
    assert store.facets(["team"], condition, 50) == {"team": [FacetValue("hr", 1), FacetValue("it", 1)]}
    assert store.facets(["team"], parse_filter({"team": "none"}), 50) == {"team": []}
    assert store.facet_fields(None, 10, 50) == ["team", "year", "draft", "tags", "none"]
    assert store.facet_fields(condition, 2, 50) == ["draft", "tags"]
    assert store.facet_fields(None, 10, 2) == ["draft", "tags", "none"]


def test_facets_are_cached_for_one_commit(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated counts read no document; after a commit, also of another store, they are counted again."""
    store, counted = new_store("one"), list[str]()
    put_document(store, make_document("a", "A lamp.", {"draft": True}))
    count_values = facets.count_values

    def record_count(db: sqlite3.Connection, field: str, *arguments: Any) -> list[FacetValue]:
        counted.append(field)
        return count_values(db, field, *arguments)

    monkeypatch.setattr(facets, "count_values", record_count)
    for _ in range(3):
        assert store.facets(["draft"], parse_filter({"draft": True}), 50) == {"draft": [FacetValue(True, 1)]}
        assert store.facets(["draft"], parse_filter({"draft": 1}), 50) == {"draft": []}
    assert counted == ["draft", "draft"]
    put_document(new_store("one"), make_document("a", "A lamp.", {"draft": 1, "new": "x"}))
    assert store.facets(["draft"], parse_filter({"draft": 1}), 50) == {"draft": [FacetValue(1, 1)]}
    assert store.facet_fields(None, 10, 50) == ["draft", "new"]
    store.remove(["a"])
    assert store.facets(["draft"], None, 50) == {"draft": []}
    assert store.facet_fields(None, 10, 50) == []


def test_idf_is_cached_for_one_commit(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The idf of a term falls as soon as more chunks contain it, cached or not."""
    monkeypatch.setattr(snapshot_module, "MAX_CACHED_TERMS", 1)
    store = new_store("one")
    put_document(store, make_document("a", "A lamp."))
    put_document(store, make_document("b", "A bell."))
    idf_by_search = []
    for _ in range(2):
        for _ in range(2):
            with store.snapshot() as snapshot:
                idf_by_search.append(dict(snapshot.idf(["lamp", "bell", "fog"])))
        put_document(store, make_document("c", "Another lamp."))
    assert idf_by_search[0] == idf_by_search[1]
    assert idf_by_search[2] == idf_by_search[3]
    assert idf_by_search[2]["lamp"] < idf_by_search[0]["lamp"]
    assert set(idf_by_search[0]) == {"lamp", "bell", "fog"}


def test_search_sees_one_commit(new_store: NewStore) -> None:
    """A snapshot does not see a document that is stored while it is open; the next snapshot does."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp."))
    with store.snapshot() as snapshot:
        put_document(store, make_document("b", "Another lamp."))
        assert (
            len(snapshot.lexical_search(["lamp"], 5).ids)
            == len(snapshot.vector_search(embed_query("lamp"), 5).ids)
            == 1
        )
    with store.snapshot() as snapshot:
        assert (
            len(snapshot.lexical_search(["lamp"], 5).ids)
            == len(snapshot.vector_search(embed_query("lamp"), 5).ids)
            == 2
        )


def test_failed_put_changes_nothing(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If storing fails, the old version is searched as before, and no part of the new one is stored."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog. " * 60))
    before = store.document("a"), search(store, "lamp bell")
    document = make_document("a", "A bell. " * 400)
    with pytest.raises(KeyError):
        store.put([ChunkedDocument(document, chunk(document))], {})
    assert (store.document("a"), search(store, "lamp bell")) == before


@pytest.mark.slow
@given(st.lists(st.tuples(_uris, _texts), max_size=8), st.integers(1, 4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_batch_of_documents_equals_single_puts(
    new_store: NewStore, edits: list[tuple[str, str]], batch_size: int
) -> None:
    """Results, documents and hits are the same, also where a uri is repeated in a batch."""
    name = secrets.token_hex(8)
    single_store, batch_store = new_store(f"one-{name}"), new_store(f"many-{name}")
    documents = [ChunkedDocument(document := make_document(uri, text), chunk(document)) for uri, text in edits]
    vectors = {piece.text_hash: embed_query(piece.embedding_text) for chunked in documents for piece in chunked.chunks}
    expected = [single_store.put([chunked], vectors)[0] for chunked in documents]
    batches = [documents[start : start + batch_size] for start in range(0, len(documents), batch_size)]
    assert [result for batch in batches for result in batch_store.put(batch, vectors)] == expected
    assert batch_store.info().chunks == single_store.info().chunks
    assert batch_store.documents(None, 9) == single_store.documents(None, 9)
    assert [batch_store.document(uri) for uri, _ in edits] == [single_store.document(uri) for uri, _ in edits]
    assert search(batch_store, "lamp bell") == search(single_store, "lamp bell")


def test_batch_of_documents_is_stored_all_or_none(new_store: NewStore) -> None:
    """If one document fails, none of the batch is stored."""
    store = new_store("one")
    complete, without_vectors = make_document("a", "A lamp."), make_document("b", "A bell.")
    chunks = chunk(complete)
    with pytest.raises(KeyError):
        store.put(
            [ChunkedDocument(complete, chunks), ChunkedDocument(without_vectors, chunk(without_vectors))],
            {piece.text_hash: embed_query(piece.embedding_text) for piece in chunks},
        )
    assert store.documents(None, 9) == []
    assert store.info().chunks == 0


def test_changes_of_another_store_are_seen(new_store: NewStore) -> None:
    """Two stores on one folder see the commits of each other."""
    first, second = new_store("one"), new_store("one")
    put_document(first, make_document("a", "A lamp."))
    assert [uri for uri, _, _ in search(second, "lamp")[0]] == ["a"]
    put_document(second, make_document("b", "A lamp too."))
    second.remove(["a"])
    assert [uri for uri, _, _ in search(first, "lamp")[0]] == ["b"]


def test_roots_are_registered_once(new_store: NewStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A root is registered once; another folder with its name is a conflict, with a remedy."""
    store = new_store("one")
    first, other = SourceRoot("docs", tmp_path_factory.mktemp("a")), SourceRoot("docs", tmp_path_factory.mktemp("b"))
    store.add_root(first)
    store.add_root(first)
    with pytest.raises(ConflictError, match="--root"):
        store.add_root(other)
    assert store.roots() == [first]


HARBOUR = {
    "haus": "Die Häuser am Hafen werden im Winter gestrichen. Danach ruht die Arbeit.",
    "leucht": "Der Leuchtturmwärter zählt die Lampen jeden Abend. Er schreibt sie auf.",
    "tokyo": "東京都庁の職員は毎朝六時に出勤します。",
    "ru": "Смотритель маяка считает лампы каждый вечер.",
}


@pytest.mark.parametrize(
    ("question", "uri"), [("Hafenhaus", "haus"), ("Leuchttürme", "leucht"), ("員", "tokyo"), ("маяками", "ru")]
)
def test_other_languages_are_searched_by_trigrams_too(new_store: NewStore, question: str, uri: str) -> None:
    """Trigrams match inflected and compound words, and single characters, which terms do not match."""
    store = new_store("one")
    for name, text in HARBOUR.items():
        put_document(store, make_document(name, text))
    terms = extract_query_terms(question)
    with store.snapshot() as snapshot:
        by_terms = snapshot.lexical_search(terms, 1)
        combined = search_terms(snapshot, terms, 1, language=detect_language(question))
    assert locate_hits(store, by_terms) == []
    assert [hit[0] for hit in locate_hits(store, combined)] == [uri]


def test_most_chunks_decide_for_a_short_query_in_latin_script(new_store: NewStore) -> None:
    """A short query in Latin script is searched by trigrams only where most chunks are not in English."""
    store = new_store("one")
    for number in range(5):
        put_document(
            store,
            make_document(f"en{number}", f"This is the house of the keeper, and it was built in the year {number}."),
        )
    put_document(store, make_document("de", HARBOUR["haus"]))
    with store.snapshot() as snapshot:
        assert len(search_terms(snapshot, ["hafenhaus"], 5, language="latin").ids) == 0
        assert len(search_terms(snapshot, ["hafenhaus"], 5, language="other").ids) == 1


def test_trigrams_are_indexed_for_chunks_that_are_not_english(new_store: NewStore) -> None:
    """The snapshot counts these chunks, finds them by any trigram, and applies the filter to them."""
    store = new_store("one")
    put_document(store, make_document("en", "This is the house of the keeper, and it was built in the year 7."))
    for name, text in HARBOUR.items():
        put_document(store, make_document(name, text, {"name": name}))
    with store.snapshot() as snapshot:
        assert snapshot.trigram_chunk_count == len(HARBOUR)
        hits = snapshot.trigram_search(["haf", "мая", "hou"], 5)
        allowed_ids = snapshot.matching_ids(parse_filter({"name": "ru"}))
        filtered = snapshot.trigram_search(["haf", "мая"], 5, allowed_ids)
    assert {uri for uri, _, _ in locate_hits(store, hits)} == {"haus", "ru"}
    assert [uri for uri, _, _ in locate_hits(store, filtered)] == ["ru"]


@pytest.mark.parametrize("question", ["Hafenhaus", "Leuchttürme am Abend", "員", "Die Lampen"])
def test_combined_scores_are_half_of_each_leg(new_store: NewStore, question: str) -> None:
    """Off English each chunk scores exactly .5 of its share of the best BM25 score in each leg."""
    store = new_store("one")
    for name, text in HARBOUR.items():
        put_document(store, make_document(name, text))
    terms = extract_query_terms(question)
    combined: dict[int, float] = {}
    with store.snapshot() as snapshot:
        for leg in (snapshot.lexical_search(terms, 9), snapshot.trigram_search(character_trigrams(terms), 9)):
            for chunk_id, score in zip(leg.ids.tolist(), leg.scores.tolist(), strict=True):
                combined[chunk_id] = combined.get(chunk_id, 0.0) + score * (0.5 / leg.scores[0])
        scored = search_terms(snapshot, terms, 9, language="other")
    assert dict(zip(scored.ids.tolist(), scored.scores.tolist(), strict=True)) == combined
    assert scored.scores.tolist() == sorted(combined.values(), reverse=True)


def test_reindex_gives_the_stored_terms(new_store: NewStore) -> None:
    """Reindex analyses stored texts, long and changed ones too, and gives the terms that ingestion gave."""
    store = new_store("one")
    long = "\n\n".join(f"The lamp {n} burns in fog. Nobody rings a bell {n % 7} times." for n in range(900))
    for name, text in (("a", "A lamp."), ("b", long), ("c", "Fog – 東京."), ("a", long + "\n\nA bell."), ("b", "Fog.")):
        put_document(store, make_document(name, text))

    def load_words() -> list[tuple[int, str, str]]:
        with store._catalog.read() as db:
            return db.execute("SELECT * FROM word ORDER BY chunk_id").fetchall()

    before = load_words()
    store.reindex()
    assert load_words() == before
    with store.snapshot() as snapshot:
        for stored_chunk in snapshot.load([row[0] for row in before]):
            body = dict((row[0], row[2]) for row in before)[stored_chunk.id]
            spans = list(stored_chunk.sentences)
            sentence_terms = [" ".join(analyze(stored_chunk.text[start:end])) for start, end in spans]
            assert body.split("\n")[: len(spans)] == sentence_terms
