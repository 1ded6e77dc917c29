"""Reads what a server sends back over a connection: bytes up to a limit and a deadline, errors, events.

Does not connect, and does not judge: see `openai_api` and `openai_replies`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from ...core.errors import UpstreamError
from .errors import ApiCall, RequestFailedError, map_transport_errors, prefix_url
from .responses import ErrorDetail, parse_error_body, parse_error_detail, parse_json_object, read_token_counts
from .sse import SSEDecoder

_MAX_ERROR_BYTES = 64 << 10
_MAX_ANSWER_BYTES = 4 << 20
_MAX_STREAM_BYTES = 64 << 20
_DRAIN_TIMEOUT_SECONDS = 0.1


async def iter_body(call: ApiCall, response: httpx.Response, limit: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a body as they come, up to a limit."""
    size = 0
    chunks = response.aiter_raw()
    while True:
        # the deadline holds for each wait, never across a yield, where it would cancel whoever reads
        with map_transport_errors(call):
            async with asyncio.timeout_at(call.deadline):
                chunk = await anext(chunks, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            error = UpstreamError(f"{call.url} sent more than {limit} bytes", malformed=True)
            raise RequestFailedError(error, "too long", may_be_billed=True)
        yield chunk


async def read_body(call: ApiCall, response: httpx.Response, limit: int) -> bytearray:
    """A whole body, of at most so many bytes."""
    body = bytearray()
    async with aclosing(iter_body(call, response, limit)) as chunks:
        async for chunk in chunks:
            body += chunk
    return body


async def read_error(call: ApiCall, response: httpx.Response, key: str | None) -> ErrorDetail:
    """What the server says about an error; nothing where it says too much or breaks off."""
    try:
        return parse_error_body(await read_body(call, response, _MAX_ERROR_BYTES), key)
    except RequestFailedError:
        return ErrorDetail()


async def iter_events(call: ApiCall, response: httpx.Response, key: str | None) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event."""
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media in ("application/json", "text/html"):
        raise await _build_no_stream_error(call, response, key, media)
    lines = SSEDecoder()
    async with aclosing(iter_body(call, response, _MAX_STREAM_BYTES)) as chunks:
        async for chunk in chunks:
            with prefix_url(call):
                ready = list(lines.feed(chunk))
            for data in ready:
                yield data
    for data in lines.finish():
        yield data


async def _build_no_stream_error(
    call: ApiCall, response: httpx.Response, key: str | None, media_type: str
) -> RequestFailedError:
    """What to say of a reply in one piece, and what it counts."""
    try:
        reply = parse_json_object(await read_body(call, response, _MAX_ANSWER_BYTES))
    except (RequestFailedError, UpstreamError):
        reply = {}
    said = parse_error_detail(reply, key).message
    error = UpstreamError(f"{call.url} sent {media_type} where a stream was asked for: {said}".rstrip(": "))
    failed = RequestFailedError(error, "bad reply", may_be_billed=True)
    failed.token_counts = read_token_counts(reply.get("usage"))
    return failed


async def drain(events: AsyncGenerator[bytes, None]) -> None:
    """Read the end of the body, so that the connection can serve the next call."""
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT_SECONDS):
            async for _ in events:
                pass
    except (TimeoutError, RequestFailedError):
        return  # the answer is complete whatever comes after it; only the connection is lost
