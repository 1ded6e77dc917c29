"""Server-sent events of a model server, and the removal of secrets from streamed text."""

import re
from collections.abc import Iterator

from ...core.errors import UpstreamError


class SSEDecoder:
    """Splits server-sent events into their data, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched_bytes = 0
        self._after_cr = False
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that `chunk` completes."""
        if not chunk:
            return
        if self._after_cr:  # the line has ended: an LF is the other half of its CRLF
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
            raise UpstreamError(f"the stream holds an event of more than {MAX_EVENT_BYTES} bytes")

    def finish(self) -> Iterator[bytes]:
        """The data of an event that the stream ended in."""
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
    """Takes a secret out of text that comes in pieces: a server may echo it, and what it says is shown and kept."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret or ""
        self._buffered = ""

    def feed(self, piece: str) -> str:
        """The text without the secret, as far as it is certain that none has begun."""
        if not self._secret:
            return piece
        text = (self._buffered + piece).replace(self._secret, "[key]")
        longest = min(len(text), len(self._secret) - 1)
        begun = next((size for size in range(longest, 0, -1) if self._secret.startswith(text[-size:])), 0)
        self._buffered = text[len(text) - begun :]
        return text[: len(text) - begun]

    def finish(self) -> str:
        """What only began like it."""
        return self._buffered


MAX_EVENT_BYTES = 1 << 20

_LINE_END = re.compile(rb"\r\n|\n|\r")
