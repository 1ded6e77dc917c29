"""Lexical search: BM25 over terms, and over the character trigrams of the terms where the text is not English.

Does not read postings: the snapshot searches each index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.ports import ReadSnapshot
from ..core.types.documents import Ids
from ..core.types.search import Language, ScoredIds
from ..text.analyzer import character_trigrams
from .ranking import fuse

TERM_WEIGHT = 0.5
TRIGRAM_WEIGHT = 0.5
"""Weights of the two legs, each scaled to a maximum of 1."""


def search_terms(
    snapshot: ReadSnapshot, terms: Sequence[str], k: int, allowed_ids: Ids | None = None, *, language: Language
) -> ScoredIds:
    """Return the k best chunks for the terms of a query in this language, and those tied with the last of them.

    The scores are those of BM25, or a weighted sum of both legs where trigrams are searched too.
    """
    by_terms = snapshot.lexical_search(terms, k, allowed_ids)
    if not uses_trigrams(snapshot, language):
        return by_terms
    # a phrase adds no trigrams: its terms are in `terms` too
    trigrams = character_trigrams(term for term in terms if " " not in term)
    by_trigrams = snapshot.trigram_search(trigrams, k, allowed_ids)
    legs = [(by_terms, TERM_WEIGHT), (by_trigrams, TRIGRAM_WEIGHT)]
    fused = fuse(legs, len(by_terms.ids) + len(by_trigrams.ids))
    if len(fused.ids) <= k:
        return fused
    kept = int(np.searchsorted(-fused.scores, -fused.scores[k - 1], "right"))
    return ScoredIds(fused.ids[:kept], fused.scores[:kept])


def uses_trigrams(snapshot: ReadSnapshot, language: Language) -> bool:
    """Return whether a query in this language is searched by character trigrams too.

    A short query in Latin script may be English or not; then the language of most chunks decides.
    """
    if not snapshot.trigram_chunk_count:
        return False
    return language == "other" or (language == "latin" and 2 * snapshot.trigram_chunk_count > len(snapshot))
