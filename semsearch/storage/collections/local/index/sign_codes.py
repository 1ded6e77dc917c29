"""One bit a dimension of each vector, by which any choice of rows is ranked roughly. Knows no disk.

FAISS scans all codes or none; a filter needs those of its rows. This is the estimate of Gao & Long, "RaBitQ" (SIGMOD
2024), without the rotation: the sign of each coordinate around the mean, and one factor that undoes the mean error of
the row. The question has three bits a coordinate, so that a product is a few counts of bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .....core.types.documents import Vectors
from .arrays import InMemoryArray, LazyArray

RowNumbers = npt.NDArray[np.int64] | npt.NDArray[np.int32]
"""Row numbers."""

_HOLDER_BYTES = 64
_QUERY_LEVELS = 7
_QUERY_BITS = 3
_PIECE_ROWS = 65_536
_BATCH_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class SignCodes:
    """Of all rows of a table of vectors."""

    bits: LazyArray
    """64-bit words, shape (rows, words of a row): those of a row are in one place in memory."""
    ones: LazyArray
    """How many bits of each row are set, 16-bit."""
    factors: LazyArray
    """32-bit floats."""

    def estimate_scores(self, vector: Vectors, rows: RowNumbers) -> npt.NDArray[np.float32]:
        """What is roughly the inner product of each of these rows with `vector`, but for a constant."""
        lowest, step = float(vector.min()), float(np.ptp(vector)) / _QUERY_LEVELS or 1.0
        levels = np.round((vector - lowest) / step).astype(np.uint8)
        planes = pack_bits(np.stack([levels >> plane & 1 for plane in range(_QUERY_BITS)]))
        bits = self.bits.read_all()
        products: npt.NDArray[np.float32] = self.ones.read_all()[rows] * np.float32(lowest)
        for at in range(0, len(rows), _BATCH_ROWS):
            some = rows[at : at + _BATCH_ROWS]
            columns = np.ascontiguousarray(bits.take(some, axis=0).T)  # numpy is slow along a few words
            products[at : at + _BATCH_ROWS] += np.float32(step) * _count_shared_bits(columns, planes)
        products *= 2
        products -= np.float32(vector.sum())
        products *= self.factors.read_all()[rows]
        return products

    def nearest(self, vector: Vectors, rows: RowNumbers, count: int) -> RowNumbers:
        """Return the `count` rows with the best estimates, and all that are as good as the last of them.

        A partition alone keeps some of equal rows, which ones depends on the processor.
        """
        if len(rows) <= count:
            return rows
        estimates = self.estimate_scores(vector, rows)
        least = np.partition(estimates, len(rows) - count)[len(rows) - count]
        nearest: RowNumbers = rows[estimates >= least]
        return nearest


def encode_signs(vectors: Vectors) -> SignCodes:
    """Look at all `vectors`, which may be mapped, piece by piece."""
    centre = vectors[:: max(1, len(vectors) // _PIECE_ROWS)].mean(axis=0, dtype=np.float64).astype(np.float32)
    bits = np.empty((len(vectors), -(-vectors.shape[1] // _HOLDER_BYTES)), np.uint64)
    factors = np.zeros(len(vectors), np.float32)
    for at in range(0, len(vectors), _PIECE_ROWS):
        apart = vectors[at : at + _PIECE_ROWS] - centre
        bits[at : at + _PIECE_ROWS] = pack_bits(apart > 0)
        absolute = np.abs(apart).sum(axis=1)
        np.divide(np.vecdot(apart, apart), absolute, out=factors[at : at + _PIECE_ROWS], where=absolute > 0)
    return SignCodes(
        InMemoryArray(bits), InMemoryArray(np.bitwise_count(bits).sum(axis=1, dtype=np.uint16)), InMemoryArray(factors)
    )


def _count_shared_bits(columns: npt.NDArray[np.uint64], planes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """How many bits each row shares with the planes of a question, each plane twice the weight of the one before."""
    shared, counts = np.empty_like(columns[0]), np.empty(len(columns[0]), np.uint8)
    total = np.zeros(len(columns[0]), np.uint16)
    for plane in planes[::-1]:
        total <<= 1
        for column, word in zip(columns, plane, strict=True):
            total += np.bitwise_count(np.bitwise_and(column, word, out=shared), out=counts)
    return total


def pack_bits(bits: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Rows of zeros and ones as rows of 64-bit words, with zeros at the end."""
    octets = np.packbits(bits, axis=1)
    wide = np.zeros((len(bits), -(-bits.shape[1] // _HOLDER_BYTES) * 8), np.uint8)
    wide[:, : octets.shape[1]] = octets
    return wide.view(np.uint64)
