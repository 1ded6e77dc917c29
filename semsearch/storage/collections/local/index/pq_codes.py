"""Codes that rank many vectors roughly and fast. The only module that knows FAISS.

Product quantization with four bits for each few dimensions, scanned in registers (Jégou et al., "Product Quantization
for Nearest Neighbor Search", PAMI 2011; André et al., "Cache locality is not enough", VLDB 2015); of very many rows
only those of the nearest lists are looked at, where they lie in a file. FAISS loads many damaged files without
complaint and reports success on a full disk; so it never writes one here, and what it maps is checked before it looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from .....core.child_process import count_usable_cores
from .....core.types.documents import Vectors
from .checked_files import DamagedFileError, MappedArray
from .sign_codes import RowNumbers

_CODE_BITS = 4
_CENTROIDS = 1 << _CODE_BITS
_POINTS_PER_CENTROID = 32
"""Rows for each centroid from which codes and lists are learned: twice as many for lists find .001 more, in twice the
time."""
_TRAINING_ITERATIONS = 3
"""More of them, or more points, find nothing more."""
_LIST_TRAINING_ITERATIONS = 8

_PIECE_ROWS = 65_536

_BLOCK_ROWS = 32
"""Rows of which FAISS interleaves the codes."""
_ID_BYTES = 8

MIN_PROBED_LISTS = 160
MIN_PROBED_LIST_SHARE = 5 / 64
"""Lists that are looked at for one query, at least: of a million rows recall@10 of short questions is .976 with these.
A fifth fewer lose .007 and save a sixth of the time; half as many again win .01 and take half as much time again."""


@dataclass(frozen=True, slots=True)
class ProductCodes:
    """points.Codes in memory."""

    index: faiss.Index
    data: npt.NDArray[np.uint8]
    """The bytes of which it was made: some of its arrays still lie there."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` best estimates, or fewer, and their estimates."""
        return _drop_padding(*self.index.search(vector[np.newaxis, :], count))


@dataclass(frozen=True, slots=True)
class IVFProductCodes:
    """points.Codes whose lists lie in a file; one is checked the first time that it is looked at."""

    index: Any
    """A faiss.IndexIVFPQFastScan, whose stubs are wrong."""
    data: npt.NDArray[np.uint8]
    """As above."""
    inverted_lists: faiss.InvertedLists
    """FAISS does not keep what it maps itself from being freed."""
    file: MappedArray
    list_offsets: npt.NDArray[np.int64]
    """Where each list begins in the file; shape (lists + 1,)."""
    verified_lists: npt.NDArray[np.bool_]
    """Which lists were looked at already."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` best estimates in the nearest lists, or fewer, and their estimates."""
        asked = vector[np.newaxis, :]
        near, places = self.index.quantizer.search(asked, self.index.nprobe)
        new = places[0][~self.verified_lists[places[0]]]
        for place in new.tolist():
            self.file[slice(*self.list_offsets[place : place + 2].tolist())]
        self.verified_lists[new] = True
        return _drop_padding(*self.index.search_preassigned(asked, count, places, near))


def load_codes(columns: Mapping[str, MappedArray]) -> ProductCodes | IVFProductCodes:
    """The codes of which `make` returned the arrays, as they were written: what is cut short would end the process."""
    known: Any = faiss  # whose stubs lack what reads bytes with one copy of them or none
    data = columns["codes"].read_all()
    index = faiss.read_index(known.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    if not isinstance(index, faiss.IndexIVF):
        return ProductCodes(index, data)
    return _load_ivf_codes(index, data, columns["sizes"].read_all(), columns["lists"])


def _load_ivf_codes(
    index: Any, data: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64], file: MappedArray
) -> IVFProductCodes:
    """An index of lists that lie in a file, in the layout of `_laid`."""
    row_bytes, room = _bytes_per_code(index), _round_up_to_blocks(sizes)
    begins = np.concatenate([[0], np.cumsum(room * (row_bytes + _ID_BYTES))])
    known: Any = faiss  # whose stubs lack it
    lists = known.OnDiskInvertedLists()
    lists.nlist, lists.code_size, lists.read_only, lists.prefetch_nthread = len(sizes), row_bytes, True, 0
    lists.filename, lists.totsize = str(file.path), int(begins[-1])
    table = np.stack([sizes, room, begins[:-1]], axis=1).astype(np.uint64)
    lists.lists.resize(len(sizes))
    known.memcpy(lists.lists.data(), faiss.swig_ptr(table), table.nbytes)  # one by one only copies could be set
    try:
        lists.do_mmap()
    except RuntimeError as exc:
        raise DamagedFileError(f"{file.path} cannot be read: {exc}") from exc
    index.replace_invlists(lists, False)
    index.ntotal = int(sizes.sum())
    index.nprobe = min(index.nlist, max(MIN_PROBED_LISTS, int(MIN_PROBED_LIST_SHARE * index.nlist)))
    return IVFProductCodes(index, data, lists, file, begins, np.zeros(len(sizes), np.bool_))


def build_codes(vectors: Vectors, *, with_lists: bool) -> Mapping[str, npt.NDArray[Any]]:
    """The codes of all rows of `vectors`, which may be mapped, after learning from a sample of them; as arrays."""
    with _limit_threads(count_usable_cores() - 1):  # searches in other threads have a core meanwhile
        return _build_arrays(vectors, with_lists=with_lists)


@contextmanager
def _limit_threads(max_threads: int) -> Iterator[None]:
    """Let FAISS compute in so many threads for this one, or in fewer if it is told to."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(before, max_threads)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _build_arrays(vectors: Vectors, *, with_lists: bool) -> Mapping[str, npt.NDArray[Any]]:
    rows, dim = vectors.shape
    codes = dim // choose_dims_per_code(dim)
    index: Any = faiss.IndexPQFastScan(dim, codes, _CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    sampled = _CENTROIDS * _POINTS_PER_CENTROID
    if with_lists:
        coarse, count = faiss.IndexFlatIP(dim), 1 << round(math.log2(2 * math.sqrt(rows)))
        index = faiss.IndexIVFPQFastScan(coarse, dim, count, codes, _CODE_BITS, index.metric_type)
        index.by_residual = False  # else each list has a table of its own to be made for each question
        index.cp.niter = _LIST_TRAINING_ITERATIONS
        index.cp.min_points_per_centroid = 1  # else it prints that it would like more
        sampled = _POINTS_PER_CENTROID * count
    learning = index.pq.cp
    learning.niter, learning.max_points_per_centroid, learning.min_points_per_centroid = (
        _TRAINING_ITERATIONS,
        _POINTS_PER_CENTROID,
        1,
    )
    sample = vectors[:: max(1, rows // sampled)]
    index.train(np.resize(sample, (max(len(sample), _CENTROIDS), dim)))
    index.pq.sync_transposed_centroids()  # a third less time for the same codes
    for at in range(0, rows, _PIECE_ROWS):
        index.add(np.ascontiguousarray(vectors[at : at + _PIECE_ROWS]))
    if not with_lists:
        return {"codes": np.asarray(faiss.serialize_index(index))}
    sizes = np.array([index.invlists.list_size(place) for place in range(index.nlist)], np.int64)
    laid = np.concatenate(list(_iter_list_layout(index, sizes)))
    index.reset()
    return {"codes": np.asarray(faiss.serialize_index(index)), "sizes": sizes, "lists": laid}


def _iter_list_layout(index: Any, sizes: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.uint8]]:
    """Each list as FAISS wants it on disk: whole blocks of codes, then as many ids."""
    row_bytes = _bytes_per_code(index)
    for place, (size, room) in enumerate(zip(sizes.tolist(), _round_up_to_blocks(sizes).tolist(), strict=True)):
        if size:
            yield faiss.rev_swig_ptr(index.invlists.get_codes(place), room * row_bytes).copy()
            ids = np.full(room, -1, np.int64)
            ids[:size] = faiss.rev_swig_ptr(index.invlists.get_ids(place), size)
            yield ids.view(np.uint8)


def _round_up_to_blocks(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows for which each list has room: codes are kept by blocks."""
    return -(-sizes // _BLOCK_ROWS) * _BLOCK_ROWS


def _bytes_per_code(index: Any) -> int:
    """Bytes of a code in a block."""
    lists: Any = faiss.downcast_InvertedLists(index.invlists)
    assert lists.n_per_block == _BLOCK_ROWS
    return int(lists.block_size) // _BLOCK_ROWS


def _drop_padding(estimates: Vectors, rows: RowNumbers) -> tuple[RowNumbers, Vectors]:
    """Return rows and estimates of the first query without the -1 by which FAISS fills up."""
    valid = rows[0] >= 0
    return rows[0][valid], estimates[0][valid]


def choose_dims_per_code(dim: int) -> int:
    """How many dimensions share a code: more bits for each find more, and cost memory where there are many.

    >>> [dims_of_code(dim) for dim in (64, 256, 384, 768, 1535)]
    [1, 2, 3, 4, 1]
    """
    widest = min(4, 1 + (dim - 1) // 128)
    return next(width for width in range(widest, 0, -1) if dim % width == 0)
