"""Merge and reduce inverted indexes slice by slice, so that memory does not grow with them.

A slice has all rows of an index, and the terms of one range of hashes. Nothing here scores or knows what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .....core.types.documents import Ids
from .....core.unnamed_file import UnnamedFile
from .arrays import Array, InMemoryArray
from .postings import EMPTY_POSTINGS, Postings, drop_chunks, merge
from .unnamed_arrays import GrowingArrays, append_array

SLICE_POSTINGS = 1 << 20
"""Postings of one slice, approximately: merging them takes 60 MB."""


class TermColumns(NamedTuple):
    """The columns of `Postings` that grow with its terms, or a slice of them."""

    hashes: Array
    starts: Array
    rows: Array
    counts: Array


_TERM_DTYPES = (np.uint64, np.int64, np.uint32, np.uint8)
"""Those of `TermColumns`."""


def move_to_file(index: Postings, file: UnnamedFile) -> Postings:
    """Write an index to the end of a file and return it; its columns are read from there. OSError without space."""
    hashes = index.hashes.read_all()
    starts = index.starts[0 : len(hashes) + 1]
    end = int(starts[-1])
    columns = hashes, starts, index.rows[0:end], index.counts[0:end]
    return Postings(index.ids, index.lengths, *(append_array(file, column) for column in columns))


def map_merged(parts: Iterable[Postings]) -> Postings:
    """Return the merged index, mapped from a file without a name; each part has higher ids than the one before.

    OSError if there is no space.
    """
    parts = [part for part in parts if len(part)]
    return _map_slices(iter_merged(parts), *_measure(parts)) if parts else EMPTY_POSTINGS


def map_remaining(index: Postings, removed_ids: Ids) -> Postings:
    """Return the index without these chunks, mapped as well; `removed_ids` is ascending."""
    slices = _iter_slices(index, _count_slices([index]))
    return _map_slices((drop_chunks(part, removed_ids) for part in slices), *_measure([index]))


def iter_merged(parts: Iterable[Postings]) -> Iterator[Postings]:
    """Yield the merged index in slices; each part has higher chunk ids than the one before."""
    parts = [part for part in parts if len(part)]
    count = _count_slices(parts)
    return map(merge, zip(*(_iter_slices(part, count) for part in parts), strict=True))


def iter_term_columns(slices: Iterable[Postings]) -> Iterator[tuple[TermColumns, Postings]]:
    """Yield the next elements of each column, and the slice that has them, which has all rows."""
    offset = 0
    for number, part in enumerate(slices):
        columns = part.to_columns()
        starts = columns["starts"] + offset
        offset = int(starts[-1])
        yield TermColumns(columns["hashes"], starts[min(number, 1) :], columns["rows"], columns["counts"]), part


def _iter_slices(index: Postings, count: int) -> Iterator[Postings]:
    edges = np.array([(number << 64) // count for number in range(1, count)], np.uint64)
    hashes = index.hashes.read_all()
    bounds = [0, *np.searchsorted(hashes, edges).tolist(), len(hashes)]
    del hashes  # of an index in a file: it is read again slice by slice
    for first, end in pairwise(bounds):
        starts = index.starts[first : end + 1]
        first_posting, end_posting = starts[[0, -1]].tolist()
        yield Postings(
            index.ids,
            index.lengths,
            InMemoryArray(index.hashes[first:end]),
            starts - first_posting,
            index.rows[first_posting:end_posting],
            index.counts[first_posting:end_posting],
        )


def _map_slices(slices: Iterable[Postings], max_terms: int, max_postings: int) -> Postings:
    arrays = GrowingArrays(_TERM_DTYPES, (max_terms, max_terms + 1, max_postings, max_postings))
    ids, lengths = EMPTY_POSTINGS.ids, EMPTY_POSTINGS.lengths
    for columns, part in iter_term_columns(slices):
        arrays.append(columns)
        ids, lengths = part.ids, part.lengths  # the same in each slice
    hashes, *others = arrays.map()
    return Postings(ids, lengths, InMemoryArray(hashes), *others)


def _measure(parts: Sequence[Postings]) -> tuple[int, int]:
    """Return how many terms and postings these indexes have at most if they are merged."""
    term_counts = [len(part.hashes.read_all()) for part in parts]
    return sum(term_counts), sum(
        int(part.starts[terms : terms + 1][0]) for part, terms in zip(parts, term_counts, strict=True)
    )


def _count_slices(parts: Sequence[Postings]) -> int:
    return 1 + _measure(parts)[1] // SLICE_POSTINGS
