"""Search results: best sentences, explanations, near-duplicates, document limits, diversity, number of hits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.packed_terms import PackedSpans, PackedTerms
from semsearch.core.types.search import SearchMode, StoredChunk
from semsearch.search.ranking import drop_near_duplicates, limit_per_document, mmr
from semsearch.search.retrieval import MAX_K

MODES: tuple[SearchMode, ...] = ("hybrid", "dense", "lexical")
MakeCollection = Callable[..., Collection]


@pytest.fixture
def make_collection(tmp_path: Path) -> MakeCollection:
    """Return a function that makes a collection of texts under settings."""

    def make(texts: dict[str, str], **settings: bool | int) -> Collection:
        library = Library(tmp_path / "indexes", settings=Settings(**settings))  # type: ignore[arg-type]  # keywords of Settings
        collection = library.create("default")
        collection.ingest([text_source(uri, text) for uri, text in texts.items()])
        return collection

    return make


FERRY = "The ferry to the northern lighthouse leaves at seven. It takes forty minutes when the sea is calm."
TEXTS = {
    "ferry.txt": FERRY,
    "copy.txt": FERRY.replace("seven.", "seven!").upper(),
    "winter.txt": FERRY.replace("forty", "90"),
    "bell.txt": "The fog bell rings every minute. Keepers of the lighthouse oil it before the ferry comes.",
    "lamp.txt": "The lamp of the lighthouse burns two litres of oil in a night.",
}


@pytest.mark.parametrize("mode", MODES)
def test_hit_has_its_best_sentence(make_collection: MakeCollection, mode: SearchMode) -> None:
    """It is a span of the stored text, and the sentence of the chunk that covers most of the query."""
    collection = make_collection(TEXTS)
    for hit in collection.search("How long does the ferry take on a calm sea?", mode=mode):
        if hit.sentence is not None:
            text = collection.document(hit.uri).text
            assert text[hit.sentence.start : hit.sentence.end] == hit.sentence.text
            assert hit.start <= hit.sentence.start < hit.sentence.end <= hit.end
    best = collection.search("How long does it take when the sea is calm?", 1, mode=mode)[0].sentence
    assert best is not None
    assert "minutes when the sea is calm".casefold() in best.text.casefold()


def test_hit_without_a_query_term_has_no_best_sentence(make_collection: MakeCollection) -> None:
    """Similarity of meaning alone is no evidence for a sentence."""
    hits = make_collection(TEXTS).search("vessel", mode="dense")
    assert hits
    assert all(hit.sentence is None for hit in hits)


def test_near_duplicates_are_collapsed(make_collection: MakeCollection) -> None:
    """Of copies only the best is a hit; a text with another statement stays."""
    uris = {hit.uri for hit in make_collection(TEXTS).search("ferry northern lighthouse", 9)}
    assert uris >= {"winter.txt", "bell.txt"}
    assert len(uris & {"ferry.txt", "copy.txt"}) == 1


MANY_WORDS = [
    f"{prefix}{suffix}"
    for prefix in "bcdfghjk"
    for suffix in ("ado", "emi", "iru", "ola", "umo", "ysa", "alto", "erno")
]


@pytest.mark.parametrize(
    ("first", "second", "both_stay"),
    [("forty", "ninety", False), ("40", "90", True), ("e40", "e90", True), ("", "90", True)],
)
def test_texts_with_different_numbers_are_no_duplicates(
    make_collection: MakeCollection, first: str, second: str, both_stay: bool
) -> None:
    """Of long texts that differ in one word, one is a hit; both are if that word is a number."""
    text = " ".join([*MANY_WORDS, "zebra", "quokka", "walrus"])
    hits = make_collection({"one.txt": f"{text} {first}.", "other.txt": f"{text} {second}."}).search(
        "zebra quokka walrus"
    )
    assert len({hit.uri for hit in hits}) == 1 + both_stay


def test_requested_identifier_comes_first(make_collection: MakeCollection) -> None:
    """A chunk with the alarm's number precedes one with all other query terms, and one with a similar number."""
    texts = {
        "pump.txt": "When the pump alarm rings the keeper stops the pump, lets it cool and restarts it after an hour.",
        "panel.txt": "K-17 is shown by the panel on the left.",
        "other.txt": "K-18 is shown by the panel on the right.",
    }
    hits = make_collection(texts).search("What does the keeper do when the pump alarm K-17 rings?")
    assert [hit.uri for hit in hits] == ["panel.txt", "pump.txt", "other.txt"]


def test_near_duplicates_stay_without_collapse(make_collection: MakeCollection) -> None:
    """The setting `collapse` turns the removal off."""
    hits = make_collection(TEXTS, collapse=False).search("ferry northern lighthouse", 9)
    assert {hit.uri for hit in hits} == set(TEXTS)


@pytest.mark.parametrize("mode", MODES)
def test_search_returns_k_hits_despite_duplicates(make_collection: MakeCollection, mode: SearchMode) -> None:
    """If most of the best chunks are copies, the search ranks deeper until k distinct ones remain."""
    texts = {f"copy{n:02}.txt": FERRY for n in range(60)} | {
        f"boat{n}.txt": f"Ferry boat number {n}." for n in range(9)
    }
    hits = make_collection(texts).search("ferry northern lighthouse", 5, mode=mode)
    assert len(hits) == 5
    assert len([hit for hit in hits if hit.uri.startswith("copy")]) == 1


@pytest.mark.slow
def test_more_than_max_k_copies_hide_no_other_document(make_collection: MakeCollection) -> None:
    """The copies outnumber the largest k that a request may have."""
    texts = {f"copy{n:04}.txt": FERRY for n in range(MAX_K + 50)} | {"boat.txt": "Ferry boats."}
    assert len(make_collection(texts).search("ferry northern lighthouse", 5)) == 2


def test_chunks_per_document_are_limited(make_collection: MakeCollection) -> None:
    """The setting `per_document` is the maximum number of hits of one document."""
    long_text = "\n\n".join(f"# Ferry {n}\n\n{FERRY.replace('forty', str(n))}" for n in range(20))
    texts = {"long.md": long_text, "bell.txt": TEXTS["bell.txt"]}
    hits = make_collection(texts, per_document=2).search("ferry northern lighthouse", 5)
    assert [hit.uri for hit in hits] == ["long.md", "long.md", "bell.txt"]


def test_diversity_prefers_different_chunks(make_collection: MakeCollection) -> None:
    """With diversity the second hit differs from the first; scores are those of the ranking."""
    texts = {f"ferry{n}.txt": FERRY.replace("forty", str(n)) for n in range(5)} | {"bell.txt": TEXTS["bell.txt"]}
    collection = make_collection(texts)
    plain, diverse = (collection.search("ferry lighthouse", 3, diversity=d) for d in (0.0, 0.7))
    assert "bell.txt" not in {hit.uri for hit in plain[:2]}
    assert diverse[1].uri == "bell.txt"
    scores = {hit.uri: hit.score for hit in collection.search("ferry lighthouse", 9)}
    assert all(hit.score == scores[hit.uri] for hit in diverse)


@pytest.mark.parametrize("mode", MODES)
def test_explain_changes_no_result(make_collection: MakeCollection, mode: SearchMode) -> None:
    """The hits are the same, and each has its rank in every leg that returned it."""
    collection = make_collection(TEXTS)
    plain, explained = (collection.search("oil for the lamp", 4, mode=mode, explain=e) for e in (False, True))
    assert [hit.uri for hit in plain] == [hit.uri for hit in explained]
    for rank, hit in enumerate(explained, 1):
        assert hit.explanation is not None
        (explanation,) = hit.explanation
        assert (explanation.dense is None) == (mode == "lexical") or mode == "hybrid"
        if mode == "lexical":
            assert explanation.lexical is not None
            assert (explanation.lexical.rank, explanation.lexical.score) == (rank, hit.score)
            assert explanation.fused is None


def test_hit_has_an_explanation_for_each_query(make_collection: MakeCollection) -> None:
    """A search with history has two queries."""
    for hit in make_collection(TEXTS).search("oil", 4, history=["lamp"], explain=True):
        assert hit.explanation is not None
        assert [explanation.query for explanation in hit.explanation] == ["oil", "lamp oil"]


@pytest.mark.parametrize("mode", MODES)
def test_several_queries_have_equal_weight(make_collection: MakeCollection, mode: SearchMode) -> None:
    """Each query counts by its scores as shares of its best score."""
    collection = make_collection(TEXTS, collapse=False)
    scores: dict[str, float] = {}
    for query in ("fog", "oil fog"):
        hits = collection.search(query, 9, mode=mode)
        for hit in hits:
            scores[hit.uri] = scores.get(hit.uri, 0.0) + max(0.0, hit.score) / hits[0].score / 2
    combined = {hit.uri: hit.score for hit in collection.search("fog", 9, mode=mode, history=["oil"])}
    assert combined == pytest.approx(scores, abs=1e-5)


QUERIES = [
    "?",
    "a",
    "the of and",
    "東",
    "ก",
    "🚢",
    "x" * 3_999,
    "ferry " * 600,
    '"ferry" AND NOT (bell*',
    "\u0301",
    "0",
]


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("mode", MODES)
def test_any_query_can_be_searched(make_collection: MakeCollection, query: str, mode: SearchMode) -> None:
    """Queries of any script and length return hits, and k may exceed the size of the collection."""
    hits = make_collection(TEXTS).search(query, MAX_K, mode=mode, filter={"uri": {"$ne": "lamp.txt"}})
    assert len(hits) <= len(TEXTS) - 1
    assert make_collection(TEXTS).search(query, 3, mode=mode, filter={"uri": "none"}) == []


def chunk(number: int, words: str, document: int = 1) -> StoredChunk:
    """Return a chunk of one sentence."""
    return StoredChunk(
        number,
        document,
        number,
        "a",
        "",
        "",
        None,
        0,
        1,
        words,
        PackedSpans([0, 1]),
        PackedTerms.pack([words.split()]),
        "",
        {},
    )


_ranked = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdefg1"), max_size=4).map(" ".join), st.floats(0, 1)), max_size=12
).map(lambda pairs: [(chunk(n, words, n % 3), s) for n, (words, s) in enumerate(sorted(pairs, key=lambda p: -p[1]))])


@given(_ranked, st.integers(1, 3))
def test_selection_only_removes_chunks(ranked: list[tuple[StoredChunk, float]], limit: int) -> None:
    """The others keep their order, the best one stays, and a second selection changes nothing."""
    for selected, selected_again in (
        (drop_near_duplicates(ranked), drop_near_duplicates(drop_near_duplicates(ranked))),
        (limit_per_document(ranked, limit), limit_per_document(limit_per_document(ranked, limit), limit)),
        (
            drop_near_duplicates(ranked, per_document=limit),
            drop_near_duplicates(drop_near_duplicates(ranked, per_document=limit), per_document=limit),
        ),
    ):
        assert [item for item in ranked if item in selected] == selected == selected_again
        assert selected[:1] == ranked[:1]
    assert drop_near_duplicates(ranked, limit) == drop_near_duplicates(ranked)[:limit]
    both = drop_near_duplicates(ranked, per_document=limit)
    assert limit_per_document(both, limit) == both == drop_near_duplicates(both)


def test_chunks_over_the_document_limit_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing thousands of chunks of one document would take seconds; and they suppress no other document."""
    compared, term_signature = list[PackedTerms](), PackedTerms.term_signature

    def record_signature(terms: PackedTerms) -> tuple[int, int]:
        compared.append(terms)
        return term_signature.fget(terms)  # type: ignore[attr-defined,no-any-return]  # it is a property

    monkeypatch.setattr(PackedTerms, "term_signature", property(record_signature))
    ranked = [(chunk(number, f"word{number} lamp", 1), 1.0) for number in range(5_000)]
    other_document = chunk(5_000, "word4999 lamp", 2), 0.5
    assert drop_near_duplicates([*ranked, other_document], per_document=2) == [*ranked[:2], other_document]
    assert len(compared) == 3


@given(_ranked, st.floats(0, 1))
def test_mmr_only_reorders(ranked: list[tuple[StoredChunk, float]], diversity: float) -> None:
    """Every chunk stays, and a diversity of 0 keeps the order of the scores."""
    vectors = np.random.default_rng(0).normal(size=(len(ranked), 8)).astype(np.float32)
    reordered = mmr(ranked, vectors, diversity)
    assert sorted(item.id for item, _ in reordered) == sorted(item.id for item, _ in ranked)
    assert [score for _, score in mmr(ranked, vectors, 0.0)] == [score for _, score in ranked]
