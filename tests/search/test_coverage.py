"""What sentences hold of a question, one by one or many at once."""

import tracemalloc
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.answers import AnalyzedQuery
from semsearch.core.types.packed_terms import PackedSpans, PackedTerms
from semsearch.core.types.search import StoredChunk
from semsearch.search.coverage import (
    DEFINITION_WEIGHT,
    IDENTIFIER_WEIGHT,
    PROXIMITY_WEIGHT,
    PROXIMITY_WINDOW,
    QueryCoverage,
)

WEIGHTS = {"castl": 3.0, "built": 1.0}
ASKED = AnalyzedQuery("castles built", ("castl", "built"), WEIGHTS)

_terms = st.sampled_from(["castl", "built", "is", "k", "17", "x", "the"])
_sentences = st.lists(st.lists(_terms, max_size=9), max_size=9)
_questions = st.builds(
    lambda text, terms, names: AnalyzedQuery(
        text, tuple(terms), {term: 1.0 + at for at, term in enumerate(terms)}, names
    ),
    st.sampled_from(["who built the castles", "What is a castle?"]),
    st.lists(_terms, max_size=6),
    st.sampled_from([(), (("k", "17"),), (("k",), ("17", "x"))]),
)


def held(question: AnalyzedQuery, *sentences: str) -> list[float]:
    """What these sentences hold."""
    return QueryCoverage(question).score_sentences([sentence.split() for sentence in sentences])


def chunk(number: int, sentences: list[list[str]]) -> StoredChunk:
    """A stored chunk of which only its terms matter."""
    return StoredChunk(
        number, 1, 0, "", "", "", None, 0, 0, "", PackedSpans([]), PackedTerms.pack(sentences), "", {}
    )  # fmt: skip


def simply(question: AnalyzedQuery, sentence: list[str]) -> float:
    """The definition, term by term, without what definitions add."""
    weights = question.idf
    terms = dict.fromkeys(question.terms)
    pairs = dict.fromkeys(
        (one, other) for one, other in zip(question.terms, question.terms[1:], strict=False) if one != other
    )
    share = sum(weights[term] for term in terms if term in sentence) / (sum(weights[term] for term in terms) or 1)
    near = sum(
        weights[one] + weights[other]
        for one, other in pairs
        if any(
            word == one and other in sentence[at + 1 : at + 1 + PROXIMITY_WINDOW] for at, word in enumerate(sentence)
        )
    )
    share += PROXIMITY_WEIGHT * near / (sum(weights[one] + weights[other] for one, other in pairs) or 1)
    named = any(
        tuple(sentence[at : at + len(name)]) == name
        for name in question.identifier_terms
        for at in range(len(sentence))
    )
    return share + IDENTIFIER_WEIGHT * (named and share > 0)


def test_a_sentence_holds_a_share_of_the_question() -> None:
    """Rare terms weigh more, a term counts once, and a question of unknown terms is held by nothing."""
    assert held(ASKED, "castl castl x", "built the castl", "") == pytest.approx([0.75, 1.0, 0.0])
    assert held(AnalyzedQuery("x", ("x",), {}), "x") == [0.0]
    assert held(ASKED) == []


def test_a_question_of_thousands_of_terms_takes_little_memory() -> None:
    """Those that were not weighed count for nothing."""
    question = AnalyzedQuery("x", ("castl", *map(str, range(4_000)), "built"), WEIGHTS)
    tracemalloc.start()
    try:
        asked = QueryCoverage(question)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert asked.score_sentences([["castl", "17"]]) == pytest.approx([0.75])


@pytest.mark.parametrize(("between", "near"), [(0, True), (PROXIMITY_WINDOW - 1, True), (PROXIMITY_WINDOW, False)])
def test_neighbours_of_the_question_count_more_when_near(between: int, near: bool) -> None:
    """Two terms that stand in a row in the question add to the share if few words divide them."""
    assert held(ASKED, f"castl {'x ' * between} built") == pytest.approx([1 + PROXIMITY_WEIGHT * near])
    assert held(ASKED, "built castl") == pytest.approx([1.0])


def test_a_definition_that_was_asked_for_counts_more() -> None:
    """Asked what a thing is, the sentence that begins with saying so is held more than one that merely has the word."""
    says, has = held(AnalyzedQuery("What is a castle?", ("castl",), WEIGHTS), "a castl is a hous", "they built a castl")
    assert says == pytest.approx(has + DEFINITION_WEIGHT)
    assert held(ASKED, "a castl is a hous") == held(ASKED, "castl")


def test_a_name_that_was_asked_for_counts_more() -> None:
    """Its parts stand side by side, in order."""
    asked = AnalyzedQuery("Where is K-17?", ("k", "17"), {"k": 1.0, "17": 1.0}, (("k", "17"),))
    named, apart, ends, begins = held(asked, "alarm k 17", "17 times k", "alarm k", "17 times")
    assert named == pytest.approx(1 + PROXIMITY_WEIGHT + IDENTIFIER_WEIGHT)
    assert apart == pytest.approx(1.0)
    assert ends == begins == pytest.approx(0.5)


@given(_questions, _sentences)
def test_many_at_once_are_as_one_by_one(question: AnalyzedQuery, sentences: list[list[str]]) -> None:
    """To the last digit, because equal scores are ordered by place; and as the definition says."""
    together = QueryCoverage(question).score_sentences(sentences)
    assert together == [QueryCoverage(question).score_sentences([sentence])[0] for sentence in sentences]
    if question.text.startswith("who"):
        assert together == pytest.approx([simply(question, sentence) for sentence in sentences])


@given(_questions, _sentences, st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_the_best_sentence_of_each_chunk(question: AnalyzedQuery, sentences: list[list[str]], sizes: list[int]) -> None:
    """The first of those that hold most; a chunk without a sentence holds nothing."""
    ends = list(accumulate(sizes))
    cut = [sentences[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    asked = QueryCoverage(question)
    best = asked.score_best_sentences([chunk(number, some) for number, some in enumerate(cut)])
    for some, (most, place) in zip(cut, best, strict=True):
        each = asked.score_sentences(some)
        assert most == max(each, default=0.0)
        assert place == (each.index(most) if each else 0)
