"""Limits of streamed answers at the same time, counted over all processes. Slots are kept by a `LimitStore`.

A slot is renewed while its answer is streamed, so that the slot of a process that was killed expires.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from ..core.errors import RateLimitedError
from ..core.ports import LimitStore, LimitStoreError
from ..core.types.access import Caller
from .rate_limiter import name_caller

RENEWAL_SECONDS = 20.0
"""Time between renewals, well below the time after which a store lets a slot expire."""

RETRY_AFTER_SECONDS = 2.0


class StreamSlots:
    """The streamed answers of one process, counted together with those of all others that share the store."""

    def __init__(self, store: LimitStore, *, renewal_seconds: float = RENEWAL_SECONDS) -> None:
        self._store = store
        self._renewal_seconds = renewal_seconds
        self._open: Counter[str] = Counter()
        """Streams of this process by caller: all that is known while the store cannot be used."""

    @asynccontextmanager
    async def hold(self, caller: Caller) -> AsyncGenerator[None]:
        """Hold a slot for the block; RateLimitedError if the caller has none left."""
        limit = caller.limits.streams
        if limit is None:
            yield
            return
        name, slot = f"streams {name_caller(caller.key, caller.owner)}", secrets.token_hex(8)
        self._take(name, slot, limit)
        self._open[name] += 1
        renewal = asyncio.ensure_future(self._renew(slot))
        try:
            yield
        finally:
            renewal.cancel()
            self._open[name] -= 1
            with suppress(LimitStoreError):  # it expires then
                self._store.release_slot(slot)

    def _take(self, name: str, slot: str, limit: int) -> None:
        try:
            is_taken = self._store.take_slot(name, slot, limit)
        except LimitStoreError:
            is_taken = self._open[name] < limit
        if not is_taken:
            message = (
                f"your access key allows {limit:,} streamed answers at the same time; send the request again when one"
                " has ended"
            )
            raise RateLimitedError(message, retry_after_seconds=RETRY_AFTER_SECONDS)

    async def _renew(self, slot: str) -> None:
        while True:
            await asyncio.sleep(self._renewal_seconds)
            with suppress(LimitStoreError):
                self._store.renew_slot(slot)
