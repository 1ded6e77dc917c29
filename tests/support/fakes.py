"""Small working backends without a model, for tests of the layers above them."""

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
    """An embedder with feature hashing: texts with equal words have similar vectors. Records the embedded texts."""

    name = "hash:64"
    dim = 64
    batch_size = 256
    concurrency = 1
    dense_weights: ClassVar[dict[Language, float]] = {"en": 0.3, "latin": 0.3, "other": 0.3}

    def __init__(self) -> None:
        self.embedded_texts: list[str] = []

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: the embedder runs locally."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors; each term adds 1 or -1 to one bucket."""
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
    """A Meter that allows every request and records requests and outcomes."""

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []
        self.outcomes: dict[int, RequestOutcome] = {}

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """Estimate one token for each word, at most one for each byte; the price is unknown."""
        likely = sum(len(text.split()) for text in request.texts)
        return CostEstimate(TokenEstimate(likely, sum(len(text.encode()) for text in request.texts)), None, None)

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """Record the request and return its index."""
        self.requests.append(request)
        return len(self.requests) - 1

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """Return the usage of the outcome; a second settlement of a reservation is an error."""
        assert reservation_id not in self.outcomes
        self.outcomes[reservation_id] = outcome
        is_estimated = outcome.input_tokens is None
        inputs = self.estimate(request).tokens.expected if outcome.input_tokens is None else outcome.input_tokens
        outputs = outcome.output_tokens or 0
        if request.kind == "embedding":
            usage = Usage(embedding_tokens=inputs, cost_usd=None, estimated=is_estimated)
        else:
            usage = Usage(inputs, outputs, cached_tokens=outcome.cached_tokens, cost_usd=None, estimated=is_estimated)
        context.usage_counter.add(usage)
        return usage


class NullEmbeddingCache:
    """An EmbeddingCache that stores nothing."""

    def find(self, space: str, hashes: Sequence[str]) -> dict[str, Vectors]:
        """Return no vectors."""
        return {}

    def put(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Discard the vectors."""

    def pending_batches(self, space: str) -> list[PendingBatch]:
        """Return no batches."""
        return []

    def put_batch(self, batch: PendingBatch) -> None:
        """Discard the batch."""

    def delete_batch(self, batch_id: str) -> None:
        """Do nothing: no batch is stored."""

    def close(self) -> None:
        """Do nothing: no file is open."""
