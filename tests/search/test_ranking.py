"""Fusion and reranking: invariants for any scores."""

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
QUERY = AnalyzedQuery("castles built", ("castl", "built"), WEIGHTS)

_leg = st.dictionaries(st.integers(1, 30), st.floats(-5, 50, allow_subnormal=False), max_size=20).map(
    lambda scores: scored(scores)
)
_legs = st.lists(st.tuples(_leg, st.floats(0, 1, allow_subnormal=False)), max_size=3)


def scored(scores: dict[int, float]) -> ScoredIds:
    """Return a leg of a search with these scores by chunk id."""
    return ScoredIds(np.array(list(scores), np.int64), np.array(list(scores.values()), np.float64))


def chunk(number: int, *sentences: str, uri: str = "a", start: int = 0) -> StoredChunk:
    """Return a stored chunk with these terms and this position."""
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
    """A leg of large scores counts by its weight, not by its scale; a chunk that is missing in a leg scores 0 in it."""
    fused = fuse([(scored({1: 20.0, 2: 10.0}), 0.6), (scored({2: 0.5, 3: 0.4}), 0.4)], 10)
    assert fused.ids.tolist() == [2, 1, 3]
    assert fused.scores == pytest.approx([0.7, 0.6, 0.32])


def test_negative_score_counts_as_zero() -> None:
    """A chunk of negative score in a leg is not worse than one that is missing in the leg."""
    fused = fuse([(scored({1: 1.0, 2: -0.5}), 0.5), (scored({1: 1.0, 3: 0.0}), 0.5)], 10)
    assert dict(zip(fused.ids.tolist(), fused.scores.tolist(), strict=True)) == {1: 1.0, 2: 0.0, 3: 0.0}


def test_fusing_empty_legs_gives_no_chunk() -> None:
    """The result is empty without legs, and with legs without chunks."""
    assert len(fuse([], 5).ids) == 0
    assert len(fuse([(scored({}), 1.0)], 5).ids) == 0


@given(_legs, st.integers(0, 40))
def test_fusion_returns_every_chunk_once_in_order(legs: list[tuple[ScoredIds, float]], k: int) -> None:
    """The result has the chunks of all legs once, by falling score and then by id, up to k."""
    fused = fuse(legs, k)
    all_ids = {chunk_id for leg, _ in legs for chunk_id in leg.ids.tolist()}
    assert len(fused.ids) == len(fused.scores) == min(k, len(all_ids))
    assert set(fused.ids.tolist()) <= all_ids
    pairs = list(zip((-fused.scores).tolist(), fused.ids.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert all(0 <= score <= sum(weight for _, weight in legs) + 1e-9 for score in fused.scores)


@given(_legs)
def test_order_of_the_legs_does_not_matter(legs: list[tuple[ScoredIds, float]]) -> None:
    """Fusion is commutative."""
    forward, backward = fuse(legs, 100), fuse(legs[::-1], 100)
    assert dict(zip(forward.ids.tolist(), forward.scores.tolist(), strict=True)) == pytest.approx(
        dict(zip(backward.ids.tolist(), backward.scores.tolist(), strict=True))
    )


def test_ties_are_in_order_of_uri_and_start() -> None:
    """Ids do not matter, because they depend on the history of the store."""
    ranked = [(chunk(1, uri="b"), 0.5), (chunk(2, uri="a", start=9), 0.5), (chunk(3, uri="a"), 0.5), (chunk(4), 0.6)]
    assert [chunk.id for chunk, _ in sort_by_score(ranked)] == [4, 3, 2, 1]


def test_reranking_prefers_terms_in_one_sentence() -> None:
    """Terms in one sentence score higher than the same terms in two."""
    split = chunk(1, "castl", "built")
    joined = chunk(2, "built x x x castl")
    reranked = rerank([(split, 0.9), (joined, 0.85)], QueryCoverage(QUERY))
    assert [chunk.id for chunk, _ in reranked] == [2, 1]
    assert reranked[0][1] == pytest.approx(0.85 + SENTENCE_WEIGHT)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", "castl", "built castl", "castl built"])), max_size=40),
)
def test_reranking_changes_only_the_top(scored_texts: list[tuple[float, str]]) -> None:
    """All chunks stay, no score falls, chunks behind `RERANK_DEPTH` do not change, and the order is by score."""
    scored_texts.sort(key=lambda scored_text: -scored_text[0])
    ranked = [(chunk(number, text), score) for number, (score, text) in enumerate(scored_texts)]
    reranked = rerank(ranked, QueryCoverage(QUERY))
    assert reranked[RERANK_DEPTH:] == ranked[RERANK_DEPTH:]
    old_scores = {item.id: score for item, score in ranked}
    assert {item.id for item, _ in reranked} == old_scores.keys()
    assert all(score >= old_scores[item.id] for item, score in reranked)
    assert [score for _, score in reranked] == sorted((score for _, score in reranked), reverse=True)


def test_reranking_without_query_terms_changes_nothing() -> None:
    """The fused order stays."""
    ranked = [(chunk(1, "castl"), 0.5), (chunk(2, "built"), 0.4)]
    assert rerank(ranked, QueryCoverage(AnalyzedQuery("", (), {}))) == ranked
    assert rerank([], QueryCoverage(QUERY)) == []
