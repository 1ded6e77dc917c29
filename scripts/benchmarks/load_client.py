"""A load client with little CPU cost: sends prepared requests over open connections, one at a time on each.

Understands only the HTTP that the measured services use: replies with a content-length or in chunks.
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
    """Latencies and replies of a series of requests."""

    seconds: list[float]
    """Seconds from sending each request to the end of its reply."""
    replies: list[bytes]
    """Bodies, in the order of the requests."""
    failed: int

    def latency_ms(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds; share 0.5 is the median."""
        ascending = sorted(self.seconds)
        return 1000 * ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def build_request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def run_requests(port: int, requests: Sequence[bytes], connections: int = 1) -> LoadResult:
    """Send all requests over `connections` connections and wait for their replies."""
    seconds, replies, failed = [0.0] * len(requests), [b""] * len(requests), 0
    pending = iter(range(len(requests)))
    with selectors.DefaultSelector() as selector:
        for _ in range(min(connections, len(requests))):
            connection = _Connection(socket.create_connection(("127.0.0.1", port), timeout=60))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests, pending)
        while selector.get_map():
            for key, _ in selector.select(60) or _raise_timeout():
                ready: _Connection = key.data
                if not ready.receive():
                    continue
                number = ready.number
                seconds[number] = time.perf_counter() - ready.sent_at
                replies[number] = ready.body
                failed += ready.status != 200
                if not ready.send(requests, pending):
                    selector.unregister(ready.socket)
                    ready.socket.close()
    return LoadResult(seconds, replies, failed)


def _raise_timeout() -> list[tuple[selectors.SelectorKey, int]]:
    raise TimeoutError("no reply within a minute")


class _Connection:
    """One connection with at most one request in flight."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.number = 0
        self.sent_at = 0.0
        self.status = 0
        self.body = b""
        self._received = b""

    def send(self, requests: Sequence[bytes], pending: Iterator[int]) -> bool:
        """Send the next request; return False if there is none."""
        number = next(pending, None)
        if number is None:
            return False
        self.number, self._received = number, b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(requests[number])
        return True

    def receive(self) -> bool:
        """Read the bytes that have arrived; return whether the reply is complete."""
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
    """Send the requests; return the result and the wall seconds of all of them."""
    start = time.perf_counter()
    result = run_requests(port, requests, connections)
    return result, time.perf_counter() - start
