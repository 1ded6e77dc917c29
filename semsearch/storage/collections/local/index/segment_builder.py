"""Makes the word indexes and the sentences of many chunks, portion by portion. Starts no process and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .....core.types.documents import Ids
from ..rows.terms import TermRow
from . import sentence_terms as sentences
from .arrays import Array
from .postings import EMPTY_POSTINGS, Postings, build_indexes, drop_chunks, merge
from .sentence_terms import SentenceTerms
from .term_stream import read_terms

INDEX_VERSION = "1"
"""Changes whenever the same rows come to something else."""

_NO_SENTENCES = np.empty(0, np.uint32), np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class IndexPart:
    """What some rows come to."""

    postings: Postings
    trigram_postings: Postings
    """Of those that are not in English, by the characters of their terms."""
    sentence_terms: Array
    sentence_sizes: Array
    """How many of the numbers are those of each row."""


def build_part(rows: Sequence[TermRow]) -> IndexPart:
    """Index some rows."""
    found, lines = read_terms(rows)
    words, grams = build_indexes(found)
    return IndexPart(words, grams, *sentences.encode_sentence_terms(found, lines))


def reuse_previous_parts(
    postings: Postings, trigram_postings: Postings | None, sentence_terms: SentenceTerms, removed_ids: Ids
) -> Iterator[IndexPart]:
    """What rows came to that were indexed before, without those of chunks that are gone; the ids of these ascend."""
    by_characters = EMPTY_POSTINGS if trigram_postings is None else drop_chunks(trigram_postings, removed_ids)
    yield IndexPart(drop_chunks(postings, removed_ids), by_characters, *_NO_SENTENCES)
    for numbers, sizes in sentence_terms.iter_without(removed_ids):
        yield IndexPart(EMPTY_POSTINGS, EMPTY_POSTINGS, numbers, sizes)


class PartMerger:
    """Portions as one: their sentences while they come, and all else when they are through."""

    def __init__(self, parts: Iterable[IndexPart]) -> None:
        self._parts = parts
        self._postings: list[Postings] = []
        self._trigram_postings: list[Postings] = []
        self._sentence_sizes = [np.zeros(1, np.int64)]

    def iter_sentence_terms(self) -> Iterator[Array]:
        """The numbers of all rows; to be run through once."""
        for portion in self._parts:
            self._postings.append(portion.postings)
            self._trigram_postings.append(portion.trigram_postings)
            self._sentence_sizes.append(portion.sentence_sizes)
            yield portion.sentence_terms

    def compute_sentence_starts(self) -> Array:
        """Where each row begins among the numbers, and the end of the last."""
        return np.cumsum(np.concatenate(self._sentence_sizes))

    def merge_postings(self) -> Postings:
        """The index of all words."""
        return merge(self._postings)

    def merge_trigram_postings(self) -> Postings:
        """The index by characters."""
        return merge(self._trigram_postings)
