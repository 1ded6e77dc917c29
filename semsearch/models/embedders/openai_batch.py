"""Has texts embedded through the Batch API: half the price, within a day, across any number of restarts.

Only fills the paid vectors; an ordinary ingestion then finds every one of them there. What is under way is remembered
before and after each step, so that no batch is sent twice or forgotten.
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

from ...core.errors import InvalidError, UnavailableError, UpstreamError
from ...core.ports import Embedder, Meter, PartialEmbeddingError
from ...core.types.documents import Vectors
from ...core.types.usage import ModelRequest, PendingBatch, RequestContext, RequestOutcome
from ..openai.responses import parse_embeddings, parse_error_detail, parse_json_lenient, read_input_tokens, redact
from .openai import NO_VECTOR_REASON, OpenAIEmbedder, hash_text, split_into_requests

MAX_FILE_INPUTS = 50_000
MAX_FILE_BYTES = 150_000_000
MAX_ROUNDS = 3
"""How often a text is sent at most, where batches end before they get to it."""

COMPLETION_WINDOW_SECONDS = 25 * 3600
POLL_INTERVAL_SECONDS = 20.0

_LOOKUP_BATCH_SIZE = 1_000
"""Vectors that are kept or looked up at once."""

_FINAL_STATUSES = ("completed", "failed", "expired", "cancelled")
"""What is called anything else may still be worked on: it is waited for, never sent again."""

_UNSENT_PREFIX = "new:"
_EXPIRED_CODE = "batch_expired"
_METADATA_KEY = "semsearch"
_MAX_PAGES = 1_000


class _CorruptBatchResultError(UpstreamError):
    """A whole file of results holds what cannot be used: asking again brings nothing better."""


@dataclass(slots=True)
class BatchEmbeddingRun:
    """One look after the batches of one embedder."""

    embedder: OpenAIEmbedder
    meter: Meter
    context: RequestContext
    on_message: Callable[[str], None]
    poll_seconds: float = POLL_INTERVAL_SECONDS
    refused: dict[str, str] = field(default_factory=dict)
    """Texts that the server minds, with its reasons."""

    async def run(self, texts: Sequence[str]) -> None:
        """Wait for what is under way, send what is missing, and come back when every vector is paid or refused."""
        for sent in range(MAX_ROUNDS + 1):
            for pending in await asyncio.to_thread(self.embedder.embedding_cache.pending_batches, self.embedder.name):
                await self._finish_batch(pending, texts)
            missing = await asyncio.to_thread(self._find_missing, texts)
            if not missing:
                return
            if sent < MAX_ROUNDS:
                for some in _split_into_files(missing):
                    await self._send_batch(some)
        self.refused.update(dict.fromkeys(missing, f"the server did not get to it in {MAX_ROUNDS} batches"))

    def _find_missing(self, texts: Sequence[str]) -> list[str]:
        """Those that are neither paid for nor refused, each once; not all vectors are in memory together."""
        wanted = [text for text in dict.fromkeys(texts) if text.strip() and text not in self.refused]
        found: list[str] = []
        for at in range(0, len(wanted), _LOOKUP_BATCH_SIZE):
            some = wanted[at : at + _LOOKUP_BATCH_SIZE]
            known = self.embedder.find_cached(some)
            found += [text for text in some if text not in known]
        return found

    async def _send_batch(self, texts: list[str]) -> None:
        """Hold its price, remember that it is about to be sent, send it, remember its name."""
        context = replace(self.context, deadline=time.monotonic() + COMPLETION_WINDOW_SECONDS)
        reservation = await self.meter.reserve(context, self._build_request(texts))
        mark = secrets.token_hex(12)
        pending = PendingBatch(
            f"{_UNSENT_PREFIX}{mark}",
            self.embedder.name,
            self.context.owner,
            self.context.collection or "",
            reservation,
            [hash_text(text) for text in texts],
            time.time(),
        )
        await asyncio.to_thread(self.embedder.embedding_cache.put_batch, pending)
        created = await self._create_batch(pending, mark, texts)
        await self._rename_pending(pending, created)
        self.on_message(f"sent a batch of {len(texts)} texts: {created}")

    async def _create_batch(self, pending: PendingBatch, mark: str, texts: list[str]) -> str:
        """The server's name for a new batch; where it surely has none, nothing is held for it any more."""
        try:
            uploaded = await self.embedder.client.upload(b"".join(self._build_lines(texts)), self.context)
            body = {
                "input_file_id": _read_id(uploaded, "file"),
                "endpoint": "/v1/embeddings",
                "completion_window": "24h",
                "metadata": {_METADATA_KEY: mark},
            }
            return _read_id(await self.embedder.client.fetch("POST", "batches", self.context, body), "batch")
        except UpstreamError as exc:
            if exc.status is not None and exc.status < 500:
                await self._settle_batch(pending, "refused", 0, [])
            raise

    async def _finish_batch(self, pending: PendingBatch, texts: Sequence[str]) -> None:
        """Wait until a batch has ended, keep its vectors, book it, and forget it."""
        if pending.id.startswith(_UNSENT_PREFIX):
            adopted = await self._recover_unsent(pending)
            if adopted is None:
                return
            pending = adopted
        by_key = {hash_text(text): text for text in texts}
        done: list[str] = []
        missing = set(pending.keys)
        try:
            state = await self._wait_until_ended(pending)
            tokens = await self._save_results(pending, state.get("output_file_id"), by_key, done, missing)
            await self._record_rejections(pending, state.get("error_file_id"), by_key, missing)
        except UpstreamError as exc:
            if _is_permanent_error(exc, pending):
                await self._abandon_batch(pending, by_key)
            raise
        wanted = _read_completed_count(state)
        if wanted is None:
            wanted = len(pending.keys) if state["status"] == "completed" else 0
        status = redact(str(state.get("status")), None)[:20]
        if len(pending.keys) - len(missing) >= wanted:
            await self._settle_batch(pending, status, tokens, done)
        elif _is_expired(pending):
            await self._abandon_batch(pending, by_key)
        else:
            raise _make_incomplete_error(pending)
        self.on_message(f"fetched the batch {pending.id}: {status}")
        if status == "failed":
            said = parse_error_detail({"error": _get_first_error(state.get("errors"))}, None).message
            raise UpstreamError(f"the server did not take the batch {pending.id}: {said or 'it does not say why'}")

    async def _settle_batch(
        self, pending: PendingBatch, outcome: str, tokens: int | None, embedded_texts: Sequence[str]
    ) -> None:
        """Book what came of it, and forget it."""
        await self.meter.settle(
            pending.reservation, self.context, self._build_request(embedded_texts), RequestOutcome(outcome, tokens, 0)
        )
        await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)

    async def _abandon_batch(self, pending: PendingBatch, texts_by_key: Mapping[str, str]) -> None:
        """Forget a batch whose results cannot be had, and book the whole of it: the server has worked all the same."""
        texts = [texts_by_key[key] for key in pending.keys if key in texts_by_key]
        if len(texts) == len(pending.keys):
            await self._settle_batch(pending, "given up", None, texts)
        else:  # some have changed since: what is held for all is booked instead, when its time is up
            await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)

    async def _recover_unsent(self, pending: PendingBatch) -> PendingBatch | None:
        """A batch that was about to be sent when we were stopped: found by its mark, or it was never begun."""
        if pending.collection != (self.context.collection or "") and not _is_expired(pending):
            return None  # another process may be at it
        async with aclosing(self._iter_batches()) as listed:
            async for batch in listed:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and f"{_UNSENT_PREFIX}{metadata.get(_METADATA_KEY)}" == pending.id:
                    return await self._rename_pending(pending, _read_id(batch, "batch"))
        await self._settle_batch(pending, "not sent", 0, [])
        return None

    async def _iter_batches(self) -> AsyncGenerator[dict[str, Any], None]:
        """The account's batches, page by page."""
        after = ""
        for _ in range(_MAX_PAGES):
            reply = await self.embedder.client.fetch("GET", f"batches?limit=100{after}", self.context)
            data = reply.get("data")
            if not isinstance(data, list):
                raise UpstreamError("the server gave no list of batches")
            batches = [batch for batch in data if isinstance(batch, dict)]
            for batch in batches:
                yield batch
            if reply.get("has_more") is not True or not batches:
                return
            before, after = after, f"&after={_read_id(batches[-1], 'batch')}"
            if after == before:  # it knows only one page
                return

    async def _rename_pending(self, pending: PendingBatch, name: str) -> PendingBatch:
        named = replace(pending, id=name)
        await asyncio.to_thread(self.embedder.embedding_cache.put_batch, named)
        await asyncio.to_thread(self.embedder.embedding_cache.delete_batch, pending.id)
        return named

    async def _wait_until_ended(self, pending: PendingBatch) -> dict[str, Any]:
        while True:
            state = await self.embedder.client.fetch("GET", f"batches/{pending.id}", self.context)
            if state.get("status") in _FINAL_STATUSES:
                return state
            self.on_message(
                f"the batch {pending.id} of {len(pending.keys)} texts is under way: {_format_progress(state)}"
            )
            await asyncio.sleep(self.poll_seconds)

    async def _save_results(
        self,
        pending: PendingBatch,
        file_id: object,
        texts_by_key: Mapping[str, str],
        embedded_texts: list[str],
        missing_keys: set[str],
    ) -> int | None:
        """Keep the vectors of a batch, and add its texts to `done`; the tokens, None where the server left some out."""
        tokens: int | None = 0
        lines = 0
        kept: dict[str, Vectors] = {}
        try:
            async for key, response in self._iter_responses(pending, file_id, missing_keys):
                if response.get("status_code") != 200:
                    self._record_rejection(key, response, texts_by_key)
                    continue
                reply = response.get("body")
                if not isinstance(reply, dict):
                    raise _CorruptBatchResultError(f"the batch {pending.id} holds a line without a reply")
                kept |= self._read_vector(pending, key, reply, texts_by_key)
                lines += 1
                embedded_texts += [texts_by_key[key]] if key in texts_by_key else []
                counted = read_input_tokens(reply)
                tokens = None if tokens is None or counted is None else tokens + counted
                if len(kept) >= _LOOKUP_BATCH_SIZE:
                    await asyncio.to_thread(self.embedder.embedding_cache.put, self.embedder.name, kept)
                    kept = {}
        finally:  # also what comes before a line that is wrong was paid for
            await asyncio.to_thread(self.embedder.embedding_cache.put, self.embedder.name, kept)
        if tokens is not None and len(embedded_texts) < lines:
            embedded_texts.clear()  # some texts have changed since: what was counted teaches nothing of the others
        return tokens

    def _read_vector(
        self, pending: PendingBatch, key: str, reply: Mapping[str, Any], texts_by_key: Mapping[str, str]
    ) -> dict[str, Vectors]:
        """The vector in a reply, under its key; where it holds none that can be used, its text is refused."""
        try:
            rows, reason = parse_embeddings(reply, 1).vectors, f"{self.embedder.name} {NO_VECTOR_REASON}"
        except UpstreamError as exc:
            rows, reason = np.zeros((1, self.embedder.dim), np.float32), f"in a batch {exc}"
        try:
            (vector,) = self.embedder.normalize(rows)
        except UpstreamError as exc:
            raise _CorruptBatchResultError(f"the batch {pending.id}: {exc}") from exc
        if vector.any():
            return {key: vector}
        if key in texts_by_key:
            self.refused[texts_by_key[key]] = reason
        return {}

    async def _record_rejections(
        self, pending: PendingBatch, file_id: object, texts_by_key: Mapping[str, str], missing_keys: set[str]
    ) -> None:
        async for key, response in self._iter_responses(pending, file_id, missing_keys):
            self._record_rejection(key, response, texts_by_key)

    def _record_rejection(self, key: str, response: Mapping[str, Any], texts_by_key: Mapping[str, str]) -> None:
        """Note why a text was refused; one that the server did not get to may be sent again."""
        body = response.get("body")
        found = parse_error_detail(body if isinstance(body, dict) else {}, None)
        if key in texts_by_key and found.code != _EXPIRED_CODE:
            self.refused[texts_by_key[key]] = (
                f"the server minds it in a batch: {found.message or 'it does not say why'}"
            )

    async def _iter_responses(
        self, pending: PendingBatch, file_id: object, missing_keys: set[str]
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """The key and the response of each line of a result file, in any order; each is taken out of `missing`."""
        if not isinstance(file_id, str):
            return
        cut = False
        async with aclosing(self.embedder.client.iter_file_lines(file_id, self.context)) as lines:
            async for line in lines:
                if not line.strip():
                    continue
                entry = _parse_line(line)
                if entry is None:
                    cut = True
                    continue
                if cut:  # so it was not cut off there
                    raise _CorruptBatchResultError(f"the batch {pending.id} holds a line that cannot be read")
                key, response = entry.get("custom_id"), entry.get("response")
                if not isinstance(key, str) or key not in missing_keys:
                    raise _CorruptBatchResultError(
                        f"the batch {pending.id} holds a line that nobody asked for, or twice"
                    )
                missing_keys.discard(key)
                error = entry.get("error")
                yield key, response if isinstance(response, dict) else {"body": {"error": error}}
        if cut:
            raise (
                _CorruptBatchResultError(f"the results of {pending.id} are cut short")
                if _is_expired(pending)
                else _make_incomplete_error(pending)
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
    """An embedder that has what was paid for, and asks for nothing else: what is missing is refused."""

    def __init__(self, embedder: OpenAIEmbedder, refused: Mapping[str, str]) -> None:
        self.name = embedder.name
        self.dim = embedder.dim
        self.batch_size = embedder.batch_size
        self.concurrency = embedder.concurrency
        self.dense_weights = embedder.dense_weights
        self._find_cached = embedder.find_cached
        self._refused = refused

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """None."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """The vectors that are known; PartlyEmbedded, with the server's reasons, where some are not."""
        known = await asyncio.to_thread(self._find_cached, texts)
        empty = np.zeros(self.dim, np.float32)
        vectors = np.array([known.get(text, empty) for text in texts], np.float32).reshape(len(texts), self.dim)
        missing = {row: text for row, text in enumerate(texts) if text.strip() and text not in known}
        if missing:
            raise PartialEmbeddingError(
                vectors, {row: self._refused.get(text, "no batch held it") for row, text in missing.items()}
            )
        return vectors


def require_openai_embedder(embedder: Embedder) -> OpenAIEmbedder:
    """The embedder, if it is one that a server's batches can serve."""
    if not isinstance(embedder, OpenAIEmbedder):
        raise InvalidError(
            f"--batch is for embeddings from a server, and {embedder.name} is on this machine: leave it out"
        )
    return embedder


def _split_into_files(texts: Sequence[str]) -> Iterator[list[str]]:
    """As many texts as one file may hold."""
    some: list[str] = []
    size = 0
    for text in (text for batch in split_into_requests(texts, MAX_FILE_INPUTS) for text in batch):
        length = len(text.encode("utf-8", "replace")) * 6 + 300  # JSON may write a character in six
        if some and (len(some) == MAX_FILE_INPUTS or size + length > MAX_FILE_BYTES):
            yield some
            some, size = [], 0
        some.append(text)
        size += length
    if some:
        yield some


def _read_id(reply: Mapping[str, Any], what: str) -> str:
    """The id in a reply: it becomes a part of an address."""
    found = reply.get("id")
    if not isinstance(found, str) or not found or not all(each.isalnum() or each in "-_" for each in found[:200]):
        raise UpstreamError(f"the server gave its {what} no id that can be used")
    return found[:200]


def _is_expired(pending: PendingBatch) -> bool:
    """Whether no server works on it any more."""
    return time.time() > pending.created + COMPLETION_WINDOW_SECONDS


def _is_permanent_error(exc: UpstreamError, pending: PendingBatch) -> bool:
    """Whether asking again brings nothing better: what it wrote is wrong, or it is long gone."""
    return isinstance(exc, _CorruptBatchResultError) or (exc.status == 404 and _is_expired(pending))


def _make_incomplete_error(pending: PendingBatch) -> UnavailableError:
    return UnavailableError(f"the results of the batch {pending.id} did not come whole: it is remembered, run it again")


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """One line of a result file; None for what is none, such as half of one, or the page of a gateway."""
    try:
        return parse_json_lenient(line)
    except UpstreamError:
        return None


def _read_completed_count(state: Mapping[str, Any]) -> int | None:
    """How many texts a batch got to; None where the server does not say it."""
    counts = state.get("request_counts")
    completed = counts.get("completed") if isinstance(counts, dict) else None
    return completed if isinstance(completed, int) else None


def _get_first_error(errors: object) -> object:
    """The first of the reasons why a batch was not taken."""
    listed = errors.get("data") if isinstance(errors, dict) else None
    return listed[0] if isinstance(listed, list) and listed else None


def _format_progress(state: Mapping[str, Any]) -> str:
    done = _read_completed_count(state)
    return redact(str(state.get("status")), None) + ("" if done is None else f", {done} done")
