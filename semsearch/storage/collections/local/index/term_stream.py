"""The terms of many chunks as numbers, where they stand: what indexes over chunks are made from. Knows no disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..rows.terms import TermRow

ROW_SEPARATOR, _LINE_SEPARATOR = "\0", "\1"
"""Stand between what is read together: the analyser makes no term of them."""
_ROW_SEPARATOR_NUMBER = -1

BATCH_ROWS = 4_096
"""Rows: of more the memory grows, of fewer the time, because each portion has most of the usual terms again."""


class TermPositions(NamedTuple):
    """The number of each term and the row in which it stands, in the order of reading."""

    term_numbers: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class LineSizes(NamedTuple):
    """How many terms each line has, and the row to which it belongs; the last one of a row is no sentence."""

    term_counts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TermStream:
    """Some rows, and their terms by number."""

    ids: npt.NDArray[np.int64]
    terms: Sequence[str]
    titles: TermPositions
    bodies: TermPositions


def batch_rows(rows: Iterable[TermRow]) -> Iterator[list[TermRow]]:
    """Rows that are read together."""
    rows = iter(rows)
    while some := list(islice(rows, BATCH_ROWS)):
        yield some


def read_terms(rows: Sequence[TermRow]) -> tuple[TermStream, LineSizes]:
    """Number the terms of rows, the same term alike in all of them; and the lines of their bodies."""
    numbers: defaultdict[str, int] = defaultdict(
        count().__next__, {ROW_SEPARATOR: _ROW_SEPARATOR_NUMBER, _LINE_SEPARATOR: -2}
    )
    titles, _ = _number_terms([title for _, title, _ in rows], numbers)
    bodies, lines = _number_terms([body for _, _, body in rows], numbers)
    ids = np.array([chunk_id for chunk_id, _, _ in rows], np.int64)
    return TermStream(ids, list(numbers)[2:], titles, bodies), lines


def _number_terms(texts: Sequence[str], numbers: Mapping[str, int]) -> tuple[TermPositions, LineSizes]:
    """Where terms stand, new ones included; `numbers` gives each its number, and one below 0 to what is between."""
    # together: one by one they take three times as long
    terms = f" {ROW_SEPARATOR} ".join(texts).replace("\n", f" {_LINE_SEPARATOR} ").split()
    found = np.fromiter(map(numbers.__getitem__, terms), np.int64, len(terms))
    is_term, next_row = found >= 0, found == _ROW_SEPARATOR_NUMBER
    ends = np.flatnonzero(~is_term)
    sizes = np.diff(ends, prepend=-1, append=len(found)) - 1
    lines = LineSizes(sizes, np.concatenate([[0], np.cumsum(next_row[ends])]))
    return TermPositions(found[is_term], np.cumsum(next_row, dtype=np.int64)[is_term]), lines
