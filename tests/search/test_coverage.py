"""Query coverage of sentences, one by one or many at once."""

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
QUERY = AnalyzedQuery("castles built", ("castl", "built"), WEIGHTS)

_terms = st.sampled_from(["castl", "built", "is", "k", "17", "x", "the"])
_sentences = st.lists(st.lists(_terms, max_size=9), max_size=9)
_queries = st.builds(
    lambda text, terms, identifiers: AnalyzedQuery(
        text, tuple(terms), {term: 1.0 + index for index, term in enumerate(terms)}, identifiers
    ),
    st.sampled_from(["who built the castles", "What is a castle?"]),
    st.lists(_terms, max_size=6),
    st.sampled_from([(), (("k", "17"),), (("k",), ("17", "x"))]),
)


def score(query: AnalyzedQuery, *sentences: str) -> list[float]:
    """Return the scores of these sentences."""
    return QueryCoverage(query).score_sentences([sentence.split() for sentence in sentences])


def chunk(number: int, sentences: list[list[str]]) -> StoredChunk:
    """Return a stored chunk with these terms."""
    return StoredChunk(
        number, 1, 0, "", "", "", None, 0, 0, "", PackedSpans([]), PackedTerms.pack(sentences), "", {}
    )  # fmt: skip


def score_by_definition(query: AnalyzedQuery, sentence: list[str]) -> float:
    """Return the score of a sentence, computed term by term, without the bonus of definitions."""
    idf = query.idf
    terms = dict.fromkeys(query.terms)
    pairs = dict.fromkeys(
        (first, second) for first, second in zip(query.terms, query.terms[1:], strict=False) if first != second
    )
    total = sum(idf[term] for term in terms if term in sentence) / (sum(idf[term] for term in terms) or 1)
    close_weight = sum(
        idf[first] + idf[second]
        for first, second in pairs
        if any(
            term == first and second in sentence[position + 1 : position + 1 + PROXIMITY_WINDOW]
            for position, term in enumerate(sentence)
        )
    )
    total += PROXIMITY_WEIGHT * close_weight / (sum(idf[first] + idf[second] for first, second in pairs) or 1)
    has_identifier = any(
        tuple(sentence[position : position + len(identifier)]) == identifier
        for identifier in query.identifier_terms
        for position in range(len(sentence))
    )
    return total + IDENTIFIER_WEIGHT * (has_identifier and total > 0)


def test_score_is_the_weighted_share_of_the_query_terms() -> None:
    """Rare terms weigh more, a term counts once, and unknown terms count nothing."""
    assert score(QUERY, "castl castl x", "built the castl", "") == pytest.approx([0.75, 1.0, 0.0])
    assert score(AnalyzedQuery("x", ("x",), {}), "x") == [0.0]
    assert score(QUERY) == []


def test_query_of_thousands_of_terms_takes_little_memory() -> None:
    """Terms without a weight count nothing."""
    query = AnalyzedQuery("x", ("castl", *map(str, range(4_000)), "built"), WEIGHTS)
    tracemalloc.start()
    try:
        coverage = QueryCoverage(query)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert coverage.score_sentences([["castl", "17"]]) == pytest.approx([0.75])


@pytest.mark.parametrize(("gap", "is_close"), [(0, True), (PROXIMITY_WINDOW - 1, True), (PROXIMITY_WINDOW, False)])
def test_close_neighbours_of_the_query_score_higher(gap: int, is_close: bool) -> None:
    """Two neighbouring terms of the query raise the score if few words separate them in the sentence."""
    assert score(QUERY, f"castl {'x ' * gap} built") == pytest.approx([1 + PROXIMITY_WEIGHT * is_close])
    assert score(QUERY, "built castl") == pytest.approx([1.0])


def test_requested_definition_scores_higher() -> None:
    """For a question what a thing is, a sentence that begins with its definition beats one that only has the word."""
    defining, mentioning = score(
        AnalyzedQuery("What is a castle?", ("castl",), WEIGHTS), "a castl is a hous", "they built a castl"
    )
    assert defining == pytest.approx(mentioning + DEFINITION_WEIGHT)
    assert score(QUERY, "a castl is a hous") == score(QUERY, "castl")


def test_requested_identifier_scores_higher() -> None:
    """Its parts must be adjacent and in order."""
    query = AnalyzedQuery("Where is K-17?", ("k", "17"), {"k": 1.0, "17": 1.0}, (("k", "17"),))
    adjacent, apart, first_part, second_part = score(query, "alarm k 17", "17 times k", "alarm k", "17 times")
    assert adjacent == pytest.approx(1 + PROXIMITY_WEIGHT + IDENTIFIER_WEIGHT)
    assert apart == pytest.approx(1.0)
    assert first_part == second_part == pytest.approx(0.5)


@given(_queries, _sentences)
def test_score_does_not_depend_on_other_sentences(query: AnalyzedQuery, sentences: list[list[str]]) -> None:
    """Scores are equal to the last digit, because ties are broken by position; and they follow the definition."""
    scores = QueryCoverage(query).score_sentences(sentences)
    assert scores == [QueryCoverage(query).score_sentences([sentence])[0] for sentence in sentences]
    if query.text.startswith("who"):
        assert scores == pytest.approx([score_by_definition(query, sentence) for sentence in sentences])


@given(_queries, _sentences, st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_best_sentence_of_each_chunk(query: AnalyzedQuery, sentences: list[list[str]], sizes: list[int]) -> None:
    """The first sentence of the highest score is the best; a chunk without sentences scores 0."""
    ends = list(accumulate(sizes))
    chunks = [sentences[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    coverage = QueryCoverage(query)
    best_sentences = coverage.score_best_sentences([chunk(number, lines) for number, lines in enumerate(chunks)])
    for lines, (best_score, best_index) in zip(chunks, best_sentences, strict=True):
        scores = coverage.score_sentences(lines)
        assert best_score == max(scores, default=0.0)
        assert best_index == (scores.index(best_score) if scores else 0)
