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

from ...core.errors import DeadlineError, InvalidError, UnavailableError, UpstreamError
from ...core.ports import Meter
from ...core.types.usage import ModelRequest, RequestContext, RequestOutcome, Usage
from .errors import (
    WHOLE,
    ApiCall,
    RequestFailedError,
    RetryLoop,
    Trial,
    build_response_error,
    count,
    is_out_of_quota,
    map_transport_errors,
    prefix_url,
    wait_until_allowed,
)
from .model_list import MissingModels
from .parameters import ModelParameters
from .responses import (
    ChatEnd,
    ChatStream,
    EmbeddingResponse,
    parse_embeddings,
    parse_json_lenient,
    parse_json_object,
    parse_rate_limits,
    read_input_tokens,
)
from .retries import CircuitBreaker, CircuitState, compute_backoff, parse_retry_after
from .sse import Redactor
from .streaming import drain, iter_body, iter_events, read_body, read_error
from .transport import build_organization_headers, make_client, validate_base_url

_MAX_EMBEDDING_BYTES = 128 << 10  # 4,096 numbers written out, and room
_MAX_OBJECT_BYTES = 1 << 20
_MAX_FILE_BYTES = 8 << 30
_HANG_SECONDS = 30.0
"""A server that took longer and had not finished when the time was up counts as one that fails."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """How a server is doing, as far as calls to it tell."""

    url: str
    state: CircuitState
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
    output_characters: int = 0
    usage: Usage | None = None
    """What was booked, once it has ended."""


class OpenAIClient:
    """One server and its key, with one pool of connections that opens at the first call."""

    def __init__(
        self,
        base_url: str,
        read_key: Callable[[], str | None],
        *,
        meter: Meter,
        organization: str | None = None,
        project: str | None = None,
        proxy: str | None = None,
        ca_file: Path | None = None,
        timeout: float = 600.0,
        connect_seconds: float = 5.0,
    ) -> None:
        self.base_url = validate_base_url(base_url)
        self._read_key = read_key
        self._meter = meter
        self._headers = {"Accept-Encoding": "identity"}  # a compressed reply could be a bomb
        self._headers |= build_organization_headers(organization, project)
        self._proxy = proxy
        self._ca_file = ca_file
        self._connect_seconds = connect_seconds
        self._total_seconds = timeout
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        """A connection belongs to the loop that it was opened on; a program may have one beside the library's."""
        self._parameters = ModelParameters(self.base_url)
        self._missing = MissingModels(self.base_url, self._fetch_object, read_key)
        self._circuit_breaker = CircuitBreaker(time.monotonic)
        self._settlements: set[asyncio.Task[Usage]] = set()

    async def create_embeddings(
        self,
        model: str,
        inputs: Sequence[str],
        context: RequestContext,
        *,
        dimensions: int | None = None,
        trial: Trial = WHOLE,
    ) -> EmbeddingResponse:
        """One vector for each input, in their order."""
        body: dict[str, Any] = {"model": model, "input": list(inputs), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        call = replace(self._build_call("POST", "embeddings", "EMBEDDINGS", model, context, body), trial=trial)
        request = ModelRequest("embedding", self.base_url, model, inputs)

        async def once(attempt: int) -> EmbeddingResponse:
            async with self._open_exchange(call, replace(request, attempt=attempt)) as exchange:
                body = await read_body(call, exchange.response, (len(inputs) + 8) * _MAX_EMBEDDING_BYTES)
                with prefix_url(call):
                    reply = parse_json_lenient(body)
                    exchange.input_tokens, exchange.output_tokens = read_input_tokens(reply), 0
                    return parse_embeddings(reply, len(inputs))

        return await self._run_with_retries(call, once)

    async def stream_chat(
        self,
        model: str,
        messages: Sequence[dict[str, str]],
        context: RequestContext,
        *,
        max_tokens: int,
        temperature: float | None = None,
    ) -> AsyncGenerator[str | ChatEnd, None]:
        """Yield the answer's text piece by piece, then how it finished; Upstream where it breaks off before its end.

        What a model does not take is left out, remembered, and told in the warnings. Once there was text, nothing is
        tried again.
        """
        body = {"model": model, "messages": list(messages), "stream": True}
        call = self._build_call("POST", "chat/completions", "CHAT", model, context, body)
        request = ModelRequest("chat", self.base_url, model, [message["content"] for message in messages], max_tokens)
        retry_loop = RetryLoop(self._circuit_breaker, call)
        began = False
        while True:
            sent = self._parameters.build_parameters(model, max_tokens, temperature)
            call = replace(call, body={**body, **sent})
            try:
                async with aclosing(self._stream_answer(call, replace(request, attempt=retry_loop.attempt))) as pieces:
                    async for piece in pieces:
                        began = began or isinstance(piece, str)
                        if isinstance(piece, ChatEnd):
                            left_out = self._parameters.list_warnings(model, temperature)
                            piece = replace(piece, warnings=(*piece.warnings, *left_out))
                        yield piece
                return
            except RequestFailedError as failed:
                if self._parameters.learn_from(model, sent, failed):
                    retry_loop.attempt += 1
                    continue
                if began:
                    raise _build_mid_stream_error(failed) from failed
                await self._missing.explain(call, failed)
                await retry_loop.wait_or_raise(failed)

    async def fetch(
        self, method: Literal["GET", "POST"], path: str, context: RequestContext, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The JSON object at a path; what is posted is sent again only if it cannot have been taken.

        A look costs nothing: one whose reply cannot be read is taken again too.
        """
        call = self._build_call(method, path, "EMBEDDINGS", "", context, body)

        async def once(attempt: int) -> dict[str, Any]:
            try:
                return await self._fetch_object(call)
            except RequestFailedError as failed:
                if method == "POST":
                    failed.is_retryable = failed.is_retryable and failed.outcome in ("no connection", "429")
                failed.is_retryable = failed.is_retryable or (method == "GET" and failed.outcome == "bad reply")
                raise

        return await self._run_with_retries(call, once)

    async def upload(self, data: bytes, context: RequestContext) -> dict[str, Any]:
        """What the server says of a file that it has taken for a batch."""
        call = replace(self._build_call("POST", "files", "EMBEDDINGS", "", context, None), upload=data)
        return await self._run_with_retries(call, lambda attempt: self._fetch_object(call))

    async def iter_file_lines(self, file_id: str, context: RequestContext) -> AsyncGenerator[bytes, None]:
        """The lines of a file that the server has written; not tried again."""
        call = self._build_call("GET", f"files/{file_id}/content", "EMBEDDINGS", "", context, None)
        rest = b""
        try:
            async with (
                self._open_response(call, self._get_valid_key(call)) as response,
                aclosing(iter_body(call, response, _MAX_FILE_BYTES)) as chunks,
            ):
                async for chunk in chunks:
                    *whole, rest = (rest + chunk).split(b"\n")
                    if len(rest) > _MAX_EMBEDDING_BYTES * 4:
                        raise UpstreamError(f"{call.url} holds a line that is too long")
                    for line in whole:
                        yield line
        except RequestFailedError as failed:
            raise failed.error from failed
        if rest.strip():
            yield rest

    def get_state(self) -> UpstreamState:
        """How the server is doing."""
        standing = self._circuit_breaker.get_status()
        return UpstreamState(self.base_url, standing.state, standing.seconds)

    async def aclose(self) -> None:
        """Close the connections, when all is booked; a later call opens new ones."""
        await asyncio.gather(*self._settlements, return_exceptions=True)
        pools, self._clients = self._clients, {}
        if (open_here := pools.get(asyncio.get_running_loop())) is not None:
            await open_here.aclose()

    def _build_call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        section: Literal["EMBEDDINGS", "CHAT"],
        model: str,
        context: RequestContext,
        body: dict[str, Any] | None,
    ) -> ApiCall:
        left = self._total_seconds
        if context.deadline is not None:
            left = min(left, context.deadline - time.monotonic())
        at_latest = asyncio.get_running_loop().time() + left
        return ApiCall(method, f"{self.base_url}/{path}", section, model, context, at_latest, body)

    def _get_valid_key(self, call: ApiCall) -> str | None:
        key = self._read_key()
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise InvalidError(
                f"{call.get_setting_name('API_KEY')} holds what no key holds: a space, a line break, a strange letter"
            )
        return key

    def _has_key_changed(self, key: str) -> bool:
        """Whether the key has changed since; a file that is missing is about to hold another."""
        try:
            return self._read_key() != key
        except UnavailableError:
            return True

    async def _run_with_retries(self, call: ApiCall, send_once: Callable[[int], Coroutine[Any, Any, _T]]) -> _T:
        """The result of the first try that has one."""
        retry_loop = RetryLoop(self._circuit_breaker, call)
        while True:
            try:
                return await send_once(retry_loop.attempt)
            except RequestFailedError as failed:
                await self._missing.explain(call, failed)
                await retry_loop.wait_or_raise(failed)

    @asynccontextmanager
    async def _open_exchange(self, call: ApiCall, request: ModelRequest) -> AsyncIterator[_Exchange]:
        """A request that is answered with 200, booked however it ends."""
        key = self._get_valid_key(call)
        self._get_client()  # what is wrong with the settings is found before anything is held
        await wait_until_allowed(self._circuit_breaker, call)
        reservation = await self._meter.reserve(call.context, request)
        exchange = _Exchange(httpx.Response(0), key)
        began = time.monotonic()
        try:
            async with self._open_response(call, key) as exchange.response:
                yield exchange
            exchange.outcome = "ok"
            self._circuit_breaker.record_success()
        except RequestFailedError as failed:
            exchange.outcome = failed.outcome
            hung = failed.outcome == "deadline" and time.monotonic() - began > _HANG_SECONDS
            count(self._circuit_breaker, call, failed, hung=hung)
            if not failed.may_be_billed:
                exchange.input_tokens = exchange.output_tokens = 0
            elif failed.token_counts is not None:
                exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = failed.token_counts
            raise
        finally:
            exchange.usage = await self._settle_usage(
                reservation, call.context, request, exchange, time.monotonic() - began
            )

    async def _settle_usage(
        self, reservation: int, context: RequestContext, request: ModelRequest, exchange: _Exchange, seconds: float
    ) -> Usage:
        outcome = RequestOutcome(
            exchange.outcome,
            exchange.input_tokens,
            exchange.output_tokens,
            exchange.cached_tokens,
            exchange.output_characters,
            round(seconds, 3),
            parse_rate_limits(exchange.response.headers),
        )
        task = asyncio.ensure_future(self._meter.settle(reservation, context, request, outcome))
        self._settlements.add(task)  # it is finished even when whoever waits here is cancelled
        task.add_done_callback(self._settlements.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _open_response(self, call: ApiCall, key: str | None) -> AsyncIterator[httpx.Response]:
        """The server's answer with its body still to come, if its status is 200."""
        pool = self._get_client()
        headers = {**self._headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        if call.upload is None:
            request = pool.build_request(call.method, call.url, json=call.body, headers=headers)
        else:
            files = {"file": ("batch.jsonl", call.upload, "application/jsonl")}
            request = pool.build_request("POST", call.url, data={"purpose": "batch"}, files=files, headers=headers)
        with map_transport_errors(call):
            async with asyncio.timeout_at(call.deadline):
                response = await pool.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise await self._read_refusal(call, response, key)
            yield response
        finally:
            await response.aclose()

    async def _read_refusal(self, call: ApiCall, response: httpx.Response, key: str | None) -> RequestFailedError:
        failed = build_response_error(call, response, await read_error(call, response, key), has_key=key is not None)
        failed.retry_after_seconds = parse_retry_after(response.headers, time.time())
        if response.status_code == 401 and key is not None and self._has_key_changed(key):
            failed.outcome = "key changed"
        if response.status_code == 429 and not is_out_of_quota(failed.detail):
            self._circuit_breaker.pause(
                compute_backoff(1, random.random) if failed.retry_after_seconds is None else failed.retry_after_seconds
            )
        return failed

    async def _stream_answer(self, call: ApiCall, request: ModelRequest) -> AsyncGenerator[str | ChatEnd, None]:
        """One try at an answer."""
        async with self._open_exchange(call, request) as exchange:
            stream, redactor = ChatStream(exchange.key, request.max_output_tokens), Redactor(exchange.key)
            async with aclosing(iter_events(call, exchange.response, exchange.key)) as told:
                async for data in told:
                    with prefix_url(call):
                        piece = redactor.feed(stream.read_event(data))
                    exchange.output_characters = stream.output_characters
                    exchange.input_tokens, exchange.output_tokens, exchange.cached_tokens = stream.get_token_counts()
                    if piece:
                        yield piece
                    if stream.is_done:
                        await drain(told)
                    if stream.is_done or stream.exceeds_limit:
                        break
            with prefix_url(call):
                reason = stream.finish()
            if rest := redactor.finish():
                yield rest
        assert exchange.usage is not None
        yield ChatEnd(reason, exchange.usage, stream.list_warnings(call.model))

    async def _fetch_object(self, call: ApiCall) -> dict[str, Any]:
        async with self._open_response(call, self._get_valid_key(call)) as response:
            body = await read_body(call, response, _MAX_OBJECT_BYTES)
        with prefix_url(call):
            return parse_json_object(body)

    def _get_client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if (found := self._clients.get(loop)) is None:
            self._clients = {other: theirs for other, theirs in self._clients.items() if not other.is_closed()}
            found = self._clients[loop] = make_client(self.base_url, self._proxy, self._ca_file, self._connect_seconds)
        return found


def _build_mid_stream_error(failure: RequestFailedError) -> Exception:
    """The error of an answer of which a part has been read: the server is there, but the answer is not whole."""
    return (
        failure.error if isinstance(failure.error, DeadlineError | UpstreamError) else UpstreamError(str(failure.error))
    )
