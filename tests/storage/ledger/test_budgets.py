"""Holding and booking: what fits, what waits, what never fits, and what is left when nobody settles."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.billing import DAY, MONDAY, Clock, make_reservation, make_settled_usage, read_totals, sum_rows

from semsearch.core.errors import BudgetError, StorageError
from semsearch.core.types.usage import BudgetLimits, RateLimits, Reservation, SettledUsage, UsageRow
from semsearch.storage.ledger.local.ledger import LocalLedger

NewLedger = Callable[[], LocalLedger]

EVERYONE = ""
NONE = BudgetLimits()


def reserved(ledger: LocalLedger, request: Reservation, limits: BudgetLimits = NONE) -> int:
    """A reservation that must be granted, under limits for all."""
    reservation = ledger.reserve(request, {EVERYONE: limits})
    assert reservation is not None
    return reservation


def test_only_what_fits_beside_other_holds_is_held(ledger: LocalLedger, clock: Clock) -> None:
    """Each request holds its worst case; when one ends the rest of it is free for the next."""
    limits = BudgetLimits(day_tokens=50)
    first = reserved(ledger, make_reservation(clock), limits)
    reserved(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock), {EVERYONE: limits}) is None
    ledger.settle(first, make_settled_usage(3, 4, 7))
    assert ledger.spend(EVERYONE)["2026-11-23"] == (7, 7e-9)
    reserved(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock, upper_bound=4), {EVERYONE: limits}) is None
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_output_counts_in(ledger: LocalLedger, clock: Clock) -> None:
    """What the answer may be long is held too."""
    assert (
        ledger.reserve(
            make_reservation(clock, upper_bound=20, max_output_tokens=30), {EVERYONE: BudgetLimits(day_tokens=50)}
        )
        is not None
    )
    with pytest.raises(BudgetError):
        ledger.reserve(
            make_reservation(clock, upper_bound=20, max_output_tokens=31), {EVERYONE: BudgetLimits(day_tokens=50)}
        )


@pytest.mark.parametrize(
    ("limits", "period", "again"),
    [
        (BudgetLimits(day_tokens=30), "2026-11-23", "2026-11-24"),
        (BudgetLimits(month_tokens=30), "2026-11", "2026-12-01"),
        (BudgetLimits(day_usd=3e-7), "2026-11-23", "2026-11-24"),
        (BudgetLimits(month_usd=3e-7), "2026-11", "2026-12-01"),
    ],
)
@pytest.mark.parametrize("owner", [EVERYONE, "ann"])
def test_what_cannot_fit_is_refused_by_the_name_of_the_limit(
    ledger: LocalLedger, clock: Clock, limits: BudgetLimits, period: str, again: str, owner: str
) -> None:
    """The error names the setting, what is spent, what it could take, and when there is room again."""
    ledger.settle(reserved(ledger, make_reservation(clock)), make_settled_usage(15, 0, 150))
    with pytest.raises(BudgetError) as refused:
        ledger.reserve(make_reservation(clock), {owner: limits})
    name = next(name for name in ("day_tokens", "month_tokens", "day_usd", "month_usd") if getattr(limits, name))
    shown = ("30 tokens", "15", "20") if "tokens" in name else ("0.0000003 USD", "0.00000015", "0.0000002")
    prefix = "budget.per_owner" if owner else "budget"
    assert str(refused.value) == (
        f"{prefix}.{name} is {shown[0]}: {shown[1]} are spent in {period}, and this could take up to {shown[2]} more;"
        f" there is room again on {again} (UTC)"
    )
    assert refused.value.retry_after_seconds == (DAY if "day" in name else 8 * DAY)


def test_what_never_fits_is_not_put_off(ledger: LocalLedger, clock: Clock) -> None:
    """A request that is larger than the whole limit is told so, not to come again tomorrow."""
    with pytest.raises(BudgetError, match=r"1,234 tokens, and this alone could take up to 2,000: ask for less"):
        ledger.reserve(make_reservation(clock, upper_bound=2000), {EVERYONE: BudgetLimits(day_tokens=1234)})
    with pytest.raises(BudgetError, match=r"budget\.day_tokens is 0 tokens, and this alone") as refused:
        ledger.reserve(make_reservation(clock), {EVERYONE: BudgetLimits(day_tokens=0)})
    assert refused.value.retry_after_seconds is None


def test_a_spent_month_is_told_before_a_spent_day(ledger: LocalLedger, clock: Clock) -> None:
    """Whoever comes back when the day is over would only learn of it then."""
    ledger.settle(reserved(ledger, make_reservation(clock)), make_settled_usage(15))
    clock.now += 60.5
    with pytest.raises(BudgetError, match="month_tokens") as refused:
        ledger.reserve(make_reservation(clock), {EVERYONE: BudgetLimits(day_tokens=20, month_tokens=20)})
    assert refused.value.retry_after_seconds == 8 * DAY - 60.5


def test_a_refused_request_leaves_no_row(ledger: LocalLedger, clock: Clock) -> None:
    """Neither a refusal nor having to wait holds anything."""
    limits = BudgetLimits(day_tokens=20)
    ledger.settle(reserved(ledger, make_reservation(clock, upper_bound=5), limits), make_settled_usage(1))
    reserved(ledger, make_reservation(clock, upper_bound=19), limits)
    before = read_totals(ledger.path)
    assert ledger.reserve(make_reservation(clock, upper_bound=1), {EVERYONE: limits}) is None
    with pytest.raises(BudgetError):
        ledger.reserve(make_reservation(clock, upper_bound=20), {EVERYONE: limits})
    assert read_totals(ledger.path) == before == sum_rows(ledger.path)


def test_an_unknown_price_cannot_stand_in_a_dollar_budget(ledger: LocalLedger, clock: Clock) -> None:
    """It is refused with the way to write the price down; a budget in tokens takes it, and its cost is unknown."""
    with pytest.raises(BudgetError, match=r"what 'own-model' costs is not known.*\[prices\.\"own-model\"\]"):
        ledger.reserve(
            make_reservation(clock, model="own-model", nanousd=None), {EVERYONE: BudgetLimits(month_usd=1000.0)}
        )
    ledger.settle(
        reserved(ledger, make_reservation(clock, nanousd=None), BudgetLimits(day_tokens=100)),
        make_settled_usage(5, 5, None),
    )
    ledger.settle(reserved(ledger, make_reservation(clock)), make_settled_usage(5, 5, 70))
    (row,) = ledger.usage("day")
    assert (row.input_tokens, row.cost_usd) == (10, None)


def test_owners_are_counted_apart_and_together(ledger: LocalLedger, clock: Clock) -> None:
    """One owner's spending leaves another's limit alone, and counts in that of all."""
    own = BudgetLimits(day_tokens=30)
    for owner in ("ann", "bob"):
        reservation = ledger.reserve(make_reservation(clock, owner), {owner: own})
        assert reservation is not None
        ledger.settle(reservation, make_settled_usage(25))
    with pytest.raises(BudgetError, match="per_owner"):
        ledger.reserve(make_reservation(clock, "ann"), {"ann": own})
    assert ledger.reserve(make_reservation(clock, "eve"), {"eve": own}) is not None
    with pytest.raises(BudgetError, match=r"budget\.day_tokens is 60 tokens: 50 are spent"):
        ledger.reserve(make_reservation(clock, "joe"), {"joe": own, EVERYONE: BudgetLimits(day_tokens=60)})
    assert ledger.spend("ann")["2026-11-23"][0] == 25
    assert ledger.spend(EVERYONE)["2026-11"][0] == 50
    assert [row.input_tokens for row in ledger.usage("day", "bob")] == [25]


def test_a_day_and_a_month_end_at_midnight_utc(ledger: LocalLedger, clock: Clock) -> None:
    """A spent day is over a second later, a spent month on the first; time zones and summer time do not matter."""
    day, month = BudgetLimits(day_tokens=20), BudgetLimits(month_tokens=20)
    clock.now = MONDAY + 7 * DAY + DAY - 1  # the last second of November
    ledger.settle(reserved(ledger, make_reservation(clock)), make_settled_usage(15))
    with pytest.raises(BudgetError, match=r"2026-12-01"):
        ledger.reserve(make_reservation(clock), {EVERYONE: day})
    clock.now += 1
    assert list(ledger.spend(EVERYONE).items()) == [("2026-12-01", (0, 0.0)), ("2026-12", (0, 0.0))]
    assert ledger.reserve(make_reservation(clock), {EVERYONE: day}) is not None
    assert ledger.reserve(make_reservation(clock), {EVERYONE: month}) is None
    assert [row.name for row in ledger.usage("day")] == ["2026-11-30"]


@pytest.mark.parametrize("now", [1_774_746_000.0, 1_792_890_000.0])
def test_days_of_a_changed_clock_are_days_in_utc(ledger: LocalLedger, clock: Clock, now: float) -> None:
    """On the nights in which Europe changes its clocks (2026-03-29 01:00 UTC, 2026-10-25 01:00) a day has 24 hours."""
    clock.now = now
    day = "2026-03-29" if now < 1.78e9 else "2026-10-25"
    assert next(iter(ledger.spend(EVERYONE))) == day
    clock.now += 23 * 3600 - 1
    assert next(iter(ledger.spend(EVERYONE))) == day
    clock.now += 1
    assert next(iter(ledger.spend(EVERYONE))) != day


def test_what_began_before_midnight_is_booked_on_that_day(ledger: LocalLedger, clock: Clock) -> None:
    """A request that ends on the next day gives back what it held on the first."""
    clock.now = MONDAY + DAY - 1
    reservation = reserved(ledger, make_reservation(clock), BudgetLimits(day_tokens=20))
    clock.now += 10
    ledger.settle(reservation, make_settled_usage(7, 0, 70))
    assert [(row.name, row.input_tokens) for row in ledger.usage("day")] == [("2026-11-23", 7)]
    assert read_totals(ledger.path)["", "2026-11-23"] == (7, 70, 0, 0)
    assert ("", "2026-11-24") not in read_totals(ledger.path)


def test_an_expired_reservation_comes_back_as_an_estimate(ledger: LocalLedger, clock: Clock) -> None:
    """The likely input is booked, marked as estimated; the rest is free again."""
    limits = BudgetLimits(day_tokens=30)
    reserved(ledger, make_reservation(clock), limits)
    assert ledger.reserve(make_reservation(clock), {EVERYONE: limits}) is None
    assert ledger.usage("day") == []
    clock.now += 60
    row = UsageRow("2026-11-23", 1, 0, 10, 0, 0, 1e-7, 1)
    assert ledger.usage("day") == [row]  # nobody has written anything since
    assert ledger.spend(EVERYONE)["2026-11-23"] == (10, 1e-7)
    reserved(ledger, make_reservation(clock), limits)
    assert ledger.usage("day") == [row]
    assert ledger.spend(EVERYONE)["2026-11-23"] == (10, 1e-7)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_the_truth_replaces_an_estimate_once(ledger: LocalLedger, clock: Clock) -> None:
    """Settled late, an expired request counts with what it did cost; after that nothing changes it."""
    reservation = reserved(ledger, make_reservation(clock))
    clock.now += 3600
    ledger.settle(reserved(ledger, make_reservation(clock)), make_settled_usage(1, 0, 1))  # books the expiry
    for tokens in (18, 99):
        ledger.settle(reservation, make_settled_usage(tokens, 2, 5, cached_tokens=3))
        (row,) = ledger.usage("day")
        assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.estimated_requests) == (19, 2, 3, 0)
    clock.now += DAY
    reserved(ledger, make_reservation(clock))
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_a_second_settling_changes_nothing(ledger: LocalLedger, clock: Clock) -> None:
    """Nor does settling what was never reserved."""
    reservation = reserved(ledger, make_reservation(clock))
    lesson = {"letters": (40.0, 10.0)}
    ledger.settle(reservation, make_settled_usage(5, 1, 60, tokenizer_sample=lesson))
    ledger.settle(reservation, make_settled_usage(9, 9, 90, tokenizer_sample=lesson, rate_limits=RateLimits(1)))
    ledger.settle(4711, make_settled_usage(9, 9, 90, tokenizer_sample=lesson))
    assert [(row.input_tokens, row.cost_usd) for row in ledger.usage("day")] == [(5, 6e-8)]
    assert (ledger.token_ratios(), ledger.rate_limits()) == ({"m": lesson}, {})


def test_200_threads_with_room_for_ten(ledger: LocalLedger, clock: Clock) -> None:
    """However many ask at once, never more is held than fits, and all of it comes back."""
    limits = {EVERYONE: BudgetLimits(day_tokens=200)}
    start = threading.Barrier(50)

    def one(number: int) -> int | None:
        if number < 50:
            start.wait()
        return ledger.reserve(make_reservation(clock), limits)

    with ThreadPoolExecutor(50) as pool:
        granted = [reservation for reservation in pool.map(one, range(200)) if reservation is not None]
        assert len(granted) == len(set(granted)) == 10
        assert read_totals(ledger.path)["", "2026-11-23"] == (0, 0, 200, 2000)
        list(pool.map(lambda reservation: ledger.settle(reservation, make_settled_usage(1, 1, 3)), granted * 2))
    assert read_totals(ledger.path)["", "2026-11-23"] == (20, 30, 0, 0)


def test_usage_by_each_grouping(ledger: LocalLedger, clock: Clock) -> None:
    """Days in order, everything else the dearest first, then most tokens; a call without a key is its owner's."""
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
    ledger.settle(reserved(ledger, make_reservation(clock, owner="bob", model="other")), make_settled_usage(1, 0, 0))

    def names(**wanted: str) -> list[str]:
        return [row.name for row in ledger.usage("day", **wanted)]

    assert [row.name for row in ledger.usage("key")] == ["k2", "bob", "k1"]
    assert [row.name for row in ledger.usage("model")] == ["large", "other", "small"]
    assert [row.name for row in ledger.usage("collection")] == ["hb", "faq", ""]
    assert [row.name for row in ledger.usage("purpose")] == ["answer", "query", "ingest"]
    assert names() == ["2026-11-23", "2026-11-24"]
    assert names(since="2026-11-24") == ["2026-11-24"]
    assert names(owner="ann") == ["2026-11-23"]
    assert ledger.usage("model", "ann")[0] == UsageRow("large", 1, 1, 20, 1, 2, 5e-7, 0)


def test_the_last_word_of_a_server_stands(ledger: LocalLedger, clock: Clock) -> None:
    """By endpoint and model; a reply that says nothing of limits takes nothing away."""
    said = RateLimits(100, 99, "1s", 5000, 4000, "2s")
    for model, headroom in (
        ("a", RateLimits(100, 100)),
        ("a", said),
        ("a", None),
        ("a", RateLimits()),
        ("b", RateLimits(7)),
    ):
        ledger.settle(
            reserved(ledger, make_reservation(clock, model=model)), make_settled_usage(1, rate_limits=headroom)
        )
    assert ledger.rate_limits() == {
        ("https://models.test/v1", "a"): said,
        ("https://models.test/v1", "b"): RateLimits(7),
    }


def test_lessons_add_up_and_last(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """What replies taught is summed by model and script, and another process reads it."""
    for _ in range(2):
        lesson = {"letters": (40.5, 10.25), "han": (2.0, 3.0)}
        ledger.settle(
            reserved(ledger, make_reservation(clock, model="e")), make_settled_usage(1, tokenizer_sample=lesson)
        )
    assert new_ledger().token_ratios() == {"e": {"letters": (81.0, 20.5), "han": (4.0, 6.0)}}


def test_an_owner_must_have_a_name(ledger: LocalLedger, clock: Clock) -> None:
    """The empty name is everyone's."""
    with pytest.raises(StorageError, match="owner"):
        ledger.reserve(make_reservation(clock, ""), {})


def test_a_failed_booking_leaves_no_half(ledger: LocalLedger, clock: Clock) -> None:
    """Row, sums, lessons and headroom change together or not at all."""
    reservation = reserved(ledger, make_reservation(clock))
    before = read_totals(ledger.path)
    bad = SettledUsage("ok", 5, 0, 0, 5, False, tokenizer_sample={None: (1.0, 1.0)})  # type: ignore[dict-item]
    with pytest.raises(StorageError):
        ledger.settle(reservation, bad)
    assert read_totals(ledger.path) == before == sum_rows(ledger.path)
    ledger.settle(reservation, make_settled_usage(5))
