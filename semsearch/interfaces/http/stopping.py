"""Stop the server within a bounded time: readiness fails, requests get time to end, the others end with an error."""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from . import limits

POLL_SECONDS = 0.05
"""Between two checks whether all requests have ended."""

_log = logging.getLogger("semsearch.http")


class StoppingServer(uvicorn.Server):
    """A uvicorn server that stops in steps, each with its own time; `on_stopping` is called at the first."""

    def __init__(self, config: uvicorn.Config, on_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stopping = on_stopping
        self._exit_timer: threading.Timer | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a stop signal."""
        try:
            super().run(sockets)
        finally:
            if self._exit_timer is not None:
                self._exit_timer.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the server, and exit in time even if the event loop or a thread does not end."""
        super().handle_exit(sig, frame)
        if self._exit_timer is None:
            self._exit_timer = threading.Timer(limits.STOP_SECONDS, _exit_now)
            self._exit_timer.daemon = True
            self._exit_timer.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, wait for running requests, cancel the others, and close the application."""
        self._on_stopping()
        if self._captured_signals[:1] == [signal.SIGTERM]:  # a supervisor stops it, and a proxy may send requests
            await self._wait(limits.READINESS_SECONDS, until_idle=False)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        if not await self._wait(limits.GRACE_SECONDS):
            _log.warning("shutdown ends %d running requests with an error", len(self.server_state.tasks))
            for task in list(self.server_state.tasks):
                task.cancel()
            await self._wait(limits.CANCEL_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # its client does not read
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _wait(self, seconds: float, *, until_idle: bool = True) -> bool:
        """Wait until all requests and connections have ended; return False if they have not after this time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self.force_exit:
            if until_idle:
                for connection in list(self.server_state.connections):  # in each round: some were just accepted
                    connection.shutdown()
                if not self.server_state.connections and not self.server_state.tasks:
                    return True
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


def _exit_now() -> None:
    """Exit although a thread still runs. What was acknowledged is on disk."""
    with suppress(OSError):  # stderr may be closed
        os.write(2, b"semsearch: running work did not end in time; the service exits without it\n")
    os._exit(1)
