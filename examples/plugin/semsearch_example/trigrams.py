"""Embed a text by how often each trigram of its characters occurs, in a vector of hashed trigrams."""

from collections.abc import Sequence
from zlib import crc32


class TrigramEmbedder:
    """Count trigrams. Texts with equal spellings are near each other, whatever they mean."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text; semsearch normalises them."""
        return [self._count_trigrams(text) for text in texts]

    def _count_trigrams(self, text: str) -> list[float]:
        vector = [0.0] * self.dim
        padded = f"  {text.lower()} "
        for start in range(len(padded) - 2):
            vector[crc32(padded[start : start + 3].encode()) % self.dim] += 1
        return vector


def make_embedder(argument: str | None) -> TrigramEmbedder:
    """Return the embedder of `trigrams:ARGUMENT`; a ValueError becomes an error that names this distribution."""
    return TrigramEmbedder(int(argument or 512))
