"""A load client with little CPU cost: sends prepared requests over open connections, one at a time on each.

Supports only the part of HTTP that the measured services use: Content-Length or chunked bodies.
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Latencies and replies of some requests."""

    seconds: list[float]
    """Time from sending each request to the end of its reply."""
    replies: list[bytes]
    """Bodies, in the order of the requests."""
    failed: int
    """Replies with a status other than 200."""

    def latency_ms(self, share: float) -> float:
        """Return the latency quantile in milliseconds: `share` 0.5 is the median."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def build_request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of one HTTP request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def run_requests(port: int, requests: Sequence[bytes], connections: int = 1) -> LoadResult:
    """Send all requests over this many connections and wait for their replies."""
    seconds, replies, failed = [0.0] * len(requests), [b""] * len(requests), 0
    indices = iter(range(len(requests)))
    with selectors.DefaultSelector() as selector:
        for _ in range(min(connections, len(requests))):
            connection = _Connection(socket.create_connection(("127.0.0.1", port), timeout=60))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send_next(requests, indices)
        while selector.get_map():
            for key, _ in selector.select(60) or _raise_timeout():
                ready: _Connection = key.data
                if not ready.receive():
                    continue
                seconds[ready.index] = time.perf_counter() - ready.start
                replies[ready.index] = ready.body
                failed += ready.status != 200
                if not ready.send_next(requests, indices):
                    selector.unregister(ready.socket)
                    ready.socket.close()
    return LoadResult(seconds, replies, failed)


def _raise_timeout() -> list[tuple[selectors.SelectorKey, int]]:
    raise TimeoutError("no reply within a minute")


class _Connection:
    """One connection, with at most one request in flight."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.index = 0
        self.start = 0.0
        self.status = 0
        self.body = b""
        self._received = b""

    def send_next(self, requests: Sequence[bytes], indices: Iterator[int]) -> bool:
        """Send the request with the next index; return False if there is none."""
        index = next(indices, None)
        if index is None:
            return False
        self.index, self._received = index, b""
        self.start = time.perf_counter()
        self.socket.sendall(requests[index])
        return True

    def receive(self) -> bool:
        """Receive available bytes; return whether the reply is complete."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError(f"the service closed the connection after {self._received[:200]!r}")
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or not (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")):
            return False
        self.status = int(head[9:12])
        self.body = body if length else _decode_chunked(body)
        return True


def _decode_chunked(chunked: bytes) -> bytes:
    body = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        body, chunked = body + chunked[: int(size, 16)], chunked[int(size, 16) + 2 :]
    return body


def run_timed(port: int, requests: Sequence[bytes], connections: int) -> tuple[LoadResult, float]:
    """Run the requests; return the result and the total wall time in seconds."""
    start = time.perf_counter()
    result = run_requests(port, requests, connections)
    return result, time.perf_counter() - start
