"""Arrays in files: synced when they are written, and verified block by block by checksum when they are read.

A block is verified the first time that it is read, so that opening gigabytes costs no more than the blocks that a
search reads. Does not know what the arrays mean.
"""

import hashlib
import json
import mmap
import os
import secrets
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .....core.errors import StorageError
from .....core.file_sync import sync_folder
from .....core.private_files import FOLDER_MODE, open_private

BLOCK_BYTES = 4_096
"""Bytes with one checksum; each block has a whole number of rows."""

_CHECKSUM_FILE = "sums.u32"

Array = npt.NDArray[Any]


class DamagedFileError(StorageError):
    """A derived file is missing, or its bytes are not those that were written."""


@dataclass
class ArrayWriter:
    """Write arrays into a temporary folder; `commit` gives it its name, `discard` deletes it."""

    folder: Path
    """The parent of the new folder."""
    _temp_folder: Path = field(init=False)
    _arrays: dict[str, list[Any]] = field(default_factory=dict)
    _checksums: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the temporary folder."""
        self._temp_folder = self.folder / f".building-{secrets.token_hex(8)}"
        self._temp_folder.mkdir(mode=FOLDER_MODE)

    def add(self, name: str, pieces: Iterable[Array]) -> Array:
        """Write an array and return it mapped."""
        with _ArrayFile(self._temp_folder / name) as file:
            for piece in pieces:
                file.append(piece)
        self._add_written(name, file)
        return _map_file(self._temp_folder / name, file.dtype, file.shape)

    def add_columns(self, names: Sequence[str], pieces: Iterable[Sequence[Array]]) -> None:
        """Write several arrays of shape (rows,) at once: each of `pieces` has the next elements of every array."""
        with ExitStack() as stack:
            files = [stack.enter_context(_ArrayFile(self._temp_folder / name)) for name in names]
            for columns in pieces:
                for file, column in zip(files, columns, strict=True):
                    file.append(column)
        for name, file in zip(names, files, strict=True):
            self._add_written(name, file)

    def commit(self, prefix: str, version: str) -> tuple[str, str]:
        """Give the folder its name, durably; return the name and the manifest that `open_arrays` needs.

        `version` is that of the code that built the arrays; `read_version` returns it.
        """
        checksums = np.array(self._checksums, "<u4").tobytes()
        with open(self._temp_folder / _CHECKSUM_FILE, "xb", opener=open_private) as file:
            file.write(checksums)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._temp_folder)
        digest = hashlib.sha256(checksums).hexdigest()
        name = f"{prefix}-{digest[:12]}"
        shutil.rmtree(
            self.folder / name, ignore_errors=True
        )  # left by a build that was killed before the catalogue named it
        self._temp_folder.rename(self.folder / name)
        sync_folder(self.folder)
        return name, json.dumps({"sums": digest, "arrays": self._arrays, "version": version})

    def discard(self) -> None:
        """Delete the temporary folder."""
        shutil.rmtree(self._temp_folder, ignore_errors=True)

    def _add_written(self, name: str, file: "_ArrayFile") -> None:
        self._arrays[name] = [file.dtype.str, *file.shape]
        self._checksums += file.checksums


class _ArrayFile:
    """One array file that is being written: `dtype`, `shape`, and the checksum of each block. Synced when closed."""

    def __init__(self, path: Path) -> None:
        self.dtype = np.dtype(np.uint8)
        self.shape: tuple[int, ...] = (0,)
        self.checksums: list[int] = []
        self._file = open(path, "xb", opener=open_private)  # noqa: SIM115  # closed by `__exit__`
        self._last_block_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        """Sync and close the file."""
        with self._file:
            if exc_type is None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def append(self, piece: Array) -> None:
        """Write the next rows."""
        self.dtype, self.shape = piece.dtype, (self.shape[0] + len(piece), *piece.shape[1:])
        data = np.ascontiguousarray(piece).view(np.uint8).reshape(-1).data
        self._file.write(data)
        size = _count_rows_per_block(self.dtype, self.shape[1:]) * _bytes_per_row(self.dtype, self.shape[1:])
        start = 0
        while start < len(data):
            end = min(start + size - self._last_block_bytes, len(data))
            if not self._last_block_bytes:
                self.checksums.append(0)
            self.checksums[-1] = zlib.crc32(data[start:end], self.checksums[-1])
            self._last_block_bytes, start = (self._last_block_bytes + end - start) % size, end


class MappedArray:
    """One memory-mapped array; reading a block that does not match its checksum raises DamagedFileError."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], checksums: npt.NDArray[np.uint32]) -> None:
        self.path = path
        self.shape = shape
        self._checksums = checksums
        # a numpy mask takes ten times as long to test a few blocks
        self._verified_blocks = bytearray(len(checksums))
        self._all_rows: Array | None = None
        self._rows_per_block = _count_rows_per_block(np.dtype(dtype), shape[1:])
        self._rows = _map_file(path, np.dtype(dtype), shape)
        self._bytes = (
            self._rows.reshape(-1).view(np.uint8).data
        )  # slicing the numpy array takes longer than its checksum

    def __getitem__(self, part: slice) -> Array:
        """Return the rows from `part.start` to `part.stop`, mapped."""
        first, last = part.start // self._rows_per_block, -(-part.stop // self._rows_per_block)
        if self._verified_blocks.find(0, first, last) >= 0:
            self._verify_blocks(np.arange(first, last))
        rows: Array = self._rows[part]
        return rows

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> Array:
        """Return a copy of these rows."""
        if self._verified_blocks.find(0) >= 0:  # of a small file all blocks are soon verified
            self._verify_blocks(rows // self._rows_per_block)
        taken: Array = self._rows[rows]
        return taken

    def read_all(self) -> Array:
        """Return all rows, mapped."""
        if self._all_rows is None:
            self._all_rows = self[0 : self.shape[0]]
        return self._all_rows

    def _verify_blocks(self, blocks: npt.NDArray[Any]) -> None:
        is_verified = np.frombuffer(self._verified_blocks, np.bool_)[blocks]
        if is_verified.all():
            return
        size = self._rows_per_block * _bytes_per_row(self._rows.dtype, self.shape[1:])
        unverified = sorted(set(blocks[~is_verified].tolist()))
        data, checksums = self._bytes, self._checksums[unverified].tolist()
        if [zlib.crc32(data[block * size : (block + 1) * size]) for block in unverified] != checksums:
            raise DamagedFileError(f"{self.path} is damaged: its bytes are not those that were written")
        for block in unverified:
            self._verified_blocks[block] = True


def read_version(manifest: str) -> str | None:
    """Return the version of the code that built the arrays of a folder, None if the manifest has none."""
    version: str | None = json.loads(manifest).get("version")
    return version


def open_arrays(folder: Path, manifest: str) -> Mapping[str, MappedArray]:
    """Return the arrays of a committed folder by name; DamagedFileError if a file is missing or does not match."""
    contents = json.loads(manifest)
    try:
        checksums = (folder / _CHECKSUM_FILE).read_bytes()
    except OSError as exc:
        raise DamagedFileError(f"{folder / _CHECKSUM_FILE} cannot be read: {exc.strerror}") from exc
    if hashlib.sha256(checksums).hexdigest() != contents["sums"]:
        raise DamagedFileError(f"{folder / _CHECKSUM_FILE} is damaged: its bytes are not those that were written")
    remaining = np.frombuffer(checksums, "<u4")
    arrays = {}
    for name, (dtype, *shape) in contents["arrays"].items():
        blocks = -(-shape[0] // _count_rows_per_block(np.dtype(dtype), tuple(shape[1:])))
        arrays[name] = MappedArray(folder / name, dtype, tuple(shape), remaining[:blocks])
        remaining = remaining[blocks:]
    return arrays


def _map_file(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    try:
        size = path.stat().st_size
        if size != shape[0] * _bytes_per_row(dtype, shape[1:]):
            raise DamagedFileError(f"{path} is damaged: it has {size} bytes, not as many as were written")
        if not size:
            return np.empty(shape, dtype)
        with path.open("rb") as file:  # np.memmap reads the status of every parent folder
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype).reshape(shape)
    except OSError as exc:
        raise DamagedFileError(f"{path} cannot be read: {exc.strerror}") from exc


def _bytes_per_row(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    return dtype.itemsize * int(np.prod(row_shape))


def _count_rows_per_block(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    return max(1, BLOCK_BYTES // _bytes_per_row(dtype, row_shape))
