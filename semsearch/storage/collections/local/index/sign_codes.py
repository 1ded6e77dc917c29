"""Sign codes: one bit per dimension of each vector, to rank any subset of rows approximately. Does no I/O.

FAISS scans all codes; a filter needs those of its rows only. This is the estimate of Gao & Long, "RaBitQ" (SIGMOD
2024), without the rotation: the sign of each coordinate around the mean, and one factor per row that corrects its mean
error. The query has three bits per coordinate, so that an inner product is a few bit counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Vectors
from .arrays import InMemoryArray, LazyArray

RowNumbers = npt.NDArray[np.int64] | npt.NDArray[np.int32]
"""Row numbers of a table of vectors."""

_WORD_BITS = 64
_QUERY_LEVELS = 7
_QUERY_BITS = 3
_PIECE_ROWS = 65_536
_BATCH_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class SignCodes:
    """The codes of all rows of a table of vectors."""

    bits: LazyArray
    """64-bit words, shape (rows, words per row)."""
    popcounts: LazyArray
    """Set bits of each row, 16-bit."""
    factors: LazyArray
    """Correction of each row, 32-bit floats."""

    def estimate_scores(self, vector: Vectors, rows: RowNumbers) -> npt.NDArray[np.float32]:
        """Return an estimate of the inner product of each of these rows with `vector`, up to a constant."""
        lowest, step = float(vector.min()), float(np.ptp(vector)) / _QUERY_LEVELS or 1.0
        levels = np.round((vector - lowest) / step).astype(np.uint8)
        planes = pack_bits(np.stack([levels >> plane & 1 for plane in range(_QUERY_BITS)]))
        bits = self.bits.read_all()
        products: npt.NDArray[np.float32] = self.popcounts.read_all()[rows] * np.float32(lowest)
        for start in range(0, len(rows), _BATCH_ROWS):
            batch = rows[start : start + _BATCH_ROWS]
            columns = np.ascontiguousarray(bits.take(batch, axis=0).T)  # numpy is slow along a short axis
            products[start : start + _BATCH_ROWS] += np.float32(step) * _count_shared_bits(columns, planes)
        products *= 2
        products -= np.float32(vector.sum())
        products *= self.factors.read_all()[rows]
        return products

    def nearest(self, vector: Vectors, rows: RowNumbers, count: int) -> RowNumbers:
        """Return the `count` rows with the highest estimates, and all rows tied with the last.

        Of tied rows a partition alone would keep some, and which ones depends on the processor.
        """
        if len(rows) <= count:
            return rows
        estimates = self.estimate_scores(vector, rows)
        threshold = np.partition(estimates, len(rows) - count)[len(rows) - count]
        nearest: RowNumbers = rows[estimates >= threshold]
        return nearest


def encode_signs(vectors: Vectors) -> SignCodes:
    """Return the sign codes of all `vectors`, which may be memory-mapped: they are read in pieces."""
    centre = vectors[:: max(1, len(vectors) // _PIECE_ROWS)].mean(axis=0, dtype=np.float64).astype(np.float32)
    bits = np.empty((len(vectors), -(-vectors.shape[1] // _WORD_BITS)), np.uint64)
    factors = np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), _PIECE_ROWS):
        residuals = vectors[start : start + _PIECE_ROWS] - centre
        bits[start : start + _PIECE_ROWS] = pack_bits(residuals > 0)
        absolute = np.abs(residuals).sum(axis=1)
        np.divide(
            np.vecdot(residuals, residuals), absolute, out=factors[start : start + _PIECE_ROWS], where=absolute > 0
        )
    return SignCodes(
        InMemoryArray(bits), InMemoryArray(np.bitwise_count(bits).sum(axis=1, dtype=np.uint16)), InMemoryArray(factors)
    )


def _count_shared_bits(columns: npt.NDArray[np.uint64], planes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Count the bits that each row shares with the bit planes of a query; each plane weighs twice the one before."""
    shared_bits, counts = np.empty_like(columns[0]), np.empty(len(columns[0]), np.uint8)
    total = np.zeros(len(columns[0]), np.uint16)
    for plane in planes[::-1]:
        total <<= 1
        for column, word in zip(columns, plane, strict=True):
            total += np.bitwise_count(np.bitwise_and(column, word, out=shared_bits), out=counts)
    return total


def pack_bits(bits: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Pack rows of zeros and ones into rows of 64-bit words, padded with zeros."""
    octets = np.packbits(bits, axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // _WORD_BITS) * 8), np.uint8)
    padded[:, : octets.shape[1]] = octets
    return padded.view(np.uint64)
