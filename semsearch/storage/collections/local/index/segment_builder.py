"""Makes the word indexes and the sentences of many chunks, portion by portion. Starts no process and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .....core.types.documents import Ids
from ..rows.terms import Row
from . import sentence_terms as sentences
from .arrays import Numbers
from .postings import EMPTY, Postings, both_of, merge, without
from .sentence_terms import Sentences
from .term_stream import read

VERSION = "1"
"""Changes whenever the same rows come to something else."""

_NO_SENTENCES = np.empty(0, np.uint32), np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Portion:
    """What some rows come to."""

    words: Postings
    grams: Postings
    """Of those that are not in English, by the characters of their terms."""
    sentences: Numbers
    sizes: Numbers
    """How many of the numbers are those of each row."""


def portion(rows: Sequence[Row]) -> Portion:
    """Index some rows."""
    found, lines = read(rows)
    words, grams = both_of(found)
    return Portion(words, grams, *sentences.packed(found, lines))


def carried(words: Postings, grams: Postings | None, held: Sentences, gone: Ids) -> Iterator[Portion]:
    """What rows came to that were indexed before, without those of chunks that are gone; the ids of these ascend."""
    by_characters = EMPTY if grams is None else without(grams, gone)
    yield Portion(without(words, gone), by_characters, *_NO_SENTENCES)
    for numbers, sizes in held.without(gone):
        yield Portion(EMPTY, EMPTY, numbers, sizes)


class Joined:
    """Portions as one: their sentences while they come, and all else when they are through."""

    def __init__(self, portions: Iterable[Portion]) -> None:
        self._portions = portions
        self._words: list[Postings] = []
        self._grams: list[Postings] = []
        self._sizes = [np.zeros(1, np.int64)]

    def sentences(self) -> Iterator[Numbers]:
        """The numbers of all rows; to be run through once."""
        for portion in self._portions:
            self._words.append(portion.words)
            self._grams.append(portion.grams)
            self._sizes.append(portion.sizes)
            yield portion.sentences

    def starts(self) -> Numbers:
        """Where each row begins among the numbers, and the end of the last."""
        return np.cumsum(np.concatenate(self._sizes))

    def words(self) -> Postings:
        """The index of all words."""
        return merge(self._words)

    def grams(self) -> Postings:
        """The index by characters."""
        return merge(self._grams)
