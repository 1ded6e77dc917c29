"""An open-loop load client: sends prepared requests at a fixed rate, however long the replies take.

A request uses an idle connection, or a new one if there is none, so that slow replies never slow the load down.
"""

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

MAX_CONNECTIONS = 8_000
"""Open at the same time."""
DRAIN_SECONDS = 60.0
"""Time to wait for replies after the last request."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_RECEIVE_BYTES = 1 << 18


@dataclass(slots=True)
class OpenLoopResult:
    """What a run measured. Latencies are in seconds, from sending a request to the end of its reply."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Replies by status; 0 counts requests without a complete reply."""
    seconds: dict[int, list[float]] = field(default_factory=dict)
    """Latency of each reply, by status."""
    retry_after: set[bytes] = field(default_factory=set)
    """Values of Retry-After in replies with status 503; empty if one has none."""
    send_seconds: float = 0.0
    """Time in which the requests were sent."""
    drain_seconds: float = 0.0
    """Time from the last request to the last reply."""
    max_lag: float = 0.0
    """Longest delay of a request behind its schedule: a large one means that the client was too slow."""
    max_in_flight: int = 0
    connection_count: int = 0

    def quantile_ms(self, share: float, status: int = 200) -> float:
        """Return a quantile of the latency of replies with a status, in milliseconds; 0 without such a reply."""
        ascending = sorted(self.seconds.get(status, ()))
        return 1000 * ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else 0.0


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def run_open_loop(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, *, reuse_connections: bool = True
) -> OpenLoopResult:
    """Send `rate` requests per second for `seconds`, in turn from `requests`; wait for the replies."""
    with OpenLoopClient(port, reuse_connections=reuse_connections) as client:
        return client.run(requests, rate, seconds)


class OpenLoopClient:
    """Keeps its connections from run to run, unless each request has one of its own."""

    def __init__(self, port: int, *, reuse_connections: bool = True) -> None:
        self._port = port
        self._reuse_connections = reuse_connections
        self._busy: dict[int, _Connection] = {}
        self._idle: dict[int, _Connection] = {}
        self._poller = select.epoll()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._poller.close()
        for connection in (*self._busy.values(), *self._idle.values()):
            connection.socket.close()

    def run(self, requests: Sequence[bytes], rate: float, seconds: float) -> OpenLoopResult:
        """Send `rate` requests per second for `seconds`, in turn from `requests`; wait for the replies."""
        result, count = OpenLoopResult(), int(rate * seconds)
        start, sent = time.perf_counter(), 0
        while sent < count or self._busy:
            now = time.perf_counter()
            if sent < count:
                due = min(count, int((now - start) * rate) + 1)
                result.max_lag = max(result.max_lag, now - start - sent / rate)
                while sent < due:
                    connection = self._take_connection(result)
                    connection.sent_at, connection.received = time.perf_counter(), b""
                    self._busy[connection.socket.fileno()] = connection
                    _send(connection.socket, requests[sent % len(requests)])
                    sent += 1
                result.send_seconds = time.perf_counter() - start
                result.max_in_flight = max(result.max_in_flight, len(self._busy))
            elif now - start - result.send_seconds > DRAIN_SECONDS:
                break
            timeout = max(0.0, start + sent / rate - time.perf_counter()) if sent < count else 1.0
            for descriptor, _ in self._poller.poll(timeout):
                self._receive(descriptor, result)
        result.drain_seconds = time.perf_counter() - start - result.send_seconds
        result.statuses[0] += len(self._busy)
        for connection in self._busy.values():
            connection.socket.close()
        self._busy.clear()
        return result

    def _take_connection(self, result: OpenLoopResult) -> _Connection:
        if self._idle:
            return self._idle.popitem()[1]
        result.connection_count += 1
        if len(self._busy) >= MAX_CONNECTIONS:
            raise RuntimeError(f"more than {MAX_CONNECTIONS:,} connections")
        connection = _Connection(socket.create_connection(("127.0.0.1", self._port), timeout=60))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poller.register(connection.socket, select.EPOLLIN)
        return connection

    def _receive(self, descriptor: int, result: OpenLoopResult) -> None:
        """Read what has arrived on a connection; record a complete reply, or one that ended early."""
        connection = self._busy.get(descriptor)
        if connection is None:  # an idle connection that the service closes
            if descriptor in self._idle:
                self._idle.pop(descriptor).socket.close()
            return
        try:
            data = connection.socket.recv(_RECEIVE_BYTES)
        except OSError:
            data = b""
        connection.received += data
        head, separator, body = connection.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if separator else None
        if data and (length is None or len(body) < int(length[1])):
            return
        del self._busy[descriptor]
        if not data:
            result.statuses[0] += 1
            connection.socket.close()
            return
        status = int(head[9:12])
        result.statuses[status] += 1
        result.seconds.setdefault(status, []).append(time.perf_counter() - connection.sent_at)
        if status == 503:
            result.retry_after.add(head.lower().partition(b"retry-after: ")[2].partition(b"\r\n")[0])
        if self._reuse_connections and b"connection: close" not in head.lower():
            self._idle[descriptor] = connection
        else:
            connection.socket.close()


def _send(sock: socket.socket, request: bytes) -> None:
    with suppress(OSError):  # the service has closed the connection; reading it counts that
        sock.sendall(request)
