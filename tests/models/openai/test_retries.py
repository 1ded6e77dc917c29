"""When a call goes out again: decided without a clock of its own, without sleeping, and the same each time."""

import math
import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.models.openai.retries import LONGEST_WAIT, Traffic, backoff, pace, retry_after

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
def traffic(clock: Clock) -> Traffic:
    """A server that nobody has called yet."""
    return Traffic(clock)


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
    assert retry_after(headers, NOW) == (pytest.approx(seconds, abs=1) if seconds is not None else None)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_it(one: str, other: str) -> None:
    """Whatever stands there, the answer is a finite time or nothing."""
    found = retry_after({"retry-after": one, "retry-after-ms": other}, NOW)
    assert found is None or (math.isfinite(found) and found >= 0)


def test_back_off_doubles_with_full_jitter() -> None:
    """Anything from nothing to half a second, then to a whole one, to eight at most."""
    assert [backoff(attempt, lambda: 1.0) for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert backoff(3, lambda: 0.0) == 0.0
    spread = [backoff(4, random.Random(seed).random) for seed in range(200)]
    assert min(spread) < 1 < 7 < max(spread) <= 8


def test_a_wait_for_a_rate_limit_is_never_nothing_and_grows() -> None:
    """At least 25 ms, at most a second more than the server asks for, and each call waits for another time."""
    assert [pace(waits, lambda: 1.0) for waits in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert [pace(waits, lambda: 0.0) for waits in (0, 6, 10_000)] == [0.025, 0.5, 0.5]


def test_one_is_told_to_wait_and_all_do(traffic: Traffic, clock: Clock) -> None:
    """A pause counts for every call, the longest one wins, and none lasts longer than two minutes."""
    traffic.pause(5)
    traffic.pause(2)
    assert (traffic.wait(), traffic.standing().state) == (5, "paused")
    clock.now += 5
    assert (traffic.wait(), traffic.standing().state) == (0, "ok")
    traffic.pause(86_400)
    assert traffic.wait() == LONGEST_WAIT


def test_five_failures_in_a_row_open_the_circuit(traffic: Traffic, clock: Clock) -> None:
    """Then no call goes out for a second; a success in between forgets the failures."""
    for _ in range(4):
        traffic.failed()
    traffic.succeeded()
    for _ in range(4):
        traffic.failed()
    assert traffic.standing().state == "ok"
    assert traffic.would_open()
    traffic.failed()
    assert not traffic.would_open()
    assert (traffic.standing().state, traffic.wait()) == ("open", 1.0)


def test_one_probe_goes_out_at_a_time(traffic: Traffic, clock: Clock) -> None:
    """The first who asks after the time tries it, the others wait; the time grows to five seconds and no further."""
    for _ in range(5):
        traffic.failed()
    gaps = []
    for _ in range(6):
        wait = traffic.wait()
        gaps.append(wait)
        clock.now += wait
        assert traffic.wait() == 0
        assert traffic.wait() > 0
        traffic.failed()
    assert gaps == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_probe_that_works_closes_the_circuit(traffic: Traffic, clock: Clock) -> None:
    """Everything is as before, at once."""
    for _ in range(5):
        traffic.failed()
    clock.now += 1
    assert traffic.wait() == 0
    traffic.succeeded()
    assert (traffic.wait(), traffic.standing().state) == (0, "ok")


def test_a_probe_of_which_nothing_is_heard_blocks_nobody_for_long(traffic: Traffic, clock: Clock) -> None:
    """Another may try after five seconds."""
    for _ in range(5):
        traffic.failed()
    clock.now += 1
    assert traffic.wait() == 0
    clock.now += 5
    assert traffic.wait() == 0


def test_retries_are_a_tenth_of_calls_in_the_long_run(traffic: Traffic) -> None:
    """A few at the beginning, then one for every ten first tries, however many fail."""
    retried = 0
    for _ in range(1_000):
        traffic.begins()
        retried += traffic.may_retry()
    assert 100 <= retried <= 106


def test_an_outage_is_called_hardly_more_often_than_it_is_asked(traffic: Traffic, clock: Clock) -> None:
    """A minute of a request every tenth of a second to a server that is down: far fewer calls than 1.1 a request; and
    it is found again within ten seconds."""
    calls = requests = 0
    for _ in range(600):
        requests += 1
        traffic.begins()
        tries = 0
        while traffic.wait() == 0 and tries < 3:
            calls, tries = calls + 1, tries + 1
            traffic.failed()
            if not traffic.may_retry():
                break
        clock.now += 0.1
    assert calls <= 0.2 * requests
    down = clock.now
    while traffic.wait() > 0:
        clock.now += 0.1
    traffic.succeeded()
    assert clock.now - down <= 10
