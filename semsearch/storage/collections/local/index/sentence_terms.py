"""The terms of each chunk's sentences as numbers, row by row: what a question is held against.

To split and number the terms of a chunk that was not met yet takes longer than all else that is done with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids
from .....core.types.packed_terms import hash_terms
from .arrays import Array, LazyArray, isin_sorted
from .checked_files import BLOCK_BYTES, MappedArray
from .term_stream import BATCH_ROWS, LineSizes, TermStream


@dataclass(frozen=True, slots=True)
class SentenceTerms:
    """Rows in the order of `ids`; row i from `starts[i]` to `starts[i + 1]`."""

    ids: LazyArray
    """Chunk id of each row, 64-bit, ascending."""
    starts: MappedArray
    encoded_rows: MappedArray
    """As `PackedTerms` has them, one row after the other."""

    def lookup(self, chunk_ids: Sequence[int]) -> dict[int, npt.NDArray[np.uint32]]:
        """The rows of those of these chunks that are here."""
        ids, wanted = self.ids.read_all(), np.array(chunk_ids, np.int64)
        rows = np.minimum(ids.searchsorted(wanted), len(ids) - 1)
        here = ids[rows] == wanted
        rows = rows[here]
        bounds = zip(self.starts.take(rows).tolist(), self.starts.take(rows + 1).tolist(), strict=True)
        return {
            chunk_id: self.encoded_rows[start:end]
            for chunk_id, (start, end) in zip(wanted[here].tolist(), bounds, strict=True)
        }

    def iter_without(self, removed_ids: Ids) -> Iterator[tuple[Array, Array]]:
        """All rows but those of these chunks, some at a time: their numbers, and how many each has."""
        ids, starts = self.ids.read_all(), self.starts.read_all()
        alive, sizes = ~isin_sorted(ids, removed_ids), np.diff(starts)
        for at in range(0, len(ids), BATCH_ROWS):
            some = slice(at, min(at + BATCH_ROWS, len(ids)))
            numbers = self.encoded_rows[int(starts[some.start]) : int(starts[some.stop])]
            yield numbers[np.repeat(alive[some], sizes[some])], sizes[some][alive[some]]


def encode_sentence_terms(stream: TermStream, lines: LineSizes) -> tuple[Array, Array]:
    """What is kept of each row, one after the other, and how many numbers each takes."""
    size, row = lines
    rows = len(stream.ids)
    is_sentence = np.diff(row, append=rows) == 0
    in_sentence = np.repeat(is_sentence, size)
    sizes = np.bincount(row[is_sentence], minlength=rows), np.bincount(stream.bodies.rows[in_sentence], minlength=rows)
    is_size = np.repeat(np.tile([True, False], rows), np.stack(sizes, axis=1).reshape(-1))
    found = np.empty(len(is_size), np.uint32)
    found[is_size] = size[is_sentence]
    found[~is_size] = hash_terms(stream.terms)[stream.bodies.term_numbers[in_sentence]]
    return found, sizes[0] + sizes[1]


def align_to_blocks(pieces: Iterable[Array]) -> Iterator[Array]:
    """The same numbers in pieces as a file wants them: whole blocks, but for the last."""
    left = np.empty(0, np.uint32)
    for piece in pieces:
        left = np.concatenate([left, piece])
        whole = len(left) - len(left) % BLOCK_BYTES
        yield left[:whole]
        left = left[whole:]
    yield left
