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

from ...core.errors import NotFound, Storage, Unavailable

_MOST_SETTINGS = 1 << 20
_MOST_TOKENIZER = 1 << 27
"""Bytes; those of vocabularies of 250,000 tokens take 17 to 34 million."""

_PAGE = 4096
_BLOCK = 256 * _PAGE
_NAMED = 3
_LISTED = 12
_LONGEST_REASON = 300

_T = TypeVar("_T")


class ModelFolder:
    """A folder, and the SPEC that named it, which every error repeats."""

    def __init__(self, spec: str, path: Path) -> None:
        self.spec = spec
        self.path = path.absolute()
        if not os.path.isdir(self.path):  # Path.is_dir raises where a name is too long
            raise NotFound(
                f"{spec}: there is no folder {self.path}; put the model there, or start where the path is right"
            )

    def file(self, names: Sequence[str], what: str) -> Path:
        """The first of these files that is there; Unavailable names what is there instead."""
        for name in names:
            if (file := self.path / name).is_file():
                return file
        named = " or ".join(names[:_NAMED]) + (f" or {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        raise Unavailable(f"{self.spec}: {self.path} has no {what} ({named}); it has {self._contents()}")

    def settings(self, name: str) -> dict[str, Any]:
        """What a file of settings says; nothing where there is none."""
        file = self.path / name
        return self.read(file, _object, _MOST_SETTINGS) if file.is_file() else {}

    def listed(self, name: str) -> list[Any]:
        """What a file of settings lists; nothing where there is none."""
        file = self.path / name
        return self.read(file, _list, _MOST_SETTINGS) if file.is_file() else []

    def number(self, name: str, key: str) -> int | None:
        """A whole number above 0 in a file of settings, or None where it does not say."""
        said = self.settings(name).get(key)
        if said is None:
            return None
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if not isinstance(said, int) or isinstance(said, bool) or said < 1:
            raise self.damaged(self.path / name, f"{key} is {str(said)[:40]!r}, not a number above 0")
        return said

    def read(self, file: Path, parse: Callable[[bytes], _T], most: int = _MOST_TOKENIZER) -> _T:
        """What `parse` makes of the bytes of a file of reasonable size."""
        return self.inspect(file, lambda path: parse(_bytes(path, most)))

    def inspect(self, file: Path, look: Callable[[Path], _T]) -> _T:
        """What `look` finds in a file; Storage with its reason where that is a ValueError, or the disk's."""
        try:
            return look(file)
        except (OSError, ValueError) as exc:
            raise self.damaged(file, exc) from exc

    def fingerprint(self, files: Iterable[Path], recipe: str) -> str:
        """Sixteen digits that tell these files and the recipe from any others, wherever the folder lies."""
        hashed = hashlib.sha256(recipe.encode())
        for file in files:
            hashed.update(self.inspect(file, checksum))
        return hashed.hexdigest()[:16]

    def damaged(self, file: Path, why: str | Exception) -> Storage:
        """The error for a file that cannot be used."""
        reason = why.strerror if isinstance(why, OSError) else str(why)[:_LONGEST_REASON]
        return Storage(f"{self.spec}: {file} cannot be used: {reason}; copy the model into its folder again")

    def _contents(self) -> str:
        found = sorted(str(path.relative_to(self.path)) for path in (*self.path.glob("*"), *self.path.glob("onnx/*")))
        return ", ".join(found[:_LISTED]) + (", ..." if len(found) > _LISTED else "") or "nothing"


def _bytes(file: Path, most: int) -> bytes:
    if file.stat().st_size > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return file.read_bytes()


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _object(data: bytes) -> dict[str, Any]:
    if isinstance(said := _json(data), dict):
        return said
    raise ValueError("it is not an object in JSON")


def _list(data: bytes) -> list[Any]:
    if isinstance(said := _json(data), list):
        return said
    raise ValueError("it is not a list in JSON")


def checksum(file: Path) -> bytes:
    """A hash in which every byte of a file counts, made of the sums of its pages.

    A collection makes it whenever it is opened, and SHA-256 over 90 MB takes 65 ms, this 10. A few pages hashed well
    would take 2, but miss a model in which only the others were trained further. It tells models from each other; it
    does not keep out who forges one.
    """
    hashed = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    with file.open("rb") as opened:
        while size := opened.readinto(block):
            whole = size - size % _PAGE
            pages = np.frombuffer(block[:whole], "<u8").reshape(-1, _PAGE // 8)
            hashed.update(pages.sum(axis=1, dtype=np.uint64).tobytes())
            hashed.update(block[whole:size])
    return hashed.digest()
