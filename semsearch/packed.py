"""The sentences of a chunk, packed: their places and their terms would take several times the memory one by one."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import overload

_BITS = 511
_POWERS = [1 << bit for bit in range(_BITS + 1)]


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
        return tuple(self)[place]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each place."""
        numbers = iter(self._flat)
        return zip(numbers, numbers, strict=True)


class PackedTerms(Sequence[tuple[str, ...]]):
    """A sequence of sentences, each a tuple of its terms; no term has white space in it."""

    __slots__ = ("_body", "_count", "_print")

    def __init__(self, body: str, count: int) -> None:
        """`body` has a line for each sentence, of which the first `count` are taken; terms are joined by spaces."""
        self._body = body
        self._count = count
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

    def holding(self, terms: Collection[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Number and terms of each sentence with one of `terms`; and perhaps of some where it is part of a term.

        >>> list(PackedTerms.of([["a", "bc"], ["d"], ["ab"]]).holding(["a", "x"]))
        [(0, ('a', 'bc')), (2, ('ab',))]
        """
        here = [term for term in terms if term in self._body]
        if here:
            for number, line in enumerate(self._lines()):
                if any(term in line for term in here):
                    yield number, tuple(line.split())

    @property
    def fingerprint(self) -> tuple[int, int]:
        """How many different terms there are, and bits of them: two sets differ by as many terms as bits, or more."""
        if self._print is None:
            terms = set(self._body.split())
            self._print = len(terms), sum(map(_POWERS.__getitem__, {hash(term) & _BITS for term in terms}))
        return self._print

    def _lines(self) -> list[str]:
        return self._body.split("\n", self._count)[: self._count]
