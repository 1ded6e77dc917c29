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

from .....core.errors import Storage
from .....core.file_sync import sync_folder

BLOCK = 4_096
"""Bytes that are checked together; a whole number of rows."""

_SUMS = "sums.u32"

Numbers = npt.NDArray[Any]


class Damaged(Storage):
    """A file that is derived from the catalogue does not hold what was written to it."""


@dataclass
class Writer:
    """Writes arrays into a folder that has no name yet; `seal` gives it one, or `discard` leaves nothing."""

    folder: Path
    """In which the new folder will lie."""
    _aside: Path = field(init=False)
    _arrays: dict[str, list[Any]] = field(default_factory=dict)
    _sums: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folder."""
        self._aside = self.folder / f".building-{secrets.token_hex(8)}"
        self._aside.mkdir()

    def add(self, name: str, pieces: Iterable[Numbers]) -> Numbers:
        """Write an array and return it mapped; each of its pieces but the last has a multiple of `BLOCK` rows."""
        rows, shape, dtype = 0, (0,), np.dtype(np.uint8)
        with (self._aside / name).open("xb") as file:
            for piece in pieces:
                dtype, shape, rows = piece.dtype, piece.shape, rows + len(piece)
                data = np.ascontiguousarray(piece).view(np.uint8).reshape(-1).data
                file.write(data)
                size = _rows_in_block(dtype, shape[1:]) * _row_bytes(dtype, shape[1:])
                self._sums += [zlib.crc32(data[at : at + size]) for at in range(0, len(data), size)]
            file.flush()
            os.fsync(file.fileno())
        shape = (rows, *shape[1:])
        self._arrays[name] = [dtype.str, *shape]
        return _mapped(self._aside / name, dtype, shape)

    def seal(self, prefix: str, version: str) -> tuple[str, str]:
        """Give the folder its name, durably; return that and what `read` must be told to trust it.

        `version` says what made the arrays, for `version_of`.
        """
        sums = np.array(self._sums, "<u4").tobytes()
        with (self._aside / _SUMS).open("xb") as file:
            file.write(sums)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._aside)
        digest = hashlib.sha256(sums).hexdigest()
        name = f"{prefix}-{digest[:12]}"
        shutil.rmtree(self.folder / name, ignore_errors=True)  # left by a build that was killed before it was named
        self._aside.rename(self.folder / name)
        sync_folder(self.folder)
        return name, json.dumps({"sums": digest, "arrays": self._arrays, "version": version})

    def discard(self) -> None:
        """Leave no trace."""
        shutil.rmtree(self._aside, ignore_errors=True)


class Column:
    """One array in its file, mapped. What is taken from it was checked, or it is Damaged."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], sums: npt.NDArray[np.uint32]) -> None:
        self.path = path
        self.shape = shape
        self._sums = sums
        self._sound = bytearray(len(sums))  # numpy takes ten times as long to say whether a few of them are set
        self._all: Numbers | None = None
        self._block = _rows_in_block(np.dtype(dtype), shape[1:])
        self._rows = _mapped(path, np.dtype(dtype), shape)
        self._bytes = self._rows.reshape(-1).view(np.uint8).data  # numpy takes longer for a slice than its sum does

    def __getitem__(self, part: slice) -> Numbers:
        """The rows from `part.start` to `part.stop`, as they lie in the file."""
        first, last = part.start // self._block, -(-part.stop // self._block)
        if self._sound.find(0, first, last) >= 0:
            self._check(np.arange(first, last))
        rows: Numbers = self._rows[part]
        return rows

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> Numbers:
        """A copy of these rows."""
        if self._sound.find(0) >= 0:  # a small file is soon sound from end to end
            self._check(rows // self._block)
        taken: Numbers = self._rows[rows]
        return taken

    def whole(self) -> Numbers:
        """All rows, as they lie in the file."""
        if self._all is None:
            self._all = self[0 : self.shape[0]]
        return self._all

    def _check(self, blocks: npt.NDArray[Any]) -> None:
        sound = np.frombuffer(self._sound, np.bool_)[blocks]
        if sound.all():
            return
        size = self._block * _row_bytes(self._rows.dtype, self.shape[1:])
        new = sorted(set(blocks[~sound].tolist()))
        data, sums = self._bytes, self._sums[new].tolist()
        if [zlib.crc32(data[block * size : (block + 1) * size]) for block in new] != sums:
            raise Damaged(f"{self.path} is damaged: its bytes are not those that were written")
        for block in new:
            self._sound[block] = True


def version_of(manifest: str) -> str | None:
    """What made the arrays of a folder, as far as it was said."""
    version: str | None = json.loads(manifest).get("version")
    return version


def read(folder: Path, manifest: str) -> Mapping[str, Column]:
    """The arrays of a sealed folder by name; Damaged says which file is missing or does not fit."""
    known = json.loads(manifest)
    try:
        sums = (folder / _SUMS).read_bytes()
    except OSError as exc:
        raise Damaged(f"{folder / _SUMS} cannot be read: {exc.strerror}") from exc
    if hashlib.sha256(sums).hexdigest() != known["sums"]:
        raise Damaged(f"{folder / _SUMS} is damaged: its bytes are not those that were written")
    left = np.frombuffer(sums, "<u4")
    columns = {}
    for name, (dtype, *shape) in known["arrays"].items():
        blocks = -(-shape[0] // _rows_in_block(np.dtype(dtype), tuple(shape[1:])))
        columns[name] = Column(folder / name, dtype, tuple(shape), left[:blocks])
        left = left[blocks:]
    return columns


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Numbers:
    try:
        size = path.stat().st_size
        if size != shape[0] * _row_bytes(dtype, shape[1:]):
            raise Damaged(f"{path} is damaged: {size} bytes are not as many as were written")
        if not size:
            return np.empty(shape, dtype)
        with path.open("rb") as file:  # numpy's own way looks at each folder above the file
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype).reshape(shape)
    except OSError as exc:
        raise Damaged(f"{path} cannot be read: {exc.strerror}") from exc


def _row_bytes(dtype: np.dtype[Any], width: tuple[int, ...]) -> int:
    return dtype.itemsize * int(np.prod(width))


def _rows_in_block(dtype: np.dtype[Any], width: tuple[int, ...]) -> int:
    return max(1, BLOCK // _row_bytes(dtype, width))
