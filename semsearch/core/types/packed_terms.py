"""The sentences of a chunk, packed: their places and their terms would take several times the memory one by one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # numpy takes longer to import than `semsearch --help` may last
    import numpy as np
    import numpy.typing as npt

SIGNATURE_BITS = 512

_MAX_CACHED_TERMS = 65_536
"""Terms: some 8 MB."""


class PackedSpans(Sequence[tuple[int, int]]):
    """A sequence of places, each with its start and its end."""

    __slots__ = ("_flat",)

    def __init__(self, flat: Iterable[int]) -> None:
        """`flat` has the start and the end of the first place, then those of the next."""
        self._flat = array("I", flat)

    def __len__(self) -> int:
        """Places."""
        return len(self._flat) // 2

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        """One place, or some."""
        if isinstance(place, int) and 0 <= place < len(self):
            return self._flat[2 * place], self._flat[2 * place + 1]
        return tuple(self)[place]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each place."""
        numbers = iter(self._flat)
        return zip(numbers, numbers, strict=True)


class PackedTerms(Sequence[tuple[str, ...]]):
    """A sequence of sentences, each a tuple of its terms; no term has white space in it."""

    __slots__ = ("_count", "_encoded", "_signature", "_text")

    def __init__(self, lines: str, sentence_count: int, encoded: npt.NDArray[np.uint32] | None = None) -> None:
        """`body` has a line for each sentence, of which the first `count` are taken; terms are joined by spaces.

        `row` is what `rows_of` makes of it, where that is at hand.
        """
        self._text = lines
        self._count = sentence_count
        self._encoded = encoded
        self._signature: tuple[int, int] | None = None

    @classmethod
    def pack(cls, sentences: Iterable[Iterable[str]]) -> PackedTerms:
        """Pack the terms of these sentences."""
        lines = [" ".join(terms) for terms in sentences]
        return cls("\n".join(lines), len(lines))

    def __len__(self) -> int:
        """Sentences."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, place: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        """The terms of one sentence, or of some."""
        return tuple(self)[place]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """The terms of each sentence."""
        return (tuple(line.split()) for line in self._sentence_lines())

    @property
    def term_hashes(self) -> tuple[npt.NDArray[np.uint32], list[int]]:
        """A number for each term, sentence after sentence, and how many terms each sentence has."""
        if self._encoded is None:
            (self._encoded,) = encode_sentences([self._sentence_lines()])
        return self._encoded[self._count :], self._encoded[: self._count].tolist()

    @property
    def term_signature(self) -> tuple[int, int]:
        """How many terms there are, repeated ones too, and bits of them: two sets differ by as many terms, or more."""
        if self._signature is None:
            import numpy as np

            numbers, _ = self.term_hashes
            bits = np.zeros(SIGNATURE_BITS, np.bool_)
            bits[numbers & SIGNATURE_BITS - 1] = True
            self._signature = len(numbers), int.from_bytes(np.packbits(bits).tobytes(), "little")
        return self._signature

    def _sentence_lines(self) -> list[str]:
        return self._text.split("\n", self._count)[: self._count]


def encode_sentences(chunks: Iterable[Sequence[str]]) -> Iterator[npt.NDArray[np.uint32]]:
    """What is kept of each chunk, given the lines of its sentences: their lengths, then the numbers of their terms."""
    import numpy as np

    for lines in chunks:
        sentences = [line.split() for line in lines]
        row = [*map(len, sentences), *map(_TERM_HASHES.__getitem__, chain.from_iterable(sentences))]
        yield np.array(row, np.uint32)


def hash_terms(terms: Iterable[str]) -> npt.NDArray[np.uint32]:
    """A number for each term, always the same: two that meet in a search share one once in a hundred thousand times.

    >>> len(set(numbered(["a", "b", "a"]).tolist()))
    2
    """
    import numpy as np

    return np.fromiter(map(_TERM_HASHES.__getitem__, terms), np.uint32)


class _TermHashCache(dict[str, int]):
    """The numbers of the terms that were met: a cache that orders its entries takes twice the time."""

    def __missing__(self, term: str) -> int:
        number = int.from_bytes(blake2b(term.encode(), digest_size=4).digest(), "little")
        if len(self) >= _MAX_CACHED_TERMS:
            self.clear()
        self[term] = number
        return number


_TERM_HASHES = _TermHashCache()
