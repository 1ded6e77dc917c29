"""The terms of many chunks as numbers, where they stand: what indexes over chunks are made from. Knows no disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..rows.terms import Row

BETWEEN_ROWS, _BETWEEN_LINES = "\0", "\1"
"""Stand between what is read together: the analyser makes no term of them."""
_NEXT_ROW = -1

TOGETHER = 4_096
"""Rows: of more the memory grows, of fewer the time, because each portion has most of the usual terms again."""


class Occurrences(NamedTuple):
    """The number of each term and the row in which it stands, in the order of reading."""

    number: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


class Lines(NamedTuple):
    """How many terms each line has, and the row to which it belongs; the last one of a row is no sentence."""

    size: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Read:
    """Some rows, and their terms by number."""

    ids: npt.NDArray[np.int64]
    terms: Sequence[str]
    titles: Occurrences
    bodies: Occurrences


def portions(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows that are read together."""
    rows = iter(rows)
    while some := list(islice(rows, TOGETHER)):
        yield some


def read(rows: Sequence[Row]) -> tuple[Read, Lines]:
    """Number the terms of rows, the same term alike in all of them; and the lines of their bodies."""
    numbers: defaultdict[str, int] = defaultdict(count().__next__, {BETWEEN_ROWS: _NEXT_ROW, _BETWEEN_LINES: -2})
    titles, _ = _numbered([title for _, title, _ in rows], numbers)
    bodies, lines = _numbered([body for _, _, body in rows], numbers)
    ids = np.array([chunk_id for chunk_id, _, _ in rows], np.int64)
    return Read(ids, list(numbers)[2:], titles, bodies), lines


def _numbered(texts: Sequence[str], numbers: Mapping[str, int]) -> tuple[Occurrences, Lines]:
    """Where terms stand, new ones included; `numbers` gives each its number, and one below 0 to what is between."""
    # together: one by one they take three times as long
    terms = f" {BETWEEN_ROWS} ".join(texts).replace("\n", f" {_BETWEEN_LINES} ").split()
    found = np.fromiter(map(numbers.__getitem__, terms), np.int64, len(terms))
    is_term, next_row = found >= 0, found == _NEXT_ROW
    ends = np.flatnonzero(~is_term)
    sizes = np.diff(ends, prepend=-1, append=len(found)) - 1
    lines = Lines(sizes, np.concatenate([[0], np.cumsum(next_row[ends])]))
    return Occurrences(found[is_term], np.cumsum(next_row, dtype=np.int64)[is_term]), lines
