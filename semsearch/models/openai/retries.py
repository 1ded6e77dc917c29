"""When to call a server and when to retry: backoff, pauses, a retry budget, a circuit breaker.

Pure decisions: clock and random numbers are parameters, and nothing sleeps here. The policy is that of OpenAI's own
client (two retries, 0.5 to 8 seconds, Retry-After up to two minutes), but with full jitter (Brooker, "Exponential
Backoff and Jitter", 2015), so that callers that failed together do not retry together.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

MAX_TRIES = 3
MAX_INGEST_TRIES = 8
"""For an ingest, which waits for its server."""

MAX_WAIT_SECONDS = 120.0
"""A longer Retry-After is an error."""

MAX_INTERACTIVE_WAIT_SECONDS = 10.0
"""Maximum of all waits of one call for a rate limit together, while a user waits and has set no deadline."""

_FIRST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.5, 8.0
_FIRST_RATE_LIMIT_DELAY_SECONDS, _MAX_RATE_LIMIT_DELAY_SECONDS = 0.05, 1.0
_RETRY_TOKENS_PER_CALL = 0.1
_MAX_RETRY_TOKENS = 5.0
_FAILURE_THRESHOLD = 5
_MIN_OPEN_SECONDS, _MAX_OPEN_SECONDS = 1.0, 5.0

CircuitState = Literal["ok", "paused", "open"]


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of a Retry-After header, or None if it is missing or invalid. `now`: seconds since 1970."""
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _parse_number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _parse_number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def compute_backoff(attempt: int, random_fn: Callable[[], float]) -> float:
    """Return the seconds to wait after the try `attempt`, which counts from 0."""
    return random_fn() * min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt, 10))


def compute_rate_limit_delay(waits: int, random_fn: Callable[[], float]) -> float:
    """Return the seconds to wait in addition to a Retry-After, after `waits` earlier waits of the same call.

    At least 25 ms, so that "Retry-After: 0" in every response does not cause a hot loop.
    """
    max_delay = min(_MAX_RATE_LIMIT_DELAY_SECONDS, _FIRST_RATE_LIMIT_DELAY_SECONDS * 2.0 ** min(waits, 10))
    return max_delay * (0.5 + 0.5 * random_fn())


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """State of a circuit: `paused` by a rate limit, or `open` after failures; and the seconds until it ends."""

    state: CircuitState
    seconds: float


class CircuitBreaker:
    """Circuit breaker, rate-limit pause and retry budget that all calls to one server share."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.was_reached = False
        """Whether the server has ever responded, so that a failed connection may be temporary."""
        self._paused_until = 0.0
        self._retry_tokens = _MAX_RETRY_TOKENS
        self._failure_count = 0
        self._open_until = 0.0
        self._open_seconds = _MIN_OPEN_SECONDS
        self._probing_until = 0.0

    def get_status(self) -> CircuitStatus:
        """Return the current state."""
        now = self._clock()
        if self._failure_count >= _FAILURE_THRESHOLD:
            return CircuitStatus("open", max(0.0, round(self._open_until - now, 3)))
        if self._paused_until > now:
            return CircuitStatus("paused", round(self._paused_until - now, 3))
        return CircuitStatus("ok", 0.0)

    def get_wait_seconds(self) -> float:
        """Return the seconds until a call is allowed; with 0 and an open circuit, the calling request is the probe."""
        now = self._clock()
        if self._failure_count >= _FAILURE_THRESHOLD:
            blocked_until = max(self._open_until, self._probing_until)
            if blocked_until > now:
                return blocked_until - now
            self._probing_until = now + _MAX_OPEN_SECONDS
        return max(0.0, self._paused_until - now)

    def pause(self, seconds: float) -> None:
        """Pause all calls for so long, after one of them got a Retry-After."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_WAIT_SECONDS))

    def on_call(self) -> None:
        """Record the first try of a call, which adds a tenth of a retry to the budget."""
        self._retry_tokens = min(_MAX_RETRY_TOKENS, self._retry_tokens + _RETRY_TOKENS_PER_CALL)

    def take_retry_token(self) -> bool:
        """Take a retry from the budget; return False if it is used up, because too many calls fail."""
        if self._retry_tokens < 1:
            return False
        self._retry_tokens -= 1
        return True

    def record_success(self) -> None:
        """Record that the server works; this closes the circuit."""
        self._failure_count, self._open_seconds, self._probing_until = 0, _MIN_OPEN_SECONDS, 0.0

    def would_open(self) -> bool:
        """Return whether one more failure opens the circuit."""
        return self._failure_count == _FAILURE_THRESHOLD - 1

    def record_failure(self) -> None:
        """Record that the server failed or was not reached."""
        self._failure_count += 1
        self._probing_until = 0.0
        if self._failure_count >= _FAILURE_THRESHOLD:
            self._open_until = self._clock() + self._open_seconds
            self._open_seconds = min(_MAX_OPEN_SECONDS, self._open_seconds * 2)
