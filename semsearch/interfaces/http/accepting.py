"""Accept all waiting connections in one iteration of the event loop.

The event loop itself accepts one in an iteration. While each iteration runs searches, new connections would wait the
longer the more arrive, unseen by any bound.
"""

import asyncio
import socket
from collections.abc import Callable

MAX_ACCEPTS = 256
"""Connections that are accepted in one iteration."""


class WaitingConnections:
    """The connections that wait at a listening socket; `make_protocol` serves each."""

    def __init__(self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._is_scheduled = False
        self._tasks: set[asyncio.Task[object]] = set()

    def accept_later(self) -> None:
        """Accept those that wait, later in this iteration. To be called when the event loop has accepted one."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._accept_all)

    def _accept_all(self) -> None:
        self._is_scheduled = False
        loop = asyncio.get_running_loop()
        for _ in range(MAX_ACCEPTS):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # none waits, the service stops, or there are no descriptors, which the event loop handles
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(loop.connect_accepted_socket(self._make_protocol, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
