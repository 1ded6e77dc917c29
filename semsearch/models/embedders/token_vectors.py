"""Tables of token vectors in safetensors files, and their rows added up.

Does not tokenize. A file has the form: length of the header (8 bytes), header in JSON, numbers
(https://github.com/huggingface/safetensors#format). What the header says is checked before anything is read.
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
"""Tokens that are added up at once, which bounds the memory of a text without end."""
_INITIAL_ROWS = 1024
"""Rows that there is room for at first."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where the numbers of a tensor stand in their file, and of what kind they are."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    def memory_map(self, file: Path) -> npt.NDArray[Any]:
        """Map the numbers; they are read when they are looked at."""
        return np.memmap(file, self.dtype, "r", self.offset, self.shape)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; ValueError, saying why, if its header does not fit it."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"its header cannot be {length:,} bytes long")
        try:
            header = json.loads(opened.read(length))
        except (ValueError, RecursionError) as exc:
            raise ValueError("its header is not JSON") from exc
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    return {
        name: _parse_tensor(name, said, 8 + length, size) for name, said in header.items() if name != "__metadata__"
    }


def _parse_tensor(name: str, header: Any, data_start: int, file_size: int) -> Tensor:
    match header:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(end)]} if kind in _NUMPY_TYPES:
            numbers = all(isinstance(each, int) and 0 < each < 1 << 40 for each in shape)
            wanted = math.prod(shape) * np.dtype(_NUMPY_TYPES[kind]).itemsize if numbers else -1
            if start >= 0 and wanted == end - start and data_start + end <= file_size:
                return Tensor(_NUMPY_TYPES[kind], tuple(shape), data_start + start)
    raise ValueError(f"its header says of {name[:40]!r} what cannot be read or does not fit the file")


class RowReader:
    """The rows of a tensor of two dimensions, read one by one: if they were mapped, pages around them would stay."""

    def __init__(self, file: Path, tensor: Tensor) -> None:
        """OSError if the file cannot be opened; it stays open as long as this lives."""
        self._file, self._offset, self._dtype = file, tensor.offset, np.dtype(tensor.dtype)
        self.shape = tensor.shape
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def __getitem__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of these rows, which there must be; Storage if the file has become shorter."""
        size = self._dtype.itemsize * self.shape[1]
        data = b"".join([os.pread(self._descriptor, size, self._offset + row * size) for row in rows.tolist()])
        if len(data) != size * len(rows):
            raise StorageError(f"{self._file} was cut short while it was used")
        return np.frombuffer(data, self._dtype).reshape(len(rows), self.shape[1])


class TokenVectorTable:
    """The vectors of tokens as float32, read when a token is first met: a table in half precision is slow to add up.

    They stand in the order in which they were met, so that those of a language take no more memory than they need.
    """

    def __init__(self, shape: tuple[int, int], read_rows: Callable[[TokenIds], npt.NDArray[Any]]) -> None:
        self._row_indexes = np.full(shape[0], -1, np.int32)
        self._rows = np.empty((min(_INITIAL_ROWS, shape[0]), shape[1]), np.float32)
        self._count = 0
        self._read_rows = read_rows
        self._lock = threading.Lock()

    def compute_means(self, texts: Iterable[TokenIds], count: int) -> Vectors:
        """The means of the rows of each text's tokens, scaled to length 1; zeros for a text without tokens."""
        vectors, cut = np.zeros((count, self._rows.shape[1]), np.float32), list(texts)
        places, end = self._locate_rows(np.concatenate([np.empty(0, np.int64), *cut])), 0
        for vector, tokens in zip(vectors, cut, strict=True):
            start, end = end, end + len(tokens)
            for at in range(start, end, _BLOCK_TOKENS):
                vector += self._sum_rows(places[at : min(at + _BLOCK_TOKENS, end)])
        lengths = np.sqrt(np.vecdot(vectors, vectors))[:, np.newaxis]  # a third of the time of numpy.linalg.norm
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _locate_rows(self, tokens: TokenIds) -> npt.NDArray[np.int32]:
        """Where the rows of these tokens stand; those that are new are read together."""
        places = self._row_indexes[tokens]
        if places.min(initial=0) < 0:
            self._load_rows(tokens)
            places = self._row_indexes[tokens]
        return places

    def _sum_rows(self, row_indexes: npt.NDArray[np.int32]) -> Vectors:
        return np.ones(len(row_indexes), np.float32) @ self._rows.take(row_indexes, axis=0)

    def _load_rows(self, tokens: TokenIds) -> None:
        """Read what is new among these tokens; who looks on without the lock sees a row before its place."""
        with self._lock:
            # not by numpy.unique, which imports all of numpy.ma when it is first called
            new = np.array(sorted(set(tokens[self._row_indexes[tokens] < 0].tolist())), np.int64)
            count = self._count + len(new)
            if count > len(self._rows):
                rows = np.empty((min(2 * count, len(self._row_indexes)), self._rows.shape[1]), np.float32)
                rows[: self._count] = self._rows[: self._count]
                self._rows = rows
            self._rows[self._count : count] = self._read_rows(new)
            self._row_indexes[new] = np.arange(self._count, count, dtype=np.int32)
            self._count = count
