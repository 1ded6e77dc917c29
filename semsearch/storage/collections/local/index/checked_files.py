"""Arrays in files that may be trusted: synced when they are written, and checked block by block when they are read.

A block is checked the first time that it is touched, so that opening gigabytes costs no more than what a search needs
of them. Knows nothing of what the arrays mean.
"""

import hashlib
import json
import mmap
import os
import secrets
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .....core.errors import StorageError
from .....core.file_sync import sync_folder

BLOCK_BYTES = 4_096
"""Bytes that are checked together; a whole number of rows."""

_CHECKSUM_FILE = "sums.u32"

Array = npt.NDArray[Any]


class DamagedFileError(StorageError):
    """A file that is derived from the catalogue does not hold what was written to it."""


@dataclass
class ArrayWriter:
    """Writes arrays into a folder that has no name yet; `seal` gives it one, or `discard` leaves nothing."""

    folder: Path
    """In which the new folder will lie."""
    _temp_folder: Path = field(init=False)
    _arrays: dict[str, list[Any]] = field(default_factory=dict)
    _checksums: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folder."""
        self._temp_folder = self.folder / f".building-{secrets.token_hex(8)}"
        self._temp_folder.mkdir()

    def add(self, name: str, pieces: Iterable[Array]) -> Array:
        """Write an array and return it mapped; each of its pieces but the last has a multiple of `BLOCK` rows."""
        rows, shape, dtype = 0, (0,), np.dtype(np.uint8)
        with (self._temp_folder / name).open("xb") as file:
            for piece in pieces:
                dtype, shape, rows = piece.dtype, piece.shape, rows + len(piece)
                data = np.ascontiguousarray(piece).view(np.uint8).reshape(-1).data
                file.write(data)
                size = _count_rows_per_block(dtype, shape[1:]) * _bytes_per_row(dtype, shape[1:])
                self._checksums += [zlib.crc32(data[at : at + size]) for at in range(0, len(data), size)]
            file.flush()
            os.fsync(file.fileno())
        shape = (rows, *shape[1:])
        self._arrays[name] = [dtype.str, *shape]
        return _map_file(self._temp_folder / name, dtype, shape)

    def commit(self, prefix: str, version: str) -> tuple[str, str]:
        """Give the folder its name, durably; return that and what `read` must be told to trust it.

        `version` says what made the arrays, for `version_of`.
        """
        sums = np.array(self._checksums, "<u4").tobytes()
        with (self._temp_folder / _CHECKSUM_FILE).open("xb") as file:
            file.write(sums)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._temp_folder)
        digest = hashlib.sha256(sums).hexdigest()
        name = f"{prefix}-{digest[:12]}"
        shutil.rmtree(self.folder / name, ignore_errors=True)  # left by a build that was killed before it was named
        self._temp_folder.rename(self.folder / name)
        sync_folder(self.folder)
        return name, json.dumps({"sums": digest, "arrays": self._arrays, "version": version})

    def discard(self) -> None:
        """Leave no trace."""
        shutil.rmtree(self._temp_folder, ignore_errors=True)


class MappedArray:
    """One array in its file, mapped. What is taken from it was checked, or it is Damaged."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], checksums: npt.NDArray[np.uint32]) -> None:
        self.path = path
        self.shape = shape
        self._checksums = checksums
        self._verified_blocks = bytearray(
            len(checksums)
        )  # numpy takes ten times as long to say whether a few of them are set
        self._all_rows: Array | None = None
        self._rows_per_block = _count_rows_per_block(np.dtype(dtype), shape[1:])
        self._rows = _map_file(path, np.dtype(dtype), shape)
        self._bytes = self._rows.reshape(-1).view(np.uint8).data  # numpy takes longer for a slice than its sum does

    def __getitem__(self, part: slice) -> Array:
        """The rows from `part.start` to `part.stop`, as they lie in the file."""
        first, last = part.start // self._rows_per_block, -(-part.stop // self._rows_per_block)
        if self._verified_blocks.find(0, first, last) >= 0:
            self._verify_blocks(np.arange(first, last))
        rows: Array = self._rows[part]
        return rows

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> Array:
        """A copy of these rows."""
        if self._verified_blocks.find(0) >= 0:  # a small file is soon sound from end to end
            self._verify_blocks(rows // self._rows_per_block)
        taken: Array = self._rows[rows]
        return taken

    def read_all(self) -> Array:
        """All rows, as they lie in the file."""
        if self._all_rows is None:
            self._all_rows = self[0 : self.shape[0]]
        return self._all_rows

    def _verify_blocks(self, blocks: npt.NDArray[Any]) -> None:
        sound = np.frombuffer(self._verified_blocks, np.bool_)[blocks]
        if sound.all():
            return
        size = self._rows_per_block * _bytes_per_row(self._rows.dtype, self.shape[1:])
        new = sorted(set(blocks[~sound].tolist()))
        data, sums = self._bytes, self._checksums[new].tolist()
        if [zlib.crc32(data[block * size : (block + 1) * size]) for block in new] != sums:
            raise DamagedFileError(f"{self.path} is damaged: its bytes are not those that were written")
        for block in new:
            self._verified_blocks[block] = True


def read_version(manifest: str) -> str | None:
    """What made the arrays of a folder, as far as it was said."""
    version: str | None = json.loads(manifest).get("version")
    return version


def open_arrays(folder: Path, manifest: str) -> Mapping[str, MappedArray]:
    """The arrays of a sealed folder by name; Damaged says which file is missing or does not fit."""
    known = json.loads(manifest)
    try:
        sums = (folder / _CHECKSUM_FILE).read_bytes()
    except OSError as exc:
        raise DamagedFileError(f"{folder / _CHECKSUM_FILE} cannot be read: {exc.strerror}") from exc
    if hashlib.sha256(sums).hexdigest() != known["sums"]:
        raise DamagedFileError(f"{folder / _CHECKSUM_FILE} is damaged: its bytes are not those that were written")
    left = np.frombuffer(sums, "<u4")
    columns = {}
    for name, (dtype, *shape) in known["arrays"].items():
        blocks = -(-shape[0] // _count_rows_per_block(np.dtype(dtype), tuple(shape[1:])))
        columns[name] = MappedArray(folder / name, dtype, tuple(shape), left[:blocks])
        left = left[blocks:]
    return columns


def _map_file(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    try:
        size = path.stat().st_size
        if size != shape[0] * _bytes_per_row(dtype, shape[1:]):
            raise DamagedFileError(f"{path} is damaged: {size} bytes are not as many as were written")
        if not size:
            return np.empty(shape, dtype)
        with path.open("rb") as file:  # numpy's own way looks at each folder above the file
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype).reshape(shape)
    except OSError as exc:
        raise DamagedFileError(f"{path} cannot be read: {exc.strerror}") from exc


def _bytes_per_row(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    return dtype.itemsize * int(np.prod(row_shape))


def _count_rows_per_block(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    return max(1, BLOCK_BYTES // _bytes_per_row(dtype, row_shape))
