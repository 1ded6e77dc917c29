"""Product codes, which rank many vectors approximately and fast. The only module that imports FAISS.

Product quantization with four bits per one to four dimensions, scanned in registers (Jégou et al., "Product
Quantization for Nearest Neighbor Search", PAMI 2011; André et al., "Cache locality is not enough", VLDB 2015). In a
large collection only the nearest lists are scanned, in a mapped file. FAISS loads many damaged files without an error
and reports success on a full disk; so it writes no file here, and the bytes that it reads are verified first.
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
"""Training rows per centroid of codes and lists: twice as many for lists add .001 of recall, in twice the time."""
_TRAINING_ITERATIONS = 3
"""More iterations, or more training rows, add no recall."""
_LIST_TRAINING_ITERATIONS = 8

_PIECE_ROWS = 65_536

_BLOCK_ROWS = 32
"""Rows per block of interleaved codes in FAISS."""
_ID_BYTES = 8

MIN_PROBED_LISTS = 160
MIN_PROBED_LIST_SHARE = 5 / 64
"""Lists that are scanned for one query, at least. Of a million rows, recall@10 of short queries is .976. With a fifth
fewer lists it is .007 lower and takes a sixth less time; with half as many more it is .01 higher and takes half as much
more time."""


@dataclass(frozen=True, slots=True)
class ProductCodes:
    """`vector_index.Codes` in memory."""

    index: faiss.Index
    data: npt.NDArray[np.uint8]
    """The bytes of the index; FAISS does not copy all of them."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` highest estimates, or fewer, and their estimates."""
        return _drop_padding(*self.index.search(vector[np.newaxis, :], count))


@dataclass(frozen=True, slots=True)
class IVFProductCodes:
    """`vector_index.Codes` with the lists in a file; each list is verified the first time that it is scanned."""

    index: Any
    """A faiss.IndexIVFPQFastScan; its type stubs are wrong."""
    data: npt.NDArray[np.uint8]
    """The bytes of the index without its lists."""
    inverted_lists: faiss.InvertedLists
    """Kept alive here: FAISS does not own the mapped lists."""
    file: MappedArray
    list_offsets: npt.NDArray[np.int64]
    """Byte offset of each list in the file, shape (lists + 1,)."""
    verified_lists: npt.NDArray[np.bool_]
    """Lists that were verified already."""

    def nearest(self, vector: Vectors, count: int) -> tuple[RowNumbers, Vectors]:
        """Return the rows of the `count` highest estimates in the nearest lists, or fewer, and their estimates."""
        queries = vector[np.newaxis, :]
        distances, list_ids = self.index.quantizer.search(queries, self.index.nprobe)
        unverified = list_ids[0][~self.verified_lists[list_ids[0]]]
        for list_id in unverified.tolist():
            self.file[slice(*self.list_offsets[list_id : list_id + 2].tolist())]
        self.verified_lists[unverified] = True
        return _drop_padding(*self.index.search_preassigned(queries, count, list_ids, distances))


def load_codes(columns: Mapping[str, MappedArray]) -> ProductCodes | IVFProductCodes:
    """Load codes from the arrays of `build_codes`, which must be verified: FAISS crashes on truncated bytes."""
    untyped_faiss: Any = faiss  # its stubs lack ZeroCopyIOReader
    data = columns["codes"].read_all()
    index = faiss.read_index(untyped_faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    if not isinstance(index, faiss.IndexIVF):
        return ProductCodes(index, data)
    return _load_ivf_codes(index, data, columns["sizes"].read_all(), columns["lists"])


def _load_ivf_codes(
    index: Any, data: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64], file: MappedArray
) -> IVFProductCodes:
    """Return an index with its lists in a file, in the layout of `_iter_list_layout`."""
    row_bytes, allocated_rows = _bytes_per_code(index), _round_up_to_blocks(sizes)
    list_offsets = np.concatenate([[0], np.cumsum(allocated_rows * (row_bytes + _ID_BYTES))])
    untyped_faiss: Any = faiss  # its stubs lack OnDiskInvertedLists
    inverted_lists = untyped_faiss.OnDiskInvertedLists()
    inverted_lists.nlist, inverted_lists.code_size, inverted_lists.read_only, inverted_lists.prefetch_nthread = (
        len(sizes),
        row_bytes,
        True,
        0,
    )
    inverted_lists.filename, inverted_lists.totsize = str(file.path), int(list_offsets[-1])
    table = np.stack([sizes, allocated_rows, list_offsets[:-1]], axis=1).astype(np.uint64)
    inverted_lists.lists.resize(len(sizes))
    untyped_faiss.memcpy(
        inverted_lists.lists.data(), faiss.swig_ptr(table), table.nbytes
    )  # item access in Python sets copies only
    try:
        inverted_lists.do_mmap()
    except RuntimeError as exc:
        raise DamagedFileError(f"{file.path} cannot be read: {exc}") from exc
    index.replace_invlists(inverted_lists, False)
    index.ntotal = int(sizes.sum())
    index.nprobe = min(index.nlist, max(MIN_PROBED_LISTS, int(MIN_PROBED_LIST_SHARE * index.nlist)))
    return IVFProductCodes(index, data, inverted_lists, file, list_offsets, np.zeros(len(sizes), np.bool_))


def build_codes(vectors: Vectors, *, with_lists: bool) -> Mapping[str, npt.NDArray[Any]]:
    """Train codes on a sample of `vectors`, which may be mapped, and return the codes of all rows as named arrays."""
    with _limit_threads(count_usable_cores() - 1):  # one core stays free for searches in other threads
        return _build_arrays(vectors, with_lists=with_lists)


@contextmanager
def _limit_threads(max_threads: int) -> Iterator[None]:
    """Limit the FAISS threads of this thread to `max_threads`; a lower limit that is set already stays."""
    previous_limit = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(previous_limit, max_threads)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(previous_limit)


def _build_arrays(vectors: Vectors, *, with_lists: bool) -> Mapping[str, npt.NDArray[Any]]:
    rows, dim = vectors.shape
    code_count = dim // choose_dims_per_code(dim)
    index: Any = faiss.IndexPQFastScan(dim, code_count, _CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    sample_size = _CENTROIDS * _POINTS_PER_CENTROID
    if with_lists:
        quantizer, list_count = faiss.IndexFlatIP(dim), 1 << round(math.log2(2 * math.sqrt(rows)))
        index = faiss.IndexIVFPQFastScan(quantizer, dim, list_count, code_count, _CODE_BITS, index.metric_type)
        index.by_residual = False  # with residuals each list needs a lookup table of its own for each query
        index.cp.niter = _LIST_TRAINING_ITERATIONS
        index.cp.min_points_per_centroid = 1  # with a higher minimum it prints warnings
        sample_size = _POINTS_PER_CENTROID * list_count
    clustering = index.pq.cp
    clustering.niter, clustering.max_points_per_centroid, clustering.min_points_per_centroid = (
        _TRAINING_ITERATIONS,
        _POINTS_PER_CENTROID,
        1,
    )
    sample = vectors[:: max(1, rows // sample_size)]
    index.train(np.resize(sample, (max(len(sample), _CENTROIDS), dim)))
    index.pq.sync_transposed_centroids()  # a third less time, for the same codes
    for start in range(0, rows, _PIECE_ROWS):
        index.add(np.ascontiguousarray(vectors[start : start + _PIECE_ROWS]))
    if not with_lists:
        return {"codes": np.asarray(faiss.serialize_index(index))}
    sizes = np.array([index.invlists.list_size(list_id) for list_id in range(index.nlist)], np.int64)
    layout = np.concatenate(list(_iter_list_layout(index, sizes)))
    index.reset()
    return {"codes": np.asarray(faiss.serialize_index(index)), "sizes": sizes, "lists": layout}


def _iter_list_layout(index: Any, sizes: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield each list in the on-disk layout of FAISS: whole blocks of codes, then as many ids."""
    row_bytes = _bytes_per_code(index)
    for list_id, (size, allocated_rows) in enumerate(
        zip(sizes.tolist(), _round_up_to_blocks(sizes).tolist(), strict=True)
    ):
        if size:
            yield faiss.rev_swig_ptr(index.invlists.get_codes(list_id), allocated_rows * row_bytes).copy()
            ids = np.full(allocated_rows, -1, np.int64)
            ids[:size] = faiss.rev_swig_ptr(index.invlists.get_ids(list_id), size)
            yield ids.view(np.uint8)


def _round_up_to_blocks(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows that each list allocates: whole blocks."""
    return -(-sizes // _BLOCK_ROWS) * _BLOCK_ROWS


def _bytes_per_code(index: Any) -> int:
    """Return the bytes per row of a block of codes."""
    inverted_lists: Any = faiss.downcast_InvertedLists(index.invlists)
    assert inverted_lists.n_per_block == _BLOCK_ROWS
    return int(inverted_lists.block_size) // _BLOCK_ROWS


def _drop_padding(estimates: Vectors, rows: RowNumbers) -> tuple[RowNumbers, Vectors]:
    """Return rows and estimates of the first query without the -1 with which FAISS pads its results."""
    valid = rows[0] >= 0
    return rows[0][valid], estimates[0][valid]


def choose_dims_per_code(dim: int) -> int:
    """Return how many dimensions share a code: fewer per code give a higher recall, and take more memory.

    >>> [choose_dims_per_code(dim) for dim in (64, 256, 384, 768, 1535)]
    [1, 2, 3, 4, 1]
    """
    max_width = min(4, 1 + (dim - 1) // 128)
    return next(width for width in range(max_width, 0, -1) if dim % width == 0)
