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

from ...core.errors import Invalid, Unavailable, Upstream
from ...core.ports import Embedder, Meter, PartlyEmbedded
from ...core.types.documents import Vectors
from ...core.types.usage import Errand, Order, Pending, Receipt
from ..openai.responses import embeddings, numbers_object, problem_in, safe, tokens_in
from .openai import NO_VECTOR, OpenAIEmbedder, requests, text_key

MAX_INPUTS = 50_000
MAX_BYTES = 150_000_000
ROUNDS = 3
"""How often a text is sent at most, where batches end before they get to it."""

WINDOW_SECONDS = 25 * 3600
POLL_SECONDS = 20.0

_LOOKED_UP = 1_000
"""Vectors that are kept or looked up at once."""

_ENDED = ("completed", "failed", "expired", "cancelled")
"""What is called anything else may still be worked on: it is waited for, never sent again."""

_NOT_SENT = "new:"
_EXPIRED = "batch_expired"
_MARK = "semsearch"
_MOST_PAGES = 1_000


class _Wrong(Upstream):
    """A whole file of results holds what cannot be used: asking again brings nothing better."""


@dataclass(slots=True)
class BatchRun:
    """One look after the batches of one embedder."""

    embedder: OpenAIEmbedder
    meter: Meter
    errand: Errand
    say: Callable[[str], None]
    poll_seconds: float = POLL_SECONDS
    refused: dict[str, str] = field(default_factory=dict)
    """Texts that the server minds, with its reasons."""

    async def run(self, texts: Sequence[str]) -> None:
        """Wait for what is under way, send what is missing, and come back when every vector is paid or refused."""
        for sent in range(ROUNDS + 1):
            for pending in await asyncio.to_thread(self.embedder.paid.batches, self.embedder.name):
                await self._finish(pending, texts)
            missing = await asyncio.to_thread(self._missing, texts)
            if not missing:
                return
            if sent < ROUNDS:
                for some in _files(missing):
                    await self._send(some)
        self.refused.update(dict.fromkeys(missing, f"the server did not get to it in {ROUNDS} batches"))

    def _missing(self, texts: Sequence[str]) -> list[str]:
        """Those that are neither paid for nor refused, each once; not all vectors are in memory together."""
        wanted = [text for text in dict.fromkeys(texts) if text.strip() and text not in self.refused]
        found: list[str] = []
        for at in range(0, len(wanted), _LOOKED_UP):
            some = wanted[at : at + _LOOKED_UP]
            known = self.embedder.known(some)
            found += [text for text in some if text not in known]
        return found

    async def _send(self, texts: list[str]) -> None:
        """Hold its price, remember that it is about to be sent, send it, remember its name."""
        errand = replace(self.errand, deadline=time.monotonic() + WINDOW_SECONDS)
        reservation = await self.meter.reserve(errand, self._order(texts))
        mark = secrets.token_hex(12)
        pending = Pending(
            f"{_NOT_SENT}{mark}",
            self.embedder.name,
            self.errand.owner,
            self.errand.collection or "",
            reservation,
            [text_key(text) for text in texts],
            time.time(),
        )
        await asyncio.to_thread(self.embedder.paid.keep_batch, pending)
        created = await self._created(pending, mark, texts)
        await self._renamed(pending, created)
        self.say(f"sent a batch of {len(texts)} texts: {created}")

    async def _created(self, pending: Pending, mark: str, texts: list[str]) -> str:
        """The server's name for a new batch; where it surely has none, nothing is held for it any more."""
        try:
            uploaded = await self.embedder.client.upload(b"".join(self._lines(texts)), self.errand)
            order = {
                "input_file_id": _name(uploaded, "file"),
                "endpoint": "/v1/embeddings",
                "completion_window": "24h",
                "metadata": {_MARK: mark},
            }
            return _name(await self.embedder.client.fetch("POST", "batches", self.errand, order), "batch")
        except Upstream as exc:
            if exc.status is not None and exc.status < 500:
                await self._end(pending, "refused", 0, [])
            raise

    async def _finish(self, pending: Pending, texts: Sequence[str]) -> None:
        """Wait until a batch has ended, keep its vectors, book it, and forget it."""
        if pending.id.startswith(_NOT_SENT):
            adopted = await self._adopted(pending)
            if adopted is None:
                return
            pending = adopted
        by_key = {text_key(text): text for text in texts}
        done: list[str] = []
        missing = set(pending.keys)
        try:
            state = await self._ended(pending)
            tokens = await self._take(pending, state.get("output_file_id"), by_key, done, missing)
            await self._take_errors(pending, state.get("error_file_id"), by_key, missing)
        except Upstream as exc:
            if _is_final(exc, pending):
                await self._give_up(pending, by_key)
            raise
        wanted = _completed(state)
        if wanted is None:
            wanted = len(pending.keys) if state["status"] == "completed" else 0
        status = safe(str(state.get("status")), None)[:20]
        if len(pending.keys) - len(missing) >= wanted:
            await self._end(pending, status, tokens, done)
        elif _is_old(pending):
            await self._give_up(pending, by_key)
        else:
            raise _not_whole(pending)
        self.say(f"fetched the batch {pending.id}: {status}")
        if status == "failed":
            said = problem_in({"error": _first(state.get("errors"))}, None).message
            raise Upstream(f"the server did not take the batch {pending.id}: {said or 'it does not say why'}")

    async def _end(self, pending: Pending, outcome: str, tokens: int | None, done: Sequence[str]) -> None:
        """Book what came of it, and forget it."""
        await self.meter.settle(pending.reservation, self.errand, self._order(done), Receipt(outcome, tokens, 0))
        await asyncio.to_thread(self.embedder.paid.drop_batch, pending.id)

    async def _give_up(self, pending: Pending, by_key: Mapping[str, str]) -> None:
        """Forget a batch whose results cannot be had, and book the whole of it: the server has worked all the same."""
        texts = [by_key[key] for key in pending.keys if key in by_key]
        if len(texts) == len(pending.keys):
            await self._end(pending, "given up", None, texts)
        else:  # some have changed since: what is held for all is booked instead, when its time is up
            await asyncio.to_thread(self.embedder.paid.drop_batch, pending.id)

    async def _adopted(self, pending: Pending) -> Pending | None:
        """A batch that was about to be sent when we were stopped: found by its mark, or it was never begun."""
        if pending.collection != (self.errand.collection or "") and not _is_old(pending):
            return None  # another process may be at it
        async with aclosing(self._listed()) as listed:
            async for batch in listed:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and f"{_NOT_SENT}{metadata.get(_MARK)}" == pending.id:
                    return await self._renamed(pending, _name(batch, "batch"))
        await self._end(pending, "not sent", 0, [])
        return None

    async def _listed(self) -> AsyncGenerator[dict[str, Any], None]:
        """The account's batches, page by page."""
        after = ""
        for _ in range(_MOST_PAGES):
            reply = await self.embedder.client.fetch("GET", f"batches?limit=100{after}", self.errand)
            data = reply.get("data")
            if not isinstance(data, list):
                raise Upstream("the server gave no list of batches")
            batches = [batch for batch in data if isinstance(batch, dict)]
            for batch in batches:
                yield batch
            if reply.get("has_more") is not True or not batches:
                return
            before, after = after, f"&after={_name(batches[-1], 'batch')}"
            if after == before:  # it knows only one page
                return

    async def _renamed(self, pending: Pending, name: str) -> Pending:
        named = replace(pending, id=name)
        await asyncio.to_thread(self.embedder.paid.keep_batch, named)
        await asyncio.to_thread(self.embedder.paid.drop_batch, pending.id)
        return named

    async def _ended(self, pending: Pending) -> dict[str, Any]:
        while True:
            state = await self.embedder.client.fetch("GET", f"batches/{pending.id}", self.errand)
            if state.get("status") in _ENDED:
                return state
            self.say(f"the batch {pending.id} of {len(pending.keys)} texts is under way: {_progress(state)}")
            await asyncio.sleep(self.poll_seconds)

    async def _take(
        self, pending: Pending, file_id: object, by_key: Mapping[str, str], done: list[str], missing: set[str]
    ) -> int | None:
        """Keep the vectors of a batch, and add its texts to `done`; the tokens, None where the server left some out."""
        tokens: int | None = 0
        lines = 0
        kept: dict[str, Vectors] = {}
        try:
            async for key, response in self._responses(pending, file_id, missing):
                if response.get("status_code") != 200:
                    self._mind(key, response, by_key)
                    continue
                reply = response.get("body")
                if not isinstance(reply, dict):
                    raise _Wrong(f"the batch {pending.id} holds a line without a reply")
                kept |= self._vector(pending, key, reply, by_key)
                lines += 1
                done += [by_key[key]] if key in by_key else []
                counted = tokens_in(reply)
                tokens = None if tokens is None or counted is None else tokens + counted
                if len(kept) >= _LOOKED_UP:
                    await asyncio.to_thread(self.embedder.paid.keep, self.embedder.name, kept)
                    kept = {}
        finally:  # also what comes before a line that is wrong was paid for
            await asyncio.to_thread(self.embedder.paid.keep, self.embedder.name, kept)
        if tokens is not None and len(done) < lines:
            done.clear()  # some texts have changed since: what was counted teaches nothing of the others
        return tokens

    def _vector(
        self, pending: Pending, key: str, reply: Mapping[str, Any], by_key: Mapping[str, str]
    ) -> dict[str, Vectors]:
        """The vector in a reply, under its key; where it holds none that can be used, its text is refused."""
        try:
            rows, reason = embeddings(reply, 1).vectors, f"{self.embedder.name} {NO_VECTOR}"
        except Upstream as exc:
            rows, reason = np.zeros((1, self.embedder.dim), np.float32), f"in a batch {exc}"
        try:
            (vector,) = self.embedder.unit(rows)
        except Upstream as exc:
            raise _Wrong(f"the batch {pending.id}: {exc}") from exc
        if vector.any():
            return {key: vector}
        if key in by_key:
            self.refused[by_key[key]] = reason
        return {}

    async def _take_errors(
        self, pending: Pending, file_id: object, by_key: Mapping[str, str], missing: set[str]
    ) -> None:
        async for key, response in self._responses(pending, file_id, missing):
            self._mind(key, response, by_key)

    def _mind(self, key: str, response: Mapping[str, Any], by_key: Mapping[str, str]) -> None:
        """Note why a text was refused; one that the server did not get to may be sent again."""
        body = response.get("body")
        found = problem_in(body if isinstance(body, dict) else {}, None)
        if key in by_key and found.code != _EXPIRED:
            self.refused[by_key[key]] = f"the server minds it in a batch: {found.message or 'it does not say why'}"

    async def _responses(
        self, pending: Pending, file_id: object, missing: set[str]
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """The key and the response of each line of a result file, in any order; each is taken out of `missing`."""
        if not isinstance(file_id, str):
            return
        cut = False
        async with aclosing(self.embedder.client.lines(file_id, self.errand)) as lines:
            async for line in lines:
                if not line.strip():
                    continue
                entry = _entry(line)
                if entry is None:
                    cut = True
                    continue
                if cut:  # so it was not cut off there
                    raise _Wrong(f"the batch {pending.id} holds a line that cannot be read")
                key, response = entry.get("custom_id"), entry.get("response")
                if not isinstance(key, str) or key not in missing:
                    raise _Wrong(f"the batch {pending.id} holds a line that nobody asked for, or twice")
                missing.discard(key)
                error = entry.get("error")
                yield key, response if isinstance(response, dict) else {"body": {"error": error}}
        if cut:
            raise _Wrong(f"the results of {pending.id} are cut short") if _is_old(pending) else _not_whole(pending)

    def _lines(self, texts: Sequence[str]) -> Iterator[bytes]:
        for text in texts:
            body: dict[str, Any] = {"model": self.embedder.model, "input": [text], "encoding_format": "base64"}
            if self.embedder.dimensions is not None:
                body["dimensions"] = self.embedder.dimensions
            line = {"custom_id": text_key(text), "method": "POST", "url": "/v1/embeddings", "body": body}
            yield json.dumps(line).encode() + b"\n"

    def _order(self, texts: Sequence[str]) -> Order:
        return Order("embedding", self.embedder.client.base_url, self.embedder.model, texts, batch=True)


class PaidOnly:
    """An embedder that has what was paid for, and asks for nothing else: what is missing is refused."""

    def __init__(self, embedder: OpenAIEmbedder, refused: Mapping[str, str]) -> None:
        self.name = embedder.name
        self.dim = embedder.dim
        self.at_once = embedder.at_once
        self.concurrency = embedder.concurrency
        self.weights = embedder.weights
        self._known = embedder.known
        self._refused = refused

    def orders(self, texts: Sequence[str]) -> list[Order]:
        """None."""
        return []

    async def embed(self, texts: Sequence[str], errand: Errand, *, query: bool = False) -> Vectors:
        """The vectors that are known; PartlyEmbedded, with the server's reasons, where some are not."""
        known = await asyncio.to_thread(self._known, texts)
        empty = np.zeros(self.dim, np.float32)
        vectors = np.array([known.get(text, empty) for text in texts], np.float32).reshape(len(texts), self.dim)
        missing = {row: text for row, text in enumerate(texts) if text.strip() and text not in known}
        if missing:
            raise PartlyEmbedded(
                vectors, {row: self._refused.get(text, "no batch held it") for row, text in missing.items()}
            )
        return vectors


def batchable(embedder: Embedder) -> OpenAIEmbedder:
    """The embedder, if it is one that a server's batches can serve."""
    if not isinstance(embedder, OpenAIEmbedder):
        raise Invalid(f"--batch is for embeddings from a server, and {embedder.name} is on this machine: leave it out")
    return embedder


def _files(texts: Sequence[str]) -> Iterator[list[str]]:
    """As many texts as one file may hold."""
    some: list[str] = []
    size = 0
    for text in (text for batch in requests(texts, MAX_INPUTS) for text in batch):
        length = len(text.encode("utf-8", "replace")) * 6 + 300  # JSON may write a character in six
        if some and (len(some) == MAX_INPUTS or size + length > MAX_BYTES):
            yield some
            some, size = [], 0
        some.append(text)
        size += length
    if some:
        yield some


def _name(reply: Mapping[str, Any], what: str) -> str:
    """The id in a reply: it becomes a part of an address."""
    found = reply.get("id")
    if not isinstance(found, str) or not found or not all(each.isalnum() or each in "-_" for each in found[:200]):
        raise Upstream(f"the server gave its {what} no id that can be used")
    return found[:200]


def _is_old(pending: Pending) -> bool:
    """Whether no server works on it any more."""
    return time.time() > pending.created + WINDOW_SECONDS


def _is_final(exc: Upstream, pending: Pending) -> bool:
    """Whether asking again brings nothing better: what it wrote is wrong, or it is long gone."""
    return isinstance(exc, _Wrong) or (exc.status == 404 and _is_old(pending))


def _not_whole(pending: Pending) -> Unavailable:
    return Unavailable(f"the results of the batch {pending.id} did not come whole: it is remembered, run it again")


def _entry(line: bytes) -> dict[str, Any] | None:
    """One line of a result file; None for what is none, such as half of one, or the page of a gateway."""
    try:
        return numbers_object(line)
    except Upstream:
        return None


def _completed(state: Mapping[str, Any]) -> int | None:
    """How many texts a batch got to; None where the server does not say it."""
    counts = state.get("request_counts")
    completed = counts.get("completed") if isinstance(counts, dict) else None
    return completed if isinstance(completed, int) else None


def _first(errors: object) -> object:
    """The first of the reasons why a batch was not taken."""
    listed = errors.get("data") if isinstance(errors, dict) else None
    return listed[0] if isinstance(listed, list) and listed else None


def _progress(state: Mapping[str, Any]) -> str:
    done = _completed(state)
    return safe(str(state.get("status")), None) + ("" if done is None else f", {done} done")
