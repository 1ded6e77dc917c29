"""When a call goes out again: decided without a clock of its own, without sleeping, and the same each time."""

import math
import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.models.openai.retries import MAX_WAIT_SECONDS, CircuitBreaker, compute_backoff, pace, parse_retry_after

NOW = 1_795_000_000.0


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def traffic(clock: Clock) -> CircuitBreaker:
    """A server that nobody has called yet."""
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
def test_what_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, fractions, milliseconds and dates are understood; what makes no sense says nothing."""
    assert parse_retry_after(headers, NOW) == (pytest.approx(seconds, abs=1) if seconds is not None else None)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_it(one: str, other: str) -> None:
    """Whatever stands there, the answer is a finite time or nothing."""
    found = parse_retry_after({"retry-after": one, "retry-after-ms": other}, NOW)
    assert found is None or (math.isfinite(found) and found >= 0)


def test_back_off_doubles_with_full_jitter() -> None:
    """Anything from nothing to half a second, then to a whole one, to eight at most."""
    assert [compute_backoff(attempt, lambda: 1.0) for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert compute_backoff(3, lambda: 0.0) == 0.0
    spread = [compute_backoff(4, random.Random(seed).random) for seed in range(200)]
    assert min(spread) < 1 < 7 < max(spread) <= 8


def test_a_wait_for_a_rate_limit_is_never_nothing_and_grows() -> None:
    """At least 25 ms, at most a second more than the server asks for, and each call waits for another time."""
    assert [pace(waits, lambda: 1.0) for waits in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [pace(waits, lambda: 0.0) for waits in (0, 6, 10_000)] == [0.025, 0.5, 0.5]


def test_one_is_told_to_wait_and_all_do(traffic: CircuitBreaker, clock: Clock) -> None:
    """A pause counts for every call, the longest one wins, and none lasts longer than two minutes."""
    traffic.pause(5)
    traffic.pause(2)
    assert (traffic.get_wait_seconds(), traffic.get_status().state) == (5, "paused")
    clock.now += 5
    assert (traffic.get_wait_seconds(), traffic.get_status().state) == (0, "ok")
    traffic.pause(86_400)
    assert traffic.get_wait_seconds() == MAX_WAIT_SECONDS


def test_five_failures_in_a_row_open_the_circuit(traffic: CircuitBreaker, clock: Clock) -> None:
    """Then no call goes out for a second; a success in between forgets the failures."""
    for _ in range(4):
        traffic.record_failure()
    traffic.record_success()
    for _ in range(4):
        traffic.record_failure()
    assert traffic.get_status().state == "ok"
    assert traffic.would_open()
    traffic.record_failure()
    assert not traffic.would_open()
    assert (traffic.get_status().state, traffic.get_wait_seconds()) == ("open", 1.0)


def test_one_probe_goes_out_at_a_time(traffic: CircuitBreaker, clock: Clock) -> None:
    """The first who asks after the time tries it, the others wait; the time grows to five seconds and no further."""
    for _ in range(5):
        traffic.record_failure()
    gaps = []
    for _ in range(6):
        wait = traffic.get_wait_seconds()
        gaps.append(wait)
        clock.now += wait
        assert traffic.get_wait_seconds() == 0
        assert traffic.get_wait_seconds() > 0
        traffic.record_failure()
    assert gaps == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_probe_that_works_closes_the_circuit(traffic: CircuitBreaker, clock: Clock) -> None:
    """Everything is as before, at once."""
    for _ in range(5):
        traffic.record_failure()
    clock.now += 1
    assert traffic.get_wait_seconds() == 0
    traffic.record_success()
    assert (traffic.get_wait_seconds(), traffic.get_status().state) == (0, "ok")


def test_a_probe_of_which_nothing_is_heard_blocks_nobody_for_long(traffic: CircuitBreaker, clock: Clock) -> None:
    """Another may try after five seconds."""
    for _ in range(5):
        traffic.record_failure()
    clock.now += 1
    assert traffic.get_wait_seconds() == 0
    clock.now += 5
    assert traffic.get_wait_seconds() == 0


def test_retries_are_a_tenth_of_calls_in_the_long_run(traffic: CircuitBreaker) -> None:
    """A few at the beginning, then one for every ten first tries, however many fail."""
    retried = 0
    for _ in range(1_000):
        traffic.on_call()
        retried += traffic.take_retry_token()
    assert 100 <= retried <= 106


def test_an_outage_is_called_hardly_more_often_than_it_is_asked(traffic: CircuitBreaker, clock: Clock) -> None:
    """A minute of a request every tenth of a second to a server that is down: far fewer calls than 1.1 a request; and
    it is found again within ten seconds."""
    calls = requests = 0
    for _ in range(600):
        requests += 1
        traffic.on_call()
        tries = 0
        while traffic.get_wait_seconds() == 0 and tries < 3:
            calls, tries = calls + 1, tries + 1
            traffic.record_failure()
            if not traffic.take_retry_token():
                break
        clock.now += 0.1
    assert calls <= 0.2 * requests
    down = clock.now
    while traffic.get_wait_seconds() > 0:
        clock.now += 0.1
    traffic.record_success()
    assert clock.now - down <= 10
