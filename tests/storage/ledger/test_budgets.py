"""Holding and booking: what fits, what waits, what never fits, and what is left when nobody settles."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.billing import DAY, MONDAY, Clock, added_up, held, rollups, spent

from semsearch.core.errors import OverBudget, Storage
from semsearch.core.types.usage import Headroom, Held, Limits, Spent, UsageRow
from semsearch.storage.ledger.local.ledger import LocalLedger

NewLedger = Callable[[], LocalLedger]

EVERYONE = ""
NONE = Limits()


def reserved(ledger: LocalLedger, request: Held, limits: Limits = NONE) -> int:
    """A reservation that must be granted, under limits for all."""
    reservation = ledger.reserve(request, {EVERYONE: limits})
    assert reservation is not None
    return reservation


def test_only_what_fits_beside_other_holds_is_held(ledger: LocalLedger, clock: Clock) -> None:
    """Each request holds its worst case; when one ends the rest of it is free for the next."""
    limits = Limits(day_tokens=50)
    first = reserved(ledger, held(clock), limits)
    reserved(ledger, held(clock), limits)
    assert ledger.reserve(held(clock), {EVERYONE: limits}) is None
    ledger.settle(first, spent(3, 4, 7))
    assert ledger.spent(EVERYONE)["2026-11-23"] == (7, 7e-9)
    reserved(ledger, held(clock), limits)
    assert ledger.reserve(held(clock, at_most=4), {EVERYONE: limits}) is None
    assert rollups(ledger.path) == added_up(ledger.path)


def test_output_counts_in(ledger: LocalLedger, clock: Clock) -> None:
    """What the answer may be long is held too."""
    assert ledger.reserve(held(clock, at_most=20, output=30), {EVERYONE: Limits(day_tokens=50)}) is not None
    with pytest.raises(OverBudget):
        ledger.reserve(held(clock, at_most=20, output=31), {EVERYONE: Limits(day_tokens=50)})


@pytest.mark.parametrize(
    ("limits", "period", "again"),
    [
        (Limits(day_tokens=30), "2026-11-23", "2026-11-24"),
        (Limits(month_tokens=30), "2026-11", "2026-12-01"),
        (Limits(day_usd=3e-7), "2026-11-23", "2026-11-24"),
        (Limits(month_usd=3e-7), "2026-11", "2026-12-01"),
    ],
)
@pytest.mark.parametrize("owner", [EVERYONE, "ann"])
def test_what_cannot_fit_is_refused_by_the_name_of_the_limit(
    ledger: LocalLedger, clock: Clock, limits: Limits, period: str, again: str, owner: str
) -> None:
    """The error names the setting, what is spent, what it could take, and when there is room again."""
    ledger.settle(reserved(ledger, held(clock)), spent(15, 0, 150))
    with pytest.raises(OverBudget) as refused:
        ledger.reserve(held(clock), {owner: limits})
    name = next(name for name in ("day_tokens", "month_tokens", "day_usd", "month_usd") if getattr(limits, name))
    shown = ("30 tokens", "15", "20") if "tokens" in name else ("0.0000003 USD", "0.00000015", "0.0000002")
    prefix = "budget.per_key" if owner else "budget"
    assert str(refused.value) == (
        f"{prefix}.{name} is {shown[0]}: {shown[1]} are spent in {period}, and this could take up to {shown[2]} more;"
        f" there is room again on {again} (UTC)"
    )
    assert refused.value.seconds == (DAY if "day" in name else 8 * DAY)


def test_what_never_fits_is_not_put_off(ledger: LocalLedger, clock: Clock) -> None:
    """A request that is larger than the whole limit is told so, not to come again tomorrow."""
    with pytest.raises(OverBudget, match=r"1,234 tokens, and this alone could take up to 2,000: ask for less"):
        ledger.reserve(held(clock, at_most=2000), {EVERYONE: Limits(day_tokens=1234)})
    with pytest.raises(OverBudget, match=r"budget\.day_tokens is 0 tokens, and this alone") as refused:
        ledger.reserve(held(clock), {EVERYONE: Limits(day_tokens=0)})
    assert refused.value.seconds is None


def test_a_spent_month_is_told_before_a_spent_day(ledger: LocalLedger, clock: Clock) -> None:
    """Whoever comes back when the day is over would only learn of it then."""
    ledger.settle(reserved(ledger, held(clock)), spent(15))
    clock.now += 60.5
    with pytest.raises(OverBudget, match="month_tokens") as refused:
        ledger.reserve(held(clock), {EVERYONE: Limits(day_tokens=20, month_tokens=20)})
    assert refused.value.seconds == 8 * DAY - 60.5


def test_a_refused_request_leaves_no_row(ledger: LocalLedger, clock: Clock) -> None:
    """Neither a refusal nor having to wait holds anything."""
    limits = Limits(day_tokens=20)
    ledger.settle(reserved(ledger, held(clock, at_most=5), limits), spent(1))
    reserved(ledger, held(clock, at_most=19), limits)
    before = rollups(ledger.path)
    assert ledger.reserve(held(clock, at_most=1), {EVERYONE: limits}) is None
    with pytest.raises(OverBudget):
        ledger.reserve(held(clock, at_most=20), {EVERYONE: limits})
    assert rollups(ledger.path) == before == added_up(ledger.path)


def test_an_unknown_price_cannot_stand_in_a_dollar_budget(ledger: LocalLedger, clock: Clock) -> None:
    """It is refused with the way to write the price down; a budget in tokens takes it, and its cost is unknown."""
    with pytest.raises(OverBudget, match=r"what 'own-model' costs is not known.*\[prices\.\"own-model\"\]"):
        ledger.reserve(held(clock, model="own-model", nano=None), {EVERYONE: Limits(month_usd=1000.0)})
    ledger.settle(reserved(ledger, held(clock, nano=None), Limits(day_tokens=100)), spent(5, 5, None))
    ledger.settle(reserved(ledger, held(clock)), spent(5, 5, 70))
    (row,) = ledger.usage("day")
    assert (row.input_tokens, row.cost_usd) == (10, None)


def test_owners_are_counted_apart_and_together(ledger: LocalLedger, clock: Clock) -> None:
    """One owner's spending leaves another's limit alone, and counts in that of all."""
    own = Limits(day_tokens=30)
    for owner in ("ann", "bob"):
        reservation = ledger.reserve(held(clock, owner), {owner: own})
        assert reservation is not None
        ledger.settle(reservation, spent(25))
    with pytest.raises(OverBudget, match="per_key"):
        ledger.reserve(held(clock, "ann"), {"ann": own})
    assert ledger.reserve(held(clock, "eve"), {"eve": own}) is not None
    with pytest.raises(OverBudget, match=r"budget\.day_tokens is 60 tokens: 50 are spent"):
        ledger.reserve(held(clock, "joe"), {"joe": own, EVERYONE: Limits(day_tokens=60)})
    assert ledger.spent("ann")["2026-11-23"][0] == 25
    assert ledger.spent(EVERYONE)["2026-11"][0] == 50
    assert [row.input_tokens for row in ledger.usage("day", "bob")] == [25]


def test_a_day_and_a_month_end_at_midnight_utc(ledger: LocalLedger, clock: Clock) -> None:
    """A spent day is over a second later, a spent month on the first; time zones and summer time do not matter."""
    day, month = Limits(day_tokens=20), Limits(month_tokens=20)
    clock.now = MONDAY + 7 * DAY + DAY - 1  # the last second of November
    ledger.settle(reserved(ledger, held(clock)), spent(15))
    with pytest.raises(OverBudget, match=r"2026-12-01"):
        ledger.reserve(held(clock), {EVERYONE: day})
    clock.now += 1
    assert list(ledger.spent(EVERYONE).items()) == [("2026-12-01", (0, 0.0)), ("2026-12", (0, 0.0))]
    assert ledger.reserve(held(clock), {EVERYONE: day}) is not None
    assert ledger.reserve(held(clock), {EVERYONE: month}) is None
    assert [row.name for row in ledger.usage("day")] == ["2026-11-30"]


@pytest.mark.parametrize("now", [1_774_746_000.0, 1_792_890_000.0])
def test_days_of_a_changed_clock_are_days_in_utc(ledger: LocalLedger, clock: Clock, now: float) -> None:
    """On the nights in which Europe changes its clocks (2026-03-29 01:00 UTC, 2026-10-25 01:00) a day has 24 hours."""
    clock.now = now
    day = "2026-03-29" if now < 1.78e9 else "2026-10-25"
    assert next(iter(ledger.spent(EVERYONE))) == day
    clock.now += 23 * 3600 - 1
    assert next(iter(ledger.spent(EVERYONE))) == day
    clock.now += 1
    assert next(iter(ledger.spent(EVERYONE))) != day


def test_what_began_before_midnight_is_booked_on_that_day(ledger: LocalLedger, clock: Clock) -> None:
    """A request that ends on the next day gives back what it held on the first."""
    clock.now = MONDAY + DAY - 1
    reservation = reserved(ledger, held(clock), Limits(day_tokens=20))
    clock.now += 10
    ledger.settle(reservation, spent(7, 0, 70))
    assert [(row.name, row.input_tokens) for row in ledger.usage("day")] == [("2026-11-23", 7)]
    assert rollups(ledger.path)["", "2026-11-23"] == (7, 70, 0, 0)
    assert ("", "2026-11-24") not in rollups(ledger.path)


def test_an_expired_reservation_comes_back_as_an_estimate(ledger: LocalLedger, clock: Clock) -> None:
    """The likely input is booked, marked as estimated; the rest is free again."""
    limits = Limits(day_tokens=30)
    reserved(ledger, held(clock), limits)
    assert ledger.reserve(held(clock), {EVERYONE: limits}) is None
    assert ledger.usage("day") == []
    clock.now += 60
    row = UsageRow("2026-11-23", 1, 0, 10, 0, 0, 1e-7, 1)
    assert ledger.usage("day") == [row]  # nobody has written anything since
    assert ledger.spent(EVERYONE)["2026-11-23"] == (10, 1e-7)
    reserved(ledger, held(clock), limits)
    assert ledger.usage("day") == [row]
    assert ledger.spent(EVERYONE)["2026-11-23"] == (10, 1e-7)
    assert rollups(ledger.path) == added_up(ledger.path)


def test_the_truth_replaces_an_estimate_once(ledger: LocalLedger, clock: Clock) -> None:
    """Settled late, an expired request counts with what it did cost; after that nothing changes it."""
    reservation = reserved(ledger, held(clock))
    clock.now += 3600
    ledger.settle(reserved(ledger, held(clock)), spent(1, 0, 1))  # books the expiry
    for tokens in (18, 99):
        ledger.settle(reservation, spent(tokens, 2, 5, cached=3))
        (row,) = ledger.usage("day")
        assert (row.input_tokens, row.output_tokens, row.cached_tokens, row.estimated_requests) == (19, 2, 3, 0)
    clock.now += DAY
    reserved(ledger, held(clock))
    assert rollups(ledger.path) == added_up(ledger.path)


def test_a_second_settling_changes_nothing(ledger: LocalLedger, clock: Clock) -> None:
    """Nor does settling what was never reserved."""
    reservation = reserved(ledger, held(clock))
    lesson = {"letters": (40.0, 10.0)}
    ledger.settle(reservation, spent(5, 1, 60, lesson=lesson))
    ledger.settle(reservation, spent(9, 9, 90, lesson=lesson, headroom=Headroom(1)))
    ledger.settle(4711, spent(9, 9, 90, lesson=lesson))
    assert [(row.input_tokens, row.cost_usd) for row in ledger.usage("day")] == [(5, 6e-8)]
    assert (ledger.lessons(), ledger.headroom()) == ({"m": lesson}, {})


def test_200_threads_with_room_for_ten(ledger: LocalLedger, clock: Clock) -> None:
    """However many ask at once, never more is held than fits, and all of it comes back."""
    limits = {EVERYONE: Limits(day_tokens=200)}
    start = threading.Barrier(50)

    def one(number: int) -> int | None:
        if number < 50:
            start.wait()
        return ledger.reserve(held(clock), limits)

    with ThreadPoolExecutor(50) as pool:
        granted = [reservation for reservation in pool.map(one, range(200)) if reservation is not None]
        assert len(granted) == len(set(granted)) == 10
        assert rollups(ledger.path)["", "2026-11-23"] == (0, 0, 200, 2000)
        list(pool.map(lambda reservation: ledger.settle(reservation, spent(1, 1, 3)), granted * 2))
    assert rollups(ledger.path)["", "2026-11-23"] == (20, 30, 0, 0)


def test_usage_by_each_grouping(ledger: LocalLedger, clock: Clock) -> None:
    """Days in order, everything else the dearest first, then most tokens; a call without a key is its owner's."""
    for tokens, nano, request in (
        (10, 5, held(clock, "ann", key="k1", model="small", purpose="ingest", collection="hb")),
        (20, 500, held(clock, "ann", key="k2", model="large", purpose="answer", collection="hb", attempt=1)),
        (30, 5, held(clock, "bob", model="other", purpose="query", collection="faq")),
    ):
        reservation = ledger.reserve(request, {})
        assert reservation is not None
        ledger.settle(reservation, spent(tokens, 1, nano, cached=2))
    clock.now += DAY
    ledger.settle(reserved(ledger, held(clock, owner="bob", model="other")), spent(1, 0, 0))

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
    said = Headroom(100, 99, "1s", 5000, 4000, "2s")
    for model, headroom in (("a", Headroom(100, 100)), ("a", said), ("a", None), ("a", Headroom()), ("b", Headroom(7))):
        ledger.settle(reserved(ledger, held(clock, model=model)), spent(1, headroom=headroom))
    assert ledger.headroom() == {("https://models.test/v1", "a"): said, ("https://models.test/v1", "b"): Headroom(7)}


def test_lessons_add_up_and_last(ledger: LocalLedger, new_ledger: NewLedger, clock: Clock) -> None:
    """What replies taught is summed by model and script, and another process reads it."""
    for _ in range(2):
        lesson = {"letters": (40.5, 10.25), "han": (2.0, 3.0)}
        ledger.settle(reserved(ledger, held(clock, model="e")), spent(1, lesson=lesson))
    assert new_ledger().lessons() == {"e": {"letters": (81.0, 20.5), "han": (4.0, 6.0)}}


def test_an_owner_must_have_a_name(ledger: LocalLedger, clock: Clock) -> None:
    """The empty name is everyone's."""
    with pytest.raises(Storage, match="owner"):
        ledger.reserve(held(clock, ""), {})


def test_a_failed_booking_leaves_no_half(ledger: LocalLedger, clock: Clock) -> None:
    """Row, sums, lessons and headroom change together or not at all."""
    reservation = reserved(ledger, held(clock))
    before = rollups(ledger.path)
    bad = Spent("ok", 5, 0, 0, 5, False, lesson={None: (1.0, 1.0)})  # type: ignore[dict-item]
    with pytest.raises(Storage):
        ledger.settle(reservation, bad)
    assert rollups(ledger.path) == before == added_up(ledger.path)
    ledger.settle(reservation, spent(5))
