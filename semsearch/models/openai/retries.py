"""When a call to a server may go out, and when again: back-off, pauses, a budget for retries, a circuit breaker.

Pure decisions: the clock and the dice are passed in, and nobody sleeps here. The policy is that of OpenAI's own client
(two retries, 0.5 to 8 seconds, Retry-After up to two minutes), but with full jitter (Brooker, "Exponential Backoff and
Jitter", 2015), so that callers who failed together do not come back together.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

MAX_TRIES = 3
MAX_PATIENT_TRIES = 8
"""Of a long job, which nobody watches and which waits for its server."""

MAX_WAIT_SECONDS = 120.0
"""A server that asks for more is not waited for."""

MAX_INTERACTIVE_WAIT_SECONDS = 10.0
"""As long as somebody who waits for an answer, and has set no deadline, is let wait for a rate limit."""

_FIRST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.5, 8.0
_FIRST_PACE_SECONDS, _PACE_CAP_SECONDS = 0.05, 1.0
_RETRY_TOKENS_PER_CALL = 0.1
_MAX_RETRY_TOKENS = 5.0
_FAILURE_THRESHOLD = 5
_MIN_OPEN_SECONDS, _MAX_OPEN_SECONDS = 1.0, 5.0

CircuitState = Literal["ok", "paused", "open"]


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a server asks to wait; `now` is in seconds since 1970. None where it says nothing sensible."""
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _parse_number(said)
    if seconds is not None or said is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _parse_number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def compute_backoff(attempt: int, random_fn: Callable[[], float]) -> float:
    """Seconds before the try after `attempt`, which counts from 0."""
    return random_fn() * min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt, 10))


def pace(waits: int, dice: Callable[[], float]) -> float:
    """Return the seconds to wait in addition to a Retry-After, after so many earlier waits of the same call.

    At least 25 ms, so that a server that says "Retry-After: 0" every time is not called in a hot loop.
    """
    longest = min(_PACE_CAP_SECONDS, _FIRST_PACE_SECONDS * 2.0 ** min(waits, 10))
    return longest * (0.5 + 0.5 * dice())


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """How a server stands: `paused` by its rate limit, or `open` as it fails; and for how many seconds more."""

    state: CircuitState
    seconds: float


class CircuitBreaker:
    """What all calls to one server have in common."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._paused_until = 0.0
        self._retry_tokens = _MAX_RETRY_TOKENS
        self._failure_count = 0
        self._open_until = 0.0
        self._open_seconds = _MIN_OPEN_SECONDS
        self._probing_until = 0.0

    def get_status(self) -> CircuitStatus:
        """How things are."""
        now = self._clock()
        if self._failure_count >= _FAILURE_THRESHOLD:
            return CircuitStatus("open", max(0.0, round(self._open_until - now, 3)))
        if self._paused_until > now:
            return CircuitStatus("paused", round(self._paused_until - now, 3))
        return CircuitStatus("ok", 0.0)

    def get_wait_seconds(self) -> float:
        """Seconds before a call may go out: 0 is now, and then the call that asks is the probe of a broken server."""
        now = self._clock()
        if self._failure_count >= _FAILURE_THRESHOLD:
            closed_until = max(self._open_until, self._probing_until)
            if closed_until > now:
                return closed_until - now
            self._probing_until = now + _MAX_OPEN_SECONDS
        return max(0.0, self._paused_until - now)

    def pause(self, seconds: float) -> None:
        """Let no call out for so long: what one was told counts for all."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_WAIT_SECONDS))

    def on_call(self) -> None:
        """A call is tried for the first time; a tenth of a retry is earned with it."""
        self._retry_tokens = min(_MAX_RETRY_TOKENS, self._retry_tokens + _RETRY_TOKENS_PER_CALL)

    def take_retry_token(self) -> bool:
        """Take a retry from the stock; False if there is none, because too many calls fail."""
        if self._retry_tokens < 1:
            return False
        self._retry_tokens -= 1
        return True

    def record_success(self) -> None:
        """The server works."""
        self._failure_count, self._open_seconds, self._probing_until = 0, _MIN_OPEN_SECONDS, 0.0

    def would_open(self) -> bool:
        """Whether one more failure opens the circuit."""
        return self._failure_count == _FAILURE_THRESHOLD - 1

    def record_failure(self) -> None:
        """The server failed, or was not reached."""
        self._failure_count += 1
        self._probing_until = 0.0
        if self._failure_count >= _FAILURE_THRESHOLD:
            self._open_until = self._clock() + self._open_seconds
            self._open_seconds = min(_MAX_OPEN_SECONDS, self._open_seconds * 2)
