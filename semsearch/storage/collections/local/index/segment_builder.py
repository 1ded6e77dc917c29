"""Build postings and sentence terms of many chunks, part by part. Starts no process and writes no file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .....core.types.documents import Ids
from ..rows.terms import TermRow
from . import sentence_terms
from .arrays import Array
from .postings import EMPTY_POSTINGS, Postings, build_indexes, drop_chunks, merge
from .sentence_terms import SentenceTerms
from .term_stream import read_terms

INDEX_VERSION = "1"
"""Must change whenever the same rows give another index."""

_NO_SENTENCES = np.empty(0, np.uint32), np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class IndexPart:
    """Postings and sentence terms of a batch of rows."""

    postings: Postings
    trigram_postings: Postings
    """Character trigrams of the chunks that are not in English."""
    sentence_terms: Array
    sentence_sizes: Array
    """How many elements of `sentence_terms` each row has."""


def build_part(rows: Sequence[TermRow]) -> IndexPart:
    """Index a batch of rows."""
    stream, lines = read_terms(rows)
    postings, trigram_postings = build_indexes(stream)
    return IndexPart(postings, trigram_postings, *sentence_terms.encode_sentence_terms(stream, lines))


def reuse_previous_parts(
    postings: Postings, trigram_postings: Postings | None, sentence_terms: SentenceTerms, removed_ids: Ids
) -> Iterator[IndexPart]:
    """Yield the parts of an earlier index, without the removed chunks; `removed_ids` is ascending."""
    remaining_trigrams = EMPTY_POSTINGS if trigram_postings is None else drop_chunks(trigram_postings, removed_ids)
    yield IndexPart(drop_chunks(postings, removed_ids), remaining_trigrams, *_NO_SENTENCES)
    for numbers, sizes in sentence_terms.iter_without(removed_ids):
        yield IndexPart(EMPTY_POSTINGS, EMPTY_POSTINGS, numbers, sizes)


class PartMerger:
    """Merge parts: sentence terms are streamed, and postings are merged when all parts have been read."""

    def __init__(self, parts: Iterable[IndexPart]) -> None:
        self._parts = parts
        self._postings: list[Postings] = []
        self._trigram_postings: list[Postings] = []
        self._sentence_sizes = [np.zeros(1, np.int64)]

    def iter_sentence_terms(self) -> Iterator[Array]:
        """Yield the sentence terms of each part. Call it once, and exhaust it before the other methods."""
        for part in self._parts:
            self._postings.append(part.postings)
            self._trigram_postings.append(part.trigram_postings)
            self._sentence_sizes.append(part.sentence_sizes)
            yield part.sentence_terms

    def compute_sentence_starts(self) -> Array:
        """Return the offset of each row in the sentence terms, and the end of the last, shape (rows + 1,)."""
        return np.cumsum(np.concatenate(self._sentence_sizes))

    def merge_postings(self) -> Postings:
        """Return the postings of all parts."""
        return merge(self._postings)

    def merge_trigram_postings(self) -> Postings:
        """Return the trigram postings of all parts."""
        return merge(self._trigram_postings)
