"""The sentences of a chunk, packed: their places and their terms would take several times the memory one by one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # numpy takes longer to import than `semsearch --help` may last
    import numpy as np
    import numpy.typing as npt

PRINT_BITS = 512


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
    def __getitem__(self, place: int) -> tuple[int, int]: ...
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

    __slots__ = ("_body", "_count", "_numbers", "_print", "_sizes")

    def __init__(self, body: str, count: int) -> None:
        """`body` has a line for each sentence, of which the first `count` are taken; terms are joined by spaces."""
        self._body = body
        self._count = count
        self._numbers: npt.NDArray[np.int64] | None = None
        self._sizes: tuple[int, ...] = ()
        self._print: tuple[int, int] | None = None

    @classmethod
    def of(cls, sentences: Iterable[Iterable[str]]) -> PackedTerms:
        """Pack the terms of these sentences."""
        lines = [" ".join(terms) for terms in sentences]
        return cls("\n".join(lines), len(lines))

    def __len__(self) -> int:
        """Sentences."""
        return self._count

    @overload
    def __getitem__(self, place: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, place: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        """The terms of one sentence, or of some."""
        return tuple(self)[place]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """The terms of each sentence."""
        return (tuple(line.split()) for line in self._lines())

    @property
    def numbers(self) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
        """A number for each term, sentence after sentence, and how many terms each sentence has."""
        if self._numbers is None:
            sentences = [line.split() for line in self._lines()]
            self._sizes = tuple(map(len, sentences))
            self._numbers = numbered(chain.from_iterable(sentences))
        return self._numbers, self._sizes

    @property
    def fingerprint(self) -> tuple[int, int]:
        """How many terms there are, repeated ones too, and bits of them: two sets differ by as many terms, or more."""
        if self._print is None:
            import numpy as np

            numbers, _ = self.numbers
            bits = np.zeros(PRINT_BITS, np.bool_)
            bits[numbers & PRINT_BITS - 1] = True  # of a number below 0 a remainder takes five times as long
            self._print = len(numbers), int.from_bytes(np.packbits(bits).tobytes(), "little")
        return self._print

    def _lines(self) -> list[str]:
        return self._body.split("\n", self._count)[: self._count]


def numbered(terms: Iterable[str]) -> npt.NDArray[np.int64]:
    """A number for each term, the same for equal ones as long as this process lives; of 64 bits, so that it is its own.

    >>> len(set(numbered(["a", "b", "a"]).tolist()))
    2
    """
    import numpy as np

    return np.fromiter(map(hash, terms), np.int64)
