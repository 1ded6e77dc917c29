"""Find and read the files of a published model folder, and compute its fingerprint.

Does not interpret settings, runs no model and downloads nothing.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...core.errors import NotFoundError, StorageError, UnavailableError

_MAX_SETTINGS_BYTES = 1 << 20
_MAX_TOKENIZER_BYTES = 1 << 27
"""A vocabulary of 250,000 tokens takes 17 to 34 million bytes."""

_PAGE_BYTES = 4096
_BLOCK_BYTES = 256 * _PAGE_BYTES
_MAX_NAMED_FILES = 3
_MAX_LISTED_FILES = 12
_MAX_REASON_CHARACTERS = 300

_T = TypeVar("_T")


class ModelFolder:
    """A folder and the SPEC that named it; every error message begins with the SPEC."""

    def __init__(self, spec: str, path: Path) -> None:
        self.spec = spec
        self.path = path.absolute()
        if not os.path.isdir(self.path):  # Path.is_dir raises where a name is too long
            raise NotFoundError(
                f"{spec}: the folder {self.path} does not exist; put the model there, or correct the path"
            )

    def find_file(self, names: Sequence[str], description: str) -> Path:
        """Return the first of these files that exists; UnavailableError lists what the folder has instead."""
        for name in names:
            if (file := self.path / name).is_file():
                return file
        expected_names = " or ".join(names[:_MAX_NAMED_FILES]) + (
            f" or {len(names) - _MAX_NAMED_FILES} more" if len(names) > _MAX_NAMED_FILES else ""
        )
        raise UnavailableError(
            f"{self.spec}: {self.path} has no {description} ({expected_names}); it has {self._format_contents()}; "
            "copy the whole model into the folder"
        )

    def read_settings(self, name: str) -> dict[str, Any]:
        """Return the object in a settings file; {} without the file."""
        file = self.path / name
        return self.read(file, _parse_object, _MAX_SETTINGS_BYTES) if file.is_file() else {}

    def read_list(self, name: str) -> list[Any]:
        """Return the list in a settings file; [] without the file."""
        file = self.path / name
        return self.read(file, _parse_list, _MAX_SETTINGS_BYTES) if file.is_file() else []

    def read_number(self, name: str, key: str) -> int | None:
        """Return a positive integer of a settings file, or None if it is not set."""
        value = self.read_settings(name).get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.make_damaged_error(self.path / name, f"{key} is {str(value)[:40]!r}, not a positive integer")
        return value

    def read(self, file: Path, parse: Callable[[bytes], _T], max_bytes: int = _MAX_TOKENIZER_BYTES) -> _T:
        """Return `parse` of the bytes of a file; StorageError if it has more than `max_bytes`."""
        return self.inspect(file, lambda path: parse(_read_bytes(path, max_bytes)))

    def inspect(self, file: Path, inspector: Callable[[Path], _T]) -> _T:
        """Return `inspector` of a file; StorageError with the reason of a ValueError or an OSError."""
        try:
            return inspector(file)
        except (OSError, ValueError) as exc:
            raise self.make_damaged_error(file, exc) from exc

    def compute_fingerprint(self, files: Iterable[Path], config: str) -> str:
        """Return 16 hex digits that identify these files and the configuration, independent of the folder's path."""
        digest = hashlib.sha256(config.encode())
        for file in files:
            digest.update(self.inspect(file, compute_checksum))
        return digest.hexdigest()[:16]

    def make_damaged_error(self, file: Path, cause: str | Exception) -> StorageError:
        """Create the error for a file that cannot be used."""
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)[:_MAX_REASON_CHARACTERS]
        return StorageError(f"{self.spec}: {file} cannot be used: {reason}; copy the model into its folder again")

    def _format_contents(self) -> str:
        names = sorted(str(path.relative_to(self.path)) for path in (*self.path.glob("*"), *self.path.glob("onnx/*")))
        return ", ".join(names[:_MAX_LISTED_FILES]) + (", ..." if len(names) > _MAX_LISTED_FILES else "") or "nothing"


def _read_bytes(file: Path, max_bytes: int) -> bytes:
    if file.stat().st_size > max_bytes:
        raise ValueError(f"it is larger than {max_bytes:,} bytes")
    return file.read_bytes()


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError as exc:
        raise ValueError("its JSON is nested too deeply") from exc


def _parse_object(data: bytes) -> dict[str, Any]:
    if isinstance(value := _parse_json(data), dict):
        return value
    raise ValueError("it is not a JSON object")


def _parse_list(data: bytes) -> list[Any]:
    if isinstance(value := _parse_json(data), list):
        return value
    raise ValueError("it is not a JSON array")


def compute_checksum(file: Path) -> bytes:
    """Return a SHA-256 of the sums of a file's pages. Every byte has an effect.

    It is computed whenever a collection is opened: 10 ms for 90 MB, where SHA-256 of all bytes takes 65. Hashing a few
    pages takes 2 ms, but misses fine-tuning of the other pages. It distinguishes models and does not detect a forgery.
    """
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    with file.open("rb") as stream:
        while size := stream.readinto(block):
            full_bytes = size - size % _PAGE_BYTES
            pages = np.frombuffer(block[:full_bytes], "<u8").reshape(-1, _PAGE_BYTES // 8)
            digest.update(pages.sum(axis=1, dtype=np.uint64).tobytes())
            digest.update(block[full_bytes:size])
    return digest.digest()
