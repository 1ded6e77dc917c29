"""Numbered terms of a batch of chunks with their positions: the input of the index builders. Does no I/O."""

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
"""Separate the rows and lines of a batch; the analyser never returns them as terms."""
_ROW_SEPARATOR_NUMBER = -1

BATCH_ROWS = 4_096
"""Rows per part: more take more memory; fewer take more time, because every part repeats the common terms."""

SERVING_BATCH_ROWS = 1_024
"""Rows per part in a process that searches: where all words differ, a part takes 70 MB."""


class TermPositions(NamedTuple):
    """The number of each term and its row, in text order."""

    term_numbers: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


class LineSizes(NamedTuple):
    """How many terms each line has, and its row; the last line of a row is the text outside sentences."""

    term_counts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TermStream:
    """A batch of rows with their terms by number."""

    ids: npt.NDArray[np.int64]
    terms: Sequence[str]
    titles: TermPositions
    bodies: TermPositions


def batch_rows(rows: Iterable[TermRow], max_rows: int | None = None) -> Iterator[list[TermRow]]:
    """Yield batches of `BATCH_ROWS` rows, or of `max_rows` if that is less."""
    rows, size = iter(rows), min(BATCH_ROWS, max_rows or BATCH_ROWS)
    while batch := list(islice(rows, size)):
        yield batch


def read_terms(rows: Sequence[TermRow]) -> tuple[TermStream, LineSizes]:
    """Number the distinct terms of a batch of rows; return the stream, and the sizes of the body lines."""
    numbers: defaultdict[str, int] = defaultdict(
        count().__next__, {ROW_SEPARATOR: _ROW_SEPARATOR_NUMBER, _LINE_SEPARATOR: -2}
    )
    titles, _ = _number_terms([title for _, title, _ in rows], numbers)
    bodies, lines = _number_terms([body for _, _, body in rows], numbers)
    ids = np.array([chunk_id for chunk_id, _, _ in rows], np.int64)
    return TermStream(ids, list(numbers)[2:], titles, bodies), lines


def _number_terms(texts: Sequence[str], numbers: Mapping[str, int]) -> tuple[TermPositions, LineSizes]:
    """Return the positions and line sizes of the terms of these texts.

    `numbers` adds a number for each new term; separators have negative numbers.
    """
    # joined into one text: one by one they take three times as long
    terms = f" {ROW_SEPARATOR} ".join(texts).replace("\n", f" {_LINE_SEPARATOR} ").split()
    numbered = np.fromiter(map(numbers.__getitem__, terms), np.int64, len(terms))
    is_term, next_row = numbered >= 0, numbered == _ROW_SEPARATOR_NUMBER
    ends = np.flatnonzero(~is_term)
    sizes = np.diff(ends, prepend=-1, append=len(numbered)) - 1
    lines = LineSizes(sizes, np.concatenate([[0], np.cumsum(next_row[ends])]))
    return TermPositions(numbered[is_term], np.cumsum(next_row, dtype=np.int64)[is_term]), lines
