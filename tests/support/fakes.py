"""Backends that work, small and without a model, for tests of everything above them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Language
from semsearch.core.types.usage import Errand, Order, Pending, Quote, Receipt, TokenRange, Usage
from semsearch.text.analyzer import terms


class HashEmbedder:
    """Feature hashing: equal words make near vectors. Counts what it was asked to embed."""

    name = "hash:64"
    dim = 64
    at_once = 256
    concurrency = 1
    weights: ClassVar[dict[Language, float]] = {"en": 0.3, "latin": 0.3, "other": 0.3}

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None."""
        return []

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


class CountingMeter:
    """ports.Meter that lets everything through and keeps what it was told."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.receipts: dict[int, Receipt] = {}

    def quote(self, order: Order) -> Quote:
        """A token for each word, at most one for each byte; prices are not known."""
        likely = sum(len(text.split()) for text in order.texts)
        return Quote(TokenRange(likely, sum(len(text.encode()) for text in order.texts)), None, None)

    async def reserve(self, errand: Errand, order: Order) -> int:
        """The number of the order."""
        self.orders.append(order)
        return len(self.orders) - 1

    async def settle(self, reservation: int, errand: Errand, order: Order, receipt: Receipt) -> Usage:
        """What the receipt says; a second receipt for one reservation is an error."""
        assert reservation not in self.receipts
        self.receipts[reservation] = receipt
        estimated = receipt.input_tokens is None
        inputs = self.quote(order).tokens.likely if receipt.input_tokens is None else receipt.input_tokens
        outputs = receipt.output_tokens or 0
        if order.kind == "embedding":
            usage = Usage(embedding_tokens=inputs, cost_usd=None, estimated=estimated)
        else:
            usage = Usage(inputs, outputs, cached_tokens=receipt.cached_tokens, cost_usd=None, estimated=estimated)
        errand.tally.add(usage)
        return usage


class NothingPaid:
    """ports.Paid that forgets everything."""

    def find(self, space: str, hashes: Sequence[str]) -> dict[str, Vectors]:
        """Nothing."""
        return {}

    def keep(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Forget them."""

    def batches(self, space: str) -> list[Pending]:
        """None."""
        return []

    def keep_batch(self, batch: Pending) -> None:
        """Forget it."""

    def drop_batch(self, batch_id: str) -> None:
        """It is forgotten."""

    def close(self) -> None:
        """Nothing is open."""
