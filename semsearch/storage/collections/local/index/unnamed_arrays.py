"""Arrays in temporary files without a name: the kernel deletes a file when nothing reads it any more."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .....core.unnamed_file import UnnamedFile
from .arrays import Array


@dataclass(frozen=True, slots=True)
class FileArray:
    """An array of shape (size,) that is copied from its file whenever it is read, as a `LazyArray`."""

    file: UnnamedFile
    offset: int
    size: int
    dtype: npt.DTypeLike

    def __getitem__(self, part: slice) -> Array:
        """Return the elements from `part.start` to `part.stop`."""
        width = np.dtype(self.dtype).itemsize
        return np.frombuffer(
            self.file.read(self.offset + part.start * width, (part.stop - part.start) * width), self.dtype
        )

    def read_all(self) -> Array:
        """Return all elements."""
        return self[0 : self.size]


def append_array(file: UnnamedFile, array: Array) -> FileArray:
    """Write an array to the end of a file; OSError if there is no space."""
    return FileArray(file, file.append(np.ascontiguousarray(array).tobytes()), len(array), array.dtype)


class GrowingArrays:
    """Arrays that grow side by side in one file. Each has a part of the file for its maximum size."""

    def __init__(self, dtypes: Sequence[npt.DTypeLike], max_sizes: Sequence[int]) -> None:
        """Create the file in the folder for temporary files; OSError if that is not possible."""
        self._dtypes: list[np.dtype[Any]] = [np.dtype(dtype) for dtype in dtypes]
        reserved = [
            -(-size * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
            for size, dtype in zip(max_sizes, self._dtypes, strict=True)
        ]
        self._offsets = np.cumsum([0, *reserved]).tolist()
        self._sizes = [0] * len(reserved)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed by `map`, or with the object
        self._file.truncate(self._offsets[-1])  # what is not written takes no space

    def append(self, arrays: Sequence[Array]) -> None:
        """Append the next elements of every array; OSError if there is no space."""
        for index, (array, dtype) in enumerate(zip(arrays, self._dtypes, strict=True)):
            data = np.ascontiguousarray(array, dtype).view(np.uint8).data
            position = self._offsets[index] + self._sizes[index] * dtype.itemsize
            while len(data):
                written = os.pwrite(self._file.fileno(), data, position)
                data, position = data[written:], position + written
            self._sizes[index] += len(array)

    def map(self) -> list[Array]:
        """Return the arrays, mapped; nothing can be appended any more."""
        with self._file as file:
            mapping = mmap.mmap(file.fileno(), self._offsets[-1], access=mmap.ACCESS_READ)
        return [
            np.frombuffer(mapping, dtype, size, offset)
            for dtype, size, offset in zip(self._dtypes, self._sizes, self._offsets, strict=False)
        ]
