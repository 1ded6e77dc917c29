"""Limits of callers and client addresses by the minute: requests, and tokens of models.

The token buckets are shared by all processes of a data directory. A process leases slices of them, so that most
requests touch no file; a refused one never does. The unused part of a slice goes back when the slice expires. While
the store of the buckets cannot be used, the process goes on with what it knew last, and charges what it admitted when
the store is back.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import RateLimitedError
from ..core.ports import LimitStore, LimitStoreError
from ..core.types.access import Caller
from ..core.types.rate_limits import BucketState, BucketStatus
from ..core.types.usage import RequestContext
from .token_buckets import describe, exchange, refill, seconds_until, slice_size
from .trusted_proxies import find_address_block, is_loopback

LEASE_SECONDS = 2.0
"""Time after which the unused part of a slice goes back to the bucket of all processes."""

BALANCE_SECONDS = 0.2
"""Time after which a process notices the tokens that requests of other processes have used."""

MAX_ADDRESSES = 10_000
"""Client addresses that a process keeps in memory."""


@dataclass(slots=True)
class _Bucket:
    """What this process knows of one bucket."""

    name: str
    limit: int
    state: BucketState
    """As it was last seen."""
    expires: float = -math.inf
    """When it must be read again."""
    leased: int = 0
    """Unused part of the slice."""
    owed: float = 0.0
    """What the store must still be charged with."""
    refused_until: float = -math.inf


class RateLimiter:
    """Limits the requests of one process, together with those of all others that share the store."""

    def __init__(
        self, store: LimitStore, address_limit: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._address_limit = address_limit
        self._clock = clock
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}
        self._addresses: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def admit_address(self, address: str | None) -> None:
        """Count a request of a client address; RateLimitedError if it has sent too many. The loopback has no limit."""
        limit = self._address_limit
        if limit is None or address is None or is_loopback(address):
            return
        block = find_address_block(address)
        with self._lock:
            if block not in self._addresses and len(self._addresses) >= MAX_ADDRESSES:
                self._addresses.pop(next(iter(self._addresses)))
            bucket = self._find_bucket(self._addresses, block, f"address {block}", limit)
            self._take(bucket, f"{limit:,} requests per minute are allowed from your address")

    def admit_request(self, caller: Caller) -> None:
        """Count a request of a caller; RateLimitedError if they have sent too many, or have used too many tokens."""
        limits = caller.limits
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            return
        name = name_caller(caller.key, caller.owner)
        with self._lock:
            if (limit := limits.tokens_per_minute) is not None:
                bucket = self._find_bucket(self._tokens, name, f"tokens {name}", limit)
                self._check_balance(bucket, f"your access key allows {limit:,} tokens of models per minute")
            if (limit := limits.requests_per_minute) is not None:
                bucket = self._find_bucket(self._requests, name, f"requests {name}", limit)
                self._take(bucket, f"your access key allows {limit:,} requests per minute")

    def describe(self, caller: Caller) -> dict[str, BucketStatus]:
        """Return what remains of the limits of a caller, by "requests" and "tokens"; without those that do not exist.

        What other processes have admitted since this one last leased a slice is not counted.
        """
        limits, name, now = caller.limits, name_caller(caller.key, caller.owner), self._clock()
        kinds = (
            ("requests", limits.requests_per_minute, self._requests),
            ("tokens", limits.tokens_per_minute, self._tokens),
        )
        statuses = {}
        for kind, limit, buckets in kinds:
            if limit is not None:
                bucket = buckets.get(name)
                leased, state = (0, None) if bucket is None else (bucket.leased, bucket.state)
                statuses[kind] = describe(state, limit, leased, now)
        return statuses

    def charge_tokens(self, context: RequestContext, tokens: int) -> None:
        """Charge the tokens of a request to a model; nothing unless a request of a caller with a limit was admitted."""
        with self._lock:
            bucket = self._tokens.get(name_caller(context.key, context.owner))
            if bucket is not None and tokens > 0:
                bucket.state, _ = exchange(bucket.state, bucket.limit, -tokens, 0, self._clock())
                bucket.owed += tokens
                self._exchange(bucket, 0)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _find_bucket(self, buckets: dict[str, _Bucket], key: str, name: str, limit: int) -> _Bucket:
        bucket = buckets.get(key)
        if bucket is None or bucket.limit != limit:
            bucket = buckets[key] = _Bucket(name, limit, refill(None, limit, self._clock()))
        return bucket

    def _take(self, bucket: _Bucket, rule: str) -> None:
        """Take 1 from the slice of this process, or from a new one; RateLimitedError if the bucket is empty."""
        now = self._clock()
        if now < bucket.refused_until:
            raise _make_refusal(rule, bucket.refused_until - now)
        if not bucket.leased or now >= bucket.expires:
            self._exchange(bucket, slice_size(bucket.limit))
            bucket.expires = now + LEASE_SECONDS
            if not bucket.leased:
                self._refuse(bucket, rule, now)
        bucket.leased -= 1

    def _check_balance(self, bucket: _Bucket, rule: str) -> None:
        """Raise RateLimitedError unless the bucket holds anything: what a request uses is known when it ends."""
        now = self._clock()
        if now < bucket.refused_until:
            raise _make_refusal(rule, bucket.refused_until - now)
        if now >= bucket.expires:
            self._exchange(bucket, 0)
            bucket.expires = now + BALANCE_SECONDS
        if refill(bucket.state, bucket.limit, now).level <= 0:
            self._refuse(bucket, rule, now)

    def _exchange(self, bucket: _Bucket, wanted: int) -> None:
        """Put back what is leased, charge what is owed, and lease up to `wanted`."""
        limit = bucket.limit

        def change(state: BucketState | None) -> tuple[BucketState, tuple[BucketState, int]]:
            new, granted = exchange(state, limit, bucket.leased - bucket.owed, wanted, self._clock())
            return new, (new, granted)

        try:
            bucket.state, granted = self._store.change_bucket(bucket.name, change)
            bucket.owed = 0.0
        except LimitStoreError:
            bucket.state, granted = exchange(bucket.state, limit, bucket.leased, wanted, self._clock())
            bucket.owed += granted - bucket.leased
        bucket.leased = granted

    def _refuse(self, bucket: _Bucket, rule: str, now: float) -> None:
        """Remember until when requests are refused, and raise RateLimitedError."""
        wait = seconds_until(bucket.state, bucket.limit, 1.0)
        bucket.refused_until = now + wait
        raise _make_refusal(rule, wait)


def name_caller(key: str | None, owner: str) -> str:
    """Return the name under which a caller is counted: that of the access key, or of the owner without one."""
    return f"owner {owner}" if key is None else f"key {key}"


def _make_refusal(rule: str, wait: float) -> RateLimitedError:
    message = f"{rule}; send the request again after the seconds in Retry-After"
    return RateLimitedError(message, retry_after_seconds=wait)
