"""Tests of the meter with a real ledger: budgets, waiting, settlement and cancellation."""

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
    Budget,
    BudgetLimits,
    ModelRequest,
    Price,
    RequestContext,
    RequestOutcome,
    Reservation,
    SettledUsage,
    Usage,
)
from semsearch.storage.ledger.local.ledger import LocalLedger
from semsearch.usage import metering
from semsearch.usage.metering import LedgerMeter
from semsearch.usage.pricing import PriceTable

PRICE = Price("m", "2026-01-01", 2.0, 10.0, 0.5)
REQUEST = ModelRequest("chat", ENDPOINT, "m", ["x" * 92], max_output_tokens=100)
"""At most 200 tokens: 92 bytes, 8 special tokens and 100 of output."""
TODAY = ("", "2026-11-23")
NO_USAGE = RequestOutcome("refused", 0, 0)
"""A request that ended before the model read a token."""


class GatedLedger(LocalLedger):
    """A ledger whose writes can be blocked; events tell that a write has arrived, and that a reservation must wait."""

    def __init__(self, folder: Path, *, clock: Callable[[], float]) -> None:
        super().__init__(folder, clock=clock)
        self.is_open = threading.Event()
        self.has_arrived = threading.Event()
        self.has_refused = threading.Event()
        self.is_open.set()

    def block(self) -> None:
        """Block the writes from now on."""
        self.has_arrived.clear()
        self.is_open.clear()

    def _wait_until_open(self) -> None:
        self.has_arrived.set()
        assert self.is_open.wait(10)

    def reserve(self, reservation: Reservation, limits: Mapping[str, BudgetLimits]) -> int | None:
        """Reserve when writes are not blocked."""
        self._wait_until_open()
        reservation_id = super().reserve(reservation, limits)
        if reservation_id is None:
            self.has_refused.set()
        return reservation_id

    def settle(self, reservation_id: int, usage: SettledUsage) -> None:
        """Settle when writes are not blocked."""
        self._wait_until_open()
        super().settle(reservation_id, usage)


@pytest.fixture
def clock() -> Clock:
    """A clock at the start of a day."""
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[GatedLedger]:
    """A ledger whose writes can be blocked."""
    ledger = GatedLedger(tmp_path, clock=clock)
    yield ledger
    ledger.is_open.set()
    ledger.close()


@contextmanager
def open_meter(
    ledger: LocalLedger, clock: Clock, budget: Budget | None = None, *prices: Price
) -> Iterator[LedgerMeter]:
    """Open a meter with one price, or with `prices`."""
    meter = LedgerMeter(ledger, PriceTable(prices or (PRICE,)), budget or Budget(), clock=clock)
    try:
        yield meter
    finally:
        meter.close()


def total_budget(**limits: float) -> Budget:
    """Return a budget for all owners together."""
    return Budget(BudgetLimits(**limits))  # type: ignore[arg-type]  # names are those of the limits


async def reserve_and_settle(
    meter: LedgerMeter, context: RequestContext, outcome: RequestOutcome, request: ModelRequest = REQUEST
) -> Usage:
    """Reserve and settle one request."""
    return await meter.settle(await meter.reserve(context, request), context, request, outcome)


def run_request(
    meter: LedgerMeter, outcome: RequestOutcome, request: ModelRequest = REQUEST, context: RequestContext | None = None
) -> Usage:
    """Reserve and settle one request in an event loop of its own."""
    return asyncio.run(reserve_and_settle(meter, context or RequestContext("answer"), outcome, request))


@asynccontextmanager
async def blocked_in_ledger(
    task: "asyncio.Task[int] | asyncio.Task[Usage]", ledger: GatedLedger
) -> AsyncIterator[None]:
    """Run the block while the task is blocked in the ledger; unblock the ledger and await the task afterwards."""
    await asyncio.to_thread(ledger.has_arrived.wait, 10)
    yield
    ledger.is_open.set()
    with suppress(asyncio.CancelledError):
        await task


async def assert_waiting(task: "asyncio.Task[int]", ledger: GatedLedger) -> None:
    """Assert that the ledger had no room for a reservation, and that its task waits."""
    assert await asyncio.to_thread(ledger.has_refused.wait, 10)
    assert not task.done()


# budgets and waiting


def test_200_concurrent_requests_with_budget_for_ten(ledger: GatedLedger, clock: Clock) -> None:
    """Ten requests are sent, the reservations never exceed the limit, and the other errors name the limit."""
    max_active, active, sent = 0, 0, 0

    async def send(meter: LedgerMeter) -> bool:
        nonlocal max_active, active, sent
        context = RequestContext("answer")
        try:
            reservation = await meter.reserve(context, REQUEST)
        except BudgetError as exc:
            assert "budget.day_tokens is 2,000 tokens" in str(exc)
            return False
        sent, active = sent + 1, active + 1
        max_active = max(max_active, active)
        await asyncio.sleep(0.001)
        active -= 1
        await meter.settle(reservation, context, REQUEST, RequestOutcome("ok", 100, 100))
        return True

    async def send_all() -> list[bool]:
        return await asyncio.gather(*(send(meter) for _ in range(200)))

    with open_meter(ledger, clock, total_budget(day_tokens=2000)) as meter:
        assert sum(asyncio.run(send_all())) == sent == 10
        assert not meter._reserved_at
    assert max_active <= 10
    assert read_totals(ledger.path)[TODAY] == (2000, 10 * 1_200_000, 0, 0)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_budget_of_a_key_refuses_its_requests_alone(ledger: GatedLedger, clock: Clock) -> None:
    """Another key of the same owner, with a budget of its own, and the owner without a key still may."""
    budget = BudgetLimits(day_tokens=200)
    contexts = [
        RequestContext("answer", "ann", "one", key_budget=budget),
        RequestContext("answer", "ann", "two", key_budget=budget),
        RequestContext("answer", "ann"),
    ]
    used = RequestOutcome("ok", 100, 100)
    with open_meter(ledger, clock) as meter:
        run_request(meter, used, context=contexts[0])
        with pytest.raises(BudgetError, match="the access key's budget"):
            run_request(meter, used, context=contexts[0])
        for context in contexts[1:]:
            run_request(meter, used, context=context)


@pytest.mark.slow
def test_waiting_requests_are_sent_when_others_settle(ledger: GatedLedger, clock: Clock) -> None:
    """Requests that use less than they reserve are all sent: ten at a time, the next as soon as one is settled."""
    max_active, active = 0, 0
    is_full = asyncio.Event()

    async def send(meter: LedgerMeter) -> None:
        nonlocal max_active, active
        reservation = await meter.reserve(RequestContext("answer"), REQUEST)
        active += 1
        max_active = max(max_active, active)
        if active == 10:
            is_full.set()
        await is_full.wait()
        active -= 1
        await meter.settle(reservation, RequestContext("answer"), REQUEST, RequestOutcome("ok", 0, 1))

    async def send_all(meter: LedgerMeter) -> None:
        await asyncio.wait_for(asyncio.gather(*(send(meter) for _ in range(100))), 10)

    with open_meter(ledger, clock, total_budget(day_tokens=2100)) as meter:
        asyncio.run(send_all(meter))
    assert max_active == 10
    assert read_totals(ledger.path)[TODAY] == (100, 1_000_000, 0, 0)


def test_settlement_wakes_a_waiting_request(ledger: GatedLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement in the same process needs no poll."""
    monkeypatch.setattr(metering, "_POLL_SECONDS", 60.0)

    async def reserve_twice(meter: LedgerMeter) -> None:
        first = await meter.reserve(RequestContext("answer"), REQUEST)
        second = asyncio.create_task(meter.reserve(RequestContext("answer"), REQUEST))
        await assert_waiting(second, ledger)
        await meter.settle(first, RequestContext("answer"), REQUEST, NO_USAGE)
        await asyncio.wait_for(second, 5)

    with open_meter(ledger, clock, total_budget(day_tokens=300)) as meter:
        asyncio.run(reserve_twice(meter))


def test_settlement_of_another_process_wakes_a_waiting_request(ledger: GatedLedger, clock: Clock) -> None:
    """A meter polls for the settlements of other meters."""

    async def reserve_twice(meter: LedgerMeter, other_meter: LedgerMeter) -> None:
        first = await other_meter.reserve(RequestContext("answer"), REQUEST)
        second = asyncio.create_task(meter.reserve(RequestContext("answer"), REQUEST))
        await assert_waiting(second, ledger)
        await other_meter.settle(first, RequestContext("answer"), REQUEST, NO_USAGE)
        await asyncio.wait_for(second, 5)

    limit = total_budget(day_tokens=300)
    with open_meter(ledger, clock, limit) as meter, open_meter(ledger, clock, limit) as other_meter:
        asyncio.run(reserve_twice(meter, other_meter))


def test_reservation_does_not_wait_past_its_deadline(ledger: GatedLedger, clock: Clock) -> None:
    """The error says that other requests reserve the rest of the budget, and nothing is reserved."""

    async def reserve_twice(meter: LedgerMeter) -> None:
        await meter.reserve(RequestContext("answer"), REQUEST)
        start = time.monotonic()
        with pytest.raises(BudgetError, match="reserved by other requests"):
            await meter.reserve(RequestContext("answer", deadline=start + 0.1), REQUEST)
        assert 0.1 <= time.monotonic() - start < 2

    with open_meter(ledger, clock, total_budget(day_tokens=300)) as meter:
        asyncio.run(reserve_twice(meter))
    assert read_totals(ledger.path)[TODAY] == (0, 0, 200, 1_200_000)


def test_each_owner_has_separate_limits(ledger: GatedLedger, clock: Clock) -> None:
    """An owner over their limit does not affect other owners; the total limit counts all of them."""
    with open_meter(ledger, clock, Budget(BudgetLimits(day_tokens=500), BudgetLimits(day_tokens=250))) as meter:
        run_request(meter, RequestOutcome("ok", 100, 100), context=RequestContext("answer", "ann"))
        with pytest.raises(BudgetError, match=r"budget\.per_owner\.day_tokens is 250"):
            run_request(meter, RequestOutcome("ok"), context=RequestContext("answer", "ann"))
        run_request(meter, RequestOutcome("ok", 100, 100), context=RequestContext("answer", "bob"))
        with pytest.raises(BudgetError, match=r"budget\.day_tokens is 500"):
            run_request(meter, RequestOutcome("ok"), context=RequestContext("answer", "eve"))


def test_unknown_price_is_refused_by_a_budget_in_dollars(ledger: GatedLedger, clock: Clock) -> None:
    """The error says where to set the price; a budget in tokens accepts the request at an unknown cost."""
    request = ModelRequest("chat", ENDPOINT, "own", ["x"], max_output_tokens=1)
    with (
        open_meter(ledger, clock, total_budget(day_usd=1000.0)) as meter,
        pytest.raises(BudgetError, match=r'\[prices\."own"\]'),
    ):
        run_request(meter, RequestOutcome("ok", 1, 1), request)
    with open_meter(ledger, clock, total_budget(day_tokens=1000)) as meter:
        assert meter.estimate(request).max_nanousd is None
        assert run_request(meter, RequestOutcome("ok", 1, 1), request).cost_usd is None
    with open_meter(ledger, clock, total_budget(day_usd=1000.0), Price("own", "2026-01-01", 1.0)) as meter:
        assert run_request(meter, RequestOutcome("ok", 1, 1), request).cost_usd == 1e-6


# settlement


def test_tokens_counted_by_the_server_are_settled(ledger: GatedLedger, clock: Clock) -> None:
    """Tokens and cost are exact, in the ledger and in the context's counter."""
    context = RequestContext("answer", collection="hb", key="k1")
    with open_meter(ledger, clock) as meter:
        usage = run_request(meter, RequestOutcome("ok", 50, 7, 10, seconds=0.5), context=context)
    assert usage == Usage(50, 7, cached_tokens=10, cost_usd=(40 * 2000 + 10 * 500 + 7 * 10_000) / 1e9)
    assert (context.usage_counter.usage, context.usage_counter.requests) == (usage, 1)
    (row,) = ledger.usage("collection")
    assert (row.name, row.input_tokens, row.output_tokens, row.cached_tokens) == ("hb", 50, 7, 10)
    assert (row.cost_usd, row.estimated_requests) == (usage.cost_usd, 0)


def test_embedding_tokens_are_counted_apart_from_prompt_tokens(ledger: GatedLedger, clock: Clock) -> None:
    """There is no output to estimate, and the throughput is measured."""
    request = ModelRequest("embedding", ENDPOINT, "m", ["x" * 92])
    with open_meter(ledger, clock) as meter:
        usage = run_request(meter, RequestOutcome("ok", 50, seconds=0.5), request, RequestContext("ingest"))
    assert usage == Usage(embedding_tokens=50, cost_usd=1e-4)
    assert ledger.throughput("m") == 100


def test_the_batch_api_costs_half(ledger: GatedLedger, clock: Clock) -> None:
    """Both the estimate and the settled cost are halved."""
    request = ModelRequest("embedding", ENDPOINT, "m", ["x" * 92], is_batch=True)
    with open_meter(ledger, clock) as meter:
        assert meter.estimate(request).max_nanousd == 100 * 1000
        assert run_request(meter, RequestOutcome("ok", 50), request).cost_usd == 5e-5


@pytest.mark.parametrize(
    ("outcome", "outputs"),
    [
        (RequestOutcome("timeout"), 1),
        (RequestOutcome("broken off", None, None, output_characters=40), 11),
        (RequestOutcome("cancelled", None, None, output_characters=10**9), 100),
    ],
)
def test_usage_without_server_counts_is_estimated(
    ledger: GatedLedger, clock: Clock, outcome: RequestOutcome, outputs: int
) -> None:
    """Expected input, output by the received characters up to max_output_tokens, marked as estimated."""
    with open_meter(ledger, clock) as meter:
        expected = meter.estimate(REQUEST).tokens.expected
        usage = run_request(meter, outcome)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (expected, outputs, True)
    assert usage.cost_usd == (expected * 2000 + outputs * 10_000) / 1e9
    assert ledger.usage("day")[0].estimated_requests == 1
    assert ledger.token_ratios() == {}


def test_usage_with_only_input_counted_is_an_estimate(ledger: GatedLedger, clock: Clock) -> None:
    """The counted input is kept, and the usage is marked as estimated."""
    with open_meter(ledger, clock) as meter:
        usage = run_request(meter, RequestOutcome("broken off", 33, None, output_characters=8))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (33, 3, True)


def test_refused_request_costs_nothing(ledger: GatedLedger, clock: Clock) -> None:
    """The cost is 0 even if the price is unknown; the request is still a row."""
    with open_meter(ledger, clock, total_budget(day_tokens=200)) as meter:
        for model in ("m", "own"):
            usage = run_request(meter, NO_USAGE, ModelRequest("chat", ENDPOINT, model, ["x"], max_output_tokens=5))
            assert usage == Usage()
        assert run_request(meter, RequestOutcome("ok", 1, 1)).prompt_tokens == 1  # the budget is free again
    assert [(row.requests, row.cost_usd) for row in ledger.usage("day")] == [(3, 1.2e-5)]


def test_price_is_that_of_the_reservation_time(ledger: GatedLedger, clock: Clock) -> None:
    """A request that ends after midnight counts on the day before, at that day's price."""
    clock.now = MONDAY + DAY - 1
    next_price = Price("m", "2026-11-24", 200.0, 1000.0)

    async def run_over_midnight(meter: LedgerMeter) -> Usage:
        reservation = await meter.reserve(RequestContext("answer"), REQUEST)
        clock.now += 2
        return await meter.settle(reservation, RequestContext("answer"), REQUEST, RequestOutcome("ok", 1, 1))

    with open_meter(ledger, clock, None, PRICE, next_price) as meter:
        assert asyncio.run(run_over_midnight(meter)).cost_usd == 1.2e-5
        assert run_request(meter, RequestOutcome("ok", 1, 1)).cost_usd == 1.2e-3
    assert [row.name for row in ledger.usage("day")] == ["2026-11-23", "2026-11-24"]


def test_reservation_that_waited_past_midnight_counts_on_the_new_day(ledger: GatedLedger, clock: Clock) -> None:
    """Waiting requests use the budget of the new day."""

    async def reserve_twice(meter: LedgerMeter) -> None:
        await meter.reserve(RequestContext("answer"), REQUEST)
        second = asyncio.create_task(meter.reserve(RequestContext("answer"), REQUEST))
        await assert_waiting(second, ledger)
        clock.now = MONDAY + DAY
        await asyncio.wait_for(second, 5)

    clock.now = MONDAY + DAY - 1
    with open_meter(ledger, clock, total_budget(day_tokens=300)) as meter:
        asyncio.run(reserve_twice(meter))
    totals = read_totals(ledger.path)
    assert (totals[TODAY][2], totals["", "2026-11-24"][2]) == (200, 200)


def test_estimates_adapt_to_server_counts_and_persist(ledger: GatedLedger, clock: Clock) -> None:
    """Counts of a server correct the next estimate for that model only, also in the next process."""
    request = ModelRequest("embedding", ENDPOINT, "m", ["word " * 20_000])
    other_request = ModelRequest("embedding", ENDPOINT, "n", request.texts)
    with open_meter(ledger, clock) as meter:
        before, before_other = meter.estimate(request).tokens, meter.estimate(other_request).tokens
        run_request(meter, RequestOutcome("ok", 30_000), request)
        after = meter.estimate(request).tokens
        assert meter.estimate(other_request).tokens == before_other
    assert abs(before.expected - 30_000) > 5_000
    assert abs(after.expected - 30_000) < 1_000
    assert after.upper_bound == before.upper_bound
    with open_meter(ledger, clock) as reopened:
        assert reopened.estimate(request).tokens == after


@pytest.mark.parametrize(
    ("deadline", "batch", "seconds"), [(None, False, 600), (None, True, 24 * 3600), (5.0, False, 5), (5.0, True, 5)]
)
def test_reservation_expires_a_minute_after_its_deadline(
    ledger: GatedLedger, clock: Clock, deadline: float | None, batch: bool, seconds: int
) -> None:
    """The default deadline is ten minutes, and a day for a batch."""
    context = RequestContext("answer", deadline=None if deadline is None else time.monotonic() + deadline)
    request = ModelRequest("chat", ENDPOINT, "m", ["x"], max_output_tokens=5, is_batch=batch)
    with open_meter(ledger, clock) as meter:
        asyncio.run(meter.reserve(context, request))
        clock.now += seconds + 59
        assert ledger.usage("day") == []
        clock.now += 1
        assert ledger.usage("day")[0].estimated_requests == 1


def test_second_settlement_is_ignored(ledger: GatedLedger, clock: Clock) -> None:
    """The first outcome stays in the ledger."""

    async def settle_twice(meter: LedgerMeter) -> None:
        reservation = await meter.reserve(RequestContext("answer"), REQUEST)
        await meter.settle(reservation, RequestContext("answer"), REQUEST, RequestOutcome("ok", 5, 5))
        await meter.settle(reservation, RequestContext("answer"), REQUEST, RequestOutcome("ok", 9, 9))

    with open_meter(ledger, clock) as meter:
        asyncio.run(settle_twice(meter))
    assert read_totals(ledger.path)[TODAY] == (10, 60_000, 0, 0)


# cancellation


def test_settlement_completes_when_its_task_is_cancelled(ledger: GatedLedger, clock: Clock) -> None:
    """The usage is in the ledger and in the context's counter."""
    context = RequestContext("answer")

    async def cancel(meter: LedgerMeter) -> None:
        reservation = await meter.reserve(context, REQUEST)
        ledger.block()
        settling = asyncio.create_task(meter.settle(reservation, context, REQUEST, RequestOutcome("ok", 5, 5)))
        async with blocked_in_ledger(settling, ledger):
            settling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await settling

    with open_meter(ledger, clock) as meter:
        asyncio.run(cancel(meter))
    assert read_totals(ledger.path)[TODAY] == (10, 60_000, 0, 0)
    assert context.usage_counter.requests == 1
    assert not meter._reserved_at


def test_queued_settlement_completes_when_its_task_is_cancelled(ledger: GatedLedger, clock: Clock) -> None:
    """A settlement that has not started is not dropped."""

    async def cancel(meter: LedgerMeter) -> None:
        reservations = [await meter.reserve(RequestContext("answer"), REQUEST) for _ in range(2)]
        ledger.block()
        settling = [
            asyncio.create_task(
                meter.settle(reservation, RequestContext("answer"), REQUEST, RequestOutcome("ok", 5, 5))
            )
            for reservation in reservations
        ]
        async with blocked_in_ledger(settling[0], ledger):
            for task in settling:
                task.cancel()
            await asyncio.gather(*settling, return_exceptions=True)

    with open_meter(ledger, clock) as meter:
        asyncio.run(cancel(meter))
    assert read_totals(ledger.path)[TODAY] == (20, 120_000, 0, 0)


def test_reservation_of_a_cancelled_task_is_released(ledger: GatedLedger, clock: Clock) -> None:
    """A request that was not sent costs nothing and reserves nothing."""

    async def cancel(meter: LedgerMeter) -> None:
        ledger.block()
        reserving = asyncio.create_task(meter.reserve(RequestContext("answer"), REQUEST))
        async with blocked_in_ledger(reserving, ledger):
            reserving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reserving

    with open_meter(ledger, clock) as meter:
        asyncio.run(cancel(meter))
    assert not meter._reserved_at
    assert read_totals(ledger.path)[TODAY] == (0, 0, 0, 0)
    assert [(row.requests, row.cost_usd, row.estimated_requests) for row in ledger.usage("day")] == [(1, 0.0, 0)]


def test_queued_reservation_of_a_cancelled_task_is_not_made(ledger: GatedLedger, clock: Clock) -> None:
    """It adds no row, and no error is raised on the thread."""
    failures: list[BaseException | None] = []

    async def cancel(meter: LedgerMeter) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, details: failures.append(details.get("exception")))
        await meter.settle(
            await meter.reserve(RequestContext("answer"), REQUEST), RequestContext("answer"), REQUEST, NO_USAGE
        )
        ledger.block()
        waiting = [asyncio.create_task(meter.reserve(RequestContext("answer"), REQUEST)) for _ in range(3)]
        await asyncio.to_thread(ledger.has_arrived.wait, 10)
        for task in waiting[1:]:
            task.cancel()
        await asyncio.gather(*waiting[1:], return_exceptions=True)
        ledger.is_open.set()
        await meter.settle(await waiting[0], RequestContext("answer"), REQUEST, NO_USAGE)

    with open_meter(ledger, clock) as meter:
        asyncio.run(cancel(meter))
    assert not meter._reserved_at
    assert ledger.usage("day")[0].requests == 2
    assert failures == []


def test_release_accepts_every_outcome_of_a_reservation(
    ledger: GatedLedger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled in the queue, failed, no room, or granted."""
    with open_meter(ledger, clock) as meter:
        outcomes: list[Future[int | None]] = [Future() for _ in range(4)]
        outcomes[0].cancel()
        outcomes[1].set_exception(BudgetError("too much"))
        outcomes[2].set_result(None)
        outcomes[3].set_result(asyncio.run(meter.reserve(RequestContext("answer"), REQUEST)))
        for outcome in outcomes:
            meter._release(outcome)
        assert not meter._reserved_at
    assert read_totals(ledger.path)[TODAY] == (0, 0, 0, 0)
    assert caplog.records == []


def test_random_cancellation_leaves_no_reservation(ledger: GatedLedger, clock: Clock) -> None:
    """Of 200 requests, many of them cancelled, every one that was sent is settled, and no reservation is left."""
    sent = 0

    async def send(meter: LedgerMeter) -> None:
        nonlocal sent
        reservation = await meter.reserve(RequestContext("answer"), REQUEST)
        sent += 1
        outcome = RequestOutcome("cancelled", 1, 1)
        try:
            await asyncio.sleep(0.002)
            outcome = RequestOutcome("ok", 1, 1)
        finally:
            await meter.settle(reservation, RequestContext("answer"), REQUEST, outcome)

    async def send_all(meter: LedgerMeter) -> None:
        tasks = [asyncio.create_task(send(meter)) for _ in range(200)]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0.0001 * (number % 7))
            if number % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with open_meter(ledger, clock, total_budget(day_tokens=4000)) as meter:
        asyncio.run(send_all(meter))
    assert not meter._reserved_at
    assert sent >= 100
    assert read_totals(ledger.path)[TODAY] == (2 * sent, sent * 12_000, 0, 0)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_negative_max_output_tokens_do_not_increase_the_budget(ledger: GatedLedger, clock: Clock) -> None:
    """The settled usage is never negative."""
    with open_meter(ledger, clock) as meter:
        usage = run_request(
            meter,
            RequestOutcome("broken off", 33, None, output_characters=8),
            replace(REQUEST, max_output_tokens=-1000),
        )
    assert (usage.completion_tokens, usage.cost_usd) == (0, 66e-6)


def test_no_request_is_sent_without_a_writable_ledger(tmp_path: Path, clock: Clock) -> None:
    """The reservation fails, and the error names the folder."""
    (tmp_path / "file").touch()
    with (
        open_meter(LocalLedger(tmp_path / "file" / "indexes", clock=clock), clock) as meter,
        pytest.raises(StorageError, match="indexes"),
    ):
        asyncio.run(meter.reserve(RequestContext("answer"), REQUEST))
