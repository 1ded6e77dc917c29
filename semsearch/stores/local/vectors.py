"""Codes that rank many vectors roughly and fast. The only module that knows FAISS.

RaBitQ, one bit a dimension (Gao & Long, "RaBitQ", SIGMOD 2024); of very many rows only those of the nearest lists are
looked at. FAISS loads many damaged files without complaint and reports success on a full disk; so it never touches a
file here: it gives and gets bytes.
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
"""Rows from which codes are learned."""

_PIECE = 65_536

PROBED = 192
PROBED_SHARE = 3 / 32
"""Lists that are looked at for one query, at least: of a million rows recall@10 of short questions is .966 with these,
.958 with 128, and .962 with all."""


@dataclass(frozen=True, slots=True)
class RaBitQ:
    """points.Codes."""

    index: faiss.Index
    data: npt.NDArray[np.uint8]
    """The bytes of which it was made: some of its arrays still lie there."""

    def nearest(self, vector: Vectors, count: int) -> Places:
        """At most `count` rows that are roughly nearest."""
        rows: Places = self.index.search(vector[np.newaxis, :], count)[1][0]
        return rows[rows >= 0]


def load(data: npt.NDArray[np.uint8]) -> RaBitQ:
    """The codes of which `make` returned the bytes, all of them: what is cut short would end the process."""
    known: Any = faiss  # whose stubs lack what reads bytes with one copy of them or none
    index = faiss.read_index(known.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = min(index.nlist, max(PROBED, int(PROBED_SHARE * index.nlist)))
    return RaBitQ(index, data)


def make(vectors: Vectors, *, lists: bool) -> npt.NDArray[np.uint8]:
    """The codes of all rows of `vectors`, which may be mapped, after learning from a sample of them; as bytes."""
    rows, dim = vectors.shape
    index: Any = faiss.IndexRaBitQFastScan(dim, faiss.METRIC_INNER_PRODUCT)
    if lists:
        coarse = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFRaBitQFastScan(coarse, dim, 1 << round(math.log2(2 * math.sqrt(rows))), index.metric_type)
        index.cp.niter = 8
        index.cp.min_points_per_centroid = 1  # else it prints that it would like more
    index.train(np.ascontiguousarray(vectors[:: max(1, rows // TRAINED_ON)]))
    for at in range(0, rows, _PIECE):
        index.add(np.ascontiguousarray(vectors[at : at + _PIECE]))
    return np.asarray(faiss.serialize_index(index))
