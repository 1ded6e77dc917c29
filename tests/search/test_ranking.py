"""What fusing and reranking promise, whatever the scores are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.answers import AnalyzedQuery
from semsearch.core.types.packed_terms import PackedSpans, PackedTerms
from semsearch.core.types.search import ScoredIds, StoredChunk
from semsearch.search.coverage import QueryCoverage
from semsearch.search.ranking import RERANK_DEPTH, SENTENCE_WEIGHT, fuse, rerank, sort_by_score

WEIGHTS = {"castl": 3.0, "built": 1.0}
ASKED = AnalyzedQuery("castles built", ("castl", "built"), WEIGHTS)

leg = st.dictionaries(st.integers(1, 30), st.floats(-5, 50, allow_subnormal=False), max_size=20).map(
    lambda scores: scored(scores)
)
legs = st.lists(st.tuples(leg, st.floats(0, 1, allow_subnormal=False)), max_size=3)


def scored(scores: dict[int, float]) -> ScoredIds:
    """A leg of a search."""
    return ScoredIds(np.array(list(scores), np.int64), np.array(list(scores.values()), np.float64))


def chunk(number: int, *sentences: str, uri: str = "a", start: int = 0) -> StoredChunk:
    """A stored chunk of which only its terms and its place matter."""
    return StoredChunk(
        id=number,
        document_id=1,
        ordinal=number,
        uri=uri,
        title="",
        heading="",
        page=None,
        start=start,
        end=start + 1,
        text="",
        sentences=PackedSpans([]),
        terms=PackedTerms.pack(sentence.split() for sentence in sentences),
        content_sha256="",
        metadata={},
    )


def test_each_leg_is_scaled_to_its_maximum() -> None:
    """A leg of large scores counts by its weight, not by its size; a chunk that it missed has 0 there."""
    fused = fuse([(scored({1: 20.0, 2: 10.0}), 0.6), (scored({2: 0.5, 3: 0.4}), 0.4)], 10)
    assert fused.ids.tolist() == [2, 1, 3]
    assert fused.scores == pytest.approx([0.7, 0.6, 0.32])


def test_a_score_below_nothing_counts_as_nothing() -> None:
    """A chunk that a leg finds opposed to the question is not worse than one that it did not find."""
    fused = fuse([(scored({1: 1.0, 2: -0.5}), 0.5), (scored({1: 1.0, 3: 0.0}), 0.5)], 10)
    assert dict(zip(fused.ids.tolist(), fused.scores.tolist(), strict=True)) == {1: 1.0, 2: 0.0, 3: 0.0}


def test_nothing_fused_is_nothing() -> None:
    """No leg, or legs without a chunk, give no chunk."""
    assert len(fuse([], 5).ids) == 0
    assert len(fuse([(scored({}), 1.0)], 5).ids) == 0


@given(legs, st.integers(0, 40))
def test_fusing_keeps_every_chunk_once_in_order(found: list[tuple[ScoredIds, float]], k: int) -> None:
    """All chunks of all legs come out once, by falling score and then by id, cut at k."""
    fused = fuse(found, k)
    everything = {number for one, _ in found for number in one.ids.tolist()}
    assert len(fused.ids) == len(fused.scores) == min(k, len(everything))
    assert set(fused.ids.tolist()) <= everything
    pairs = list(zip((-fused.scores).tolist(), fused.ids.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert all(0 <= score <= sum(weight for _, weight in found) + 1e-9 for score in fused.scores)


@given(legs)
def test_the_order_of_the_legs_does_not_matter(found: list[tuple[ScoredIds, float]]) -> None:
    """Fusing is the same from either side."""
    one, other = fuse(found, 100), fuse(found[::-1], 100)
    assert dict(zip(one.ids.tolist(), one.scores.tolist(), strict=True)) == pytest.approx(
        dict(zip(other.ids.tolist(), other.scores.tolist(), strict=True))
    )


def test_equal_scores_are_in_order_of_place() -> None:
    """Ties go by uri, then start, and not by id, which depends on the history."""
    ranked = [(chunk(1, uri="b"), 0.5), (chunk(2, uri="a", start=9), 0.5), (chunk(3, uri="a"), 0.5), (chunk(4), 0.6)]
    assert [one.id for one, _ in sort_by_score(ranked)] == [4, 3, 2, 1]


def test_reranking_lifts_what_one_sentence_holds() -> None:
    """Terms in one sentence are worth more than the same terms in two."""
    split = chunk(1, "castl", "built")
    joined = chunk(2, "built x x x castl")
    found = rerank([(split, 0.9), (joined, 0.85)], QueryCoverage(ASKED))
    assert [one.id for one, _ in found] == [2, 1]
    assert found[0][1] == pytest.approx(0.85 + SENTENCE_WEIGHT)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", "castl", "built castl", "castl built"])), max_size=40),
)
def test_reranking_moves_only_the_head(found: list[tuple[float, str]]) -> None:
    """All chunks stay, none falls in score, what follows the head stays as it was, and the order is by score."""
    found.sort(key=lambda one: -one[0])
    ranked = [(chunk(number, text), score) for number, (score, text) in enumerate(found)]
    after = rerank(ranked, QueryCoverage(ASKED))
    assert after[RERANK_DEPTH:] == ranked[RERANK_DEPTH:]
    before = {one.id: score for one, score in ranked}
    assert {one.id for one, _ in after} == before.keys()
    assert all(score >= before[one.id] for one, score in after)
    assert [score for _, score in after] == sorted((score for _, score in after), reverse=True)


def test_reranking_without_a_question_changes_nothing() -> None:
    """Where no term is left, the fused order stands."""
    ranked = [(chunk(1, "castl"), 0.5), (chunk(2, "built"), 0.4)]
    assert rerank(ranked, QueryCoverage(AnalyzedQuery("", (), {}))) == ranked
    assert rerank([], QueryCoverage(ASKED)) == []
