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

TRIES = 3
PATIENT_TRIES = 8
"""Of a long job, which nobody watches and which waits for its server."""

LONGEST_WAIT = 120.0
"""A server that asks for more is not waited for."""

SHORT_WAIT = 10.0
"""As long as somebody who waits for an answer, and has set no deadline, is let wait for a rate limit."""

_FIRST, _CAP = 0.5, 8.0
_FIRST_PACE_SECONDS, _PACE_CAP_SECONDS = 0.05, 1.0
_RETRY_SHARE = 0.1
_RETRY_STOCK = 5.0
_FAILURES = 5
_COOLEST, _HOTTEST = 1.0, 5.0

State = Literal["ok", "paused", "open"]


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that a server asks to wait; `now` is in seconds since 1970. None where it says nothing sensible."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(said: str | None) -> float | None:
    try:
        number = float(said) if said is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def backoff(attempt: int, dice: Callable[[], float]) -> float:
    """Seconds before the try after `attempt`, which counts from 0."""
    return dice() * min(_CAP, _FIRST * 2.0 ** min(attempt, 10))


def pace(waits: int, dice: Callable[[], float]) -> float:
    """Return the seconds to wait in addition to a Retry-After, after so many earlier waits of the same call.

    At least 25 ms, so that a server that says "Retry-After: 0" every time is not called in a hot loop.
    """
    longest = min(_PACE_CAP_SECONDS, _FIRST_PACE_SECONDS * 2.0 ** min(waits, 10))
    return longest * (0.5 + 0.5 * dice())


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands: `paused` by its rate limit, or `open` as it fails; and for how many seconds more."""

    state: State
    seconds: float


class Traffic:
    """What all calls to one server have in common."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._not_before = 0.0
        self._stock = _RETRY_STOCK
        self._failures = 0
        self._closed_until = 0.0
        self._cooling = _COOLEST
        self._probing_until = 0.0

    def standing(self) -> Standing:
        """How things are."""
        now = self._clock()
        if self._failures >= _FAILURES:
            return Standing("open", max(0.0, round(self._closed_until - now, 3)))
        if self._not_before > now:
            return Standing("paused", round(self._not_before - now, 3))
        return Standing("ok", 0.0)

    def wait(self) -> float:
        """Seconds before a call may go out: 0 is now, and then the call that asks is the probe of a broken server."""
        now = self._clock()
        if self._failures >= _FAILURES:
            closed_until = max(self._closed_until, self._probing_until)
            if closed_until > now:
                return closed_until - now
            self._probing_until = now + _HOTTEST
        return max(0.0, self._not_before - now)

    def pause(self, seconds: float) -> None:
        """Let no call out for so long: what one was told counts for all."""
        self._not_before = max(self._not_before, self._clock() + min(seconds, LONGEST_WAIT))

    def begins(self) -> None:
        """A call is tried for the first time; a tenth of a retry is earned with it."""
        self._stock = min(_RETRY_STOCK, self._stock + _RETRY_SHARE)

    def may_retry(self) -> bool:
        """Take a retry from the stock; False if there is none, because too many calls fail."""
        if self._stock < 1:
            return False
        self._stock -= 1
        return True

    def succeeded(self) -> None:
        """The server works."""
        self._failures, self._cooling, self._probing_until = 0, _COOLEST, 0.0

    def would_open(self) -> bool:
        """Whether one more failure opens the circuit."""
        return self._failures == _FAILURES - 1

    def failed(self) -> None:
        """The server failed, or was not reached."""
        self._failures += 1
        self._probing_until = 0.0
        if self._failures >= _FAILURES:
            self._closed_until = self._clock() + self._cooling
            self._cooling = min(_HOTTEST, self._cooling * 2)
