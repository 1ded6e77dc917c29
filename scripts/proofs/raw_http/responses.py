"""A strict reader of HTTP/1.1 responses, which also checks what every response of the service has."""

import asyncio
import json
import re
from dataclasses import dataclass

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "request_id"}
MAX_HEAD_BYTES = 1 << 20


class ResponseError(Exception):
    """The service sent something that is no valid response, or not one of its own."""


class IncompleteResponseError(ResponseError):
    """The connection ended within a response."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Return whether the service announces that it closes the connection."""
        return self.headers.get("connection", "").lower() == "close"

    @property
    def problem(self) -> dict[str, object]:
        """Return the fields of the problem, or none."""
        if self.headers.get("content-type") != "application/problem+json" or not self.body:
            return {}
        problem: dict[str, object] = json.loads(self.body)
        return problem


async def read_response(reader: asyncio.StreamReader, *, is_head: bool = False) -> Response | None:
    """Return the next final response, or None if the connection ends before it; ResponseError if it is not valid."""
    while True:
        head = await _read_head(reader)
        if head is None:
            return None
        status, headers = head
        if status >= 200:
            response = Response(status, headers, await _read_body(reader, status, headers, is_head))
            check_response(response, is_head)
            return response


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise IncompleteResponseError(f"the connection ended within a head: {exc.partial[:200]!r}") from exc
        return None
    except asyncio.LimitOverrunError as exc:
        raise ResponseError("the head of a response is too long") from exc
    status_line, *lines = head[:-4].split(b"\r\n")
    status = STATUS_LINE.fullmatch(status_line)
    matches = [HEADER_LINE.fullmatch(line) for line in lines]
    if status is None or not all(matches):
        raise ResponseError(f"this is no head of a response: {head[:200]!r}")
    headers: dict[str, str] = {}
    for match in matches:
        assert match is not None
        name = match[1].decode().lower()
        if name in headers:
            raise ResponseError(f"the header {name} is there twice")
        headers[name] = match[2].decode("latin-1")
    return int(status[1]), headers


async def _read_body(reader: asyncio.StreamReader, status: int, headers: dict[str, str], is_head: bool) -> bytes:
    if "content-length" in headers and "transfer-encoding" in headers:
        raise ResponseError("a response has both a length and chunks")
    if is_head or status in (204, 304):
        return b""
    try:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return await _read_chunks(reader)
    except asyncio.IncompleteReadError as exc:
        raise IncompleteResponseError(f"the connection ended within a body, status {status}") from exc
    raise ResponseError(f"the body of a response has no end, status {status}")


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        data = await reader.readexactly(size + 2)
        if data[-2:] != b"\r\n":
            raise ResponseError("a chunk does not end where its size says")
        if not size:
            return b"".join(chunks)
        chunks.append(data[:-2])


def check_response(response: Response, is_head: bool) -> None:
    """Check the request id, the headers of security, and that every error is a problem."""
    request_id = response.headers.get("x-request-id", "")
    if not request_id or response.headers.get("x-content-type-options") != "nosniff":
        raise ResponseError(f"a response has no request id, or no nosniff: {response.status} {response.headers}")
    if response.status < 400 or is_head:
        return
    problem = response.problem
    if problem.keys() != PROBLEM_FIELDS or problem["status"] != response.status:
        raise ResponseError(f"an error is no problem: {response.status} {response.body[:200]!r}")
    if problem["request_id"] != request_id:
        raise ResponseError("a problem has another request id than its response")
