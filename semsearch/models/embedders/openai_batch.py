"""Embed texts through the Batch API: half the price, within a day, across any number of restarts.

It only fills the embedding cache; a normal ingest then reads every vector from there. Each pending batch is stored
before and after every step, so that no batch is sent twice or lost.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import InvalidError, UpstreamError
from ...core.ports import Embedder, Meter, PartialEmbeddingError
from ...core.types.documents import Vectors
from ...core.types.usage import ModelRequest, PendingBatch, RequestContext, RequestOutcome
from ..openai.responses import parse_embeddings, parse_error_detail, read_input_tokens, redact
from .openai import NO_VECTOR_REASON, OpenAIEmbedder, hash_text, split_into_requests
from .openai_batch_results import (
    COMPLETION_WINDOW_SECONDS,
    CorruptBatchResultError,
    format_progress,
    get_first_error,
    is_expired,
    is_permanent_error,
    iter_responses,
    make_incomplete_error,
    read_completed_count,
    read_id,
)

MAX_FILE_INPUTS = 50_000
MAX_FILE_BYTES = 150_000_000
MAX_ROUNDS = 3
"""A text is sent in so many batches at most, if batches end before its turn."""

POLL_INTERVAL_SECONDS = 20.0

_LOOKUP_BATCH_SIZE = 1_000
"""Vectors that are read from or written to the cache at once."""

_FINAL_STATUSES = ("completed", "failed", "expired", "cancelled")
"""A batch with any other status may still be processed, so it is never sent again."""

_UNSENT_PREFIX = "new:"
_EXPIRED_CODE = "batch_expired"
_METADATA_KEY = "semsearch"
_MAX_PAGES = 1_000


@dataclass(slots=True)
class BatchEmbeddingRun:
    """One run that sends the missing texts of one embedder in batches and fetches the results."""

    embedder: OpenAIEmbedder
    meter: Meter
    context: RequestContext
    on_message: Callable[[str], None]
    poll_seconds: float = POLL_INTERVAL_SECONDS
    refused: dict[str, str] = field(default_factory=dict)
    """Reason by text, for texts that the server rejected."""

    async def run(self, texts: Sequence[str]) -> None:
        """Fetch pending batches and send missing texts until every text has a vector or was rejected."""
        for round_number in range(MAX_ROUNDS + 1):
            for pending in await asyncio.to_thread(self.embedder.embedding_cache.pending_batches, self.embedder.name):
                await self._finish_batch(pending, texts)
            missing = await asyncio.to_thread(self._find_missing, texts)
            if not missing:
                return
            if round_number < MAX_ROUNDS:
                for file_texts in _split_into_files(missing):
                    await self._send_batch(file_texts)
        self.refused.update(
            dict.fromkeys(missing, f"the server did not process it in {MAX_ROUNDS} batches; run the command again")
        )

    def _find_missing(self, texts: Sequence[str]) -> list[str]:
        """Return the texts without a vector or a rejection, each once; holds vectors of one lookup batch at a time."""
        candidates = [text for text in dict.fromkeys(texts) if text.strip() and text not in self.refused]
        missing: list[str] = []
        for start in range(0, len(candidates), _LOOKUP_BATCH_SIZE):
            batch = candidates[start : start + _LOOKUP_BATCH_SIZE]
            cached = self.embedder.find_cached(batch)
            missing += [text for text in batch if text not in cached]
        return missing

    async def _send_batch(self, texts: list[str]) -> None:
        """Reserve the price of a batch, store it as unsent, send it, and store its id."""
        context = replace(self.context, deadline=time.monotonic() + COMPLETION_WINDOW_SECONDS)
        reservation = await self.meter.reserve(context, self._build_request(texts))
        client_batch_id = secrets.token_hex(12)
        pending = PendingBatch(
            f"{_UNSENT_PREFIX}{client_batch_id}",
            self.embedder.name,
            self.context.owner,
            self.context.collection or "",
            reservation,
            [hash_text(text) for text in texts],
            time.time(),
        )
        await asyncio.to_thread(self.embedder.embedding_cache.put_batch, pending)
        batch_id = await self._create_batch(pending, client_batch_id, texts)
        await self._rename_pending(pending, batch_id)
        self.on_message(f"sent a batch of {len(texts)} texts: {batch_id}")

    async def _create_batch(self, pending: PendingBatch, client_batch_id: str, texts: list[str]) -> str:
        """Create the batch and return its id. If the server certainly did not create it, release the reservation."""
        try:
            uploaded = await self.embedder.client.upload(b"".join(self._build_lines(texts)), self.context)
            body = {
                "input_file_id": read_id(uploaded, "file"),
                "endpoint": "/v1/embeddings",
                "completion_window": "24h",
                "metadata": {_METADATA_KEY: client_batch_id},
            }
            return read_id(await self.embedder.client.fetch("POST", "batches", self.context, body), "batch")
        except UpstreamError as exc:
            if exc.status is not None and exc.status < 500:
                await self._settle_batch(pending, "refused", 0, [])
            raise

    async def _finish_batch(self, pending: PendingBatch, texts: Sequence[str]) -> None:
        """Wait until a batch has ended, cache its vectors, settle its cost, and delete its record."""
        if pending.id.startswith(_UNSENT_PREFIX):
            recovered = await self._recover_unsent(pending)
            if recovered is None:
                return
            pending = recovered
        texts_by_key = {hash_text(text): text for text in texts}
        embedded_texts: list[str] = []
        missing_keys = set(pending.keys)
        try:
            state = await self._wait_until_ended(pending)
            tokens = await self._save_results(
                pending, state.get("output_file_id"), texts_by_key, embedded_texts, missing_keys
            )
            await self._record_rejections(pending, state.get("error_file_id"), texts_by_key, missing_keys)
        except UpstreamError as exc:
            if is_permanent_error(exc, pending):
                await self._abandon_batch(pending, texts_by_key)
            raise
        expected_count = read_completed_count(state)
        if expected_count is None:
            expected_count = len(pending.keys) if state["status"] == "completed" else 0
        status = redact(str(state.get("status")), None)[:20]
        if len(pending.keys) - len(missing_keys) >= expected_count:
            await self._settle_batch(pending, status, tokens, embedded_texts)
        elif is_expired(pending):
            await self._abandon_batch(pending, texts_by_key)
        else:
            raise make_incomplete_error(pending)
        self.on_message(f"fetched batch {pending.id}: {status}")
        if status == "failed":
            message = parse_error_detail({"error": get_first_error(state.get("errors"))}, None).message
            raise UpstreamError(f"the server rejected batch {pending.id}: {message or 'it gives no reason'}")

    async def _settle_batch(
        self, pending: PendingBatch, outcome: str, tokens: int | None, embedded_texts: Sequence[str]
    ) -> None:
        """Settle the cost of a batch and delete its record."""
        await self.meter.settle(
            pending.reservation, self.context, self._build_request(embedded_texts), RequestOutcome(outcome, tokens, 0)
        )
        await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)

    async def _abandon_batch(self, pending: PendingBatch, texts_by_key: Mapping[str, str]) -> None:
        """Delete a batch without usable results and settle its whole price, because the server has done the work."""
        texts = [texts_by_key[key] for key in pending.keys if key in texts_by_key]
        if len(texts) == len(pending.keys):
            await self._settle_batch(pending, "given up", None, texts)
        else:  # some texts have changed: the reservation for all texts is settled when it expires
            await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)

    async def _recover_unsent(self, pending: PendingBatch) -> PendingBatch | None:
        """Find the sent batch of a record that has no id yet by its `client_batch_id`; None if it was never created."""
        if pending.collection != (self.context.collection or "") and not is_expired(pending):
            return None  # another process may be about to send it
        async with aclosing(self._iter_batches()) as batches:
            async for batch in batches:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and f"{_UNSENT_PREFIX}{metadata.get(_METADATA_KEY)}" == pending.id:
                    return await self._rename_pending(pending, read_id(batch, "batch"))
        await self._settle_batch(pending, "not sent", 0, [])
        return None

    async def _iter_batches(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the account's batches from all pages."""
        after = ""
        for _ in range(_MAX_PAGES):
            reply = await self.embedder.client.fetch("GET", f"batches?limit=100{after}", self.context)
            data = reply.get("data")
            if not isinstance(data, list):
                raise UpstreamError("the server did not return a list of batches")
            batches = [batch for batch in data if isinstance(batch, dict)]
            for batch in batches:
                yield batch
            if reply.get("has_more") is not True or not batches:
                return
            previous, after = after, f"&after={read_id(batches[-1], 'batch')}"
            if after == previous:  # the server ignores `after`
                return

    async def _rename_pending(self, pending: PendingBatch, batch_id: str) -> PendingBatch:
        """Store a record under the batch's id, and delete it under its old id."""
        renamed = replace(pending, id=batch_id)
        await asyncio.to_thread(self.embedder.embedding_cache.put_batch, renamed)
        await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)
        return renamed

    async def _wait_until_ended(self, pending: PendingBatch) -> dict[str, Any]:
        while True:
            state = await self.embedder.client.fetch("GET", f"batches/{pending.id}", self.context)
            if state.get("status") in _FINAL_STATUSES:
                return state
            self.on_message(f"batch {pending.id} of {len(pending.keys)} texts: {format_progress(state)}")
            await asyncio.sleep(self.poll_seconds)

    async def _save_results(
        self,
        pending: PendingBatch,
        file_id: object,
        texts_by_key: Mapping[str, str],
        embedded_texts: list[str],
        missing_keys: set[str],
    ) -> int | None:
        """Cache the vectors of a batch and add its texts to `embedded_texts`.

        Return the input tokens, or None if the server did not count all of them.
        """
        tokens: int | None = 0
        line_count = 0
        vectors: dict[str, Vectors] = {}
        try:
            async for key, response in iter_responses(
                self.embedder.client, self.context, pending, file_id, missing_keys
            ):
                if response.get("status_code") != 200:
                    self._record_rejection(key, response, texts_by_key)
                    continue
                reply = response.get("body")
                if not isinstance(reply, dict):
                    raise CorruptBatchResultError(
                        f"the results of batch {pending.id} contain a line without a response body"
                    )
                vectors |= self._read_vector(pending, key, reply, texts_by_key)
                line_count += 1
                embedded_texts += [texts_by_key[key]] if key in texts_by_key else []
                line_tokens = read_input_tokens(reply)
                tokens = None if tokens is None or line_tokens is None else tokens + line_tokens
                if len(vectors) >= _LOOKUP_BATCH_SIZE:
                    await asyncio.to_thread(self.embedder.embedding_cache.put, self.embedder.name, vectors)
                    vectors = {}
        finally:  # vectors before a corrupt line are paid for, too
            await asyncio.to_thread(self.embedder.embedding_cache.put, self.embedder.name, vectors)
        if tokens is not None and len(embedded_texts) < line_count:
            embedded_texts.clear()  # some texts have changed: the token count includes texts that are unknown now
        return tokens

    def _read_vector(
        self, pending: PendingBatch, key: str, reply: Mapping[str, Any], texts_by_key: Mapping[str, str]
    ) -> dict[str, Vectors]:
        """Return the vector of a reply by its key; {} after recording a rejection if the vector is not usable."""
        try:
            rows, reason = parse_embeddings(reply, 1).vectors, f"{self.embedder.name} {NO_VECTOR_REASON}"
        except UpstreamError as exc:
            rows, reason = np.zeros((1, self.embedder.dim), np.float32), f"batch {pending.id}: {exc}"
        try:
            (vector,) = self.embedder.normalize(rows)
        except UpstreamError as exc:
            raise CorruptBatchResultError(f"batch {pending.id}: {exc}") from exc
        if vector.any():
            return {key: vector}
        if key in texts_by_key:
            self.refused[texts_by_key[key]] = reason
        return {}

    async def _record_rejections(
        self, pending: PendingBatch, file_id: object, texts_by_key: Mapping[str, str], missing_keys: set[str]
    ) -> None:
        async for key, response in iter_responses(self.embedder.client, self.context, pending, file_id, missing_keys):
            self._record_rejection(key, response, texts_by_key)

    def _record_rejection(self, key: str, response: Mapping[str, Any], texts_by_key: Mapping[str, str]) -> None:
        """Record why the server rejected a text. An expired text is not recorded, so that it is sent again."""
        body = response.get("body")
        detail = parse_error_detail(body if isinstance(body, dict) else {}, None)
        if key in texts_by_key and detail.code != _EXPIRED_CODE:
            self.refused[texts_by_key[key]] = (
                f"the server rejected it in a batch: {detail.message or 'it gives no reason'}"
            )

    def _build_lines(self, texts: Sequence[str]) -> Iterator[bytes]:
        for text in texts:
            body: dict[str, Any] = {"model": self.embedder.model, "input": [text], "encoding_format": "base64"}
            if self.embedder.dimensions is not None:
                body["dimensions"] = self.embedder.dimensions
            line = {"custom_id": hash_text(text), "method": "POST", "url": "/v1/embeddings", "body": body}
            yield json.dumps(line).encode() + b"\n"

    def _build_request(self, texts: Sequence[str]) -> ModelRequest:
        return ModelRequest("embedding", self.embedder.client.base_url, self.embedder.model, texts, is_batch=True)


class CachedOnlyEmbedder:
    """An embedder that only reads the embedding cache and sends no requests; a missing text is rejected."""

    def __init__(self, embedder: OpenAIEmbedder, refused: Mapping[str, str]) -> None:
        self.name = embedder.name
        self.dim = embedder.dim
        self.batch_size = embedder.batch_size
        self.concurrency = embedder.concurrency
        self.dense_weights = embedder.dense_weights
        self._find_cached = embedder.find_cached
        self._refused = refused

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests: all vectors come from the cache."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return the cached vectors; PartialEmbeddingError with the server's reasons if some are missing."""
        cached = await asyncio.to_thread(self._find_cached, texts)
        zeros = np.zeros(self.dim, np.float32)
        vectors = np.array([cached.get(text, zeros) for text in texts], np.float32).reshape(len(texts), self.dim)
        missing = {row: text for row, text in enumerate(texts) if text.strip() and text not in cached}
        if missing:
            raise PartialEmbeddingError(
                vectors,
                {
                    row: self._refused.get(text, "no batch has returned it; run the command again")
                    for row, text in missing.items()
                },
            )
        return vectors


def require_openai_embedder(embedder: Embedder) -> OpenAIEmbedder:
    """Return the embedder if it can use the Batch API; InvalidError if not."""
    if not isinstance(embedder, OpenAIEmbedder):
        raise InvalidError(
            f"--batch needs an embedder of the OpenAI API, and {embedder.name} runs on this machine: leave it out"
        )
    return embedder


def _split_into_files(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield lists of texts within the API's limits for one file."""
    file_texts: list[str] = []
    file_bytes = 0
    for text in (text for batch in split_into_requests(texts, MAX_FILE_INPUTS) for text in batch):
        line_bytes = len(text.encode("utf-8", "replace")) * 6 + 300  # JSON may escape a byte as six
        if file_texts and (len(file_texts) == MAX_FILE_INPUTS or file_bytes + line_bytes > MAX_FILE_BYTES):
            yield file_texts
            file_texts, file_bytes = [], 0
        file_texts.append(text)
        file_bytes += line_bytes
    if file_texts:
        yield file_texts
