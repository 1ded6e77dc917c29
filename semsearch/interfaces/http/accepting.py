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
    """The connections that wait at a listening socket; `make_protocol` serves each.

    `has_room` tells whether one more finds a free descriptor, by the number of those that were accepted here and are
    not served yet. Where it does not, the event loop accepts one after the other, and each may close another one first:
    without descriptors it would close new connections without a response.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        has_room: Callable[[int], bool] = lambda accepted_count: True,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._has_room = has_room
        self._is_scheduled = False
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def accepted_count(self) -> int:
        """Number of connections that were accepted here and are not served yet."""
        return len(self._tasks)

    def accept_later(self) -> None:
        """Accept those that wait, later in this iteration. To be called when the event loop has accepted one."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._accept_all)

    def _accept_all(self) -> None:
        self._is_scheduled = False
        loop = asyncio.get_running_loop()
        for _ in range(MAX_ACCEPTS):
            if not self._has_room(self.accepted_count):
                return
            try:
                connection, _ = self._listener.accept()
            except OSError:  # none waits, the service stops, or there are no descriptors, which the event loop handles
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(loop.connect_accepted_socket(self._make_protocol, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
