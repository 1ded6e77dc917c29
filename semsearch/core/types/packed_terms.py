"""Compact storage of the sentences of a chunk: their spans and terms take several times the memory as objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # importing numpy takes longer than `semsearch --help` may take
    import numpy as np
    import numpy.typing as npt

SIGNATURE_BITS = 512
"""Length of the bit set of a chunk's terms."""

_MAX_CACHED_TERMS = 65_536
"""Terms whose hashes are cached: about 8 MB."""


class PackedSpans(Sequence[tuple[int, int]]):
    """A sequence of spans, each with its start and its end."""

    __slots__ = ("_flat",)

    def __init__(self, flat: Iterable[int]) -> None:
        """`flat` has start and end of the first span, then of the next."""
        self._flat = array("I", flat)

    def __len__(self) -> int:
        """Return the number of spans."""
        return len(self._flat) // 2

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        """Return one span, or several."""
        if isinstance(index, int) and 0 <= index < len(self):
            return self._flat[2 * index], self._flat[2 * index + 1]
        return tuple(self)[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield each span."""
        offsets = iter(self._flat)
        return zip(offsets, offsets, strict=True)


class PackedTerms(Sequence[tuple[str, ...]]):
    """A sequence of sentences, each a tuple of its terms; a term contains no white space."""

    __slots__ = ("_count", "_encoded", "_signature", "_text")

    def __init__(self, lines: str, sentence_count: int, encoded: npt.NDArray[np.uint32] | None = None) -> None:
        """`lines` has one line for each sentence, with its terms joined by spaces; the first `sentence_count` count.

        `encoded` is the array that `encode_sentences` makes of these sentences, if it is already there.
        """
        self._text = lines
        self._count = sentence_count
        self._encoded = encoded
        self._signature: tuple[int, int] | None = None

    @classmethod
    def pack(cls, sentences: Iterable[Iterable[str]]) -> PackedTerms:
        """Return the packed terms of these sentences."""
        lines = [" ".join(terms) for terms in sentences]
        return cls("\n".join(lines), len(lines))

    def __len__(self) -> int:
        """Return the number of sentences."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        """Return the terms of one sentence, or of several."""
        return tuple(self)[index]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Yield the terms of each sentence."""
        return (tuple(line.split()) for line in self._sentence_lines())

    @property
    def term_hashes(self) -> tuple[npt.NDArray[np.uint32], list[int]]:
        """Return the hashes of all terms, sentence after sentence, and the number of terms in each sentence."""
        if self._encoded is None:
            (self._encoded,) = encode_sentences([self._sentence_lines()])
        return self._encoded[self._count :], self._encoded[: self._count].tolist()

    @property
    def term_signature(self) -> tuple[int, int]:
        """Return the number of terms with repetitions, and a bit set of them.

        Two sets of terms differ in at least as many terms as their bit sets differ in bits.
        """
        if self._signature is None:
            import numpy as np

            hashes, _ = self.term_hashes
            bits = np.zeros(SIGNATURE_BITS, np.bool_)
            bits[hashes & SIGNATURE_BITS - 1] = True
            self._signature = len(hashes), int.from_bytes(np.packbits(bits).tobytes(), "little")
        return self._signature

    def _sentence_lines(self) -> list[str]:
        return self._text.split("\n", self._count)[: self._count]


def encode_sentences(chunks: Iterable[Sequence[str]]) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield for each chunk, a list of sentence lines, the lengths of its sentences, then the hashes of its terms."""
    import numpy as np

    for lines in chunks:
        sentences = [line.split() for line in lines]
        values = [*map(len, sentences), *map(_TERM_HASHES.__getitem__, chain.from_iterable(sentences))]
        yield np.array(values, np.uint32)


def hash_terms(terms: Iterable[str]) -> npt.NDArray[np.uint32]:
    """Return a stable 32-bit hash of each term; two terms collide in about one of 100,000 searches.

    >>> len(set(hash_terms(["a", "b", "a"]).tolist()))
    2
    """
    import numpy as np

    return np.fromiter(map(_TERM_HASHES.__getitem__, terms), np.uint32)


class _TermHashCache(dict[str, int]):
    """Cache of term hashes, emptied when full: an LRU cache takes twice the time."""

    def __missing__(self, term: str) -> int:
        term_hash = int.from_bytes(blake2b(term.encode(), digest_size=4).digest(), "little")
        if len(self) >= _MAX_CACHED_TERMS:
            self.clear()
        self[term] = term_hash
        return term_hash


_TERM_HASHES = _TermHashCache()
