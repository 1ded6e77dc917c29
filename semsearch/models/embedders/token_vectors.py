"""Read token vectors from safetensors files and compute their means. Does not tokenize.

A file consists of the length of its header (8 bytes), the header in JSON, and the numbers
(https://github.com/huggingface/safetensors#format). The header is validated before any number is read.
"""

import json
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import StorageError
from ...core.types.documents import Vectors

TokenIds = npt.NDArray[np.int64]

_NUMPY_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1", "I32": "<i4", "I64": "<i8"}
_MAX_HEADER_BYTES = 1 << 20
_BLOCK_TOKENS = 4096
"""Tokens that are summed at once; bounds the memory for a very long text."""
_INITIAL_ROWS = 1024
"""Rows allocated at first."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Position and type of a tensor in its file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    def memory_map(self, file: Path) -> npt.NDArray[Any]:
        """Map the numbers into memory; the system reads them on access."""
        return np.memmap(file, self.dtype, "r", self.offset, self.shape)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name; ValueError with the reason if its header is not valid."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"its header cannot be {length:,} bytes long")
        try:
            header = json.loads(stream.read(length))
        except (ValueError, RecursionError) as exc:
            raise ValueError("its header is not JSON") from exc
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    return {
        name: _parse_tensor(name, fields, 8 + length, size) for name, fields in header.items() if name != "__metadata__"
    }


def _parse_tensor(name: str, header: Any, data_start: int, file_size: int) -> Tensor:
    match header:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)]} if kind in _NUMPY_TYPES:
            is_valid_shape = all(isinstance(length, int) and 0 < length < 1 << 40 for length in shape)
            size = math.prod(shape) * np.dtype(_NUMPY_TYPES[kind]).itemsize if is_valid_shape else -1
            if start >= 0 and size == end - start and data_start + end <= file_size:
                return Tensor(_NUMPY_TYPES[kind], tuple(shape), data_start + start)
    raise ValueError(
        f"its header describes the tensor {name[:40]!r} wrongly: an unknown type, or a size that does not fit the file"
    )


class RowReader:
    """Reads rows of a two-dimensional tensor one by one: a memory map would keep the pages around each row."""

    def __init__(self, file: Path, tensor: Tensor) -> None:
        """Open the file until this object is collected; OSError if that fails."""
        self._file, self._offset, self._dtype = file, tensor.offset, np.dtype(tensor.dtype)
        self.shape = tensor.shape
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def __getitem__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of these rows, which must exist; StorageError if the file was truncated."""
        row_bytes = self._dtype.itemsize * self.shape[1]
        data = b"".join(
            [os.pread(self._descriptor, row_bytes, self._offset + row * row_bytes) for row in rows.tolist()]
        )
        if len(data) != row_bytes * len(rows):
            raise StorageError(f"{self._file} was truncated while it was in use; copy the model into its folder again")
        return np.frombuffer(data, self._dtype).reshape(len(rows), self.shape[1])


class TokenVectorTable:
    """Token vectors as float32, read on first use: sums over a table in half precision are slow.

    Rows are in the order of first use, so that memory holds only the tokens that occur in the texts.
    """

    def __init__(self, shape: tuple[int, int], read_rows: Callable[[TokenIds], npt.NDArray[Any]]) -> None:
        self._row_indexes = np.full(shape[0], -1, np.int32)
        self._rows = np.empty((min(_INITIAL_ROWS, shape[0]), shape[1]), np.float32)
        self._count = 0
        self._read_rows = read_rows
        self._lock = threading.Lock()

    def compute_means(self, texts: Iterable[TokenIds], count: int) -> Vectors:
        """Return the mean vector of each text with length 1, shape (count, dim); zeros for a text without tokens."""
        vectors, token_lists = np.zeros((count, self._rows.shape[1]), np.float32), list(texts)
        row_indexes, end = self._locate_rows(np.concatenate([np.empty(0, np.int64), *token_lists])), 0
        for vector, tokens in zip(vectors, token_lists, strict=True):
            start, end = end, end + len(tokens)
            for block_start in range(start, end, _BLOCK_TOKENS):
                vector += self._sum_rows(row_indexes[block_start : min(block_start + _BLOCK_TOKENS, end)])
        lengths = np.sqrt(np.vecdot(vectors, vectors))[:, np.newaxis]  # a third of the time of numpy.linalg.norm
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _locate_rows(self, tokens: TokenIds) -> npt.NDArray[np.int32]:
        """Return the row indexes of these tokens; rows that are not loaded yet are read together."""
        row_indexes = self._row_indexes[tokens]
        if row_indexes.min(initial=0) < 0:
            self._load_rows(tokens)
            row_indexes = self._row_indexes[tokens]
        return row_indexes

    def _sum_rows(self, row_indexes: npt.NDArray[np.int32]) -> Vectors:
        return np.ones(len(row_indexes), np.float32) @ self._rows.take(row_indexes, axis=0)

    def _load_rows(self, tokens: TokenIds) -> None:
        """Load the rows of new tokens. A row is written before its index, because readers take no lock."""
        with self._lock:
            # not by numpy.unique, which imports all of numpy.ma when it is first called
            new_tokens = np.array(sorted(set(tokens[self._row_indexes[tokens] < 0].tolist())), np.int64)
            count = self._count + len(new_tokens)
            if count > len(self._rows):
                rows = np.empty((min(2 * count, len(self._row_indexes)), self._rows.shape[1]), np.float32)
                rows[: self._count] = self._rows[: self._count]
                self._rows = rows
            self._rows[self._count : count] = self._read_rows(new_tokens)
            self._row_indexes[new_tokens] = np.arange(self._count, count, dtype=np.int32)
            self._count = count
