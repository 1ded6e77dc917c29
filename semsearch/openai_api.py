"""Speaks to an OpenAI-compatible server: embeddings, and streamed chat. The only module that knows httpx.

Async only, on one loop per process. Does not retry, and does not judge what comes back: `openai_replies` reads it.
The key is read anew for each call and stands in no error, whatever the server makes of it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from .accounts import Errand
from .errors import Deadline, Invalid, SemsearchError, Unavailable, Upstream
from .openai_replies import ChatStream, EmbeddingReply, Ending, EventLines, Problem, embeddings, problem, safe

_MAX_ERROR_BYTES = 64 << 10
_MAX_STREAM_BYTES = 64 << 20
_BYTES_PER_EMBEDDING = 128 << 10  # 4,096 numbers written out, and room
_AFTER_DONE_SECONDS = 0.1
_NO_QUOTA = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_NEW_NAME = "max_completion_tokens"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to one endpoint, and the words that its errors need."""

    url: str
    section: Literal["EMBEDDINGS", "CHAT"]
    model: str
    body: dict[str, Any] = field(repr=False)
    key: str | None = field(repr=False)
    deadline: float

    def setting(self, name: str) -> str:
        """The name of the setting that a person would change."""
        return f"SEMSEARCH_{self.section}__{name}"


class OpenAIClient:
    """One server and its key, with one pool of connections that opens at the first call."""

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str | None],
        *,
        connect_seconds: float = 5.0,
        read_seconds: float = 120.0,
        total_seconds: float = 600.0,
    ) -> None:
        self.base_url = _checked(base_url)
        self._key = key
        self._timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
        self._total_seconds = total_seconds
        self._pool: httpx.AsyncClient | None = None
        self._refused: dict[str, frozenset[str]] = {}

    async def embeddings(
        self, model: str, inputs: Sequence[str], errand: Errand, *, dimensions: int | None = None
    ) -> EmbeddingReply:
        """One vector for each input, in their order."""
        body: dict[str, Any] = {"model": model, "input": list(inputs), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        call = self._call("EMBEDDINGS", model, body, errand)
        async with self._response(call) as response:
            if response.status_code != 200:
                raise _error(call, response, await _problem(call, response))
            reply = await _body(call, response, (len(inputs) + 8) * _BYTES_PER_EMBEDDING)
            with _naming(call):
                return embeddings(reply, len(inputs))

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

        What a model does not take is left out, remembered, and told in the warnings.
        """
        body = {"model": model, "messages": list(messages), "stream": True, "stream_options": {"include_usage": True}}
        call = self._call("CHAT", model, body, errand)
        async with self._accepted(call, max_tokens, temperature) as response:
            stream = ChatStream(messages, call.key)
            async with aclosing(_events(call, response)) as events:
                async for data in events:
                    with _naming(call):
                        piece = stream.text(data)
                    if piece:
                        yield piece
                    if stream.done:
                        await _drain(events)
                        break
        with _naming(call):
            ending = stream.finish(self._warnings(model, temperature))
        yield ending

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    def _call(self, section: Literal["EMBEDDINGS", "CHAT"], model: str, body: dict[str, Any], errand: Errand) -> _Call:
        key = self._key()
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise Invalid(
                f"SEMSEARCH_{section}__API_KEY holds what no key holds: a space, a line break, a strange letter"
            )
        at_latest = time.monotonic() + self._total_seconds if errand.deadline is None else errand.deadline
        at_latest += asyncio.get_running_loop().time() - time.monotonic()
        path = "embeddings" if section == "EMBEDDINGS" else "chat/completions"
        return _Call(f"{self.base_url}/{path}", section, model, body, key, at_latest)

    @asynccontextmanager
    async def _response(self, call: _Call) -> AsyncIterator[httpx.Response]:
        """The server's answer with its body still to come, whatever its status."""
        if self._pool is None:
            # proxies and certificates come from settings or not at all; a cut-off redirect never carries the key away
            self._pool = httpx.AsyncClient(timeout=self._timeout, trust_env=False, follow_redirects=False)
        headers = {"Accept-Encoding": "identity"}  # a compressed reply could be a bomb
        if call.key:
            headers["Authorization"] = f"Bearer {call.key}"
        request = self._pool.build_request("POST", call.url, json=call.body, headers=headers)
        with _translated(call):
            async with asyncio.timeout_at(call.deadline):
                response = await self._pool.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    @asynccontextmanager
    async def _accepted(self, call: _Call, max_tokens: int, temperature: float | None) -> AsyncIterator[httpx.Response]:
        """The answer to a chat call with only those parameters that the model takes."""
        refused = self._refused_by(call.model)
        while True:
            call.body.update(_parameters(refused, max_tokens, temperature))
            async with self._response(call) as response:
                if response.status_code == 200:
                    yield response
                    return
                problem = await _problem(call, response)
            parameter = problem.refused_parameter
            if response.status_code != 400 or parameter is None or parameter in refused:
                raise _error(call, response, problem)
            self._refused[call.model] = refused = refused | {parameter}
            call.body.pop(parameter, None)

    def _refused_by(self, model: str) -> frozenset[str]:
        """The parameters that a model does not take: OpenAI's own know a newer name, which most servers do not know."""
        its_own = httpx.URL(self.base_url).host.endswith((".openai.com", ".openai.azure.com"))
        return self._refused.get(model, frozenset({"max_tokens"} if its_own else ()))

    def _warnings(self, model: str, temperature: float | None) -> list[str]:
        if temperature is None or "temperature" not in self._refused_by(model):
            return []
        return [f"{model} takes no temperature of its own: {temperature:g} was not sent"]


def _checked(base_url: str) -> str:
    """The address of a server without the slash at its end; a wrong one is not repeated whole, it may hold a secret."""
    shown = safe(base_url.rpartition("@")[2], None)
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise Invalid(f"{shown!r} is not the address of a server") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise Invalid(f"{shown!r} is not the address of a server: it must begin with http:// or https://")
    if url.userinfo or url.query or url.fragment:
        raise Invalid(f"the address of {url.host} must hold no user, query or fragment; the key has its own setting")
    return base_url.rstrip("/")


def _parameters(refused: frozenset[str], max_tokens: int, temperature: float | None) -> dict[str, float]:
    parameters: dict[str, float] = {_NEW_NAME if "max_tokens" in refused else "max_tokens": max_tokens}
    if temperature is not None and "temperature" not in refused:
        parameters["temperature"] = temperature
    return parameters


@contextmanager
def _translated(call: _Call, broken: type[SemsearchError] = Unavailable) -> Iterator[None]:
    """Say in our words what went wrong on the way to the server or back; `broken` is what a lost connection means."""
    way_out = f"is the server running? {call.setting('BASE_URL')} says where it is"
    try:
        yield
    except TimeoutError as exc:
        raise Deadline(f"{call.url} did not finish in the time allowed") from exc
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise Unavailable(f"no connection to {call.url}: {way_out}") from exc
    except httpx.TimeoutException as exc:
        raise Deadline(f"{call.url} was silent for too long ({type(exc).__name__})") from exc
    except httpx.TransportError as exc:
        raise broken(f"{call.url} broke off before the end of its answer ({type(exc).__name__}): {way_out}") from exc


@contextmanager
def _naming(call: _Call) -> Iterator[None]:
    """Put the server's name before an error that speaks of its reply."""
    try:
        yield
    except Upstream as exc:
        raise Upstream(f"{call.url}: {exc}") from exc


async def _chunks(call: _Call, response: httpx.Response, limit: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a body as they come, up to a limit."""
    size = 0
    chunks = response.aiter_raw()
    while True:
        # the deadline holds for each wait, never across a yield, where it would cancel whoever reads
        with _translated(call, broken=Upstream):
            async with asyncio.timeout_at(call.deadline):
                chunk = await anext(chunks, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise Upstream(f"{call.url} sent more than {limit} bytes")
        yield chunk


async def _body(call: _Call, response: httpx.Response, limit: int) -> bytearray:
    body = bytearray()
    async with aclosing(_chunks(call, response, limit)) as chunks:
        async for chunk in chunks:
            body += chunk
    return body


async def _problem(call: _Call, response: httpx.Response) -> Problem:
    """What the server says about an error; nothing where it says too much or breaks off."""
    try:
        return problem(await _body(call, response, _MAX_ERROR_BYTES), call.key)
    except Upstream:
        return Problem()


async def _events(call: _Call, response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event."""
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media in ("application/json", "text/html"):
        problem = await _problem(call, response)
        raise Upstream(f"{call.url} sent {media} where a stream was asked for: {problem.message}".rstrip(": "))
    lines = EventLines()
    async with aclosing(_chunks(call, response, _MAX_STREAM_BYTES)) as chunks:
        async for chunk in chunks:
            with _naming(call):
                ready = list(lines.feed(chunk))
            for data in ready:
                yield data
    for data in lines.finish():
        yield data


async def _drain(events: AsyncGenerator[bytes, None]) -> None:
    """Read the end of the body, so that the connection can serve the next call."""
    try:
        async with asyncio.timeout(_AFTER_DONE_SECONDS):
            async for _ in events:
                pass
    except (TimeoutError, SemsearchError):
        return  # the answer is complete whatever comes after it; only the connection is lost


def _error(call: _Call, response: httpx.Response, problem: Problem) -> SemsearchError:
    """The error for a status other than 200."""
    status = response.status_code
    if 300 <= status < 400:
        address = call.setting("BASE_URL")
        return Upstream(f"{call.url} answered {status}, a redirect, which is not followed: correct {address}")
    if status in (401, 403):
        # its own message is left out: it may hold parts of the key
        verb = "refused the key" if call.key else "asks for a key"
        return Upstream(f"{call.url} {verb} ({status}): set {call.setting('API_KEY')}")
    said = f": {problem.message}" if problem.message else ""
    if status == 404:
        address = call.setting("BASE_URL")
        return Upstream(f"no model {call.model!r} at {call.url} (404), or {address} is wrong{said}")
    if status == 503 or (status == 429 and problem.code not in _NO_QUOTA):
        return Unavailable(f"{call.url} is too busy ({status}), try again later{said}")
    return Upstream(f"{call.url} answered {status}{said}")
