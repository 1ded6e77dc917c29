"""Speaks to an OpenAI-compatible server: embeddings, streamed chat, batches. Only the `openai_` modules know httpx.

Async only, on one loop per process. Every request is reserved and settled with a meter, tried again where that can
help, and ended by its errand's deadline. What comes back is read by `openai_replies`, as hostile.

What users of the official Python client rely on holds here too: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID,
OPENAI_PROJECT_ID, HTTPS_PROXY and SSL_CERT_FILE (read by `settings`), 600 seconds for a request and 5 to connect, two
retries after 0.5 to 8 seconds, Retry-After up to 120. On purpose it differs so: the 600 seconds hold for the whole
call with its retries; a 429 with Retry-After is waited for and is no retry, one that is about money is not tried again;
redirects are not followed; the key is read anew for each call, so that it can be rotated.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from ...core.errors import Deadline, Invalid, Unavailable, Upstream
from ...core.ports import Meter
from ...core.types.usage import Errand, Order, Receipt, Usage
from .errors import WHOLE, Again, Call, Failed, Trial, admit, count, naming, out_of_quota, refusal, translated
from .model_list import MissingModels
from .parameters import Parameters
from .responses import ChatStream, EmbeddingReply, Ending, embeddings, headroom, json_object, numbers_object, tokens_in
from .retries import State, Traffic, backoff, retry_after
from .sse import Redactor
from .streaming import complaint, drain, events, pieces, whole
from .transport import address, names, pool

_BYTES_PER_EMBEDDING = 128 << 10  # 4,096 numbers written out, and room
_MAX_BATCH_BYTES = 1 << 20
_MAX_FILE_BYTES = 8 << 30
_HUNG_SECONDS = 30.0
"""A server that took longer and had not finished when the time was up counts as one that fails."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """How a server is doing, as far as calls to it tell."""

    url: str
    state: State
    seconds: float
    """Until it is called again."""


@dataclass(slots=True)
class _Exchange:
    """One request under way, and what is known of it for its bill."""

    response: httpx.Response
    key: str | None
    outcome: str = "cancelled"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    written: int = 0
    usage: Usage | None = None
    """What was booked, once it has ended."""


class OpenAIClient:
    """One server and its key, with one pool of connections that opens at the first call."""

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str | None],
        *,
        meter: Meter,
        organization: str | None = None,
        project: str | None = None,
        proxy: str | None = None,
        ca_file: Path | None = None,
        timeout: float = 600.0,
        connect_seconds: float = 5.0,
    ) -> None:
        self.base_url = address(base_url)
        self._key = key
        self._meter = meter
        self._headers = {"Accept-Encoding": "identity"}  # a compressed reply could be a bomb
        self._headers |= names(organization, project)
        self._proxy = proxy
        self._ca_file = ca_file
        self._connect_seconds = connect_seconds
        self._total_seconds = timeout
        self._pools: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        """A connection belongs to the loop that it was opened on; a program may have one beside the library's."""
        self._parameters = Parameters(self.base_url)
        self._missing = MissingModels(self.base_url, self._object, key)
        self._traffic = Traffic(time.monotonic)
        self._settling: set[asyncio.Task[Usage]] = set()

    async def embeddings(
        self,
        model: str,
        inputs: Sequence[str],
        errand: Errand,
        *,
        dimensions: int | None = None,
        trial: Trial = WHOLE,
    ) -> EmbeddingReply:
        """One vector for each input, in their order."""
        body: dict[str, Any] = {"model": model, "input": list(inputs), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        call = replace(self._call("POST", "embeddings", "EMBEDDINGS", model, errand, body), trial=trial)
        order = Order("embedding", self.base_url, model, inputs)

        async def once(attempt: int) -> EmbeddingReply:
            async with self._exchange(call, replace(order, attempt=attempt)) as exchange:
                body = await whole(call, exchange.response, (len(inputs) + 8) * _BYTES_PER_EMBEDDING)
                with naming(call):
                    reply = numbers_object(body)
                    exchange.input_tokens, exchange.output_tokens = tokens_in(reply), 0
                    return embeddings(reply, len(inputs))

        return await self._tried(call, once)

    async def chat(
        self,
        model: str,
        messages: Sequence[dict[str, str]],
        errand: Errand,
        *,
        max_tokens: int,
        temperature: float | None = None,
    ) -> AsyncGenerator[str | Ending, None]:
        """Yield the answer's text piece by piece, then how it finished; Upstream where it breaks off before its end.

        What a model does not take is left out, remembered, and told in the warnings. Once there was text, nothing is
        tried again.
        """
        body = {"model": model, "messages": list(messages), "stream": True}
        call = self._call("POST", "chat/completions", "CHAT", model, errand, body)
        order = Order("chat", self.base_url, model, [message["content"] for message in messages], max_tokens)
        again = Again(self._traffic, call)
        began = False
        while True:
            sent = self._parameters.of(model, max_tokens, temperature)
            call = replace(call, body={**body, **sent})
            try:
                async with aclosing(self._answer(call, replace(order, attempt=again.attempt))) as pieces:
                    async for piece in pieces:
                        began = began or isinstance(piece, str)
                        if isinstance(piece, Ending):
                            left_out = self._parameters.warnings(model, temperature)
                            piece = replace(piece, warnings=(*piece.warnings, *left_out))
                        yield piece
                return
            except Failed as failed:
                if self._parameters.learned(model, sent, failed):
                    again.attempt += 1
                    continue
                if began:
                    raise _late(failed) from failed
                await self._missing.explain(call, failed)
                await again.after(failed)

    async def fetch(
        self, method: Literal["GET", "POST"], path: str, errand: Errand, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The JSON object at a path; what is posted is sent again only if it cannot have been taken.

        A look costs nothing: one whose reply cannot be read is taken again too.
        """
        call = self._call(method, path, "EMBEDDINGS", "", errand, body)

        async def once(attempt: int) -> dict[str, Any]:
            try:
                return await self._object(call)
            except Failed as failed:
                if method == "POST":
                    failed.again = failed.again and failed.outcome in ("no connection", "429")
                failed.again = failed.again or (method == "GET" and failed.outcome == "bad reply")
                raise

        return await self._tried(call, once)

    async def upload(self, data: bytes, errand: Errand) -> dict[str, Any]:
        """What the server says of a file that it has taken for a batch."""
        call = replace(self._call("POST", "files", "EMBEDDINGS", "", errand, None), upload=data)
        return await self._tried(call, lambda attempt: self._object(call))

    async def lines(self, file_id: str, errand: Errand) -> AsyncGenerator[bytes, None]:
        """The lines of a file that the server has written; not tried again."""
        call = self._call("GET", f"files/{file_id}/content", "EMBEDDINGS", "", errand, None)
        rest = b""
        try:
            async with (
                self._response(call, self._valid_key(call)) as response,
                aclosing(pieces(call, response, _MAX_FILE_BYTES)) as chunks,
            ):
                async for chunk in chunks:
                    *whole, rest = (rest + chunk).split(b"\n")
                    if len(rest) > _BYTES_PER_EMBEDDING * 4:
                        raise Upstream(f"{call.url} holds a line that is too long")
                    for line in whole:
                        yield line
        except Failed as failed:
            raise failed.error from failed
        if rest.strip():
            yield rest

    def state(self) -> UpstreamState:
        """How the server is doing."""
        standing = self._traffic.standing()
        return UpstreamState(self.base_url, standing.state, standing.seconds)

    async def aclose(self) -> None:
        """Close the connections, when all is booked; a later call opens new ones."""
        await asyncio.gather(*self._settling, return_exceptions=True)
        pools, self._pools = self._pools, {}
        if (open_here := pools.get(asyncio.get_running_loop())) is not None:
            await open_here.aclose()

    def _call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        section: Literal["EMBEDDINGS", "CHAT"],
        model: str,
        errand: Errand,
        body: dict[str, Any] | None,
    ) -> Call:
        left = self._total_seconds
        if errand.deadline is not None:
            left = min(left, errand.deadline - time.monotonic())
        at_latest = asyncio.get_running_loop().time() + left
        return Call(method, f"{self.base_url}/{path}", section, model, errand, at_latest, body)

    def _valid_key(self, call: Call) -> str | None:
        key = self._key()
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise Invalid(f"{call.setting('API_KEY')} holds what no key holds: a space, a line break, a strange letter")
        return key

    def _is_another(self, key: str) -> bool:
        """Whether the key has changed since; a file that is missing is about to hold another."""
        try:
            return self._key() != key
        except Unavailable:
            return True

    async def _tried(self, call: Call, once: Callable[[int], Coroutine[Any, Any, _T]]) -> _T:
        """The result of the first try that has one."""
        again = Again(self._traffic, call)
        while True:
            try:
                return await once(again.attempt)
            except Failed as failed:
                await self._missing.explain(call, failed)
                await again.after(failed)

    @asynccontextmanager
    async def _exchange(self, call: Call, order: Order) -> AsyncIterator[_Exchange]:
        """A request that is answered with 200, booked however it ends."""
        key = self._valid_key(call)
        self._opened()  # what is wrong with the settings is found before anything is held
        await admit(self._traffic, call)
        reservation = await self._meter.reserve(call.errand, order)
        exchange = _Exchange(httpx.Response(0), key)
        began = time.monotonic()
        try:
            async with self._response(call, key) as exchange.response:
                yield exchange
            exchange.outcome = "ok"
            self._traffic.succeeded()
        except Failed as failed:
            exchange.outcome = failed.outcome
            hung = failed.outcome == "deadline" and time.monotonic() - began > _HUNG_SECONDS
            count(self._traffic, call, failed, hung=hung)
            if not failed.billed:
                exchange.input_tokens = exchange.output_tokens = 0
            elif failed.counted is not None:
                exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = failed.counted
            raise
        finally:
            exchange.usage = await self._settled(reservation, call.errand, order, exchange, time.monotonic() - began)

    async def _settled(
        self, reservation: int, errand: Errand, order: Order, exchange: _Exchange, seconds: float
    ) -> Usage:
        receipt = Receipt(
            exchange.outcome,
            exchange.input_tokens,
            exchange.output_tokens,
            exchange.cached_tokens,
            exchange.written,
            round(seconds, 3),
            headroom(exchange.response.headers),
        )
        task = asyncio.ensure_future(self._meter.settle(reservation, errand, order, receipt))
        self._settling.add(task)  # it is finished even when whoever waits here is cancelled
        task.add_done_callback(self._settling.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _response(self, call: Call, key: str | None) -> AsyncIterator[httpx.Response]:
        """The server's answer with its body still to come, if its status is 200."""
        pool = self._opened()
        headers = {**self._headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        if call.upload is None:
            request = pool.build_request(call.method, call.url, json=call.body, headers=headers)
        else:
            files = {"file": ("batch.jsonl", call.upload, "application/jsonl")}
            request = pool.build_request("POST", call.url, data={"purpose": "batch"}, files=files, headers=headers)
        with translated(call):
            async with asyncio.timeout_at(call.deadline):
                response = await pool.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise await self._refusal(call, response, key)
            yield response
        finally:
            await response.aclose()

    async def _refusal(self, call: Call, response: httpx.Response, key: str | None) -> Failed:
        failed = refusal(call, response, await complaint(call, response, key), keyed=key is not None)
        failed.after = retry_after(response.headers, time.time())
        if response.status_code == 401 and key is not None and self._is_another(key):
            failed.outcome = "key changed"
        if response.status_code == 429 and not out_of_quota(failed.problem):
            self._traffic.pause(backoff(1, random.random) if failed.after is None else failed.after)
        return failed

    async def _answer(self, call: Call, order: Order) -> AsyncGenerator[str | Ending, None]:
        """One try at an answer."""
        async with self._exchange(call, order) as exchange:
            stream, redactor = ChatStream(exchange.key, order.max_output), Redactor(exchange.key)
            async with aclosing(events(call, exchange.response, exchange.key)) as told:
                async for data in told:
                    with naming(call):
                        piece = redactor.feed(stream.text(data))
                    exchange.written = stream.written
                    exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = stream.counted()
                    if piece:
                        yield piece
                    if stream.done:
                        await drain(told)
                    if stream.done or stream.is_endless:
                        break
            with naming(call):
                reason = stream.finish()
            if rest := redactor.finish():
                yield rest
        assert exchange.usage is not None
        yield Ending(reason, exchange.usage, stream.warnings(call.model))

    async def _object(self, call: Call) -> dict[str, Any]:
        async with self._response(call, self._valid_key(call)) as response:
            body = await whole(call, response, _MAX_BATCH_BYTES)
        with naming(call):
            return json_object(body)

    def _opened(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if (found := self._pools.get(loop)) is None:
            self._pools = {other: theirs for other, theirs in self._pools.items() if not other.is_closed()}
            found = self._pools[loop] = pool(self.base_url, self._proxy, self._ca_file, self._connect_seconds)
        return found


def _late(failed: Failed) -> Exception:
    """The error of an answer of which a part has been read: the server is there, but the answer is not whole."""
    return failed.error if isinstance(failed.error, Deadline | Upstream) else Upstream(str(failed.error))
