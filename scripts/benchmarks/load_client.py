"""A client that costs little: ready requests over open connections, each sent when the one before was answered.

Knows only as much of HTTP as the measured services speak: a length, or chunks.
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
    """What came of some requests."""

    seconds: list[float]
    """From sending a request to having all of its reply, one for each."""
    replies: list[bytes]
    """Bodies, in the order of the requests."""
    failed: int

    def latency_ms(self, share: float) -> float:
        """The milliseconds within which this share of the requests was answered."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def build_request(method: str, path: str, body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def run_requests(port: int, requests: Sequence[bytes], connections: int = 1) -> LoadResult:
    """Send all requests over so many connections and wait for their replies."""
    seconds, replies, failed = [0.0] * len(requests), [b""] * len(requests), 0
    waiting = iter(range(len(requests)))
    with selectors.DefaultSelector() as selector:
        for _ in range(min(connections, len(requests))):
            connection = _Connection(socket.create_connection(("127.0.0.1", port), timeout=60))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests, waiting)
        while selector.get_map():
            for key, _ in selector.select(60) or _raise_timeout():
                answered: _Connection = key.data
                if not answered.receive():
                    continue
                number = answered.number
                seconds[number] = time.perf_counter() - answered.began
                replies[number] = answered.body
                failed += answered.status != 200
                if not answered.send(requests, waiting):
                    selector.unregister(answered.socket)
                    answered.socket.close()
    return LoadResult(seconds, replies, failed)


def _raise_timeout() -> list[tuple[selectors.SelectorKey, int]]:
    raise TimeoutError("no reply within a minute")


class _Connection:
    """One connection, with at most one request under way."""

    def __init__(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = opened
        self.number = 0
        self.began = 0.0
        self.status = 0
        self.body = b""
        self._received = b""

    def send(self, requests: Sequence[bytes], waiting: Iterator[int]) -> bool:
        """Send the next request; False if there is none."""
        number = next(waiting, None)
        if number is None:
            return False
        self.number, self._received = number, b""
        self.began = time.perf_counter()
        self.socket.sendall(requests[number])
        return True

    def receive(self) -> bool:
        """Take what came; whether that ends the reply."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError(f"the service closed the connection after {self._received[:200]!r}")
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not ended or not (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")):
            return False
        self.status = int(head[9:12])
        self.body = body if length else _decode_chunked(body)
        return True


def _decode_chunked(chunked: bytes) -> bytes:
    whole = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        whole, chunked = whole + chunked[: int(size, 16)], chunked[int(size, 16) + 2 :]
    return whole


def run_timed(port: int, requests: Sequence[bytes], connections: int) -> tuple[LoadResult, float]:
    """Run the requests; also the seconds of them all together."""
    began = time.perf_counter()
    result = run_requests(port, requests, connections)
    return result, time.perf_counter() - began
