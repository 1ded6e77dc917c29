"""States of token buckets, by which requests are limited. `access` has the policy."""

from typing import NamedTuple


class BucketState(NamedTuple):
    """A token bucket at one time. Times are seconds of the monotonic clock that all processes of the system share."""

    level: float
    """What it holds; below 0 after a charge that was larger."""
    updated: float
    """Time of the level."""
    full_at: float
    """When it will be full again, so that it can be forgotten."""


class BucketStatus(NamedTuple):
    """What a caller may know about a limit."""

    limit: int
    """Per minute."""
    remaining: int
    reset_seconds: float
    """Time until all of the limit remains again."""
