"""Codes that rank many vectors roughly and fast. The only module that knows FAISS.

Product quantization with four bits for each few dimensions, scanned in registers (Jégou et al., "Product Quantization
for Nearest Neighbor Search", PAMI 2011; André et al., "Cache locality is not enough", VLDB 2015); of very many rows
only those of the nearest lists are looked at. FAISS loads many damaged files without complaint and reports success on a
full disk; so it never touches a file here: it gives and gets bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from ...types import Vectors
from .signs import Places

TRAINED_ON = 65_536
"""Rows from which lists are learned."""

_CODE_BITS = 4
_CENTROIDS = 1 << _CODE_BITS
_POINTS = 64
"""Rows for each centroid from which codes are learned; more of them, or more rounds, find nothing more."""
_ROUNDS = 4
_LIST_ROUNDS = 8

_PIECE = 65_536

PROBED = 160
PROBED_SHARE = 5 / 64
"""Lists that are looked at for one query, at least: of a million rows recall@10 of short questions is .976 with these.
A fifth fewer lose .007 and save a sixth of the time; half as many again win .01 and take half as much time again."""


@dataclass(frozen=True, slots=True)
class ProductCodes:
    """points.Codes."""

    index: faiss.Index
    data: npt.NDArray[np.uint8]
    """The bytes of which it was made: some of its arrays still lie there."""

    def nearest(self, vector: Vectors, count: int) -> Places:
        """At most `count` rows that are roughly nearest."""
        rows: Places = self.index.search(vector[np.newaxis, :], count)[1][0]
        return rows[rows >= 0]


def load(data: npt.NDArray[np.uint8]) -> ProductCodes:
    """The codes of which `make` returned the bytes, all of them: what is cut short would end the process."""
    known: Any = faiss  # whose stubs lack what reads bytes with one copy of them or none
    index = faiss.read_index(known.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = min(index.nlist, max(PROBED, int(PROBED_SHARE * index.nlist)))
    return ProductCodes(index, data)


def make(vectors: Vectors, *, lists: bool) -> npt.NDArray[np.uint8]:
    """The codes of all rows of `vectors`, which may be mapped, after learning from a sample of them; as bytes."""
    rows, dim = vectors.shape
    codes = dim // dims_of_code(dim)
    index: Any = faiss.IndexPQFastScan(dim, codes, _CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    sampled = _CENTROIDS * _POINTS
    if lists:
        coarse, count = faiss.IndexFlatIP(dim), 1 << round(math.log2(2 * math.sqrt(rows)))
        index = faiss.IndexIVFPQFastScan(coarse, dim, count, codes, _CODE_BITS, index.metric_type)
        index.by_residual = False  # else each list has a table of its own to be made for each question
        index.cp.niter = _LIST_ROUNDS
        index.cp.min_points_per_centroid = 1  # else it prints that it would like more
        sampled = TRAINED_ON
    learning = index.pq.cp
    learning.niter, learning.max_points_per_centroid, learning.min_points_per_centroid = _ROUNDS, _POINTS, 1
    sample = vectors[:: max(1, rows // sampled)]
    index.train(np.resize(sample, (max(len(sample), _CENTROIDS), dim)))
    for at in range(0, rows, _PIECE):
        index.add(np.ascontiguousarray(vectors[at : at + _PIECE]))
    return np.asarray(faiss.serialize_index(index))


def dims_of_code(dim: int) -> int:
    """How many dimensions share a code: more bits for each find more, and cost memory where there are many.

    >>> [dims_of_code(dim) for dim in (64, 256, 384, 768, 1535)]
    [1, 2, 3, 4, 1]
    """
    widest = min(4, 1 + (dim - 1) // 128)
    return next(width for width in range(widest, 0, -1) if dim % width == 0)
