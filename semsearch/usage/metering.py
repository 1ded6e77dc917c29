"""Stands between every request and its bill: holds the worst case against the budgets, and books what it was.

Estimates tokens, looks up prices and keeps everything in the ledger, on a thread of its own. Sends nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from ..core.errors import BudgetError
from ..core.ports import Ledger
from ..core.types.usage import (
    LOCAL_CALLER,
    Budget,
    BudgetLimits,
    BudgetStatus,
    CostEstimate,
    ModelRateLimits,
    ModelRequest,
    Price,
    RequestContext,
    RequestOutcome,
    Reservation,
    SettledUsage,
    TokenEstimate,
    Usage,
    UsageGroupBy,
    UsageReport,
)
from .pricing import NANOUSD_PER_USD, PriceTable, compute_cost
from .token_estimates import estimate_tokens, sample_tokenizer

ALL_OWNERS = ""
REQUEST_TIMEOUT_SECONDS = 600.0
"""How long a request may take whose errand has no deadline."""

BATCH_TIMEOUT_SECONDS = 86_400.0
"""The same for the Batch API."""

GRACE_SECONDS = 60.0
"""How long after its deadline the end of a request may still be booked before it is given up."""

BUDGET_WAIT_SECONDS = 30.0
"""How long a request waits at most for others to give back what they hold of a budget."""

RETRY_AFTER_SECONDS = 5.0
"""After which it may be tried again where others were in the way."""

_POLL_SECONDS = 0.25
_CHARACTERS_PER_TOKEN = 4
_UNSENT_USAGE = SettledUsage("cancelled", 0, 0, 0, 0, False)


class LedgerMeter:
    """ports.Meter over a ledger."""

    def __init__(
        self, ledger: Ledger, prices: PriceTable, budget: Budget, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._budget = budget
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, "semsearch-ledger")
        self._token_ratios: dict[str, dict[str, tuple[float, float]]] | None = None
        self._reserved_at: dict[int, float] = {}
        """When each request under way was reserved: its price is that of this moment, also after midnight."""
        self._settled_event = asyncio.Event()
        """Set when the next request ends, and then replaced by another."""

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """What the request will likely cost, and at most."""
        tokens = self._estimate_tokens(request)
        price = self._find_price(request, self._clock())
        return CostEstimate(
            tokens,
            compute_cost(price, tokens.expected, is_batch=request.is_batch),
            compute_cost(price, tokens.upper_bound, request.max_output_tokens, is_batch=request.is_batch),
        )

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """Hold what the request may cost at most; OverBudget if that is too much, or others hold it for too long."""
        until = time.monotonic() + BUDGET_WAIT_SECONDS
        if context.deadline is not None:
            until = min(until, context.deadline)
        reservation = await asyncio.wrap_future(self._executor.submit(self._build_reservation, context, request))
        while True:
            next_end = self._settled_event
            reservation_id = await self._try_reserve(reservation)
            if reservation_id is not None:
                return reservation_id
            left = until - time.monotonic()
            if left <= 0:
                message = "what is left of the budget is held by other requests; try again when they are done"
                raise BudgetError(message, retry_after_seconds=RETRY_AFTER_SECONDS)
            with suppress(TimeoutError):  # requests of other processes do not tell when they end
                await asyncio.wait_for(next_end.wait(), min(left, _POLL_SECONDS))

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """Book what the request did cost, count it in the errand's tally, and learn from what the server counted.

        It is done even if whoever waits for it is cancelled.
        """
        booking = asyncio.wrap_future(self._executor.submit(self._settle, reservation_id, context, request, outcome))
        booking.add_done_callback(lambda _: self._notify_waiting())
        return await asyncio.shield(booking)

    def close(self) -> None:
        """Wait for what is being booked."""
        self._executor.shutdown()

    async def _try_reserve(self, reservation: Reservation) -> int | None:
        """Reserve it as of now; what is reserved for someone who has left meanwhile is given back."""
        reserving = self._executor.submit(self._reserve, reservation)
        try:
            return await asyncio.wrap_future(reserving)
        except asyncio.CancelledError:
            self._executor.submit(self._release, reserving)
            raise

    def _notify_waiting(self) -> None:
        self._settled_event.set()
        self._settled_event = asyncio.Event()

    def _build_reservation(self, context: RequestContext, request: ModelRequest) -> Reservation:
        now = self._clock()
        timeout = BATCH_TIMEOUT_SECONDS if request.is_batch else REQUEST_TIMEOUT_SECONDS
        left = timeout if context.deadline is None else max(0.0, context.deadline - time.monotonic())
        return Reservation(context, request, self.estimate(request), now, now + left + GRACE_SECONDS)

    def _reserve(self, reservation: Reservation) -> int | None:
        """Reserve it as of now: it may have waited past midnight."""
        now = self._clock()
        limits = {ALL_OWNERS: self._budget.total, reservation.context.owner: self._budget.per_owner}
        reservation_id = self._ledger.reserve(replace(reservation, created_at=now), limits)
        if reservation_id is not None:
            self._reserved_at[reservation_id] = now
        return reservation_id

    def _release(self, reserving: "Future[int | None]") -> None:
        """Book nothing for what was reserved, if it came to that: it runs behind it on the same thread."""
        if reserving.cancelled() or reserving.exception() is not None:
            return
        reservation_id = reserving.result()
        if reservation_id is not None:
            self._reserved_at.pop(reservation_id, None)
            self._ledger.settle(reservation_id, _UNSENT_USAGE)

    def _settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        settled = self._settled_usage(request, outcome, self._reserved_at.pop(reservation_id, 0.0) or self._clock())
        self._ledger.settle(reservation_id, settled)
        ratios = self._load_token_ratios().setdefault(request.model, {})
        for script, (characters, counted) in settled.tokenizer_sample.items():
            before = ratios.get(script, (0.0, 0.0))
            ratios[script] = (before[0] + characters, before[1] + counted)
        usage = _to_usage(request, settled)
        context.usage_counter.add(usage)
        return usage

    def _settled_usage(self, request: ModelRequest, outcome: RequestOutcome, reserved_at: float) -> SettledUsage:
        inputs, outputs, chat = outcome.input_tokens, outcome.output_tokens, request.kind == "chat"
        max_output = max(0, request.max_output_tokens)  # nothing that is booked may give a budget back
        estimated = inputs is None or (chat and outputs is None)
        if inputs is None:
            inputs = self._estimate_tokens(request).expected
        if outputs is None:
            outputs = min(outcome.output_characters // _CHARACTERS_PER_TOKEN + 1, max_output) if chat else 0
        cost_nanousd = compute_cost(
            self._find_price(request, reserved_at), inputs, outputs, outcome.cached_tokens, is_batch=request.is_batch
        )
        ratios = self._load_token_ratios().get(request.model, {})
        return SettledUsage(
            outcome.status,
            inputs,
            outputs,
            outcome.cached_tokens,
            cost_nanousd if inputs + outputs else 0,
            estimated,
            outcome.seconds,
            outcome.rate_limits,
            sample_tokenizer(request.texts, inputs, ratios) if outcome.input_tokens else {},
        )

    def _find_price(self, request: ModelRequest, now: float) -> Price | None:
        return self._prices.find(request.endpoint, request.model, now)

    def _estimate_tokens(self, request: ModelRequest) -> TokenEstimate:
        return estimate_tokens(request.texts, self._load_token_ratios().get(request.model, {}))

    def _load_token_ratios(self) -> dict[str, dict[str, tuple[float, float]]]:
        if self._token_ratios is None:
            stored: Mapping[str, Mapping[str, tuple[float, float]]] = self._ledger.token_ratios()
            self._token_ratios = {model: dict(scripts) for model, scripts in stored.items()}
        return self._token_ratios


def build_usage_report(
    ledger: Ledger,
    budget: Budget,
    by: UsageGroupBy,
    since: str | None = None,
    *,
    owner: str | None,
    include_total: bool,
) -> UsageReport:
    """What was spent by an owner, or by all (None), what is left of their budgets, and what servers said last."""
    statuses = [*_budget_statuses("budget", ALL_OWNERS, ledger, budget.total)] if include_total else []
    statuses += _budget_statuses("budget.per_owner", owner or LOCAL_CALLER.owner, ledger, budget.per_owner)
    rate_limits = [
        ModelRateLimits(endpoint, model, headroom) for (endpoint, model), headroom in ledger.rate_limits().items()
    ]
    return UsageReport(by, ledger.usage(by, owner, since), statuses, rate_limits)


def _budget_statuses(name: str, owner: str, ledger: Ledger, limits: BudgetLimits) -> Iterator[BudgetStatus]:
    (day, of_day), (month, of_month) = ledger.spend(owner).items()
    for kind, period, spent, limit in (
        ("day_tokens", day, of_day[0], limits.day_tokens),
        ("day_usd", day, of_day[1], limits.day_usd),
        ("month_tokens", month, of_month[0], limits.month_tokens),
        ("month_usd", month, of_month[1], limits.month_usd),
    ):
        if limit is not None:
            yield BudgetStatus(f"{name}.{kind}", period, spent, limit)


def _to_usage(request: ModelRequest, settled: SettledUsage) -> Usage:
    chat = request.kind == "chat"
    return Usage(
        prompt_tokens=settled.input_tokens if chat else 0,
        completion_tokens=settled.output_tokens if chat else 0,
        embedding_tokens=0 if chat else settled.input_tokens,
        cached_tokens=settled.cached_tokens,
        cost_usd=None if settled.cost_nanousd is None else settled.cost_nanousd / NANOUSD_PER_USD,
        estimated=settled.estimated,
    )
