"""Tells a server that fails for certain texts from one that is down. Sends nothing itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from ...core.errors import SemsearchError, UnavailableError, UpstreamError


def is_fault(exc: SemsearchError) -> bool:
    """Whether the server failed at a request that it took, or its reply cannot be used."""
    if isinstance(exc, UpstreamError) and exc.malformed:
        return True
    return isinstance(exc, UpstreamError | UnavailableError) and exc.status is not None and exc.status >= 500


class Health:
    """What the last probe of a server told; callers that ask while a probe is under way share its result."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._works = False
        self._probed_at = 0.0

    async def works(self, probe: Callable[[], Awaitable[bool]]) -> bool:
        """Return what a probe tells that ends after this call; `probe` sends one unless another caller has."""
        asked_at = time.monotonic()
        async with self._turn:
            if self._probed_at < asked_at:
                self._works = await probe()
                self._probed_at = time.monotonic()
            return self._works


class Verdict:
    """The result of the last probe for one request; `openai_failures.Trial` calls it."""

    def __init__(self, probe: Callable[[int], Awaitable[bool]]) -> None:
        self.works = False
        self._probe = probe

    async def __call__(self, attempt: int) -> bool:
        """Probe the server."""
        self.works = await self._probe(attempt)
        return self.works


class Faults:
    """Faults in a row while the halves of one request are sent, to notice an outage in the middle of the search.

    A single bad text of n causes at most ceil(log2 n) in a row, and only one at the end: it never needs another probe.
    """

    def __init__(self, texts: int) -> None:
        self.are_of_texts = False
        """Whether the server has failed for this request, and a probe has shown that it works."""
        self._most = (texts - 1).bit_length()
        self._in_a_row = 0

    def end(self) -> None:
        """Note that the server has answered."""
        self._in_a_row = 0

    def need_probe(self, *, is_last: bool) -> bool:
        """Count one more fault, and return whether a probe must show that the server still works."""
        if not self.are_of_texts:
            self.are_of_texts = True
            return False
        self._in_a_row += 1
        if self._in_a_row <= self._most and not (is_last and self._in_a_row > 1):
            return False
        self._in_a_row = 0
        return True
