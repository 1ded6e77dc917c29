"""Build postings and sentence terms of many chunks, part by part. Starts no process and writes no file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .....core.types.documents import Ids
from .....core.unnamed_file import UnnamedFile
from ..rows.terms import TermRow
from . import sentence_terms
from .arrays import Array
from .postings import EMPTY_POSTINGS, Postings, build_indexes
from .postings_slices import map_remaining, move_to_file
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
    remaining, remaining_trigrams = (
        map_remaining(index, removed_ids) if index is not None and len(removed_ids) else index or EMPTY_POSTINGS
        for index in (postings, trigram_postings)
    )
    yield IndexPart(remaining, remaining_trigrams, *_NO_SENTENCES)
    for numbers, sizes in sentence_terms.iter_without(removed_ids):
        yield IndexPart(EMPTY_POSTINGS, EMPTY_POSTINGS, numbers, sizes)


class PartMerger:
    """Merge parts: sentence terms are streamed, and postings wait in a file until all parts have been read."""

    def __init__(self, parts: Iterable[IndexPart]) -> None:
        self._parts = parts
        self._file = UnnamedFile()
        self._postings: list[Postings] = []
        self._trigram_postings: list[Postings] = []
        self._sentence_sizes = [np.zeros(1, np.int64)]

    def iter_sentence_terms(self) -> Iterator[Array]:
        """Yield the sentence terms of each part. Call it once, and exhaust it before the other methods."""
        for part in self._parts:
            for parts, index in ((self._postings, part.postings), (self._trigram_postings, part.trigram_postings)):
                parts.append(move_to_file(index, self._file) if isinstance(index.rows, np.ndarray) else index)
            self._sentence_sizes.append(part.sentence_sizes)
            yield part.sentence_terms

    def compute_sentence_starts(self) -> Array:
        """Return the offset of each row in the sentence terms, and the end of the last, shape (rows + 1,)."""
        return np.cumsum(np.concatenate(self._sentence_sizes))

    def collect_postings(self) -> tuple[Sequence[Postings], Sequence[Postings]]:
        """Read all parts, and return what `get_postings` returns; sentence terms are dropped."""
        for _ in self.iter_sentence_terms():
            pass
        return self.get_postings()

    def get_postings(self) -> tuple[Sequence[Postings], Sequence[Postings]]:
        """Return the postings and the trigram postings of each part that has some, in order."""
        return [part for part in self._postings if len(part)], [part for part in self._trigram_postings if len(part)]
