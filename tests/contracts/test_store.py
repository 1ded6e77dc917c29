"""The contract of a store: whole documents, stable ids, exact search, and equal to a fresh one after any history."""

import asyncio
import secrets
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import HashEmbedder
from support.writing import VOCABULARY, embed_query, locate_hits, make_document, put_document

from semsearch.core.errors import ConflictError
from semsearch.core.types.documents import ChunkedDocument, Metadata, SourceRoot
from semsearch.core.types.usage import RequestContext
from semsearch.ingest.chunking import chunk
from semsearch.search.filters import parse
from semsearch.storage.collections.local import snapshot as snapshot_module
from semsearch.storage.collections.local.store import LocalStore
from semsearch.text.analyzer import analyze, detect_language, extract_query_terms

NewStore = Callable[[str], LocalStore]

_sentences = st.lists(st.sampled_from(VOCABULARY), min_size=3, max_size=30).map(
    lambda words: " ".join(words).capitalize() + "."
)
_texts = st.lists(_sentences, min_size=1, max_size=12).map("\n\n".join)
_uris = st.sampled_from([f"docs/{letter}.txt" for letter in "abcdef"])
_steps = st.lists(st.tuples(_uris, st.none() | _texts), min_size=1, max_size=12)
QUESTIONS = ("the lamp in the fog", "anchor", "rain on the harbour wall at night", "zebra")


Leg = list[tuple[str, int, float]]


def search(store: LocalStore, question: str) -> tuple[Leg, Leg, Leg]:
    """The legs of a search, without ids: by vectors, by words, and by words and their characters."""
    terms = extract_query_terms(question)
    with store.snapshot() as snapshot:
        legs = (
            snapshot.vector_search(embed_query(question), 8),
            snapshot.lexical_search(terms, 8),
            snapshot.lexical_search(terms, 8, language="other"),
        )
        near, words, spelled = (snapshot.top_k(leg, 8) for leg in legs)
    return locate_hits(store, near), locate_hits(store, words), locate_hits(store, spelled)


def test_what_is_put_can_be_read(new_store: NewStore) -> None:
    """A stored document comes back with its text, its metadata and chunks that are spans of it."""
    store = new_store("one")
    made = make_document(
        "docs/a.txt", "A lamp. " * 90 + "\n\n" + "Äpfel über Brücken. " * 2000, {"team": "hr", "tags": ["x", 1]}
    )
    assert put_document(store, made).status == "added"
    found = store.document("docs/a.txt")
    assert found is not None
    assert (found.text, found.metadata, found.chunks) == (made.text, made.metadata, len(chunk(made)))
    with store.snapshot() as snapshot:
        for part in snapshot.load(range(1, found.chunks + 1)):
            assert found.text[part.start : part.end] == part.text
            assert len(part.sentences) == len(part.terms)
            assert part.content_sha256 == found.content_sha256


def test_unchanged_chunks_keep_their_ids(new_store: NewStore) -> None:
    """Putting a changed document replaces only the chunks whose text is new; the others keep id and embedding."""
    store = new_store("one")
    paragraphs = [" ".join(f"Remark {n} of {word} says little." for n in range(30)) for word in VOCABULARY]
    put_document(store, make_document("a", "\n\n".join(paragraphs)))
    with store.snapshot() as snapshot:
        before = {part.text: part.id for part in snapshot.neighbours(1, 0, 10_000)}
    assert put_document(store, make_document("a", "\n\n".join(["New in front.", *paragraphs[1:]]))).status == "updated"
    with store.snapshot() as snapshot:
        after = {part.text: part.id for part in snapshot.neighbours(1, 0, 10_000)}
    same = before.keys() & after.keys()
    assert len(same) > 0.8 * len(before)
    assert all(before[text] == after[text] for text in same)
    assert not {after[text] for text in after.keys() - same} & set(before.values())


def test_a_chunk_id_is_never_used_again(new_store: NewStore) -> None:
    """The id of a removed chunk names nothing ever after."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog."))
    store.remove(["a"])
    put_document(store, make_document("a", "A bell in the night."))
    with store.snapshot() as snapshot:
        assert [part.id for part in snapshot.neighbours(2, 0, 9)] == [2]


def test_equal_texts_share_one_embedding(new_store: NewStore) -> None:
    """A text that is stored already need not be embedded for another document."""
    store = new_store("one")
    made = make_document("a", "A lamp in the fog.")
    put_document(store, made)
    (part,) = chunk(made)
    assert np.array_equal(store.vectors([part.text_hash, "other"])[part.text_hash], embed_query(part.embedding_text))
    assert "other" not in store.vectors(["other"])


def test_remove_is_all_or_nothing_and_says_what_was_there(new_store: NewStore) -> None:
    """Removing returns the documents that there were; they are found no more."""
    store = new_store("one")
    for uri in "abc":
        put_document(store, make_document(uri, f"A lamp in the fog of {uri}."))
    assert store.remove(["a", "zz", "c", "a"]) == ["a", "c"]
    assert [info.uri for info in store.documents(None, 10)] == ["b"]
    assert {uri for leg in search(store, "lamp fog") for uri, _, _ in leg} == {"b"}


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_steps)
def test_after_any_history_search_equals_a_fresh_build(
    new_store: NewStore, steps: list[tuple[str, str | None]]
) -> None:
    """Whatever was put, changed and removed, in whatever order: hits and scores are those of a fresh collection."""
    number = len(list(new_store("x").folder.parent.iterdir()))
    lived, fresh = new_store(f"lived{number}"), new_store(f"fresh{number}")
    state: dict[str, str] = {}
    for uri, text in steps:
        if text is None:
            lived.remove([uri])
            state.pop(uri, None)
        else:
            put_document(lived, make_document(uri, text))
            state[uri] = text
        search(lived, QUESTIONS[0])  # so that the view is advanced step by step
    for uri, text in sorted(state.items(), reverse=True):
        put_document(fresh, make_document(uri, text))
    for question in QUESTIONS:
        assert search(lived, question) == search(fresh, question)


def test_nearest_agrees_with_an_exact_scan(new_store: NewStore) -> None:
    """The vectors' leg is what a plain matrix product over all chunks gives."""
    store = new_store("one")
    texts = {f"{n:03}": f"{' '.join(VOCABULARY[n % 7 : n % 11 + 9])} number {n}." for n in range(200)}
    for uri, text in texts.items():
        put_document(store, make_document(uri, text))
    embedded = [chunk(make_document(uri, text))[0].embedding_text for uri, text in texts.items()]
    rows = asyncio.run(HashEmbedder().embed(embedded, RequestContext("ingest"))).astype(np.float64)
    for question in QUESTIONS[:3]:
        scores = rows @ embed_query(question)
        best = sorted(zip(texts, scores, strict=True), key=lambda pair: (-round(pair[1], 9), pair[0]))[:10]
        with store.snapshot() as snapshot:
            found = snapshot.top_k(snapshot.vector_search(embed_query(question), 10), 10)
        assert [uri for uri, _, _ in locate_hits(store, found)] == [uri for uri, _ in best]
        assert np.allclose(found.scores, [score for _, score in best])


def test_ties_are_in_order_of_uri(new_store: NewStore) -> None:
    """Chunks of equal text come in the order of their uris, whenever they were put."""
    store = new_store("one")
    for uri in "dbeac":
        put_document(store, make_document(f"{uri}/same", "A lamp in the fog."))
    for leg in search(store, "lamp"):
        assert [uri for uri, _, _ in leg] == ["a/same", "b/same", "c/same", "d/same", "e/same"]


PEOPLE: dict[str, Metadata] = {
    "hr": {"team": "hr", "year": 2024, "tags": ["a", "b"], "draft": False},
    "it": {"team": "it", "year": 2025.5, "tags": ["b"], "draft": True},
    "ops": {"team": "ops", "year": "2024", "none": None},
    "bare": {},
}


@pytest.mark.parametrize(
    ("where", "passing"),
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
def test_filters(new_store: NewStore, where: dict[str, object], passing: set[str]) -> None:
    """A filter decides before ranking, for both legs, the listing and a single document alike."""
    store = new_store("one")
    for uri, metadata in PEOPLE.items():
        put_document(store, make_document(uri, "A lamp in the fog.", metadata))
    tree = parse(where)
    with store.snapshot() as snapshot:
        allowed = snapshot.matching_ids(tree)
        near = snapshot.vector_search(embed_query("lamp"), 10, allowed)
        words = snapshot.lexical_search(["lamp"], 10, allowed)
    assert {uri for uri, _, _ in locate_hits(store, near)} == passing
    assert {uri for uri, _, _ in locate_hits(store, words)} == passing
    assert {info.uri for info in store.documents(tree, 10)} == passing
    assert {uri for uri in PEOPLE if store.document(uri, tree)} == passing


def test_what_passes_a_filter_is_kept_for_one_commit_only(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """True is not taken for 1, what is written counts at once, and little is kept."""
    monkeypatch.setattr(snapshot_module, "MAX_CACHED_FILTER_IDS", 3)
    store = new_store("one")
    put_document(store, make_document("yes", "A lamp.", {"draft": True}))
    put_document(store, make_document("one", "Another lamp.", {"draft": 1}))
    for _ in range(2):
        with store.snapshot() as snapshot:
            found = [
                snapshot.matching_ids(parse(where)) for where in ({"draft": True}, {"draft": 1}, {"draft": 1.0}, {})
            ]
            assert [len(ids) for ids in found] == [1, 1, 1, 2]
            assert sum(map(len, snapshot.view.filter_cache.values())) <= 3
            assert found[0].tolist() != found[1].tolist()
    put_document(store, make_document("new", "A third lamp.", {"draft": True}))
    with store.snapshot() as snapshot:
        assert len(snapshot.matching_ids(parse({"draft": True}))) == 2


def test_weights_of_terms_are_of_one_commit(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A term weighs less as soon as more chunks hold it, however often it was asked for."""
    monkeypatch.setattr(snapshot_module, "MAX_CACHED_TERMS", 1)
    store = new_store("one")
    put_document(store, make_document("a", "A lamp."))
    put_document(store, make_document("b", "A bell."))
    weighed = []
    for _ in range(2):
        for _ in range(2):
            with store.snapshot() as snapshot:
                weighed.append(dict(snapshot.idf(["lamp", "bell", "fog"])))
        put_document(store, make_document("c", "Another lamp."))
    assert weighed[0] == weighed[1]
    assert weighed[2] == weighed[3]
    assert weighed[2]["lamp"] < weighed[0]["lamp"]
    assert set(weighed[0]) == {"lamp", "bell", "fog"}


def test_a_search_sees_one_commit(new_store: NewStore) -> None:
    """What is put during a search is not seen by it, and is seen by the next."""
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


def test_a_failed_put_leaves_no_trace(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """If storing breaks in the middle, the old version answers as before, and nothing of the new one is there."""
    store = new_store("one")
    put_document(store, make_document("a", "A lamp in the fog. " * 60))
    before = store.document("a"), search(store, "lamp bell")
    made = make_document("a", "A bell. " * 400)
    with pytest.raises(KeyError):
        store.put([ChunkedDocument(made, chunk(made))], {})
    assert (store.document("a"), search(store, "lamp bell")) == before


@pytest.mark.slow
@given(st.lists(st.tuples(_uris, _texts), max_size=8), st.integers(1, 4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_documents_put_together_are_as_if_put_one_by_one(
    new_store: NewStore, edits: list[tuple[str, str]], together: int
) -> None:
    """Also where a uri comes again: the same outcomes, documents and hits, and the same chunks keep their ids."""
    name = secrets.token_hex(8)
    one, many = new_store(f"one-{name}"), new_store(f"many-{name}")
    cuts = [ChunkedDocument(made := make_document(uri, text), chunk(made)) for uri, text in edits]
    rows = {part.text_hash: embed_query(part.embedding_text) for cut in cuts for part in cut.chunks}
    expected = [one.put([cut], rows)[0] for cut in cuts]
    groups = [cuts[at : at + together] for at in range(0, len(cuts), together)]
    assert [stored for some in groups for stored in many.put(some, rows)] == expected
    assert many.info().chunks == one.info().chunks
    assert many.documents(None, 9) == one.documents(None, 9)
    assert [many.document(uri) for uri, _ in edits] == [one.document(uri) for uri, _ in edits]
    assert search(many, "lamp bell") == search(one, "lamp bell")


def test_documents_put_together_are_stored_all_or_none(new_store: NewStore) -> None:
    """If one of them breaks, none of the others is there."""
    store = new_store("one")
    good, bad = make_document("a", "A lamp."), make_document("b", "A bell.")
    parts = chunk(good)
    with pytest.raises(KeyError):
        store.put(
            [ChunkedDocument(good, parts), ChunkedDocument(bad, chunk(bad))],
            {part.text_hash: embed_query(part.embedding_text) for part in parts},
        )
    assert store.documents(None, 9) == []
    assert store.info().chunks == 0


def test_another_process_s_changes_are_seen(new_store: NewStore) -> None:
    """Two stores on one folder see each other's commits at once."""
    one, two = new_store("one"), new_store("one")
    put_document(one, make_document("a", "A lamp."))
    assert [uri for uri, _, _ in search(two, "lamp")[0]] == ["a"]
    put_document(two, make_document("b", "A lamp too."))
    two.remove(["a"])
    assert [uri for uri, _, _ in search(one, "lamp")[0]] == ["b"]


def test_roots_are_registered_once(new_store: NewStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A root's name stands for one folder; another folder of that name is a conflict with a way out."""
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
def test_other_languages_are_found_by_characters_too(new_store: NewStore, question: str, uri: str) -> None:
    """Inflected and joined words, and a single character, find what their terms alone do not."""
    store = new_store("one")
    for name, text in HARBOUR.items():
        put_document(store, make_document(name, text))
    terms = extract_query_terms(question)
    with store.snapshot() as snapshot:
        alone = snapshot.lexical_search(terms, 1)
        found = snapshot.lexical_search(terms, 1, language=detect_language(question))
    assert locate_hits(store, alone) == []
    assert [place[0] for place in locate_hits(store, found)] == [uri]


def test_most_of_a_collection_decides_where_a_question_does_not_tell(new_store: NewStore) -> None:
    """A few words in Latin script are matched by characters only where most chunks are not in English."""
    store = new_store("one")
    for number in range(5):
        put_document(
            store,
            make_document(f"en{number}", f"This is the house of the keeper, and it was built in the year {number}."),
        )
    put_document(store, make_document("de", HARBOUR["haus"]))
    with store.snapshot() as snapshot:
        assert len(snapshot.lexical_search(["hafenhaus"], 5, language="latin").ids) == 0
        assert len(snapshot.lexical_search(["hafenhaus"], 5, language="other").ids) == 1


def test_words_that_are_made_again_are_those_that_were_stored(new_store: NewStore) -> None:
    """Reindex analyses the stored texts, long ones and changed ones too, and finds in them what ingesting found."""
    store = new_store("one")
    long = "\n\n".join(f"The lamp {n} burns in fog. Nobody rings a bell {n % 7} times." for n in range(900))
    for name, text in (("a", "A lamp."), ("b", long), ("c", "Fog – 東京."), ("a", long + "\n\nA bell."), ("b", "Fog.")):
        put_document(store, make_document(name, text))

    def words() -> list[tuple[int, str, str]]:
        with store._catalog.read() as db:
            return db.execute("SELECT * FROM word ORDER BY chunk_id").fetchall()

    before = words()
    store.reindex()
    assert words() == before
    with store.snapshot() as snapshot:
        for part in snapshot.load([row[0] for row in before]):
            body = dict((row[0], row[2]) for row in before)[part.id]
            spans = list(part.sentences)
            alone = [" ".join(analyze(part.text[start:end])) for start, end in spans]
            assert body.split("\n")[: len(spans)] == alone
