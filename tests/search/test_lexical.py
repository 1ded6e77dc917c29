"""Which queries are searched by character trigrams too, and how both legs are combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.ports import ReadSnapshot
from semsearch.core.types.documents import Ids
from semsearch.core.types.search import Language, ScoredIds
from semsearch.search.lexical import search_terms, uses_trigrams

LANGUAGES: tuple[Language, ...] = ("en", "latin", "other")

_scores = st.dictionaries(st.integers(1, 12), st.floats(0.01, 40.0), max_size=12)


@dataclass
class TwoLegs:
    """The part of a snapshot that a lexical search uses: it returns these scores, and records the trigrams."""

    term_scores: dict[int, float] = field(default_factory=dict)
    trigram_scores: dict[int, float] = field(default_factory=dict)
    chunk_count: int = 10
    trigram_chunk_count: int = 0
    searched_trigrams: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """All chunks."""
        return self.chunk_count

    def lexical_search(self, terms: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """The scores of the terms."""
        return to_scored_ids(self.term_scores)

    def trigram_search(self, trigrams: Sequence[str], k: int, allowed_ids: Ids | None = None) -> ScoredIds:
        """The scores of the trigrams."""
        self.searched_trigrams += trigrams
        return to_scored_ids(self.trigram_scores)


def to_scored_ids(scores: dict[int, float]) -> ScoredIds:
    """Scores by falling score, then by id."""
    ids = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return ScoredIds(np.array(ids, np.int64), np.array([scores[chunk_id] for chunk_id in ids]))


def search(snapshot: TwoLegs, terms: Sequence[str], k: int, language: Language) -> list[tuple[int, float]]:
    """Ids and scores of a search."""
    scored = search_terms(cast(ReadSnapshot, snapshot), terms, k, language=language)
    return list(zip(scored.ids.tolist(), scored.scores.tolist(), strict=True))


@given(_scores, _scores, st.integers(1, 12))
def test_each_leg_counts_half_of_its_best_score(
    term_scores: dict[int, float], trigram_scores: dict[int, float], k: int
) -> None:
    """The combined scores are exactly .5 of each leg, scaled to a maximum of 1; ties with the k-th chunk are kept."""
    snapshot = TwoLegs(term_scores, trigram_scores, trigram_chunk_count=10)
    combined: dict[int, float] = {}
    for leg in (term_scores, trigram_scores):
        for chunk_id, score in leg.items():
            combined[chunk_id] = combined.get(chunk_id, 0.0) + score * (0.5 / max(leg.values()))
    expected = sorted(combined.items(), key=lambda pair: (-pair[1], pair[0]))
    last = expected[:k][-1][1] if expected else 0.0
    assert search(snapshot, ["haus"], k, "other") == [pair for pair in expected if pair[1] >= last]


@given(_scores, _scores)
def test_english_queries_have_the_scores_of_bm25(
    term_scores: dict[int, float], trigram_scores: dict[int, float]
) -> None:
    """The trigrams are neither searched nor counted, whatever the language of the chunks."""
    snapshot = TwoLegs(term_scores, trigram_scores, trigram_chunk_count=10)
    terms = to_scored_ids(term_scores)
    assert search(snapshot, ["house"], 1, "en") == list(zip(terms.ids.tolist(), terms.scores.tolist(), strict=True))
    assert snapshot.searched_trigrams == []


@pytest.mark.parametrize(
    ("trigram_chunk_count", "languages"),
    [(0, set()), (1, {"other"}), (5, {"other"}), (6, {"latin", "other"}), (10, {"latin", "other"})],
)
def test_most_chunks_decide_for_a_query_in_latin_script(trigram_chunk_count: int, languages: set[Language]) -> None:
    """Of ten chunks more than five must not be English; a query in another script needs one such chunk."""
    snapshot = cast(ReadSnapshot, TwoLegs(trigram_chunk_count=trigram_chunk_count))
    assert {language for language in LANGUAGES if uses_trigrams(snapshot, language)} == languages


def test_phrases_have_no_trigrams_of_their_own() -> None:
    """Their terms are searched as single terms."""
    snapshot = TwoLegs(trigram_chunk_count=10)
    search(snapshot, ["haus", "k", "17", "k 17"], 5, "other")
    assert snapshot.searched_trigrams == ["^ha", "hau", "aus", "us$", "k", "17"]
