"""Reads what a server sends back over a connection: bytes up to a limit and a deadline, errors, events.

Does not connect, and does not judge: see `openai_api` and `openai_replies`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from ...core.errors import Upstream
from .errors import Call, Failed, naming, translated
from .responses import Problem, counted, json_object, problem, problem_in
from .sse import EventLines

_MAX_ERROR_BYTES = 64 << 10
_MAX_ANSWER_BYTES = 4 << 20
_MAX_STREAM_BYTES = 64 << 20
_AFTER_DONE_SECONDS = 0.1


async def pieces(call: Call, response: httpx.Response, limit: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a body as they come, up to a limit."""
    size = 0
    chunks = response.aiter_raw()
    while True:
        # the deadline holds for each wait, never across a yield, where it would cancel whoever reads
        with translated(call):
            async with asyncio.timeout_at(call.deadline):
                chunk = await anext(chunks, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            error = Upstream(f"{call.url} sent more than {limit} bytes", malformed=True)
            raise Failed(error, "too long", billed=True)
        yield chunk


async def whole(call: Call, response: httpx.Response, limit: int) -> bytearray:
    """A whole body, of at most so many bytes."""
    body = bytearray()
    async with aclosing(pieces(call, response, limit)) as chunks:
        async for chunk in chunks:
            body += chunk
    return body


async def complaint(call: Call, response: httpx.Response, key: str | None) -> Problem:
    """What the server says about an error; nothing where it says too much or breaks off."""
    try:
        return problem(await whole(call, response, _MAX_ERROR_BYTES), key)
    except Failed:
        return Problem()


async def events(call: Call, response: httpx.Response, key: str | None) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event."""
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media in ("application/json", "text/html"):
        raise await _no_stream(call, response, key, media)
    lines = EventLines()
    async with aclosing(pieces(call, response, _MAX_STREAM_BYTES)) as chunks:
        async for chunk in chunks:
            with naming(call):
                ready = list(lines.feed(chunk))
            for data in ready:
                yield data
    for data in lines.finish():
        yield data


async def _no_stream(call: Call, response: httpx.Response, key: str | None, media: str) -> Failed:
    """What to say of a reply in one piece, and what it counts."""
    try:
        reply = json_object(await whole(call, response, _MAX_ANSWER_BYTES))
    except (Failed, Upstream):
        reply = {}
    said = problem_in(reply, key).message
    error = Upstream(f"{call.url} sent {media} where a stream was asked for: {said}".rstrip(": "))
    failed = Failed(error, "bad reply", billed=True)
    failed.counted = counted(reply.get("usage"))
    return failed


async def drain(events: AsyncGenerator[bytes, None]) -> None:
    """Read the end of the body, so that the connection can serve the next call."""
    try:
        async with asyncio.timeout(_AFTER_DONE_SECONDS):
            async for _ in events:
                pass
    except (TimeoutError, Failed):
        return  # the answer is complete whatever comes after it; only the connection is lost
