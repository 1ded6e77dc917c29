"""The rules of token buckets."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.access.token_buckets import describe, exchange, refill, seconds_until, slice_size
from semsearch.core.types.rate_limits import BucketState

LIMITS = st.integers(1, 10_000)
EVENTS = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 500)), max_size=60)


@given(LIMITS, EVENTS)
def test_no_more_is_leased_than_capacity_and_refill(limit: int, events: list[tuple[float, int]]) -> None:
    """The sum of all leases is at most the limit of one minute and the refill since the first one."""
    state, now, leased = None, 100.0, 0
    for pause, wanted in events:
        now += pause
        state, granted = exchange(state, limit, 0, wanted, now)
        leased += granted
        assert granted <= wanted
        assert leased <= limit + (now - 100.0) * limit / 60 + 1e-3


@given(LIMITS, EVENTS)
def test_nothing_is_lost_while_the_bucket_is_not_full(limit: int, events: list[tuple[float, int]]) -> None:
    """Who asks for more than there is gets all of the refill, in whole parts."""
    state, now, leased = None, 100.0, 0
    for _ in events:
        now += 0.9
        state, granted = exchange(state, limit, 0, 2 * limit, now)
        leased += granted
    refilled = 0.9 * max(0, len(events) - 1) * limit / 60
    assert not events or limit + refilled - 1.001 <= leased


def test_returned_slice_is_never_more_than_the_capacity() -> None:
    """A bucket that is full stays so; a charge may drive it below 0."""
    full = refill(None, 100, 5.0)
    assert exchange(full, 100, 7, 0, 5.0)[0].level == 100
    charged, granted = exchange(full, 100, -250, 2, 5.0)
    assert (charged.level, granted) == (-150, 0)
    assert seconds_until(charged, 100, 1.0) == 151 * 0.6
    assert describe(charged, 100, 0, 5.0) == (100, 0, 150.0)


def test_time_in_the_future_counts_as_now() -> None:
    """After a restart of the system its clock begins at 0 again."""
    before_restart = BucketState(3.0, 900_000.0, 900_060.0)
    after = refill(before_restart, 60, 20.0)
    assert (after.level, after.updated) == (3.0, 20.0)
    assert refill(after, 60, 25.0).level == 8.0


def test_slices_are_two_percent() -> None:
    """A slice is at least 1, and at most a fiftieth of the capacity from 50 on."""
    assert [slice_size(limit) for limit in (1, 49, 100, 1_049, 60_000)] == [1, 1, 2, 20, 1_200]
