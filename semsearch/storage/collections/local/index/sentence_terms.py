"""Hashed terms of each chunk's sentences, for reranking.

Splitting and hashing the terms of a chunk takes longer than the rest of its reranking, so that hashes are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Ids
from .....core.types.packed_terms import hash_terms
from .arrays import Array, LazyArray, isin_sorted
from .checked_files import MappedArray
from .term_stream import BATCH_ROWS, LineSizes, TermStream


@dataclass(frozen=True, slots=True)
class SentenceTerms:
    """Rows in the order of `ids`; row i is `encoded_rows[starts[i] : starts[i + 1]]`."""

    ids: LazyArray
    """Chunk id of each row, 64-bit, ascending."""
    starts: MappedArray
    encoded_rows: MappedArray
    """Rows as `PackedTerms` takes them, concatenated."""

    def lookup(self, chunk_ids: Sequence[int]) -> dict[int, npt.NDArray[np.uint32]]:
        """Return the encoded rows of these chunks, by chunk id; chunks without a row are left out."""
        ids, requested_ids = self.ids.read_all(), np.array(chunk_ids, np.int64)
        rows = np.minimum(ids.searchsorted(requested_ids), len(ids) - 1)
        is_stored = ids[rows] == requested_ids
        rows = rows[is_stored]
        bounds = zip(self.starts.take(rows).tolist(), self.starts.take(rows + 1).tolist(), strict=True)
        return {
            chunk_id: self.encoded_rows[start:end]
            for chunk_id, (start, end) in zip(requested_ids[is_stored].tolist(), bounds, strict=True)
        }

    def iter_without(self, removed_ids: Ids) -> Iterator[tuple[Array, Array]]:
        """Yield batches of all rows but those of these chunks: the encoded rows, and the size of each."""
        ids, starts = self.ids.read_all(), self.starts.read_all()
        is_kept, sizes = ~isin_sorted(ids, removed_ids), np.diff(starts)
        for start in range(0, len(ids), BATCH_ROWS):
            batch = slice(start, min(start + BATCH_ROWS, len(ids)))
            encoded = self.encoded_rows[int(starts[batch.start]) : int(starts[batch.stop])]
            yield encoded[np.repeat(is_kept[batch], sizes[batch])], sizes[batch][is_kept[batch]]


def encode_sentence_terms(stream: TermStream, lines: LineSizes) -> tuple[Array, Array]:
    """Return the encoded rows, concatenated, and the size of each."""
    line_sizes, line_rows = lines
    row_count = len(stream.ids)
    is_sentence = np.diff(line_rows, append=row_count) == 0
    in_sentence = np.repeat(is_sentence, line_sizes)
    sizes = (
        np.bincount(line_rows[is_sentence], minlength=row_count),
        np.bincount(stream.bodies.rows[in_sentence], minlength=row_count),
    )
    is_size = np.repeat(np.tile([True, False], row_count), np.stack(sizes, axis=1).reshape(-1))
    encoded = np.empty(len(is_size), np.uint32)
    encoded[is_size] = line_sizes[is_sentence]
    encoded[~is_size] = hash_terms(stream.terms)[stream.bodies.term_numbers[in_sentence]]
    return encoded, sizes[0] + sizes[1]
