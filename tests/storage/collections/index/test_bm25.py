"""The word index against BM25 as it stands in the books, over any cut of the chunks into indexes."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.storage.collections.local.index import bm25
from semsearch.storage.collections.local.index import postings
from semsearch.storage.collections.local.index import term_stream
from semsearch.storage.collections.local.index.bm25 import K1, B, BM25Index, PostingsSegment
from semsearch.storage.collections.local.index.postings import (
    MAX_TERM_COUNT,
    TITLE_WEIGHT,
    Postings,
    drop_chunks,
    index_rows,
    merge,
)
from semsearch.text.analyzer import character_trigrams, is_english

Row = tuple[int, str, str]

_terms = st.sampled_from("lamp fog bell k 17 x509 v3 東京 京都".split())
_texts = st.lists(_terms, max_size=12).map(" ".join)
_chunks = st.lists(st.tuples(_texts, _texts), min_size=1, max_size=30)
_prose = st.lists(st.sampled_from("the of lamp fog k 17 東京 haus x509".split()), max_size=20).map(" ".join)
_questions = st.lists(st.sampled_from([*"lamp fog bell k 17 none".split(), "k 17", "lamp fog", "x509 v3"]), max_size=6)


def build(rows: list[Row]) -> Postings:
    """The index of these rows by their terms."""
    return index_rows(rows)[0]


def spelled(rows: list[Row]) -> list[Row]:
    """Those that are not in English, as rows of the characters of their terms."""
    return [
        (number, " ".join(character_trigrams(title.split())), " ".join(character_trigrams(body.split())))
        for number, title, body in rows
        if not is_english(body.split())
    ]


def numbered(chunks: list[tuple[str, str]]) -> list[Row]:
    """The rows of these chunks, with ids that leave some out."""
    return [(3 * place + 1, title, body) for place, (title, body) in enumerate(chunks)]


def holds(row: Row, term: str) -> int:
    """How often a row holds a term, its title counting twice; a name of two terms wherever it stands, once each."""
    _, title, body = row
    parts = term.split()
    if len(parts) == 1:
        return TITLE_WEIGHT * title.split().count(term) + body.split().count(term)
    if not (any(map(str.isdigit, term)) and any(map(str.isalpha, term))):
        return int(all(holds(row, part) for part in parts))
    return sum(list(pairwise(text.split())).count((parts[0], parts[1])) for text in (title, body))


def columns(made: Postings) -> list[tuple[str, str, list[int]]]:
    """All numbers of an index, and of which kind they are."""
    return [(name, str(column.dtype), column.tolist()) for name, column in made.to_columns().items()]


def score_bm25(rows: list[Row], question: list[str]) -> dict[int, float]:
    """What each row that holds anything of the question scores."""
    lengths = {row[0]: len(row[1].split()) + len(row[2].split()) for row in rows}
    mean = sum(lengths.values()) / max(1, len(rows))
    scores: dict[int, float] = defaultdict(float)
    for term, times in Counter(question).items():
        found = {row[0]: count for row in rows if (count := holds(row, term))}
        weight = times * math.log1p((len(rows) - len(found) + 0.5) / (len(found) + 0.5))
        for chunk, count in found.items():
            norm = K1 * (1 - B + B * lengths[chunk] / mean)
            scores[chunk] += weight * (K1 + 1) * count / (count + norm)
    return dict(scores)


@given(_chunks, _questions, st.lists(st.integers(0, 30), max_size=4), st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_scores_are_those_of_the_formula(
    chunks: list[tuple[str, str]], question: list[str], cuts: list[int], gone: set[int], k: int
) -> None:
    """However the chunks came, in whatever portions, and whichever were removed: the same best k."""
    rows = numbered(chunks)
    removed = np.array([row[0] for place, row in enumerate(rows) if place in gone], np.int64)
    edges = sorted({0, *(min(cut, len(rows)) for cut in cuts), len(rows)})
    view = BM25Index.from_segments([])
    for start, end in pairwise(edges):
        view = view.apply_changes(build(rows[start:end]), np.empty(0, np.int64))
    view = view.apply_changes(build([]), removed)
    alive = [row for place, row in enumerate(rows) if place not in gone]
    expected = score_bm25(alive, question)
    found = view.search(question, k, None)
    best = sorted(expected.values(), reverse=True)[:k]
    assert np.allclose(found.scores[:k], best, rtol=1e-5)
    assert all(math.isclose(expected[chunk], score, rel_tol=1e-5) for chunk, score in zip(found.ids, found.scores))  # noqa: B905
    allowed = np.array([row[0] for row in rows[::2]], np.int64)
    inside = view.search(question, k, allowed)
    assert set(inside.ids.tolist()) <= set(allowed.tolist())
    assert len(inside.ids) >= min(k, len(expected.keys() & set(allowed.tolist())))


@given(_chunks, st.integers(0, 30), st.integers(1, 50))
def test_cutting_changes_nothing(chunks: list[tuple[str, str]], cut: int, copied: int) -> None:
    """Indexes that are merged are the index of all rows, bit by bit, however few are copied at once."""
    rows = numbered(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "_MAX_COPIED_ROWS", copied)
        joined = merge([build(rows[:cut]), build(rows[cut:])])
    assert columns(build(rows)) == columns(joined)


@given(_chunks, st.sets(st.integers(0, 29)))
def test_what_is_gone_leaves_no_trace(chunks: list[tuple[str, str]], gone: set[int]) -> None:
    """The index without some rows is the one of the others, bit by bit."""
    rows = numbered(chunks)
    left = drop_chunks(build(rows), np.array([row[0] for place, row in enumerate(rows) if place in gone], np.int64))
    assert columns(left) == columns(build([row for place, row in enumerate(rows) if place not in gone]))


@given(st.lists(st.tuples(_prose, _prose), max_size=20), st.integers(1, 20))
def test_words_and_characters_are_indexed_together(chunks: list[tuple[str, str]], at_once: int) -> None:
    """Both indexes are those that are built one by one, number for number, of however many rows at once."""
    rows = numbered(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_stream, "BATCH_ROWS", at_once)
        together = postings.index_rows(rows)
    alone = merge(
        [
            postings._build_index(term_stream.read_terms(some)[0], False)
            for some in term_stream.batch_rows(spelled(rows))
        ]
    )
    assert columns(together[0]) == columns(build(rows))
    assert columns(together[1]) == columns(alone)


def test_terms_are_found_by_their_keys() -> None:
    """Keys that are made together are those by which a question looks."""
    made = build([(1, "lamp", "東京 fog k 17")])
    assert set(made.hashes.read_all().tolist()) == {
        postings.hash_term(term) for term in "lamp fog k 17 東京".split()
    } | {postings.hash_term("k 17")}


def test_equal_chunks_all_come_along() -> None:
    """Where the last of the best k has equals, they are returned too, so that the caller may order them."""
    view = BM25Index.from_segments(
        [PostingsSegment(build([(n, "", "lamp fog" if n < 9 else "bell") for n in range(1, 20)]))]
    )
    assert view.search(["lamp"], 3, None).ids.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_few_indexes_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand single additions leave a handful of indexes to look through."""
    view = BM25Index.from_segments([])
    for number in range(1, 1001):
        view = view.apply_changes(build([(number, "", f"lamp t{number}")]), np.empty(0, np.int64))
    assert len(view.segments) <= 6
    assert view.chunk_count == 1000
    assert view.search(["t777"], 5, None).ids.tolist() == [777]


def test_a_question_of_very_many_terms_is_bounded() -> None:
    """Only the first so many different terms count."""
    view = BM25Index.from_segments([PostingsSegment(build([(1, "", "first"), (2, "", "late")]))])
    question = ["first", *(f"t{n}" for n in range(bm25.MAX_QUERY_TERMS)), "late"]
    assert view.search(question, 5, None).ids.tolist() == [1]
    assert len(view.compute_idf(question)) == bm25.MAX_QUERY_TERMS


def test_a_term_without_end_counts_like_a_frequent_one() -> None:
    """Counts are kept in one byte each."""
    often = build([(1, "", "lamp " * 1000)])
    assert often.counts[0:1].tolist() == [MAX_TERM_COUNT]
    assert often.lengths.tolist() == [1000]
