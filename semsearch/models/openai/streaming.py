"""Read response bodies up to a size limit and a deadline: bytes, errors, server-sent events.

Does not open connections (see `client`) or interpret replies (see `responses`).
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
    """Yield the bytes of a body as they arrive; fail above `limit` bytes."""
    size = 0
    chunks = response.aiter_raw()
    while True:
        # a timeout around the yield would cancel the consumer
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
    """Return a complete body of at most `limit` bytes."""
    body = bytearray()
    async with aclosing(iter_body(call, response, limit)) as chunks:
        async for chunk in chunks:
            body += chunk
    return body


async def read_error(call: ApiCall, response: httpx.Response, key: str | None) -> ErrorDetail:
    """Return the error in a body; an empty one if the body is too long or incomplete."""
    try:
        return parse_error_body(await read_body(call, response, _MAX_ERROR_BYTES), key)
    except RequestFailedError:
        return ErrorDetail()


async def iter_events(call: ApiCall, response: httpx.Response, key: str | None) -> AsyncGenerator[bytes, None]:
    """Yield the data of each server-sent event."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type in ("application/json", "text/html"):
        raise await _build_no_stream_error(call, response, key, media_type)
    decoder = SSEDecoder()
    async with aclosing(iter_body(call, response, _MAX_STREAM_BYTES)) as chunks:
        async for chunk in chunks:
            with prefix_url(call):
                events = list(decoder.feed(chunk))
            for data in events:
                yield data
    for data in decoder.finish():
        yield data


async def _build_no_stream_error(
    call: ApiCall, response: httpx.Response, key: str | None, media_type: str
) -> RequestFailedError:
    """Return the failure for a reply that is not a stream, with the tokens that it reports."""
    try:
        reply = parse_json_object(await read_body(call, response, _MAX_ANSWER_BYTES))
    except (RequestFailedError, UpstreamError):
        reply = {}
    message = parse_error_detail(reply, key).message
    error = UpstreamError(f"{call.url} sent {media_type} instead of a stream: {message}".rstrip(": "))
    failure = RequestFailedError(error, "bad reply", may_be_billed=True)
    failure.token_counts = read_token_counts(reply.get("usage"))
    return failure


async def drain(events: AsyncGenerator[bytes, None]) -> None:
    """Read the rest of the body, so that the connection can be reused."""
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT_SECONDS):
            async for _ in events:
                pass
    except (TimeoutError, RequestFailedError):
        return  # the answer is complete; only the connection is lost
