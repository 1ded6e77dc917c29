"""The meter over a real ledger: who may go, who waits, what is booked, and what is given back."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.billing import DAY, ENDPOINT, MONDAY, Clock, read_totals, sum_rows

from semsearch.core.errors import BudgetError, StorageError
from semsearch.core.types.usage import (
    REFUSED,
    Budget,
    BudgetLimits,
    ModelRequest,
    Price,
    RateLimits,
    RequestContext,
    RequestOutcome,
    Reservation,
    SettledUsage,
    Usage,
)
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage import metering
from semsearch.usage.metering import LedgerMeter, build_usage_report
from semsearch.usage.pricing import PriceTable

PRICE = Price("m", "2026-01-01", 2.0, 10.0, 0.5)
ORDER = ModelRequest("chat", ENDPOINT, "m", ["x" * 92], max_output_tokens=100)
"""At most 200 tokens: 92 bytes, 8 around them, and the answer."""
TODAY = ("", "2026-11-23")


class SlowLedger(LocalLedger):
    """Reserves and settles only while the gate is open; says when somebody has come to it, and when one must wait."""

    def __init__(self, folder: Path, *, clock: Callable[[], float]) -> None:
        super().__init__(folder, clock=clock)
        self.gate = threading.Event()
        self.came = threading.Event()
        self.waits = threading.Event()
        self.gate.set()

    def shut(self) -> None:
        """From now on, wait."""
        self.came.clear()
        self.gate.clear()

    def _pass(self) -> None:
        self.came.set()
        assert self.gate.wait(10)

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Hold it, when the gate is open."""
        self._pass()
        reservation_id = super().reserve(reservation, limits)
        if reservation_id is None:
            self.waits.set()
        return reservation_id

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Book it, when the gate is open."""
        self._pass()
        super().settle(reservation_id, usage)


@pytest.fixture
def clock() -> Clock:
    """A clock at the beginning of a day."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[SlowLedger]:
    """A ledger that can be made to wait."""
    ledger = SlowLedger(tmp_path, clock=clock)
    yield ledger
    ledger.gate.set()
    ledger.close()


@contextmanager
def metered(ledger: LocalLedger, clock: Clock, budget: Budget | None = None, *prices: Price) -> Iterator[LedgerMeter]:
    """A meter that knows one price, or those given."""
    meter = LedgerMeter(ledger, PriceTable(prices or (PRICE,)), budget or Budget(), clock=clock)
    try:
        yield meter
    finally:
        meter.close()


def budget(**limits: float) -> Budget:
    """Limits for everyone."""
    return Budget(BudgetLimits(**limits))  # type: ignore[arg-type]  # names are those of the limits


async def spend(
    meter: LedgerMeter, errand: RequestContext, receipt: RequestOutcome, order: ModelRequest = ORDER
) -> Usage:
    """One request from its beginning to its end."""
    return await meter.settle(await meter.reserve(errand, order), errand, order, receipt)


def once(
    meter: LedgerMeter, receipt: RequestOutcome, order: ModelRequest = ORDER, errand: RequestContext | None = None
) -> Usage:
    """The same where nothing else is under way."""
    return asyncio.run(spend(meter, errand or RequestContext("answer"), receipt, order))


@asynccontextmanager
async def begun(work: "asyncio.Task[int] | asyncio.Task[Usage]", ledger: SlowLedger) -> AsyncIterator[None]:
    """Within it the task stands before the shut gate; afterwards the gate is open."""
    await asyncio.to_thread(ledger.came.wait, 10)
    yield
    ledger.gate.set()
    with suppress(asyncio.CancelledError):
        await work


async def must_wait(reserving: "asyncio.Task[int]", ledger: SlowLedger) -> None:
    """It has asked for room, and there was none."""
    assert await asyncio.to_thread(ledger.waits.wait, 10)
    assert not reserving.done()


# what may go


def test_200_at_once_with_room_for_ten(ledger: SlowLedger, clock: Clock) -> None:
    """At most ten requests go out, never more is held than fits, and the rest are refused by the name of the limit."""
    most, under_way, sent = 0, 0, 0

    async def one(meter: LedgerMeter) -> bool:
        nonlocal most, under_way, sent
        errand = RequestContext("answer")
        try:
            reservation = await meter.reserve(errand, ORDER)
        except BudgetError as exc:
            assert "budget.day_tokens is 2,000 tokens" in str(exc)
            return False
        sent, under_way = sent + 1, under_way + 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        await meter.settle(reservation, errand, ORDER, RequestOutcome("ok", 100, 100))
        return True

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one(meter) for _ in range(200)))

    with metered(ledger, clock, budget(day_tokens=2000)) as meter:
        assert sum(asyncio.run(all_of_them())) == sent == 10
        assert not meter._reserved_at
    assert most <= 10
    assert read_totals(ledger.path)[TODAY] == (2000, 10 * 1_200_000, 0, 0)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_those_who_wait_get_their_turn(ledger: SlowLedger, clock: Clock) -> None:
    """Requests that cost less than they hold all go out: ten at a time, and the next as soon as one ends."""
    most, under_way = 0, 0
    full = asyncio.Event()

    async def one(meter: LedgerMeter) -> None:
        nonlocal most, under_way
        reservation = await meter.reserve(RequestContext("answer"), ORDER)
        under_way += 1
        most = max(most, under_way)
        if under_way == 10:
            full.set()
        await full.wait()
        under_way -= 1
        await meter.settle(reservation, RequestContext("answer"), ORDER, RequestOutcome("ok", 0, 1))

    async def all_of_them(meter: LedgerMeter) -> None:
        await asyncio.wait_for(asyncio.gather(*(one(meter) for _ in range(100))), 10)

    with metered(ledger, clock, budget(day_tokens=2100)) as meter:
        asyncio.run(all_of_them(meter))
    assert most == 10
    assert read_totals(ledger.path)[TODAY] == (100, 1_000_000, 0, 0)


def test_one_that_ends_wakes_the_next(ledger: SlowLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody polls for what happens in the same process."""
    monkeypatch.setattr(metering, "_POLL_SECONDS", 60.0)

    async def two(meter: LedgerMeter) -> None:
        first = await meter.reserve(RequestContext("answer"), ORDER)
        second = asyncio.create_task(meter.reserve(RequestContext("answer"), ORDER))
        await must_wait(second, ledger)
        await meter.settle(first, RequestContext("answer"), ORDER, REFUSED)
        await asyncio.wait_for(second, 5)

    with metered(ledger, clock, budget(day_tokens=300)) as meter:
        asyncio.run(two(meter))


def test_another_process_gives_room_too(ledger: SlowLedger, clock: Clock) -> None:
    """What ends there is noticed soon."""

    async def two(mine: LedgerMeter, theirs: LedgerMeter) -> None:
        first = await theirs.reserve(RequestContext("answer"), ORDER)
        second = asyncio.create_task(mine.reserve(RequestContext("answer"), ORDER))
        await must_wait(second, ledger)
        await theirs.settle(first, RequestContext("answer"), ORDER, REFUSED)
        await asyncio.wait_for(second, 5)

    limit = budget(day_tokens=300)
    with metered(ledger, clock, limit) as mine, metered(ledger, clock, limit) as theirs:
        asyncio.run(two(mine, theirs))


def test_nobody_waits_past_their_deadline(ledger: SlowLedger, clock: Clock) -> None:
    """Whoever cannot have the room in time is told that others hold it, and holds nothing."""

    async def two(meter: LedgerMeter) -> None:
        await meter.reserve(RequestContext("answer"), ORDER)
        began = time.monotonic()
        with pytest.raises(BudgetError, match="held by other requests"):
            await meter.reserve(RequestContext("answer", deadline=began + 0.1), ORDER)
        assert 0.1 <= time.monotonic() - began < 2

    with metered(ledger, clock, budget(day_tokens=300)) as meter:
        asyncio.run(two(meter))
    assert read_totals(ledger.path)[TODAY] == (0, 0, 200, 1_200_000)


def test_each_owner_has_limits_of_their_own(ledger: SlowLedger, clock: Clock) -> None:
    """One who has spent theirs leaves the others theirs; all count together."""
    with metered(ledger, clock, Budget(BudgetLimits(day_tokens=500), BudgetLimits(day_tokens=250))) as meter:
        once(meter, RequestOutcome("ok", 100, 100), errand=RequestContext("answer", "ann"))
        with pytest.raises(BudgetError, match=r"budget\.per_owner\.day_tokens is 250"):
            once(meter, RequestOutcome("ok"), errand=RequestContext("answer", "ann"))
        once(meter, RequestOutcome("ok", 100, 100), errand=RequestContext("answer", "bob"))
        with pytest.raises(BudgetError, match=r"budget\.day_tokens is 500"):
            once(meter, RequestOutcome("ok"), errand=RequestContext("answer", "eve"))


def test_a_price_that_nobody_knows(ledger: SlowLedger, clock: Clock) -> None:
    """A budget in dollars cannot hold it and says where to write the price; one in tokens can, at an unknown cost."""
    order = ModelRequest("chat", ENDPOINT, "own", ["x"], max_output_tokens=1)
    with (
        metered(ledger, clock, budget(day_usd=1000.0)) as meter,
        pytest.raises(BudgetError, match=r'\[prices\."own"\]'),
    ):
        once(meter, RequestOutcome("ok", 1, 1), order)
    with metered(ledger, clock, budget(day_tokens=1000)) as meter:
        assert meter.estimate(order).max_nanousd is None
        assert once(meter, RequestOutcome("ok", 1, 1), order).cost_usd is None
    with metered(ledger, clock, budget(day_usd=1000.0), Price("own", "2026-01-01", 1.0)) as meter:
        assert once(meter, RequestOutcome("ok", 1, 1), order).cost_usd == 1e-6


# what is booked


def test_what_the_server_counted_is_booked(ledger: SlowLedger, clock: Clock) -> None:
    """To the token and the billionth, exactly, and in the errand's tally."""
    errand = RequestContext("answer", collection="hb", key="k1")
    with metered(ledger, clock) as meter:
        usage = once(meter, RequestOutcome("ok", 50, 7, 10, seconds=0.5), errand=errand)
    assert usage == Usage(50, 7, cached_tokens=10, cost_usd=(40 * 2000 + 10 * 500 + 7 * 10_000) / 1e9)
    assert (errand.usage_counter.usage, errand.usage_counter.requests) == (usage, 1)
    (row,) = ledger.usage("collection")
    assert (row.name, row.input_tokens, row.output_tokens, row.cached_tokens) == ("hb", 50, 7, 10)
    assert (row.cost_usd, row.estimated_requests) == (usage.cost_usd, 0)


def test_embeddings_are_counted_as_such(ledger: SlowLedger, clock: Clock) -> None:
    """Their tokens are no part of a prompt, there is no output to estimate, and speed is measured."""
    order = ModelRequest("embedding", ENDPOINT, "m", ["x" * 92])
    with metered(ledger, clock) as meter:
        usage = once(meter, RequestOutcome("ok", 50, seconds=0.5), order, RequestContext("ingest"))
    assert usage == Usage(embedding_tokens=50, cost_usd=1e-4)
    assert ledger.throughput("m") == 100


def test_the_batch_api_costs_half(ledger: SlowLedger, clock: Clock) -> None:
    """In the quote and on the bill."""
    order = ModelRequest("embedding", ENDPOINT, "m", ["x" * 92], is_batch=True)
    with metered(ledger, clock) as meter:
        assert meter.estimate(order).max_nanousd == 100 * 1000
        assert once(meter, RequestOutcome("ok", 50), order).cost_usd == 5e-5


@pytest.mark.parametrize(
    ("receipt", "outputs"),
    [
        (RequestOutcome("timeout"), 1),
        (RequestOutcome("broken off", None, None, output_characters=40), 11),
        (RequestOutcome("cancelled", None, None, output_characters=10**9), 100),
    ],
)
def test_what_the_server_did_not_count_is_estimated(
    ledger: SlowLedger, clock: Clock, receipt: RequestOutcome, outputs: int
) -> None:
    """The likely input, and output by what was written but no more than was asked for; it says that it is estimated."""
    with metered(ledger, clock) as meter:
        likely = meter.estimate(ORDER).tokens.expected
        usage = once(meter, receipt)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (likely, outputs, True)
    assert usage.cost_usd == (likely * 2000 + outputs * 10_000) / 1e9
    assert ledger.usage("day")[0].estimated_requests == 1
    assert ledger.token_ratios() == {}


def test_input_counted_and_output_not_is_an_estimate(ledger: SlowLedger, clock: Clock) -> None:
    """Half of the truth is kept, and marked."""
    with metered(ledger, clock) as meter:
        usage = once(meter, RequestOutcome("broken off", 33, None, output_characters=8))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (33, 3, True)


def test_a_refused_request_costs_nothing(ledger: SlowLedger, clock: Clock) -> None:
    """Known to be nothing, also where the price is not known; it is a row all the same."""
    with metered(ledger, clock, budget(day_tokens=200)) as meter:
        for model in ("m", "own"):
            usage = once(meter, REFUSED, ModelRequest("chat", ENDPOINT, model, ["x"], max_output_tokens=5))
            assert usage == Usage()
        assert once(meter, RequestOutcome("ok", 1, 1)).prompt_tokens == 1  # all the room is there
    assert [(row.requests, row.cost_usd) for row in ledger.usage("day")] == [(3, 1.2e-5)]


def test_the_price_is_that_of_the_moment_it_began(ledger: SlowLedger, clock: Clock) -> None:
    """A request that ends after midnight is paid at the price, and on the bill, of the day before."""
    clock.now = MONDAY + DAY - 1
    dearer = Price("m", "2026-11-24", 200.0, 1000.0)

    async def over_night(meter: LedgerMeter) -> Usage:
        reservation = await meter.reserve(RequestContext("answer"), ORDER)
        clock.now += 2
        return await meter.settle(reservation, RequestContext("answer"), ORDER, RequestOutcome("ok", 1, 1))

    with metered(ledger, clock, None, PRICE, dearer) as meter:
        assert asyncio.run(over_night(meter)).cost_usd == 1.2e-5
        assert once(meter, RequestOutcome("ok", 1, 1)).cost_usd == 1.2e-3
    assert [row.name for row in ledger.usage("day")] == ["2026-11-23", "2026-11-24"]


def test_who_waited_past_midnight_is_held_on_the_new_day(ledger: SlowLedger, clock: Clock) -> None:
    """A new day has room of its own for those who wait."""

    async def two(meter: LedgerMeter) -> None:
        await meter.reserve(RequestContext("answer"), ORDER)
        second = asyncio.create_task(meter.reserve(RequestContext("answer"), ORDER))
        await must_wait(second, ledger)
        clock.now = MONDAY + DAY
        await asyncio.wait_for(second, 5)

    clock.now = MONDAY + DAY - 1
    with metered(ledger, clock, budget(day_tokens=300)) as meter:
        asyncio.run(two(meter))
    totals = read_totals(ledger.path)
    assert (totals[TODAY][2], totals["", "2026-11-24"][2]) == (200, 200)


def test_estimates_get_better_and_last(ledger: SlowLedger, clock: Clock) -> None:
    """What a server counted corrects the next quote, for that model only, and for the next process too."""
    order = ModelRequest("embedding", ENDPOINT, "m", ["word " * 20_000])
    other = ModelRequest("embedding", ENDPOINT, "n", order.texts)
    with metered(ledger, clock) as meter:
        before, before_other = meter.estimate(order).tokens, meter.estimate(other).tokens
        once(meter, RequestOutcome("ok", 30_000), order)
        after = meter.estimate(order).tokens
        assert meter.estimate(other).tokens == before_other
    assert abs(before.expected - 30_000) > 5_000
    assert abs(after.expected - 30_000) < 1_000
    assert after.upper_bound == before.upper_bound
    with metered(ledger, clock) as another:
        assert another.estimate(order).tokens == after


@pytest.mark.parametrize(
    ("deadline", "batch", "seconds"), [(None, False, 600), (None, True, 24 * 3600), (5.0, False, 5), (5.0, True, 5)]
)
def test_a_hold_runs_out_a_minute_after_its_deadline(
    ledger: SlowLedger, clock: Clock, deadline: float | None, batch: bool, seconds: int
) -> None:
    """Never before the request may still end: ten minutes where none was set, and a day for a batch."""
    errand = RequestContext("answer", deadline=None if deadline is None else time.monotonic() + deadline)
    order = ModelRequest("chat", ENDPOINT, "m", ["x"], max_output_tokens=5, is_batch=batch)
    with metered(ledger, clock) as meter:
        asyncio.run(meter.reserve(errand, order))
        clock.now += seconds + 59
        assert ledger.usage("day") == []
        clock.now += 1
        assert ledger.usage("day")[0].estimated_requests == 1


def test_settled_twice_is_booked_once(ledger: SlowLedger, clock: Clock) -> None:
    """The first receipt stands in the ledger."""

    async def twice(meter: LedgerMeter) -> None:
        reservation = await meter.reserve(RequestContext("answer"), ORDER)
        await meter.settle(reservation, RequestContext("answer"), ORDER, RequestOutcome("ok", 5, 5))
        await meter.settle(reservation, RequestContext("answer"), ORDER, RequestOutcome("ok", 9, 9))

    with metered(ledger, clock) as meter:
        asyncio.run(twice(meter))
    assert read_totals(ledger.path)[TODAY] == (10, 60_000, 0, 0)


# who leaves


def test_settling_is_done_though_its_waiter_is_cancelled(ledger: SlowLedger, clock: Clock) -> None:
    """What a request has cost is booked, in the ledger and the tally, whoever has hung up."""
    errand = RequestContext("answer")

    async def leave(meter: LedgerMeter) -> None:
        reservation = await meter.reserve(errand, ORDER)
        ledger.shut()
        settling = asyncio.create_task(meter.settle(reservation, errand, ORDER, RequestOutcome("ok", 5, 5)))
        async with begun(settling, ledger):
            settling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await settling

    with metered(ledger, clock) as meter:
        asyncio.run(leave(meter))
    assert read_totals(ledger.path)[TODAY] == (10, 60_000, 0, 0)
    assert errand.usage_counter.requests == 1
    assert not meter._reserved_at


def test_settling_that_has_not_begun_is_done_too(ledger: SlowLedger, clock: Clock) -> None:
    """Also if it still stood in the queue when its waiter left."""

    async def leave(meter: LedgerMeter) -> None:
        reservations = [await meter.reserve(RequestContext("answer"), ORDER) for _ in range(2)]
        ledger.shut()
        settling = [
            asyncio.create_task(meter.settle(each, RequestContext("answer"), ORDER, RequestOutcome("ok", 5, 5)))
            for each in reservations
        ]
        async with begun(settling[0], ledger):
            for each in settling:
                each.cancel()
            await asyncio.gather(*settling, return_exceptions=True)

    with metered(ledger, clock) as meter:
        asyncio.run(leave(meter))
    assert read_totals(ledger.path)[TODAY] == (20, 120_000, 0, 0)


def test_what_is_reserved_for_someone_who_left_is_given_back(ledger: SlowLedger, clock: Clock) -> None:
    """A request that was never sent costs nothing, holds nothing and leaves nothing behind."""

    async def leave(meter: LedgerMeter) -> None:
        ledger.shut()
        reserving = asyncio.create_task(meter.reserve(RequestContext("answer"), ORDER))
        async with begun(reserving, ledger):
            reserving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reserving

    with metered(ledger, clock) as meter:
        asyncio.run(leave(meter))
    assert not meter._reserved_at
    assert read_totals(ledger.path)[TODAY] == (0, 0, 0, 0)
    assert [(row.requests, row.cost_usd, row.estimated_requests) for row in ledger.usage("day")] == [(1, 0.0, 0)]


def test_a_reservation_that_was_not_begun_is_not_made(ledger: SlowLedger, clock: Clock) -> None:
    """Whoever leaves the queue before their turn leaves no row, and no error on the thread."""
    failures: list[BaseException | None] = []

    async def leave(meter: LedgerMeter) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: failures.append(about.get("exception")))
        await meter.settle(
            await meter.reserve(RequestContext("answer"), ORDER), RequestContext("answer"), ORDER, REFUSED
        )
        ledger.shut()
        waiting = [asyncio.create_task(meter.reserve(RequestContext("answer"), ORDER)) for _ in range(3)]
        await asyncio.to_thread(ledger.came.wait, 10)
        for each in waiting[1:]:
            each.cancel()
        await asyncio.gather(*waiting[1:], return_exceptions=True)
        ledger.gate.set()
        await meter.settle(await waiting[0], RequestContext("answer"), ORDER, REFUSED)

    with metered(ledger, clock) as meter:
        asyncio.run(leave(meter))
    assert not meter._reserved_at
    assert ledger.usage("day")[0].requests == 2
    assert failures == []


def test_giving_back_tolerates_every_end_of_a_reservation(
    ledger: SlowLedger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled before its turn, failed, refused to wait for, or granted."""
    with metered(ledger, clock) as meter:
        ends: list[Future[int | None]] = [Future() for _ in range(4)]
        ends[0].cancel()
        ends[1].set_exception(BudgetError("too much"))
        ends[2].set_result(None)
        ends[3].set_result(asyncio.run(meter.reserve(RequestContext("answer"), ORDER)))
        for end in ends:
            meter._release(end)
        assert not meter._reserved_at
    assert read_totals(ledger.path)[TODAY] == (0, 0, 0, 0)
    assert caplog.records == []


def test_random_cancellation_leaves_nothing_held(ledger: SlowLedger, clock: Clock) -> None:
    """However 200 requests end or are given up, in the end nothing is held and every one that was sent is booked."""
    sent = 0

    async def one(meter: LedgerMeter) -> None:
        nonlocal sent
        reservation = await meter.reserve(RequestContext("answer"), ORDER)
        sent += 1
        receipt = RequestOutcome("cancelled", 1, 1)
        try:
            await asyncio.sleep(0.002)
            receipt = RequestOutcome("ok", 1, 1)
        finally:
            await meter.settle(reservation, RequestContext("answer"), ORDER, receipt)

    async def all_of_them(meter: LedgerMeter) -> None:
        tasks = [asyncio.create_task(one(meter)) for _ in range(200)]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0.0001 * (number % 7))
            if number % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with metered(ledger, clock, budget(day_tokens=4000)) as meter:
        asyncio.run(all_of_them(meter))
    assert not meter._reserved_at
    assert sent >= 100
    assert read_totals(ledger.path)[TODAY] == (2 * sent, sent * 12_000, 0, 0)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_no_bound_gives_a_budget_back(ledger: SlowLedger, clock: Clock) -> None:
    """Whatever length was asked for, what is booked is never below nothing."""
    with metered(ledger, clock) as meter:
        usage = once(
            meter, RequestOutcome("broken off", 33, None, output_characters=8), replace(ORDER, max_output_tokens=-1000)
        )
    assert (usage.completion_tokens, usage.cost_usd) == (0, 66e-6)


def test_nothing_is_sent_that_cannot_be_written_down(tmp_path: Path, clock: Clock) -> None:
    """Without a ledger no request goes out, and the error says which folder it is."""
    (tmp_path / "file").touch()
    with (
        metered(LocalLedger(tmp_path / "file" / "indexes", clock=clock), clock) as meter,
        pytest.raises(StorageError, match="indexes"),
    ):
        asyncio.run(meter.reserve(RequestContext("answer"), ORDER))


# the bill


def test_the_bill_names_every_limit_that_is_set(ledger: SlowLedger, clock: Clock) -> None:
    """With what is spent of it in its period; what a server said last stands beside."""
    limits = Budget(BudgetLimits(day_tokens=1000, month_usd=1.5), BudgetLimits(day_usd=0.5, month_tokens=7000))
    said = RateLimits(500, 499, "120ms")
    with metered(ledger, clock, limits) as meter:
        once(meter, RequestOutcome("ok", 50, 50, rate_limits=said), errand=RequestContext("answer", "ann"))
        once(meter, RequestOutcome("ok", 10, 0), errand=RequestContext("query", "bob"))
    found = build_usage_report(ledger, limits, "purpose", owner="ann", include_total=True)
    assert [(row.name, row.input_tokens) for row in found.rows] == [("answer", 50)]
    assert [(each.name, each.period, each.spent, each.limit) for each in found.budget] == [
        ("budget.day_tokens", "2026-11-23", 110, 1000),
        ("budget.month_usd", "2026-11", 6.2e-4, 1.5),
        ("budget.per_owner.day_usd", "2026-11-23", 6e-4, 0.5),
        ("budget.per_owner.month_tokens", "2026-11", 100, 7000),
    ]
    assert [(each.endpoint, each.model, each.rate_limits) for each in found.rate_limits] == [(ENDPOINT, "m", said)]
    alone = build_usage_report(ledger, limits, "purpose", owner="bob", include_total=False)
    assert [each.name for each in alone.budget] == ["budget.per_owner.day_usd", "budget.per_owner.month_tokens"]
    assert [row.name for row in build_usage_report(ledger, limits, "purpose", owner=None, include_total=True).rows] == [
        "answer",
        "query",
    ]


def test_an_empty_bill(ledger: SlowLedger, clock: Clock, tmp_path: Path) -> None:
    """Looking at it makes no file."""
    found = build_usage_report(ledger, Budget(BudgetLimits(day_tokens=5)), "day", owner=None, include_total=True)
    assert (found.rows, found.rate_limits) == ([], [])
    assert [(each.spent, each.limit) for each in found.budget] == [(0, 5)]
    assert list(tmp_path.iterdir()) == []
