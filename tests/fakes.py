"""Backends that work, small and without a model, for tests of everything above them."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from semsearch.accounts import Errand
from semsearch.analysis import Language, terms
from semsearch.types import Vectors


class HashEmbedder:
    """Feature hashing: equal words make near vectors. Counts what it was asked to embed."""

    name = "hash:64"
    dim = 64
    at_once = 256
    weights: ClassVar[dict[Language, float]] = {"en": 0.3, "latin": 0.3, "other": 0.3}

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """One signed bucket for each term."""
        if not query:
            self.embedded += texts
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in terms(text):
                digest = hashlib.sha256(term.encode()).digest()
                row[digest[0] % self.dim] += 1 if digest[1] % 2 else -1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        np.divide(rows, norms, where=norms > 0, out=rows)
        return rows
