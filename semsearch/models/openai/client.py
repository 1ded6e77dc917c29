"""Client of an OpenAI-compatible server: embeddings, streamed chat, batches. Only this package imports httpx.

Async only. Every request is reserved and settled with a meter, retried if that can help, and ended by the deadline of
its request context. `responses` parses replies as untrusted input.

The same as in the official Python client: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID, OPENAI_PROJECT_ID,
HTTPS_PROXY and SSL_CERT_FILE (read by `settings`), 600 seconds for a request and 5 to connect, two retries after 0.5 to
8 seconds, Retry-After up to 120. Different on purpose: the 600 seconds include the retries; waiting for a 429 with
Retry-After is not a retry; a 429 about quota is not retried; redirects are not followed; the key is read for each call,
so that it can be rotated; while a server has never responded, a failed connection is not retried.
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

from ...core.errors import InvalidError, UnavailableError, UpstreamError
from ...core.ports import Meter
from ...core.types.usage import FileUpload, ModelRequest, RequestContext, UploadPurpose, Usage
from .errors import (
    DEFAULT_POLICY,
    ApiCall,
    RequestFailedError,
    RetryLoop,
    RetryPolicy,
    build_mid_stream_error,
    build_response_error,
    is_out_of_quota,
    map_transport_errors,
    prefix_url,
    record_failure,
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
    read_input_tokens,
)
from .retries import CircuitBreaker, CircuitState, compute_backoff, parse_retry_after
from .running_request import RunningRequest
from .sse import Redactor
from .streaming import drain, iter_body, iter_events, read_body, read_error
from .transport import build_organization_headers, make_client, validate_base_url

_MAX_EMBEDDING_BYTES = 128 << 10  # 4,096 numbers as text, with a margin
_MAX_OBJECT_BYTES = 1 << 20
_MAX_FILE_BYTES = 8 << 30
_HANG_SECONDS = 30.0
"""A deadline after so many seconds counts as a failure of the server."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """State of the circuit breaker of a server."""

    url: str
    state: CircuitState
    seconds: float
    """Seconds until the next call is allowed."""


class OpenAIClient:
    """One server and its key, with a connection pool that is opened on the first call."""

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
        """By event loop, because a connection belongs to one; a program may use another loop than the library."""
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
        policy: RetryPolicy = DEFAULT_POLICY,
    ) -> EmbeddingResponse:
        """Return one vector for each input, in order."""
        body: dict[str, Any] = {"model": model, "input": list(inputs), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        call = replace(self._build_call("POST", "embeddings", "EMBEDDINGS", model, context, body), policy=policy)
        request = ModelRequest("embedding", self.base_url, model, inputs)

        async def send_once(attempt: int) -> EmbeddingResponse:
            async with self._run_request(call, replace(request, attempt=attempt)) as running:
                body = await read_body(call, running.response, (len(inputs) + 8) * _MAX_EMBEDDING_BYTES)
                with prefix_url(call):
                    reply = parse_json_lenient(body)
                    running.input_tokens, running.output_tokens = read_input_tokens(reply), 0
                    return parse_embeddings(reply, len(inputs))

        return await self._run_with_retries(call, send_once)

    async def stream_chat(
        self,
        model: str,
        messages: Sequence[dict[str, str]],
        context: RequestContext,
        *,
        max_tokens: int,
        temperature: float | None = None,
    ) -> AsyncGenerator[str | ChatEnd, None]:
        """Yield the answer's text piece by piece, then a ChatEnd; UpstreamError if the stream ends too early.

        A parameter that the model rejects is left out from then on; the warnings say so. After the first text nothing
        is retried.
        """
        body = {"model": model, "messages": list(messages), "stream": True}
        section: Literal["CHECK", "CHAT"] = "CHECK" if context.purpose == "check" else "CHAT"
        call = self._build_call("POST", "chat/completions", section, model, context, body)
        request = ModelRequest("chat", self.base_url, model, [message["content"] for message in messages], max_tokens)
        retry_loop = RetryLoop(self._circuit_breaker, call)
        has_text = False
        while True:
            parameters = self._parameters.build_parameters(model, max_tokens, temperature)
            call = replace(call, body={**body, **parameters})
            try:
                async with aclosing(self._stream_answer(call, replace(request, attempt=retry_loop.attempt))) as pieces:
                    async for piece in pieces:
                        has_text = has_text or isinstance(piece, str)
                        if isinstance(piece, ChatEnd):
                            parameter_warnings = self._parameters.list_warnings(model, temperature)
                            piece = replace(piece, warnings=(*piece.warnings, *parameter_warnings))
                        yield piece
                return
            except RequestFailedError as failure:
                if self._parameters.learn_from(model, parameters, failure):
                    retry_loop.attempt += 1
                    continue
                if has_text:
                    raise build_mid_stream_error(failure) from failure
                await self._missing.explain(call, failure)
                await retry_loop.wait_or_raise(failure)

    async def fetch(
        self, method: Literal["GET", "POST"], path: str, context: RequestContext, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the JSON object at a path. A POST is retried only if the server cannot have processed it.

        A GET costs nothing, so it is also retried after a reply that cannot be parsed.
        """
        call = self._build_call(method, path, _choose_section(context), "", context, body)

        async def send_once(attempt: int) -> dict[str, Any]:
            try:
                return await self._fetch_object(call)
            except RequestFailedError as failure:
                if method == "POST":
                    failure.is_retryable = failure.is_retryable and failure.outcome in ("no connection", "429")
                failure.is_retryable = failure.is_retryable or (method == "GET" and failure.outcome == "bad reply")
                raise

        return await self._run_with_retries(call, send_once)

    async def upload(self, data: bytes, context: RequestContext) -> dict[str, Any]:
        """Upload a file, for fine-tuning if that is the purpose, else for a batch; return the server's reply."""
        call = self._build_call("POST", "files", _choose_section(context), "", context, None)
        purpose: UploadPurpose = "fine-tune" if context.purpose == "train" else "batch"
        call = replace(call, upload=FileUpload(data, purpose))
        return await self._run_with_retries(call, lambda attempt: self._fetch_object(call))

    async def iter_file_lines(self, file_id: str, context: RequestContext) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a file of the server. This is not retried."""
        call = self._build_call("GET", f"files/{file_id}/content", "EMBEDDINGS", "", context, None)
        partial_line = b""
        try:
            async with (
                self._open_response(call, self._get_valid_key(call)) as response,
                aclosing(iter_body(call, response, _MAX_FILE_BYTES)) as chunks,
            ):
                async for chunk in chunks:
                    *complete_lines, partial_line = (partial_line + chunk).split(b"\n")
                    if len(partial_line) > _MAX_EMBEDDING_BYTES * 4:
                        raise UpstreamError(f"{call.url} contains a line that is too long")
                    for line in complete_lines:
                        yield line
        except RequestFailedError as failure:
            raise failure.error from failure
        if partial_line.strip():
            yield partial_line

    def get_state(self) -> UpstreamState:
        """Return the state of the circuit breaker."""
        status = self._circuit_breaker.get_status()
        return UpstreamState(self.base_url, status.state, status.seconds)

    async def aclose(self) -> None:
        """Close the connections after all settlements; a later call opens new ones."""
        await asyncio.gather(*self._settlements, return_exceptions=True)
        clients, self._clients = self._clients, {}
        if (client := clients.get(asyncio.get_running_loop())) is not None:
            await client.aclose()

    def _build_call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        section: Literal["EMBEDDINGS", "CHAT", "CHECK"],
        model: str,
        context: RequestContext,
        body: dict[str, Any] | None,
    ) -> ApiCall:
        seconds_left = self._total_seconds
        if context.deadline is not None:
            seconds_left = min(seconds_left, context.deadline - time.monotonic())
        deadline = asyncio.get_running_loop().time() + seconds_left
        return ApiCall(method, f"{self.base_url}/{path}", section, model, context, deadline, body)

    def _get_valid_key(self, call: ApiCall) -> str | None:
        key = self._read_key()
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise InvalidError(
                f"{call.get_setting_name('API_KEY')} contains a space, a line break or a character that is not ASCII; "
                "correct the key"
            )
        return key

    def _has_key_changed(self, key: str) -> bool:
        """Return whether the key has changed. A missing key file counts as changed: it is about to be replaced."""
        try:
            return self._read_key() != key
        except UnavailableError:
            return True

    async def _run_with_retries(self, call: ApiCall, send_once: Callable[[int], Coroutine[Any, Any, _T]]) -> _T:
        """Return the result of the first successful try."""
        retry_loop = RetryLoop(self._circuit_breaker, call)
        while True:
            try:
                return await send_once(retry_loop.attempt)
            except RequestFailedError as failure:
                await self._missing.explain(call, failure)
                await retry_loop.wait_or_raise(failure)

    @asynccontextmanager
    async def _run_request(self, call: ApiCall, request: ModelRequest) -> AsyncIterator[RunningRequest]:
        """Send a request that must be answered with 200, and settle it however it ends."""
        key = self._get_valid_key(call)
        self._get_client()  # wrong settings are an error before anything is reserved
        await wait_until_allowed(self._circuit_breaker, call)
        reservation = await self._meter.reserve(call.context, request)
        running = RunningRequest(httpx.Response(0), key)
        start = time.monotonic()
        try:
            async with self._open_response(call, key) as running.response:
                yield running
            running.outcome = "ok"
            self._circuit_breaker.record_success()
        except RequestFailedError as failure:
            running.outcome = failure.outcome
            is_server_timeout = failure.outcome == "deadline" and time.monotonic() - start > _HANG_SECONDS
            record_failure(self._circuit_breaker, call, failure, is_server_timeout=is_server_timeout)
            if not failure.may_be_billed:
                running.input_tokens = running.output_tokens = 0
            elif failure.token_counts is not None:
                running.input_tokens, running.output_tokens, running.cached_tokens = failure.token_counts
            raise
        finally:
            running.usage = await self._settle_usage(
                reservation, call.context, request, running, time.monotonic() - start
            )

    async def _settle_usage(
        self, reservation: int, context: RequestContext, request: ModelRequest, running: RunningRequest, seconds: float
    ) -> Usage:
        outcome = running.to_outcome(seconds)
        task = asyncio.ensure_future(self._meter.settle(reservation, context, request, outcome))
        self._settlements.add(task)  # it is completed even if the caller is cancelled
        task.add_done_callback(self._settlements.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _open_response(self, call: ApiCall, key: str | None) -> AsyncIterator[httpx.Response]:
        """Return a response with status 200 whose body is not read yet."""
        client = self._get_client()
        headers = {**self._headers, **({"Authorization": f"Bearer {key}"} if key else {})}
        if call.context.trace is not None:
            headers["traceparent"] = call.context.trace.make_child_header()
        if call.upload is None:
            request = client.build_request(call.method, call.url, json=call.body, headers=headers)
        else:
            files = {"file": (f"{call.upload.purpose}.jsonl", call.upload.data, "application/jsonl")}
            data = {"purpose": call.upload.purpose}
            request = client.build_request("POST", call.url, data=data, files=files, headers=headers)
        with map_transport_errors(call):
            async with asyncio.timeout_at(call.deadline):
                response = await client.send(request, stream=True)
        self._circuit_breaker.was_reached = True
        try:
            if response.status_code != 200:
                raise await self._read_failure(call, response, key)
            yield response
        finally:
            await response.aclose()

    async def _read_failure(self, call: ApiCall, response: httpx.Response, key: str | None) -> RequestFailedError:
        failure = build_response_error(call, response, await read_error(call, response, key), has_key=key is not None)
        failure.retry_after_seconds = parse_retry_after(response.headers, time.time())
        if response.status_code == 401 and key is not None and self._has_key_changed(key):
            failure.outcome = "key changed"
        if response.status_code == 429 and not is_out_of_quota(failure.detail):
            self._circuit_breaker.pause(
                compute_backoff(1, random.random)
                if failure.retry_after_seconds is None
                else failure.retry_after_seconds
            )
        return failure

    async def _stream_answer(self, call: ApiCall, request: ModelRequest) -> AsyncGenerator[str | ChatEnd, None]:
        """Run one try of a streamed answer."""
        async with self._run_request(call, request) as running:
            stream, redactor = ChatStream(running.key, request.max_output_tokens), Redactor(running.key)
            async with aclosing(iter_events(call, running.response, running.key)) as events:
                async for data in events:
                    with prefix_url(call):
                        piece = redactor.feed(stream.read_event(data))
                    running.output_characters = stream.output_characters
                    running.input_tokens, running.output_tokens, running.cached_tokens = stream.get_token_counts()
                    if piece:
                        yield piece
                    if stream.is_done:
                        await drain(events)
                    if stream.is_done or stream.exceeds_limit:
                        break
            with prefix_url(call):
                reason = stream.finish()
            if remaining_text := redactor.finish():
                yield remaining_text
        assert running.usage is not None
        yield ChatEnd(reason, running.usage, stream.list_warnings(call.model))

    async def _fetch_object(self, call: ApiCall) -> dict[str, Any]:
        async with self._open_response(call, self._get_valid_key(call)) as response:
            body = await read_body(call, response, _MAX_OBJECT_BYTES)
        with prefix_url(call):
            return parse_json_object(body)

    def _get_client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            self._clients = {
                other_loop: other_client
                for other_loop, other_client in self._clients.items()
                if not other_loop.is_closed()
            }
            client = self._clients[loop] = make_client(self.base_url, self._proxy, self._ca_file, self._connect_seconds)
        return client


def _choose_section(context: RequestContext) -> Literal["EMBEDDINGS", "CHAT"]:
    """Return whose settings the messages name: only embeddings have batches, only chat models are trained."""
    return "CHAT" if context.purpose == "train" else "EMBEDDINGS"
