"""Decode server-sent events, and remove secrets from streamed text."""

import re
from collections.abc import Iterator

from ...core.errors import UpstreamError


class SSEDecoder:
    """Decodes server-sent events from chunks of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched_bytes = 0
        self._after_cr = False
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes."""
        if not chunk:
            return
        if self._after_cr:  # the CR has ended the line: an LF belongs to the same CRLF
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        self._buffer += chunk
        start = 0
        while end := _LINE_END.search(self._buffer, max(start, self._searched_bytes)):
            yield from self._process_line(bytes(self._buffer[start : end.start()]))
            start = end.end()
        del self._buffer[:start]
        self._searched_bytes = len(self._buffer)
        if self._data_bytes + len(self._buffer) > MAX_EVENT_BYTES:
            raise UpstreamError(f"the stream contains an event of more than {MAX_EVENT_BYTES} bytes")

    def finish(self) -> Iterator[bytes]:
        """Yield the data of an event that is not terminated at the end of the stream."""
        yield from self._process_line(bytes(self._buffer))
        yield from self._process_line(b"")

    def _process_line(self, line: bytes) -> Iterator[bytes]:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_bytes += len(line)
        elif not line and self._data:
            yield b"\n".join(self._data)
            self._data, self._data_bytes = [], 0


class Redactor:
    """Removes a secret from streamed text: a server may echo it, and its text is shown and stored."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret or ""
        self._buffered = ""

    def feed(self, piece: str) -> str:
        """Return the text without the secret; hold back an end that may be the start of the secret."""
        if not self._secret:
            return piece
        text = (self._buffered + piece).replace(self._secret, "[key]")
        max_overlap = min(len(text), len(self._secret) - 1)
        overlap = next((size for size in range(max_overlap, 0, -1) if self._secret.startswith(text[-size:])), 0)
        self._buffered = text[len(text) - overlap :]
        return text[: len(text) - overlap]

    def finish(self) -> str:
        """Return the text that is still held back."""
        return self._buffered


MAX_EVENT_BYTES = 1 << 20

_LINE_END = re.compile(rb"\r\n|\n|\r")
