"""The rules of token buckets: capacity, refill, and the slices that a process leases from a bucket of all processes.

A bucket holds the limit of one minute, and refills evenly. Pure functions.
"""

from math import floor

from ..core.types.rate_limits import BucketState, BucketStatus

SLICE_SHARE = 0.02
"""Largest share of the capacity that a process leases at once."""

_ROUNDING_ERROR = 1e-6


def slice_size(limit: int) -> int:
    """Return how much a process leases at once, at least 1.

    >>> slice_size(600), slice_size(30)
    (12, 1)
    """
    return max(1, floor(limit * SLICE_SHARE))


def refill(state: BucketState | None, limit: int, now: float) -> BucketState:
    """Return a bucket as it is now. An unknown one is full; a time in the future is from before a restart: now."""
    if state is None:
        return BucketState(float(limit), now, now)
    elapsed = max(0.0, now - state.updated)
    return _make_state(min(float(limit), state.level + elapsed * limit / 60), limit, now)


def add(state: BucketState, limit: int, amount: float) -> BucketState:
    """Return a bucket with `amount` more, at most its capacity; a negative amount may drive it below 0."""
    return _make_state(min(float(limit), state.level + amount), limit, state.updated)


def exchange(
    state: BucketState | None, limit: int, returned: float, wanted: int, now: float
) -> tuple[BucketState, int]:
    """Put `returned` back into a bucket and lease up to `wanted`; return the bucket and how much was leased.

    A negative `returned` is a charge, which may drive the bucket below 0.
    """
    current = add(refill(state, limit, now), limit, returned)
    granted = max(0, min(wanted, floor(current.level + _ROUNDING_ERROR)))
    return add(current, limit, -granted), granted


def seconds_until(state: BucketState, limit: int, amount: float) -> float:
    """Return after which time a bucket holds `amount`, counted from its own time."""
    return max(0.0, amount - state.level) * 60 / limit


def describe(state: BucketState | None, limit: int, leased: int, now: float) -> BucketStatus:
    """Return what a caller may know about a bucket of which this process has leased an unused part."""
    level = add(refill(state, limit, now), limit, leased).level
    return BucketStatus(limit, max(0, floor(level + _ROUNDING_ERROR)), (limit - level) * 60 / limit)


def _make_state(level: float, limit: int, now: float) -> BucketState:
    return BucketState(level, now, now + (limit - level) * 60 / limit)
