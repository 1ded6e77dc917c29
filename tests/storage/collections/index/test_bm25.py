"""The inverted index against the formula of BM25, for any split of the chunks into segments."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.unnamed_file import UnnamedFile
from semsearch.storage.collections.local.index import bm25, postings, postings_slices, term_stream
from semsearch.storage.collections.local.index.bm25 import K1, B, BM25Index, PostingsSegment
from semsearch.storage.collections.local.index.postings import (
    MAX_TERM_COUNT,
    TITLE_WEIGHT,
    Postings,
    drop_chunks,
    index_rows,
    merge,
)
from semsearch.storage.collections.local.index.postings_slices import map_merged, map_remaining, move_to_file
from semsearch.text.analyzer import FUNCTION_WORDS, MIN_CHUNK_FUNCTION_WORD_SHARE, character_trigrams

Row = tuple[int, str, str]

_terms = st.sampled_from("lamp fog bell k 17 x509 v3 東京 京都".split())
_texts = st.lists(_terms, max_size=12).map(" ".join)
_chunks = st.lists(st.tuples(_texts, _texts), min_size=1, max_size=30)
_prose = st.lists(st.sampled_from("the of lamp fog k 17 東京 haus x509".split()), max_size=20).map(" ".join)
_questions = st.lists(st.sampled_from([*"lamp fog bell k 17 none".split(), "k 17", "lamp fog", "x509 v3"]), max_size=6)


def build(rows: list[Row]) -> Postings:
    """Return the postings of these rows."""
    return index_rows(rows)[0]


def to_trigram_rows(rows: list[Row]) -> list[Row]:
    """Return the rows that are not in English, with the trigrams of their terms."""
    return [
        (number, " ".join(character_trigrams(title.split())), " ".join(character_trigrams(body.split())))
        for number, title, body in rows
        if sum(term in FUNCTION_WORDS for term in body.split()) < MIN_CHUNK_FUNCTION_WORD_SHARE * len(body.split())
    ]


def to_rows(chunks: list[tuple[str, str]]) -> list[Row]:
    """Return the rows of these chunks, with gaps between the ids."""
    return [(3 * index + 1, title, body) for index, (title, body) in enumerate(chunks)]


def count_term(row: Row, term: str) -> int:
    """Return how often a row contains a term or a pair of terms; terms of the title count twice."""
    _, title, body = row
    parts = term.split()
    if len(parts) == 1:
        return TITLE_WEIGHT * title.split().count(term) + body.split().count(term)
    if not (any(map(str.isdigit, term)) and any(map(str.isalpha, term))):
        return int(all(count_term(row, part) for part in parts))
    return sum(list(pairwise(text.split())).count((parts[0], parts[1])) for text in (title, body))


def columns(index: Postings) -> list[tuple[str, str, list[int]]]:
    """Return name, type and elements of each array of an index."""
    return [(name, str(column.dtype), column.tolist()) for name, column in index.to_columns().items()]


def score_bm25(rows: list[Row], question: list[str]) -> dict[int, float]:
    """Return the score of each row that contains a term of the query, by id."""
    lengths = {row[0]: len(row[1].split()) + len(row[2].split()) for row in rows}
    mean = sum(lengths.values()) / max(1, len(rows))
    scores: dict[int, float] = defaultdict(float)
    for term, query_count in Counter(question).items():
        counts = {row[0]: count for row in rows if (count := count_term(row, term))}
        weight = query_count * math.log1p((len(rows) - len(counts) + 0.5) / (len(counts) + 0.5))
        for chunk_id, count in counts.items():
            norm = K1 * (1 - B + B * lengths[chunk_id] / mean)
            scores[chunk_id] += weight * (K1 + 1) * count / (count + norm)
    return dict(scores)


@given(_chunks, _questions, st.lists(st.integers(0, 30), max_size=4), st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_scores_follow_the_formula(
    chunks: list[tuple[str, str]], question: list[str], cuts: list[int], removed_indexes: set[int], k: int
) -> None:
    """The best k are the same for any batches of chunks, and after any removals."""
    rows = to_rows(chunks)
    removed_ids = np.array([row[0] for index, row in enumerate(rows) if index in removed_indexes], np.int64)
    edges = sorted({0, *(min(cut, len(rows)) for cut in cuts), len(rows)})
    bm25_index = BM25Index.from_segments([])
    for start, end in pairwise(edges):
        bm25_index = bm25_index.apply_changes(build(rows[start:end]), np.empty(0, np.int64))
    bm25_index = bm25_index.apply_changes(build([]), removed_ids)
    live_rows = [row for index, row in enumerate(rows) if index not in removed_indexes]
    expected = score_bm25(live_rows, question)
    hits = bm25_index.search(question, k, None)
    best = sorted(expected.values(), reverse=True)[:k]
    assert np.allclose(hits.scores[:k], best, rtol=1e-5)
    assert all(math.isclose(expected[chunk_id], score, rel_tol=1e-5) for chunk_id, score in zip(hits.ids, hits.scores))  # noqa: B905
    allowed_ids = np.array([row[0] for row in rows[::2]], np.int64)
    filtered = bm25_index.search(question, k, allowed_ids)
    assert set(filtered.ids.tolist()) <= set(allowed_ids.tolist())
    assert len(filtered.ids) >= min(k, len(expected.keys() & set(allowed_ids.tolist())))


@given(_chunks, st.integers(0, 30), st.integers(1, 50))
def test_merge_equals_one_build(chunks: list[tuple[str, str]], cut: int, copied: int) -> None:
    """Merged indexes equal the index of all rows, bit for bit, for any size of copies."""
    rows = to_rows(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "_MAX_COPIED_ROWS", copied)
        merged = merge([build(rows[:cut]), build(rows[cut:])])
    assert columns(build(rows)) == columns(merged)


@given(_chunks, st.lists(st.integers(0, 30), max_size=3), st.sets(st.integers(0, 29)), st.integers(1, 50))
def test_index_that_is_merged_in_slices_equals_one_build(
    chunks: list[tuple[str, str]], cuts: list[int], removed_indexes: set[int], slice_postings: int
) -> None:
    """An index in files is merged, and its rows are removed, with the result of a build, for any size of slices."""
    rows = to_rows(chunks)
    removed_ids = np.array([row[0] for index, row in enumerate(rows) if index in removed_indexes], np.int64)
    edges = sorted({0, *(min(cut, len(rows)) for cut in cuts), len(rows)})
    file = UnnamedFile()
    parts = [move_to_file(build(rows[start:end]), file) for start, end in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings_slices, "SLICE_POSTINGS", slice_postings)
        merged = map_merged(parts)
        remaining = map_remaining(merged, removed_ids)
    assert columns(merged) == columns(build(rows))
    assert columns(remaining) == columns(build([row for index, row in enumerate(rows) if index not in removed_indexes]))


@given(_chunks, st.sets(st.integers(0, 29)))
def test_index_without_dropped_chunks_equals_a_fresh_build(
    chunks: list[tuple[str, str]], removed_indexes: set[int]
) -> None:
    """The index without removed rows equals the index of the others, bit for bit."""
    rows = to_rows(chunks)
    remaining = drop_chunks(
        build(rows), np.array([row[0] for index, row in enumerate(rows) if index in removed_indexes], np.int64)
    )
    assert columns(remaining) == columns(build([row for index, row in enumerate(rows) if index not in removed_indexes]))


@given(st.lists(st.tuples(_prose, _prose), max_size=20), st.integers(1, 20))
def test_both_indexes_are_built_in_one_pass(chunks: list[tuple[str, str]], batch_size: int) -> None:
    """Postings and trigram postings equal those of separate builds, for any size of batches."""
    rows = to_rows(chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_stream, "BATCH_ROWS", batch_size)
        both = postings.index_rows(rows)
    trigram_postings = merge(
        [
            postings._build_index(term_stream.read_terms(batch)[0], False)
            for batch in term_stream.batch_rows(to_trigram_rows(rows))
        ]
    )
    assert columns(both[0]) == columns(build(rows))
    assert columns(both[1]) == columns(trigram_postings)


def test_terms_are_stored_by_their_hashes() -> None:
    """The hashes of an index are those of `hash_term`."""
    index = build([(1, "lamp", "東京 fog k 17")])
    assert set(index.hashes.read_all().tolist()) == {
        postings.hash_term(term) for term in "lamp fog k 17 東京".split()
    } | {postings.hash_term("k 17")}


def test_ties_with_the_last_chunk_are_returned() -> None:
    """Chunks tied with the k-th are returned too, so that the caller can order them."""
    index = BM25Index.from_segments(
        [PostingsSegment(build([(n, "", "lamp fog" if n < 9 else "bell") for n in range(1, 20)]))]
    )
    assert index.search(["lamp"], 3, None).ids.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.slow
def test_segments_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a thousand single additions there are at most six segments."""
    index = BM25Index.from_segments([])
    for number in range(1, 1001):
        index = index.apply_changes(build([(number, "", f"lamp t{number}")]), np.empty(0, np.int64))
    assert len(index.segments) <= 6
    assert index.chunk_count == 1000
    assert index.search(["t777"], 5, None).ids.tolist() == [777]


def test_distinct_query_terms_are_limited() -> None:
    """Only the first `MAX_QUERY_TERMS` distinct terms are searched."""
    index = BM25Index.from_segments([PostingsSegment(build([(1, "", "first"), (2, "", "late")]))])
    query = ["first", *(f"t{n}" for n in range(bm25.MAX_QUERY_TERMS)), "late"]
    assert index.search(query, 5, None).ids.tolist() == [1]
    assert len(index.compute_idf(query)) == bm25.MAX_QUERY_TERMS


def test_counts_are_capped() -> None:
    """Counts are stored in one byte each."""
    index = build([(1, "", "lamp " * 1000)])
    assert index.counts[0:1].tolist() == [MAX_TERM_COUNT]
    assert index.lengths.tolist() == [1000]
