"""A model's folder as it is published: finds its files, reads its settings, and knows it again by what it holds.

Does not know what a setting means, runs no model and downloads nothing.
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
"""Bytes; those of vocabularies of 250,000 tokens take 17 to 34 million."""

_PAGE_BYTES = 4096
_BLOCK_BYTES = 256 * _PAGE_BYTES
_MAX_NAMED_FILES = 3
_MAX_LISTED_FILES = 12
_MAX_REASON_CHARACTERS = 300

_T = TypeVar("_T")


class ModelFolder:
    """A folder, and the SPEC that named it, which every error repeats."""

    def __init__(self, spec: str, path: Path) -> None:
        self.spec = spec
        self.path = path.absolute()
        if not os.path.isdir(self.path):  # Path.is_dir raises where a name is too long
            raise NotFoundError(
                f"{spec}: there is no folder {self.path}; put the model there, or start where the path is right"
            )

    def find_file(self, names: Sequence[str], description: str) -> Path:
        """The first of these files that is there; Unavailable names what is there instead."""
        for name in names:
            if (file := self.path / name).is_file():
                return file
        named = " or ".join(names[:_MAX_NAMED_FILES]) + (
            f" or {len(names) - _MAX_NAMED_FILES} more" if len(names) > _MAX_NAMED_FILES else ""
        )
        raise UnavailableError(
            f"{self.spec}: {self.path} has no {description} ({named}); it has {self._format_contents()}"
        )

    def read_settings(self, name: str) -> dict[str, Any]:
        """What a file of settings says; nothing where there is none."""
        file = self.path / name
        return self.read(file, _parse_object, _MAX_SETTINGS_BYTES) if file.is_file() else {}

    def read_list(self, name: str) -> list[Any]:
        """What a file of settings lists; nothing where there is none."""
        file = self.path / name
        return self.read(file, _parse_list, _MAX_SETTINGS_BYTES) if file.is_file() else []

    def read_number(self, name: str, key: str) -> int | None:
        """A whole number above 0 in a file of settings, or None where it does not say."""
        said = self.read_settings(name).get(key)
        if said is None:
            return None
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if not isinstance(said, int) or isinstance(said, bool) or said < 1:
            raise self.make_damaged_error(self.path / name, f"{key} is {str(said)[:40]!r}, not a number above 0")
        return said

    def read(self, file: Path, parse: Callable[[bytes], _T], max_bytes: int = _MAX_TOKENIZER_BYTES) -> _T:
        """What `parse` makes of the bytes of a file of reasonable size."""
        return self.inspect(file, lambda path: parse(_read_bytes(path, max_bytes)))

    def inspect(self, file: Path, inspector: Callable[[Path], _T]) -> _T:
        """What `look` finds in a file; Storage with its reason where that is a ValueError, or the disk's."""
        try:
            return inspector(file)
        except (OSError, ValueError) as exc:
            raise self.make_damaged_error(file, exc) from exc

    def compute_fingerprint(self, files: Iterable[Path], config: str) -> str:
        """Sixteen digits that tell these files and the recipe from any others, wherever the folder lies."""
        hashed = hashlib.sha256(config.encode())
        for file in files:
            hashed.update(self.inspect(file, compute_checksum))
        return hashed.hexdigest()[:16]

    def make_damaged_error(self, file: Path, cause: str | Exception) -> StorageError:
        """The error for a file that cannot be used."""
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)[:_MAX_REASON_CHARACTERS]
        return StorageError(f"{self.spec}: {file} cannot be used: {reason}; copy the model into its folder again")

    def _format_contents(self) -> str:
        found = sorted(str(path.relative_to(self.path)) for path in (*self.path.glob("*"), *self.path.glob("onnx/*")))
        return ", ".join(found[:_MAX_LISTED_FILES]) + (", ..." if len(found) > _MAX_LISTED_FILES else "") or "nothing"


def _read_bytes(file: Path, max_bytes: int) -> bytes:
    if file.stat().st_size > max_bytes:
        raise ValueError(f"it is larger than {max_bytes:,} bytes")
    return file.read_bytes()


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _parse_object(data: bytes) -> dict[str, Any]:
    if isinstance(said := _parse_json(data), dict):
        return said
    raise ValueError("it is not an object in JSON")


def _parse_list(data: bytes) -> list[Any]:
    if isinstance(said := _parse_json(data), list):
        return said
    raise ValueError("it is not a list in JSON")


def compute_checksum(file: Path) -> bytes:
    """A hash in which every byte of a file counts, made of the sums of its pages.

    A collection makes it whenever it is opened, and SHA-256 over 90 MB takes 65 ms, this 10. A few pages hashed well
    would take 2, but miss a model in which only the others were trained further. It tells models from each other; it
    does not keep out who forges one.
    """
    hashed = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    with file.open("rb") as opened:
        while size := opened.readinto(block):
            whole = size - size % _PAGE_BYTES
            pages = np.frombuffer(block[:whole], "<u8").reshape(-1, _PAGE_BYTES // 8)
            hashed.update(pages.sum(axis=1, dtype=np.uint64).tobytes())
            hashed.update(block[whole:size])
    return hashed.digest()
