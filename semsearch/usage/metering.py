"""The meter: reserve the maximum cost of each request before it is sent, and settle its usage afterwards.

Estimates tokens, looks up prices and writes to the ledger on a thread of its own. Sends no request.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from ..core.errors import BudgetError
from ..core.metrics import Metrics, NoMetrics
from ..core.ports import Ledger
from ..core.types.usage import (
    ALL_OWNERS,
    NANOUSD_PER_USD,
    Budget,
    CostEstimate,
    ModelRequest,
    Price,
    RequestContext,
    RequestOutcome,
    Reservation,
    SettledUsage,
    TokenEstimate,
    Usage,
    key_owner,
)
from .model_metrics import report_model_request
from .pricing import PriceTable, compute_cost
from .token_estimates import estimate_tokens, sample_tokenizer

REQUEST_TIMEOUT_SECONDS = 600.0
"""Deadline of a request whose context has none."""

BATCH_TIMEOUT_SECONDS = 86_400.0
"""Deadline of a batch whose context has none."""

GRACE_SECONDS = 60.0
"""How long after its deadline a request can be settled before its reservation expires."""

BUDGET_WAIT_SECONDS = 30.0
"""How long a request waits for the reservations of other requests to be settled."""

RETRY_AFTER_SECONDS = 5.0
"""Retry-After of a request that waited in vain for other reservations."""

_POLL_SECONDS = 0.25
_CHARACTERS_PER_TOKEN = 4
_UNSENT_USAGE = SettledUsage("cancelled", 0, 0, 0, 0, False)


class LedgerMeter:
    """Implement ports.Meter with a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceTable,
        budget: Budget,
        *,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.time,
        on_settled: Callable[[RequestContext, int], None] = lambda context, tokens: None,
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics or NoMetrics()
        self._prices = prices
        self._budget = budget
        self._clock = clock
        self._on_settled = on_settled
        """Called with the tokens of each settled request, on the ledger thread."""
        self._executor = ThreadPoolExecutor(1, "semsearch-ledger")
        self._token_ratios: dict[str, dict[str, tuple[float, float]]] | None = None
        self._reserved_at: dict[int, float] = {}
        """When each open reservation was made: the price of that time applies, also after midnight."""
        self._settled_event = asyncio.Event()
        """Set when the next request is settled, and then replaced by a new event."""

    def estimate(self, request: ModelRequest) -> CostEstimate:
        """Return the expected and the maximum tokens and cost of a request."""
        tokens = self._estimate_tokens(request)
        price = self._find_price(request, self._clock())
        return CostEstimate(
            tokens,
            compute_cost(price, tokens.expected, is_batch=request.is_batch),
            compute_cost(price, tokens.upper_bound, request.max_output_tokens, is_batch=request.is_batch),
        )

    async def reserve(self, context: RequestContext, request: ModelRequest) -> int:
        """Reserve the maximum cost of a request; return the id of the reservation.

        BudgetError if it exceeds a budget, or if the reservations of other requests leave no room for too long. A
        check of a sentence does not wait: the answer that waits for it holds a reservation itself.
        """
        wait_end = time.monotonic() + (0.0 if context.purpose == "check" else BUDGET_WAIT_SECONDS)
        if context.deadline is not None:
            wait_end = min(wait_end, context.deadline)
        reservation = await asyncio.wrap_future(self._executor.submit(self._build_reservation, context, request))
        while True:
            settled = self._settled_event
            reservation_id = await self._try_reserve(reservation)
            if reservation_id is not None:
                return reservation_id
            remaining = wait_end - time.monotonic()
            if remaining <= 0:
                message = "the rest of the budget is reserved by other requests; try again when they have ended"
                raise BudgetError(message, retry_after_seconds=RETRY_AFTER_SECONDS)
            with suppress(TimeoutError):  # requests of other processes do not set the event, so poll
                await asyncio.wait_for(settled.wait(), min(remaining, _POLL_SECONDS))

    async def settle(
        self, reservation_id: int, context: RequestContext, request: ModelRequest, outcome: RequestOutcome
    ) -> Usage:
        """Settle a reservation, count the usage in the context, and adapt the token ratios to the server's counts.

        This completes even if the waiting task is cancelled.
        """
        settling = asyncio.wrap_future(self._executor.submit(self._settle, reservation_id, context, request, outcome))
        settling.add_done_callback(lambda _: self._notify_waiting())
        return await asyncio.shield(settling)

    def close(self) -> None:
        """Finish the pending settlements."""
        self._executor.shutdown()

    async def _try_reserve(self, reservation: Reservation) -> int | None:
        """Reserve it now; None if other reservations leave no room. Release it if the task is cancelled."""
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
        remaining = timeout if context.deadline is None else max(0.0, context.deadline - time.monotonic())
        return Reservation(context, request, self.estimate(request), now, now + remaining + GRACE_SECONDS)

    def _reserve(self, reservation: Reservation) -> int | None:
        """Reserve it with the present time: the request may have waited past midnight."""
        now = self._clock()
        context = reservation.context
        limits = {ALL_OWNERS: self._budget.total, context.owner: self._budget.per_owner}
        if context.key is not None and context.key_budget is not None:
            limits[key_owner(context.key)] = context.key_budget
        reservation_id = self._ledger.reserve(replace(reservation, created_at=now), limits)
        if reservation_id is not None:
            self._reserved_at[reservation_id] = now
        return reservation_id

    def _release(self, reserving: "Future[int | None]") -> None:
        """Settle a reservation with no usage, if it was made; runs after `reserving` on the same thread."""
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
        self._on_settled(context, settled.input_tokens + settled.output_tokens)
        report_model_request(self._metrics, request, settled)
        ratios = self._load_token_ratios().setdefault(request.model, {})
        for script, (characters, tokens) in settled.tokenizer_sample.items():
            old_characters, old_tokens = ratios.get(script, (0.0, 0.0))
            ratios[script] = (old_characters + characters, old_tokens + tokens)
        usage = _to_usage(request, settled)
        context.usage_counter.add(usage)
        return usage

    def _settled_usage(self, request: ModelRequest, outcome: RequestOutcome, reserved_at: float) -> SettledUsage:
        inputs, outputs, is_chat = outcome.input_tokens, outcome.output_tokens, request.kind == "chat"
        max_output = max(0, request.max_output_tokens)  # usage below 0 would increase the budget
        is_estimated = inputs is None or (is_chat and outputs is None)
        if inputs is None:
            inputs = self._estimate_tokens(request).expected
        if outputs is None:
            outputs = min(outcome.output_characters // _CHARACTERS_PER_TOKEN + 1, max_output) if is_chat else 0
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
            is_estimated,
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


def _to_usage(request: ModelRequest, settled: SettledUsage) -> Usage:
    is_chat = request.kind == "chat"
    return Usage(
        prompt_tokens=settled.input_tokens if is_chat else 0,
        completion_tokens=settled.output_tokens if is_chat else 0,
        embedding_tokens=0 if is_chat else settled.input_tokens,
        cached_tokens=settled.cached_tokens,
        cost_usd=None if settled.cost_nanousd is None else settled.cost_nanousd / NANOUSD_PER_USD,
        estimated=settled.estimated,
    )
