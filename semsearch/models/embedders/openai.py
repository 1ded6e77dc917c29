"""Embeddings from an OpenAI-compatible server: splits texts into requests and never pays twice for a text.

A request that the server rejects for its size or content, fails for, or answers with an unusable reply is bisected
until the rejected text is alone. After failures and unusable replies this needs a probe: a harmless text must get its
vector.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...core.errors import SemsearchError, UpstreamError
from ...core.ports import EmbeddingCache, PartialEmbeddingError
from ...core.types.documents import Vectors
from ...core.types.search import Language
from ...core.types.usage import ModelRequest, RequestContext
from ..openai.client import OpenAIClient
from ..openai.errors import DEFAULT_POLICY, RetryPolicy
from .bisection import RequestProbe, ServerErrorCounter, SharedProbe, is_server_error

MAX_REQUEST_TOKENS = 300_000
MAX_BATCH_SIZE = 8_192
MAX_EXTRA_REQUESTS = 1_024
"""Requests of a bisection for one list of texts; texts that it does not reach are rejected together."""

_MODEL_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_TEXT_REJECTED_STATUSES = (400, 413, 422)
_NON_TEXT_ERROR_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found")
NO_VECTOR_REASON = "returned a vector of zeros, or of numbers that are not finite, for a text that is not blank"
_PROBE_TEXT = "text"
"""A harmless text. If the server rejects even this, the request itself is wrong."""


def hash_text(text: str) -> str:
    """Return the key of a text in the embedding cache."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def split_into_requests(texts: Iterable[str], max_inputs: int) -> list[list[str]]:
    """Split texts into requests in order, within the limits on inputs and tokens; drop blank and repeated texts.

    Tokens are counted as two bytes each. This does not depend on learned ratios, so an estimate has the same requests.
    """
    requests: list[list[str]] = []
    remaining_tokens = 0
    for text in dict.fromkeys(text for text in texts if text.strip()):
        text_tokens = len(text.encode("utf-8", "replace")) // 2 + 1
        if not requests or len(requests[-1]) == max_inputs or text_tokens > remaining_tokens:
            requests.append([])
            remaining_tokens = MAX_REQUEST_TOKENS
        requests[-1].append(text)
        remaining_tokens -= text_tokens
    return requests


@dataclass(slots=True)
class _EmbeddingProgress:
    """Results so far for one list of texts."""

    vectors: dict[str, Vectors] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    extra_requests: int = 0
    has_failed: bool = False
    """Whether a request has failed permanently, so that no other is sent."""


class OpenAIEmbedder:
    """One model of one server. `dim` is 0 for an unknown model until the first reply."""

    def __init__(
        self,
        model: str,
        client: OpenAIClient,
        embedding_cache: EmbeddingCache,
        *,
        dimensions: int | None = None,
        max_batch_inputs: int = 2048,
        concurrency: int = 4,
    ) -> None:
        spec = f"{model}@{dimensions}" if dimensions else model
        self.name = f"openai:{spec} {client.base_url}"
        self.dim = dimensions or _MODEL_DIMENSIONS.get(model, 0)
        self.batch_size = min(max_batch_inputs * concurrency, MAX_BATCH_SIZE)
        self.dense_weights: Mapping[Language, float] = {"en": 0.5, "latin": 0.5, "other": 0.5}
        self.model = model
        self.client = client
        self.embedding_cache = embedding_cache
        self.dimensions = dimensions
        self.max_batch_inputs = max_batch_inputs
        self.concurrency = concurrency
        self._request_slots = asyncio.Semaphore(concurrency)
        self._has_succeeded = False
        """Whether the server has ever returned a vector."""
        self._probe = SharedProbe()

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return the requests for those texts that are not in the embedding cache."""
        cached = self.find_cached(texts)
        requests = split_into_requests((text for text in texts if text not in cached), self.max_batch_inputs)
        return [ModelRequest("embedding", self.client.base_url, self.model, inputs) for inputs in requests]

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return unit vectors in the order of `texts`; a blank text is not sent, its vector is zeros."""
        progress = _EmbeddingProgress({} if query else await asyncio.to_thread(self.find_cached, texts))
        requests = split_into_requests((text for text in texts if text not in progress.vectors), self.max_batch_inputs)
        errors = await asyncio.gather(
            *(self._embed_with_bisection(inputs, progress, context, use_cache=not query) for inputs in requests),
            return_exceptions=True,
        )
        for error in errors:  # after all requests: those that ran beside a failure are paid for and cached
            if error is not None:
                raise error
        return self._build_rows(texts, progress)

    def find_cached(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the cached vectors by text."""
        texts_by_key = {hash_text(text): text for text in texts if text.strip()}
        vectors = self.embedding_cache.find(self.name, list(texts_by_key))
        self.dim = self.dim or len(next(iter(vectors.values()), ()))
        return {texts_by_key[key]: vector for key, vector in vectors.items() if len(vector) == self.dim}

    def normalize(self, vectors: Vectors) -> Vectors:
        """Scale vectors to length 1, and keep zeros; UpstreamError if their dimension is wrong.

        Computes in float64, because squares of large numbers overflow float32.
        """
        dim = vectors.shape[1]
        self.dim = self.dim or dim
        if dim != self.dim:
            raise UpstreamError(
                f"{self.name} returned vectors of {dim} numbers instead of {self.dim}; check the model name",
                malformed=True,
            )
        doubles = vectors.astype(np.float64)
        lengths = np.linalg.norm(doubles, axis=1, keepdims=True)
        unit: Vectors = np.divide(doubles, lengths, out=doubles, where=lengths > 0).astype(np.float32)
        return unit

    async def _embed_with_bisection(
        self, batch: list[str], progress: _EmbeddingProgress, context: RequestContext, *, use_cache: bool
    ) -> None:
        """Get the vectors of these texts; bisect a request that the server rejects."""
        pending = [batch]
        server_errors = ServerErrorCounter(len(batch))
        while pending and not progress.has_failed:
            request = pending.pop()
            error = await self._send_request(
                request, progress, context, use_cache=use_cache, is_part=server_errors.caused_by_texts
            )
            if error is not None:
                pending += _bisect(error, request, progress)
            if error is None or not is_server_error(error):
                server_errors.reset()
            elif server_errors.record_error(is_last=not pending) and not await self._probe_in_slot(context):
                progress.has_failed = True
                raise error

    async def _send_request(
        self, batch: list[str], progress: _EmbeddingProgress, context: RequestContext, *, use_cache: bool, is_part: bool
    ) -> SemsearchError | None:
        """Send one request and cache its vectors; return the error if its texts cause it."""
        async with self._request_slots:
            if progress.has_failed:
                return None
            probe = RequestProbe(partial(self._probe_now, context))
            try:
                vectors = await self._fetch_vectors(
                    batch, context, RetryPolicy("part") if is_part else RetryPolicy(probe=probe)
                )
                texts_without_vector = [text for text in batch if text not in vectors]
                if texts_without_vector and not (use_cache and await self._check_past_success_or_probe(context)):
                    raise UpstreamError(f"{self.name} {NO_VECTOR_REASON}")
            except SemsearchError as exc:  # set has_failed before another request gets the slot
                if use_cache and (
                    (is_part and is_server_error(exc)) or await self._is_text_rejection(exc, context, probe)
                ):
                    return exc
                progress.has_failed = True
                raise
        if use_cache:  # first of all, because the vectors are paid for
            rows = {hash_text(text): vector for text, vector in vectors.items()}
            await asyncio.to_thread(self.embedding_cache.put, self.name, rows)
        progress.vectors |= vectors
        progress.refused.update(dict.fromkeys(texts_without_vector, f"{self.name} {NO_VECTOR_REASON}"))
        return None

    async def _fetch_vectors(
        self, batch: list[str], context: RequestContext, policy: RetryPolicy = DEFAULT_POLICY
    ) -> dict[str, Vectors]:
        """Return the vectors by text; a text with a vector of zeros is left out, because it matches nothing."""
        reply = await self.client.create_embeddings(
            self.model, batch, context, dimensions=self.dimensions, policy=policy
        )
        rows = zip(batch, self.normalize(reply.vectors), strict=True)
        vectors = {text: vector for text, vector in rows if vector.any()}
        self._has_succeeded = self._has_succeeded or bool(vectors)
        return vectors

    async def _is_text_rejection(self, exc: SemsearchError, context: RequestContext, probe: RequestProbe) -> bool:
        """Return whether the texts of a request caused its error; a server error is bisected only during an ingest."""
        if is_server_error(exc):
            malformed = isinstance(exc, UpstreamError) and exc.malformed
            return context.purpose == "ingest" and (await self._probe_now(context) if malformed else probe.succeeded)
        if (
            not isinstance(exc, UpstreamError)
            or exc.status not in _TEXT_REJECTED_STATUSES
            or exc.code in _NON_TEXT_ERROR_CODES
        ):
            return False
        return await self._check_past_success_or_probe(context)

    async def _probe_in_slot(self, context: RequestContext) -> bool:
        """Return whether the server works during a bisection. Waits for a request slot, and probes in it."""
        async with self._request_slots:
            return await self._probe_now(context)

    async def _probe_now(self, context: RequestContext, attempt: int = 0) -> bool:
        """Return whether the server returns a vector for a harmless text now."""

        async def probe() -> bool:
            try:
                return bool(await self._fetch_vectors([_PROBE_TEXT], context, RetryPolicy("probe", attempt)))
            except SemsearchError:
                return False

        return await self._probe.run(probe)

    async def _check_past_success_or_probe(self, context: RequestContext) -> bool:
        """Return whether the server has ever returned a vector; if not, request one for a harmless text."""
        if not self._has_succeeded:
            with suppress(SemsearchError):
                await self._fetch_vectors([_PROBE_TEXT], context)
        return self._has_succeeded

    def _build_rows(self, texts: Sequence[str], progress: _EmbeddingProgress) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if text in progress.vectors:
                vectors[row] = progress.vectors[text]
        refused = {row: progress.refused[text] for row, text in enumerate(texts) if text in progress.refused}
        if refused:
            raise PartialEmbeddingError(vectors, refused)
        return vectors


def _bisect(exc: SemsearchError, batch: list[str], progress: _EmbeddingProgress) -> list[list[str]]:
    """Return the halves to send next, or [] after recording a rejection: a single text, or too many requests."""
    if len(batch) == 1 or progress.extra_requests >= MAX_EXTRA_REQUESTS:
        progress.refused.update(dict.fromkeys(batch, str(exc)))
        return []
    progress.extra_requests += 2
    half = len(batch) // 2
    return [batch[half:], batch[:half]]
