"""What a search promises beyond its ranking: evidence, explanations, no twins, no crowding, as many as were asked."""

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
Open = Callable[..., Collection]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Makes a collection of these texts, under these settings."""

    def make(texts: dict[str, str], **settings: bool | int) -> Collection:
        library = Library(tmp_path / "indexes", settings=Settings(**settings))  # type: ignore[arg-type]  # by name
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
def test_each_hit_has_its_best_sentence(opened: Open, mode: SearchMode) -> None:
    """It is a span of the stored text, and of a chunk's sentences the one that holds most of the question."""
    collection = opened(TEXTS)
    for hit in collection.search("How long does the ferry take on a calm sea?", mode=mode):
        if hit.sentence is not None:
            text = collection.document(hit.uri).text
            assert text[hit.sentence.start : hit.sentence.end] == hit.sentence.text
            assert hit.start <= hit.sentence.start < hit.sentence.end <= hit.end
    best = collection.search("How long does it take when the sea is calm?", 1, mode=mode)[0].sentence
    assert best is not None
    assert "minutes when the sea is calm".casefold() in best.text.casefold()


def test_a_hit_without_a_word_of_the_question_has_no_best_sentence(opened: Open) -> None:
    """What is only near in meaning shows no sentence as evidence."""
    found = opened(TEXTS).search("vessel", mode="dense")
    assert found
    assert all(hit.sentence is None for hit in found)


def test_twins_are_shown_once(opened: Open) -> None:
    """Of copies only the best is a hit; a text that says something else stays."""
    found = {hit.uri for hit in opened(TEXTS).search("ferry northern lighthouse", 9)}
    assert found >= {"winter.txt", "bell.txt"}
    assert len(found & {"ferry.txt", "copy.txt"}) == 1


LONG = [f"{one}{other}" for one in "bcdfghjk" for other in ("ado", "emi", "iru", "ola", "umo", "ysa", "alto", "erno")]


@pytest.mark.parametrize(
    ("one", "other", "stay"), [("forty", "ninety", False), ("40", "90", True), ("e40", "e90", True), ("", "90", True)]
)
def test_another_number_is_another_fact(opened: Open, one: str, other: str, stay: bool) -> None:
    """Of texts that differ in one word of very many one is shown; where that word is a number, both are."""
    text = " ".join([*LONG, "zebra", "quokka", "walrus"])
    found = opened({"one.txt": f"{text} {one}.", "other.txt": f"{text} {other}."}).search("zebra quokka walrus")
    assert len({hit.uri for hit in found}) == 1 + stay


def test_a_name_that_is_asked_for_comes_first(opened: Open) -> None:
    """A chunk with the alarm's number is before one that has all other words of the question, and before its like."""
    texts = {
        "pump.txt": "When the pump alarm rings the keeper stops the pump, lets it cool and restarts it after an hour.",
        "panel.txt": "K-17 is shown by the panel on the left.",
        "other.txt": "K-18 is shown by the panel on the right.",
    }
    found = opened(texts).search("What does the keeper do when the pump alarm K-17 rings?")
    assert [hit.uri for hit in found] == ["panel.txt", "pump.txt", "other.txt"]


def test_twins_are_shown_where_that_is_set(opened: Open) -> None:
    """The setting keeps them."""
    found = opened(TEXTS, collapse=False).search("ferry northern lighthouse", 9)
    assert {hit.uri for hit in found} == set(TEXTS)


@pytest.mark.parametrize("mode", MODES)
def test_as_many_hits_as_were_asked_for(opened: Open, mode: SearchMode) -> None:
    """Where most of the best are copies, the search goes on until it has k that are not."""
    texts = {f"copy{n:02}.txt": FERRY for n in range(60)} | {
        f"boat{n}.txt": f"Ferry boat number {n}." for n in range(9)
    }
    found = opened(texts).search("ferry northern lighthouse", 5, mode=mode)
    assert len(found) == 5
    assert len([hit for hit in found if hit.uri.startswith("copy")]) == 1


def test_a_thousand_copies_hide_nothing(opened: Open) -> None:
    """Also where more of the best are copies than a request may ask for."""
    texts = {f"copy{n:04}.txt": FERRY for n in range(MAX_K + 50)} | {"boat.txt": "Ferry boats."}
    assert len(opened(texts).search("ferry northern lighthouse", 5)) == 2


def test_a_document_does_not_crowd_out_the_others(opened: Open) -> None:
    """With the setting so many chunks of one document are shown, and no more."""
    long = "\n\n".join(f"# Ferry {n}\n\n{FERRY.replace('forty', str(n))}" for n in range(20))
    texts = {"long.md": long, "bell.txt": TEXTS["bell.txt"]}
    found = opened(texts, per_document=2).search("ferry northern lighthouse", 5)
    assert [hit.uri for hit in found] == ["long.md", "long.md", "bell.txt"]


def test_diversity_brings_in_what_is_different(opened: Open) -> None:
    """With it the second hit is not the one most like the first; scores stay those of the ranking."""
    texts = {f"ferry{n}.txt": FERRY.replace("forty", str(n)) for n in range(5)} | {"bell.txt": TEXTS["bell.txt"]}
    collection = opened(texts)
    plain, mixed = (collection.search("ferry lighthouse", 3, diversity=d) for d in (0.0, 0.7))
    assert "bell.txt" not in {hit.uri for hit in plain[:2]}
    assert mixed[1].uri == "bell.txt"
    scores = {hit.uri: hit.score for hit in collection.search("ferry lighthouse", 9)}
    assert all(hit.score == scores[hit.uri] for hit in mixed)


@pytest.mark.parametrize("mode", MODES)
def test_explaining_changes_no_result(opened: Open, mode: SearchMode) -> None:
    """The hits are the same, and each says which leg found it where."""
    collection = opened(TEXTS)
    plain, explained = (collection.search("oil for the lamp", 4, mode=mode, explain=e) for e in (False, True))
    assert [hit.uri for hit in plain] == [hit.uri for hit in explained]
    for rank, hit in enumerate(explained, 1):
        assert hit.explanation is not None
        (how,) = hit.explanation
        assert (how.dense is None) == (mode == "lexical") or mode == "hybrid"
        if mode == "lexical":
            assert how.lexical is not None
            assert (how.lexical.rank, how.lexical.score) == (rank, hit.score)
            assert how.fused is None


def test_an_explanation_holds_for_every_query_of_a_search(opened: Open) -> None:
    """Each of the two by itself, chunk by chunk."""
    for hit in opened(TEXTS).search("oil", 4, history=["lamp"], explain=True):
        assert hit.explanation is not None
        assert [how.query for how in hit.explanation] == ["oil", "lamp oil"]


@pytest.mark.parametrize("mode", MODES)
def test_several_queries_count_alike(opened: Open, mode: SearchMode) -> None:
    """Each by its share of its own best score, however high its scores are."""
    collection = opened(TEXTS, collapse=False)
    scores: dict[str, float] = {}
    for query in ("fog", "oil fog"):
        alone = collection.search(query, 9, mode=mode)
        for hit in alone:
            scores[hit.uri] = scores.get(hit.uri, 0.0) + max(0.0, hit.score) / alone[0].score / 2
    together = {hit.uri: hit.score for hit in collection.search("fog", 9, mode=mode, history=["oil"])}
    assert together == pytest.approx(scores, abs=1e-5)


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
def test_any_question_is_searched_for(opened: Open, query: str, mode: SearchMode) -> None:
    """Whatever its script and length, there is a result, and k over the collection's size is no error."""
    found = opened(TEXTS).search(query, MAX_K, mode=mode, filter={"uri": {"$ne": "lamp.txt"}})
    assert len(found) <= len(TEXTS) - 1
    assert opened(TEXTS).search(query, 3, mode=mode, filter={"uri": "none"}) == []


def chunk(number: int, words: str, document: int = 1) -> StoredChunk:
    """A chunk of one sentence."""
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
def test_shaping_only_leaves_out(ranked: list[tuple[StoredChunk, float]], most: int) -> None:
    """What remains is in the same order, the best stays, and doing it again changes nothing."""
    for shaped, again in (
        (drop_near_duplicates(ranked), drop_near_duplicates(drop_near_duplicates(ranked))),
        (limit_per_document(ranked, most), limit_per_document(limit_per_document(ranked, most), most)),
        (
            drop_near_duplicates(ranked, per_document=most),
            drop_near_duplicates(drop_near_duplicates(ranked, per_document=most), per_document=most),
        ),
    ):
        assert [one for one in ranked if one in shaped] == shaped == again
        assert shaped[:1] == ranked[:1]
    assert drop_near_duplicates(ranked, most) == drop_near_duplicates(ranked)[:most]
    both = drop_near_duplicates(ranked, per_document=most)
    assert limit_per_document(both, most) == both == drop_near_duplicates(both)


def test_what_is_too_much_of_a_document_is_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of thousands of chunks would keep a search for seconds; and it hides no other document."""
    looked, fingerprint = list[PackedTerms](), PackedTerms.term_signature

    def look(terms: PackedTerms) -> tuple[int, int]:
        looked.append(terms)
        return fingerprint.fget(terms)  # type: ignore[attr-defined,no-any-return]  # it is a property

    monkeypatch.setattr(PackedTerms, "term_signature", property(look))
    ranked = [(chunk(number, f"word{number} lamp", 1), 1.0) for number in range(5_000)]
    other = chunk(5_000, "word4999 lamp", 2), 0.5
    assert drop_near_duplicates([*ranked, other], per_document=2) == [*ranked[:2], other]
    assert len(looked) == 3


@given(_ranked, st.floats(0, 1))
def test_diversity_loses_nobody(ranked: list[tuple[StoredChunk, float]], diversity: float) -> None:
    """It only orders anew; the best comes first, and without diversity nothing moves."""
    vectors = np.random.default_rng(0).normal(size=(len(ranked), 8)).astype(np.float32)
    mixed = mmr(ranked, vectors, diversity)
    assert sorted(one[0].id for one in mixed) == sorted(one[0].id for one in ranked)
    assert [s for _, s in mmr(ranked, vectors, 0.0)] == [s for _, s in ranked]
