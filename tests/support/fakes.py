"""Backends that work, small and without a model, for tests of everything above them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Language
from semsearch.core.types.usage import (
    CostEstimate,
    ModelRequest,
    PendingBatch,
    RequestContext,
    RequestOutcome,
    TokenEstimate,
    Usage,
)
from semsearch.text.analyzer import analyze


class HashEmbedder:
    """Feature hashing: equal words make near vectors. Counts what it was asked to embed."""

    name = "hash:64"
    dim = 64
    batch_size = 256
    concurrency = 1
    dense_weights: ClassVar[dict[Language, float]] = {"en": 0.3, "latin": 0.3, "other": 0.3}

    def __init__(self) -> None:
        self.embedded_texts: list[str] = []

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """None."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """One signed bucket for each term."""
        if not query:
            self.embedded_texts += texts
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in analyze(text):
                digest = hashlib.sha256(term.encode()).digest()
                row[digest[0] % self.dim] += 1 if digest[1] % 2 else -1
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        np.divide(rows, norms, where=norms > 0, out=rows)
        return rows


class RecordingMeter:
    """ports.Meter that lets everything through and keeps what it was told."""

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []
        self.outcomes: dict[int, RequestOutcome] = {}

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """A token for each word, at most one for each byte; prices are not known."""
        likely = sum(len(text.split()) for text in request.texts)
        return CostEstimate(TokenEstimate(likely, sum(len(text.encode()) for text in request.texts)), None, None)

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """The number of the order."""
        self.requests.append(request)
        return len(self.requests) - 1

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """What the receipt says; a second receipt for one reservation is an error."""
        assert reservation_id not in self.outcomes
        self.outcomes[reservation_id] = outcome
        estimated = outcome.input_tokens is None
        inputs = self.estimate(request).tokens.expected if outcome.input_tokens is None else outcome.input_tokens
        outputs = outcome.output_tokens or 0
        if request.kind == "embedding":
            usage = Usage(embedding_tokens=inputs, cost_usd=None, estimated=estimated)
        else:
            usage = Usage(inputs, outputs, cached_tokens=outcome.cached_tokens, cost_usd=None, estimated=estimated)
        context.usage_counter.add(usage)
        return usage


class NullEmbeddingCache:
    """ports.Paid that forgets everything."""

    def find(self, space: str, hashes: Sequence[str]) -> dict[str, Vectors]:
        """Nothing."""
        return {}

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Forget them."""

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """None."""
        return []

    def put_batch(self, batch: PendingBatch) -> None:
        """Forget it."""

    def delete_batch(self, batch_id: str) -> None:
        """It is forgotten."""

    def close(self) -> None:
        """Nothing is open."""
