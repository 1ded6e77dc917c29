"""Vectors by text hash in a temporary file, for documents with more of them than should wait in memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .unnamed_file import UnnamedFile

if TYPE_CHECKING:
    from .types.documents import Vectors

_BYTES_PER_NUMBER = 4


class VectorSpool(Mapping[str, "Vectors"]):
    """A mapping like a dict of vectors. Its file has no name, and is deleted with this object."""

    def __init__(self) -> None:
        self._file = UnnamedFile()
        self._rows: dict[bytes, int] = {}
        self._dim = 0

    def add(self, hashes: Sequence[str], vectors: "Sequence[Vectors]") -> None:
        """Append a vector of shape (dim,) for each hash; OSError if there is no space."""
        for text_hash, vector in zip(hashes, vectors, strict=True):
            self._dim = len(vector)
            self._rows[bytes.fromhex(text_hash)] = len(self._rows)
            self._file.append(vector.astype("<f4").tobytes())

    def __getitem__(self, text_hash: str) -> "Vectors":
        """Return one vector, shape (dim,)."""
        import numpy as np

        size = self._dim * _BYTES_PER_NUMBER
        data = self._file.read(self._rows[bytes.fromhex(text_hash)] * size, size)
        return np.frombuffer(data, "<f4")

    def __contains__(self, text_hash: object) -> bool:
        """Return whether there is a vector of this hash."""
        return isinstance(text_hash, str) and bytes.fromhex(text_hash) in self._rows

    def __iter__(self) -> Iterator[str]:
        """Yield the hashes."""
        return (key.hex() for key in self._rows)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._rows)
