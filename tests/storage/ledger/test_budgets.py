"""Tests of reservations and settlements: budgets, periods, expiry, totals and usage rows."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from support.billing import DAY, MONDAY, Clock, make_reservation, make_settled_usage, read_totals, sum_rows

from semsearch.core.errors import BudgetError, StorageError
from semsearch.core.types.usage import (
    ALL_OWNERS,
    BudgetLimits,
    RateLimits,
    Reservation,
    SettledUsage,
    UsageRow,
    key_owner,
)
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage.budgets import fits_budgets

NewLedger = Callable[[], LocalLedger]

NO_LIMITS = BudgetLimits()


def reserve(ledger: LocalLedger, reservation: Reservation, limits: BudgetLimits = NO_LIMITS) -> int:
    """Make a reservation, which must fit the limits of all owners; return its id."""
    reservation_id = ledger.reserve(reservation, {ALL_OWNERS: limits})
    assert reservation_id is not None
    return reservation_id


def test_reservation_must_fit_beside_others(ledger: LocalLedger, clock: Clock) -> None:
    """Each request reserves its maximum; its settlement releases the unused rest."""
    limits = BudgetLimits(day_tokens=50)
    first = reserve(ledger, make_reservation(clock), limits)
    reserve(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock), {ALL_OWNERS: limits}) is None
    ledger.settle(first, make_settled_usage(3, 4, 7))
    assert ledger.spent_amounts(ALL_OWNERS)["2026-11-23"] == (7, 7e-9)
    reserve(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock, upper_bound=4), {ALL_OWNERS: limits}) is None
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_output_tokens_are_reserved(ledger: LocalLedger, clock: Clock) -> None:
    """The maximum output counts against the budget."""
    assert (
        ledger.reserve(
            make_reservation(clock, upper_bound=20, max_output_tokens=30), {ALL_OWNERS: BudgetLimits(day_tokens=50)}
        )
        is not None
    )
    with pytest.raises(BudgetError):
        ledger.reserve(
            make_reservation(clock, upper_bound=20, max_output_tokens=31), {ALL_OWNERS: BudgetLimits(day_tokens=50)}
        )


@pytest.mark.parametrize(
    ("limits", "period", "next_period"),
    [
        (BudgetLimits(day_tokens=30), "2026-11-23", "2026-11-24"),
        (BudgetLimits(month_tokens=30), "2026-11", "2026-12-01"),
        (BudgetLimits(day_usd=3e-7), "2026-11-23", "2026-11-24"),
        (BudgetLimits(month_usd=3e-7), "2026-11", "2026-12-01"),
    ],
)
@pytest.mark.parametrize("owner", [ALL_OWNERS, "ann"])
def test_error_names_the_limit_that_is_exceeded(
    ledger: LocalLedger, clock: Clock, limits: BudgetLimits, period: str, next_period: str, owner: str
) -> None:
    """It names the setting, the spend, what the request could take, and when the next period starts."""
    ledger.settle(reserve(ledger, make_reservation(clock)), make_settled_usage(15, 0, 150))
    with pytest.raises(BudgetError) as error:
        ledger.reserve(make_reservation(clock), {owner: limits})
    name = next(name for name in ("day_tokens", "month_tokens", "day_usd", "month_usd") if getattr(limits, name))
    amounts = ("30 tokens", "15", "20") if "tokens" in name else ("0.0000003 USD", "0.00000015", "0.0000002")
    prefix = "budget.per_owner" if owner else "budget"
    assert str(error.value) == (
        f"{prefix}.{name} is {amounts[0]}: {amounts[1]} are spent in {period}, and this request could take"
        f" {amounts[2]} more; try again on {next_period} (UTC)"
    )
    assert error.value.retry_after_seconds == (DAY if "day" in name else 8 * DAY)


def test_request_larger_than_the_limit_has_no_retry_time(ledger: LocalLedger, clock: Clock) -> None:
    """The error says so, and gives no time to try again."""
    with pytest.raises(BudgetError, match=r"1,234 tokens, and this request alone could take 2,000: make it smaller"):
        ledger.reserve(make_reservation(clock, upper_bound=2000), {ALL_OWNERS: BudgetLimits(day_tokens=1234)})
    with pytest.raises(BudgetError, match=r"budget\.day_tokens is 0 tokens, and this request alone") as error:
        ledger.reserve(make_reservation(clock), {ALL_OWNERS: BudgetLimits(day_tokens=0)})
    assert error.value.retry_after_seconds is None


def test_error_of_a_month_comes_before_that_of_a_day(ledger: LocalLedger, clock: Clock) -> None:
    """A retry on the next day would fail too."""
    ledger.settle(reserve(ledger, make_reservation(clock)), make_settled_usage(15))
    clock.now += 60.5
    with pytest.raises(BudgetError, match="month_tokens") as error:
        ledger.reserve(make_reservation(clock), {ALL_OWNERS: BudgetLimits(day_tokens=20, month_tokens=20)})
    assert error.value.retry_after_seconds == 8 * DAY - 60.5


def test_refused_request_leaves_no_row(ledger: LocalLedger, clock: Clock) -> None:
    """Neither an error nor a wait reserves anything."""
    limits = BudgetLimits(day_tokens=20)
    ledger.settle(reserve(ledger, make_reservation(clock, upper_bound=5), limits), make_settled_usage(1))
    reserve(ledger, make_reservation(clock, upper_bound=19), limits)
    before = read_totals(ledger.path)
    assert ledger.reserve(make_reservation(clock, upper_bound=1), {ALL_OWNERS: limits}) is None
    with pytest.raises(BudgetError):
        ledger.reserve(make_reservation(clock, upper_bound=20), {ALL_OWNERS: limits})
    assert read_totals(ledger.path) == before == sum_rows(ledger.path)


def test_unknown_price_is_refused_by_a_budget_in_dollars(ledger: LocalLedger, clock: Clock) -> None:
    """The error says where to set the price; a budget in tokens accepts it, and the cost is unknown."""
    with pytest.raises(BudgetError, match=r"the price of 'own-model' is unknown.*\[prices\.\"own-model\"\]"):
        ledger.reserve(
            make_reservation(clock, model="own-model", nanousd=None), {ALL_OWNERS: BudgetLimits(month_usd=1000.0)}
        )
    ledger.settle(
        reserve(ledger, make_reservation(clock, nanousd=None), BudgetLimits(day_tokens=100)),
        make_settled_usage(5, 5, None),
    )
    ledger.settle(reserve(ledger, make_reservation(clock)), make_settled_usage(5, 5, 70))
    (row,) = ledger.usage("day")
    assert (row.input_tokens, row.cost_usd) == (10, None)


def test_owners_have_separate_totals_and_a_common_one(ledger: LocalLedger, clock: Clock) -> None:
    """The usage of an owner counts against their limit and the total, not against another owner's limit."""
    own = BudgetLimits(day_tokens=30)
    for owner in ("ann", "bob"):
        reservation = ledger.reserve(make_reservation(clock, owner), {owner: own})
        assert reservation is not None
        ledger.settle(reservation, make_settled_usage(25))
    with pytest.raises(BudgetError, match="per_owner"):
        ledger.reserve(make_reservation(clock, "ann"), {"ann": own})
    assert ledger.reserve(make_reservation(clock, "eve"), {"eve": own}) is not None
    with pytest.raises(BudgetError, match=r"budget\.day_tokens is 60 tokens: 50 are spent"):
        ledger.reserve(make_reservation(clock, "joe"), {"joe": own, ALL_OWNERS: BudgetLimits(day_tokens=60)})
    assert ledger.spent_amounts("ann")["2026-11-23"][0] == 25
    assert ledger.spent_amounts(ALL_OWNERS)["2026-11"][0] == 50
    assert [row.input_tokens for row in ledger.usage("day", "bob")] == [25]


def test_days_and_months_end_at_midnight_utc(ledger: LocalLedger, clock: Clock) -> None:
    """The budget of a day is free at 00:00 UTC, that of a month on the first."""
    day, month = BudgetLimits(day_tokens=20), BudgetLimits(month_tokens=20)
    clock.now = MONDAY + 7 * DAY + DAY - 1  # the last second of November
    ledger.settle(reserve(ledger, make_reservation(clock)), make_settled_usage(15))
    with pytest.raises(BudgetError, match=r"2026-12-01"):
        ledger.reserve(make_reservation(clock), {ALL_OWNERS: day})
    clock.now += 1
    assert list(ledger.spent_amounts(ALL_OWNERS).items()) == [("2026-12-01", (0, 0.0)), ("2026-12", (0, 0.0))]
    assert ledger.reserve(make_reservation(clock), {ALL_OWNERS: day}) is not None
    assert ledger.reserve(make_reservation(clock), {ALL_OWNERS: month}) is None
    assert [row.name for row in ledger.usage("day")] == ["2026-11-30"]


@pytest.mark.parametrize("now", [1_774_746_000.0, 1_792_890_000.0])
def test_daylight_saving_does_not_change_days(ledger: LocalLedger, clock: Clock, now: float) -> None:
    """On the nights in which Europe changes its clocks (2026-03-29 01:00 UTC, 2026-10-25 01:00) a day has 24 hours."""
    clock.now = now
    day = "2026-03-29" if now < 1.78e9 else "2026-10-25"
    assert next(iter(ledger.spent_amounts(ALL_OWNERS))) == day
    clock.now += 23 * 3600 - 1
    assert next(iter(ledger.spent_amounts(ALL_OWNERS))) == day
    clock.now += 1
    assert next(iter(ledger.spent_amounts(ALL_OWNERS))) != day


def test_request_that_started_before_midnight_counts_on_that_day(ledger: LocalLedger, clock: Clock) -> None:
    """A settlement on the next day releases the reservation of the first day."""
    clock.now = MONDAY + DAY - 1
    reservation = reserve(ledger, make_reservation(clock), BudgetLimits(day_tokens=20))
    clock.now += 10
    ledger.settle(reservation, make_settled_usage(7, 0, 70))
    assert [(row.name, row.input_tokens) for row in ledger.usage("day")] == [("2026-11-23", 7)]
    assert read_totals(ledger.path)["", "2026-11-23"] == (7, 70, 0, 0)
    assert ("", "2026-11-24") not in read_totals(ledger.path)


def test_expired_reservation_counts_as_an_estimate(ledger: LocalLedger, clock: Clock) -> None:
    """Its expected input is settled, marked as estimated; the rest is free again."""
    limits = BudgetLimits(day_tokens=30)
    reserve(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock), {ALL_OWNERS: limits}) is None
    assert ledger.usage("day") == []
    clock.now += 60
    row = UsageRow("2026-11-23", 1, 0, 10, 0, 0, 1e-7, 1)
    assert ledger.usage("day") == [row]  # before any write has settled it
    assert ledger.spent_amounts(ALL_OWNERS)["2026-11-23"] == (10, 1e-7)
    reserve(ledger, make_reservation(clock), limits)
    assert ledger.usage("day") == [row]
    assert ledger.spent_amounts(ALL_OWNERS)["2026-11-23"] == (10, 1e-7)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_late_settlement_replaces_the_estimate_once(ledger: LocalLedger, clock: Clock) -> None:
    """An expired request that is settled counts with its usage; a second settlement changes nothing."""
    reservation = reserve(ledger, make_reservation(clock))
    clock.now += 3600
    ledger.settle(reserve(ledger, make_reservation(clock)), make_settled_usage(1, 0, 1))  # settles the expired one
    for tokens in (18, 99):
        ledger.settle(reservation, make_settled_usage(tokens, 2, 5, cached_tokens=3))
        (row,) = ledger.usage("day")
        assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.estimated_requests) == (19, 2, 3, 0)
    clock.now += DAY
    reserve(ledger, make_reservation(clock))
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_second_settling_changes_nothing(ledger: LocalLedger, clock: Clock) -> None:
    """Neither does the settlement of an unknown reservation."""
    reservation = reserve(ledger, make_reservation(clock))
    sample = {"letters": (40.0, 10.0)}
    ledger.settle(reservation, make_settled_usage(5, 1, 60, tokenizer_sample=sample))
    ledger.settle(reservation, make_settled_usage(9, 9, 90, tokenizer_sample=sample, rate_limits=RateLimits(1)))
    ledger.settle(4711, make_settled_usage(9, 9, 90, tokenizer_sample=sample))
    assert [(row.input_tokens, row.cost_usd) for row in ledger.usage("day")] == [(5, 6e-8)]
    assert (ledger.token_ratios(), ledger.rate_limits()) == ({"m": sample}, {})


def test_200_threads_with_budget_for_ten(ledger: LocalLedger, clock: Clock) -> None:
    """The reservations never exceed the limit, and all of them are released."""
    limits = {ALL_OWNERS: BudgetLimits(day_tokens=200)}
    barrier = threading.Barrier(50)

    def reserve_one(number: int) -> int | None:
        if number < 50:
            barrier.wait()
        return ledger.reserve(make_reservation(clock), limits)

    with ThreadPoolExecutor(50) as pool:
        granted = [reservation for reservation in pool.map(reserve_one, range(200)) if reservation is not None]
        assert len(granted) == len(set(granted)) == 10
        assert read_totals(ledger.path)["", "2026-11-23"] == (0, 0, 200, 2000)
        list(pool.map(lambda reservation: ledger.settle(reservation, make_settled_usage(1, 1, 3)), granted * 2))
    assert read_totals(ledger.path)["", "2026-11-23"] == (20, 30, 0, 0)


def test_usage_by_each_group(ledger: LocalLedger, clock: Clock) -> None:
    """Days are in order, other groups by descending cost, then tokens; a request without a key is its owner's."""
    for tokens, nano, request in (
        (10, 5, make_reservation(clock, "ann", key="k1", model="small", purpose="ingest", collection="hb")),
        (
            20,
            500,
            make_reservation(clock, "ann", key="k2", model="large", purpose="answer", collection="hb", attempt=1),
        ),
        (30, 5, make_reservation(clock, "bob", model="other", purpose="query", collection="faq")),
    ):
        reservation = ledger.reserve(request, {})
        assert reservation is not None
        ledger.settle(reservation, make_settled_usage(tokens, 1, nano, cached_tokens=2))
    clock.now += DAY
    ledger.settle(reserve(ledger, make_reservation(clock, owner="bob", model="other")), make_settled_usage(1, 0, 0))

    def days(**filters: str) -> list[str]:
        return [row.name for row in ledger.usage("day", **filters)]

    assert [row.name for row in ledger.usage("key")] == ["k2", "bob", "k1"]
    assert [row.name for row in ledger.usage("model")] == ["large", "other", "small"]
    assert [row.name for row in ledger.usage("collection")] == ["hb", "faq", ""]
    assert [row.name for row in ledger.usage("purpose")] == ["answer", "query", "ingest"]
    assert days() == ["2026-11-23", "2026-11-24"]
    assert days(since="2026-11-24") == ["2026-11-24"]
    assert days(owner="ann") == ["2026-11-23"]
    assert ledger.usage("model", "ann")[0] == UsageRow("large", 1, 1, 20, 1, 2, 5e-7, 0)


def test_last_rate_limits_of_a_server_are_kept(ledger: LocalLedger, clock: Clock) -> None:
    """By endpoint and model; a response without rate limits does not delete them."""
    last_limits = RateLimits(100, 99, "1s", 5000, 4000, "2s")
    for model, rate_limits in (
        ("a", RateLimits(100, 100)),
        ("a", last_limits),
        ("a", None),
        ("a", RateLimits()),
        ("b", RateLimits(7)),
    ):
        ledger.settle(
            reserve(ledger, make_reservation(clock, model=model)), make_settled_usage(1, rate_limits=rate_limits)
        )
    assert ledger.rate_limits() == {
        ("https://models.test/v1", "a"): last_limits,
        ("https://models.test/v1", "b"): RateLimits(7),
    }


def test_token_ratios_add_up_and_persist(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """Tokenizer samples are summed by model and script, and another process reads the sums."""
    for _ in range(2):
        sample = {"letters": (40.5, 10.25), "han": (2.0, 3.0)}
        ledger.settle(
            reserve(ledger, make_reservation(clock, model="e")), make_settled_usage(1, tokenizer_sample=sample)
        )
    assert new_ledger().token_ratios() == {"e": {"letters": (81.0, 20.5), "han": (4.0, 6.0)}}


def test_owner_must_have_a_name(ledger: LocalLedger, clock: Clock) -> None:
    """The empty name stands for all owners."""
    with pytest.raises(StorageError, match="owner"):
        ledger.reserve(make_reservation(clock, ""), {})


def test_settlement_is_atomic(ledger: LocalLedger, clock: Clock) -> None:
    """Row, totals, token ratios and rate limits change together or not at all."""
    reservation = reserve(ledger, make_reservation(clock))
    before = read_totals(ledger.path)
    invalid_usage = SettledUsage("ok", 5, 0, 0, 5, False, tokenizer_sample={None: (1.0, 1.0)})  # type: ignore[dict-item]
    with pytest.raises(StorageError):
        ledger.settle(reservation, invalid_usage)
    assert read_totals(ledger.path) == before == sum_rows(ledger.path)
    ledger.settle(reservation, make_settled_usage(5))


def test_budget_of_a_key_counts_its_requests_alone(ledger: LocalLedger, clock: Clock) -> None:
    """Not those of another key of its owner, nor those without a key; its reservations, settlements and expiries do."""
    limits = {key_owner("one"): BudgetLimits(day_tokens=50)}
    for key in ("two", None):
        assert ledger.reserve(make_reservation(clock, upper_bound=45, key=key), {}) is not None
    first = ledger.reserve(make_reservation(clock, key="one"), limits)
    assert first is not None
    assert ledger.reserve(make_reservation(clock, key="one"), limits) is not None
    assert ledger.reserve(make_reservation(clock, key="one"), limits) is None
    ledger.settle(first, make_settled_usage(3, 4, 7))
    assert ledger.spent_amounts(key_owner("one"))["2026-11-23"] == (7, 7e-9)
    clock.now += 60  # the second one expires, with the 10 tokens that were expected
    assert ledger.spent_amounts(key_owner("one"))["2026-11-23"][0] == 17
    with pytest.raises(BudgetError, match="the access key's budget"):
        ledger.reserve(make_reservation(clock, upper_bound=34, key="one"), limits)
    assert ledger.reserve(make_reservation(clock, upper_bound=33, key="one"), limits) is not None


def test_budget_of_a_key_lasts_over_its_rotation_and_ends_with_the_day(ledger: LocalLedger, clock: Clock) -> None:
    """A key keeps its id when it is rotated; the totals are those of the id."""
    limits = {key_owner("one"): BudgetLimits(day_tokens=20)}
    reserved = ledger.reserve(make_reservation(clock, key="one"), limits)
    assert reserved is not None
    ledger.settle(reserved, make_settled_usage(20))
    with pytest.raises(BudgetError):
        ledger.reserve(make_reservation(clock, key="one"), limits)
    clock.now += DAY
    assert ledger.reserve(make_reservation(clock, key="one"), limits) is not None


@pytest.mark.slow
def test_budget_is_checked_in_the_transaction_that_reserves(
    new_ledger: Callable[[], LocalLedger], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes never check at the same time: else both would find room for the last request."""
    both_check = threading.Barrier(2)

    def wait_and_check(*arguments: Any) -> bool:
        with suppress(threading.BrokenBarrierError):
            both_check.wait(0.5)
        return fits_budgets(*arguments)

    monkeypatch.setattr("semsearch.storage.ledger.local.requests.fits_budgets", wait_and_check)
    ledgers = [new_ledger(), new_ledger()]
    limits = {ALL_OWNERS: BudgetLimits(day_tokens=20)}
    with ThreadPoolExecutor(2) as pool:
        reserved = list(pool.map(lambda ledger: ledger.reserve(make_reservation(clock), limits), ledgers))
    assert sorted(reserved, key=str) == [1, None]
    assert both_check.broken
