"""Distinguish a server that fails for certain texts from one that is down. Sends no requests itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from ...core.errors import SemsearchError, UnavailableError, UpstreamError


def is_server_error(exc: SemsearchError) -> bool:
    """Return whether the server accepted a request and failed, or its reply is incomplete or cannot be used."""
    if (isinstance(exc, UpstreamError) and exc.malformed) or (isinstance(exc, UnavailableError) and exc.broken_off):
        return True
    return isinstance(exc, UpstreamError | UnavailableError) and exc.status is not None and exc.status >= 500


class SharedProbe:
    """Shares the result of a probe among the callers that wait for it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._has_succeeded = False
        self._probed_at = 0.0

    async def run(self, probe: Callable[[], Awaitable[bool]]) -> bool:
        """Return the result of a probe that ends after this call; `probe` is called if no other caller has run one."""
        called_at = time.monotonic()
        async with self._lock:
            if self._probed_at < called_at:
                self._has_succeeded = await probe()
                self._probed_at = time.monotonic()
            return self._has_succeeded


class RequestProbe:
    """Probe of a `RetryPolicy`; keeps the result of the last probe for one request."""

    def __init__(self, probe: Callable[[int], Awaitable[bool]]) -> None:
        self.succeeded = False
        """Whether the last probe returned a vector."""
        self._probe = probe

    async def __call__(self, attempt: int) -> bool:
        """Probe the server and return whether it works; `attempt` is the number of the try that the probe replaces."""
        self.succeeded = await self._probe(attempt)
        return self.succeeded


class ServerErrorCounter:
    """Counts consecutive server errors while the halves of one request are sent, to detect an outage.

    One bad text among n causes at most ceil(log2 n) consecutive server errors, and only one at the end, so it needs no
    further probe.
    """

    def __init__(self, text_count: int) -> None:
        self.caused_by_texts = False
        """Whether the server failed for this request, and a probe has shown that it works."""
        self._max_in_a_row = (text_count - 1).bit_length()
        self._in_a_row = 0

    def reset(self) -> None:
        """Record a response that is not a server error."""
        self._in_a_row = 0

    def record_error(self, *, is_last: bool) -> bool:
        """Count one more server error and return whether a probe must show that the server still works."""
        if not self.caused_by_texts:
            self.caused_by_texts = True
            return False
        self._in_a_row += 1
        if self._in_a_row <= self._max_in_a_row and not (is_last and self._in_a_row > 1):
            return False
        self._in_a_row = 0
        return True
