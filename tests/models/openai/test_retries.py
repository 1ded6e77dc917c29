"""Retry and circuit-breaker decisions with a fake clock."""

import math
import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.models.openai.retries import (
    MAX_WAIT_SECONDS,
    CircuitBreaker,
    compute_backoff,
    compute_rate_limit_delay,
    parse_retry_after,
)

NOW = 1_795_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """Return the circuit breaker of a server without calls."""
    return CircuitBreaker(clock)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "1e9"}, 1e9),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 99 Nov 2026 99:99:99 GMT"}, None),
    ],
)
def test_retry_after_is_parsed(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, fractions, milliseconds and dates are supported; invalid values are None."""
    assert parse_retry_after(headers, NOW) == (pytest.approx(seconds, abs=1) if seconds is not None else None)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_retry_after_gives_a_finite_time_or_none(value: str, milliseconds: str) -> None:
    """No header value raises an exception."""
    seconds = parse_retry_after({"retry-after": value, "retry-after-ms": milliseconds}, NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def test_backoff_doubles_with_full_jitter() -> None:
    """The upper bound is 0.5 seconds, then 1, up to 8; the lower bound is 0."""
    assert [compute_backoff(attempt, lambda: 1.0) for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert compute_backoff(3, lambda: 0.0) == 0.0
    waits = [compute_backoff(4, random.Random(seed).random) for seed in range(200)]
    assert min(waits) < 1 < 7 < max(waits) <= 8


def test_rate_limit_delay_is_positive_and_grows() -> None:
    """It is at least 25 ms and at most 1 second, with jitter."""
    assert [compute_rate_limit_delay(waits, lambda: 1.0) for waits in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [compute_rate_limit_delay(waits, lambda: 0.0) for waits in (0, 6, 10_000)] == [0.025, 0.5, 0.5]


def test_pause_applies_to_all_calls(breaker: CircuitBreaker, clock: Clock) -> None:
    """The longest pause applies, up to two minutes."""
    breaker.pause(5)
    breaker.pause(2)
    assert (breaker.get_wait_seconds(), breaker.get_status().state) == (5, "paused")
    clock.now += 5
    assert (breaker.get_wait_seconds(), breaker.get_status().state) == (0, "ok")
    breaker.pause(86_400)
    assert breaker.get_wait_seconds() == MAX_WAIT_SECONDS


def test_five_consecutive_failures_open_the_circuit(breaker: CircuitBreaker, clock: Clock) -> None:
    """Calls are blocked for one second; a success resets the count."""
    for _ in range(4):
        breaker.record_failure()
    breaker.record_success()
    for _ in range(4):
        breaker.record_failure()
    assert breaker.get_status().state == "ok"
    assert breaker.would_open()
    breaker.record_failure()
    assert not breaker.would_open()
    assert (breaker.get_status().state, breaker.get_wait_seconds()) == ("open", 1.0)


def test_open_circuit_allows_one_probe_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    """The first call after the wait is the probe; the wait doubles up to five seconds."""
    for _ in range(5):
        breaker.record_failure()
    waits = []
    for _ in range(6):
        wait = breaker.get_wait_seconds()
        waits.append(wait)
        clock.now += wait
        assert breaker.get_wait_seconds() == 0
        assert breaker.get_wait_seconds() > 0
        breaker.record_failure()
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_successful_probe_closes_the_circuit(breaker: CircuitBreaker, clock: Clock) -> None:
    """Calls are allowed at once."""
    for _ in range(5):
        breaker.record_failure()
    clock.now += 1
    assert breaker.get_wait_seconds() == 0
    breaker.record_success()
    assert (breaker.get_wait_seconds(), breaker.get_status().state) == (0, "ok")


def test_probe_without_a_result_expires(breaker: CircuitBreaker, clock: Clock) -> None:
    """Another probe is allowed after five seconds."""
    for _ in range(5):
        breaker.record_failure()
    clock.now += 1
    assert breaker.get_wait_seconds() == 0
    clock.now += 5
    assert breaker.get_wait_seconds() == 0


def test_retries_are_at_most_a_tenth_of_calls(breaker: CircuitBreaker) -> None:
    """A few at first, then one for every ten first tries."""
    retries = 0
    for _ in range(1_000):
        breaker.on_call()
        retries += breaker.take_retry_token()
    assert 100 <= retries <= 106


def test_circuit_breaker_limits_calls_during_an_outage(breaker: CircuitBreaker, clock: Clock) -> None:
    """In one minute with ten requests per second there are at most 0.2 calls per request; recovery takes 10 s."""
    calls = requests = 0
    for _ in range(600):
        requests += 1
        breaker.on_call()
        tries = 0
        while breaker.get_wait_seconds() == 0 and tries < 3:
            calls, tries = calls + 1, tries + 1
            breaker.record_failure()
            if not breaker.take_retry_token():
                break
        clock.now += 0.1
    assert calls <= 0.2 * requests
    outage_end = clock.now
    while breaker.get_wait_seconds() > 0:
        clock.now += 0.1
    breaker.record_success()
    assert clock.now - outage_end <= 10
