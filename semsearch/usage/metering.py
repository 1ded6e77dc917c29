"""Stands between every request and its bill: holds the worst case against the budgets, and books what it was.

Estimates tokens, looks up prices and keeps everything in the ledger, on a thread of its own. Sends nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from ..core.errors import OverBudget
from ..core.ports import Ledger
from ..core.types.usage import (
    LOCAL,
    Bill,
    Budget,
    Errand,
    Grouping,
    Held,
    Limits,
    Order,
    Price,
    Quote,
    Receipt,
    Said,
    Spent,
    Standing,
    TokenRange,
    Usage,
)
from .pricing import NANO, Prices, cost
from .token_estimates import lesson, token_range

EVERYONE = ""
DEFAULT_SECONDS = 600.0
"""How long a request may take whose errand has no deadline."""

BATCH_SECONDS = 86_400.0
"""The same for the Batch API."""

GRACE_SECONDS = 60.0
"""How long after its deadline the end of a request may still be booked before it is given up."""

WAIT_SECONDS = 30.0
"""How long a request waits at most for others to give back what they hold of a budget."""

AGAIN_SECONDS = 5.0
"""After which it may be tried again where others were in the way."""

_POLL_SECONDS = 0.25
_CHARACTERS_PER_TOKEN = 4
_NEVER_SENT = Spent("cancelled", 0, 0, 0, 0, False)


class Meter:
    """ports.Meter over a ledger."""

    def __init__(
        self, ledger: Ledger, prices: Prices, budget: Budget, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._budget = budget
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "semsearch-ledger")
        self._lessons: dict[str, dict[str, tuple[float, float]]] | None = None
        self._began: dict[int, float] = {}
        """When each request under way was reserved: its price is that of this moment, also after midnight."""
        self._settled = asyncio.Event()
        """Set when the next request ends, and then replaced by another."""

    def quote(self, order: Order) -> Quote:
        """What the request will likely cost, and at most."""
        tokens = self._tokens(order)
        price = self._price(order, self._clock())
        return Quote(
            tokens,
            cost(price, tokens.likely, batch=order.batch),
            cost(price, tokens.at_most, order.max_output, batch=order.batch),
        )

    async def reserve(self, errand: Errand, order: Order) -> int:
        """Hold what the request may cost at most; OverBudget if that is too much, or others hold it for too long."""
        until = time.monotonic() + WAIT_SECONDS
        if errand.deadline is not None:
            until = min(until, errand.deadline)
        held = await asyncio.wrap_future(self._thread.submit(self._held, errand, order))
        while True:
            next_end = self._settled
            reservation = await self._try(held)
            if reservation is not None:
                return reservation
            left = until - time.monotonic()
            if left <= 0:
                held_by_others = "what is left of the budget is held by other requests; try again when they are done"
                raise OverBudget(held_by_others, seconds=AGAIN_SECONDS)
            with suppress(TimeoutError):  # requests of other processes do not tell when they end
                await asyncio.wait_for(next_end.wait(), min(left, _POLL_SECONDS))

    async def settle(self, reservation: int, errand: Errand, order: Order, receipt: Receipt) -> Usage:
        """Book what the request did cost, count it in the errand's tally, and learn from what the server counted.

        It is done even if whoever waits for it is cancelled.
        """
        booking = asyncio.wrap_future(self._thread.submit(self._settle, reservation, errand, order, receipt))
        booking.add_done_callback(lambda _: self._wake())
        return await asyncio.shield(booking)

    def close(self) -> None:
        """Wait for what is being booked."""
        self._thread.shutdown()

    async def _try(self, held: Held) -> int | None:
        """Reserve it as of now; what is reserved for someone who has left meanwhile is given back."""
        reserving = self._thread.submit(self._reserve, held)
        try:
            return await asyncio.wrap_future(reserving)
        except asyncio.CancelledError:
            self._thread.submit(self._give_back, reserving)
            raise

    def _wake(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()

    def _held(self, errand: Errand, order: Order) -> Held:
        now = self._clock()
        longest = BATCH_SECONDS if order.batch else DEFAULT_SECONDS
        left = longest if errand.deadline is None else max(0.0, errand.deadline - time.monotonic())
        return Held(errand, order, self.quote(order), now, now + left + GRACE_SECONDS)

    def _reserve(self, held: Held) -> int | None:
        """Reserve it as of now: it may have waited past midnight."""
        now = self._clock()
        limits = {EVERYONE: self._budget.overall, held.errand.owner: self._budget.per_key}
        reservation = self._ledger.reserve(replace(held, now=now), limits)
        if reservation is not None:
            self._began[reservation] = now
        return reservation

    def _give_back(self, reserving: "Future[int | None]") -> None:
        """Book nothing for what was reserved, if it came to that: it runs behind it on the same thread."""
        if reserving.cancelled() or reserving.exception() is not None:
            return
        reservation = reserving.result()
        if reservation is not None:
            self._began.pop(reservation, None)
            self._ledger.settle(reservation, _NEVER_SENT)

    def _settle(self, reservation: int, errand: Errand, order: Order, receipt: Receipt) -> Usage:
        spent = self._spent(order, receipt, self._began.pop(reservation, 0.0) or self._clock())
        self._ledger.settle(reservation, spent)
        known = self._learned().setdefault(order.model, {})
        for script, (characters, counted) in spent.lesson.items():
            before = known.get(script, (0.0, 0.0))
            known[script] = (before[0] + characters, before[1] + counted)
        usage = _usage(order, spent)
        errand.tally.add(usage)
        return usage

    def _spent(self, order: Order, receipt: Receipt, began: float) -> Spent:
        inputs, outputs, chat = receipt.input_tokens, receipt.output_tokens, order.kind == "chat"
        most = max(0, order.max_output)  # nothing that is booked may give a budget back
        estimated = inputs is None or (chat and outputs is None)
        if inputs is None:
            inputs = self._tokens(order).likely
        if outputs is None:
            outputs = min(receipt.written // _CHARACTERS_PER_TOKEN + 1, most) if chat else 0
        nano = cost(self._price(order, began), inputs, outputs, receipt.cached_tokens, batch=order.batch)
        learned = self._learned().get(order.model, {})
        return Spent(
            receipt.outcome,
            inputs,
            outputs,
            receipt.cached_tokens,
            nano if inputs + outputs else 0,
            estimated,
            receipt.seconds,
            receipt.headroom,
            lesson(order.texts, inputs, learned) if receipt.input_tokens else {},
        )

    def _price(self, order: Order, now: float) -> Price | None:
        return self._prices.find(order.endpoint, order.model, now)

    def _tokens(self, order: Order) -> TokenRange:
        return token_range(order.texts, self._learned().get(order.model, {}))

    def _learned(self) -> dict[str, dict[str, tuple[float, float]]]:
        if self._lessons is None:
            stored: Mapping[str, Mapping[str, tuple[float, float]]] = self._ledger.lessons()
            self._lessons = {model: dict(scripts) for model, scripts in stored.items()}
        return self._lessons


def bill(
    ledger: Ledger, budget: Budget, by: Grouping, since: str | None = None, *, owner: str | None, overall: bool
) -> Bill:
    """What was spent by an owner, or by all (None), what is left of their budgets, and what servers said last."""
    standings = [*_standings("budget", EVERYONE, ledger, budget.overall)] if overall else []
    standings += _standings("budget.per_key", owner or LOCAL.owner, ledger, budget.per_key)
    said = [Said(endpoint, model, headroom) for (endpoint, model), headroom in ledger.headroom().items()]
    return Bill(by, ledger.usage(by, owner, since), standings, said)


def _standings(name: str, owner: str, ledger: Ledger, limits: Limits) -> Iterator[Standing]:
    (day, of_day), (month, of_month) = ledger.spent(owner).items()
    for kind, period, spent, limit in (
        ("day_tokens", day, of_day[0], limits.day_tokens),
        ("day_usd", day, of_day[1], limits.day_usd),
        ("month_tokens", month, of_month[0], limits.month_tokens),
        ("month_usd", month, of_month[1], limits.month_usd),
    ):
        if limit is not None:
            yield Standing(f"{name}.{kind}", period, spent, limit)


def _usage(order: Order, spent: Spent) -> Usage:
    chat = order.kind == "chat"
    return Usage(
        prompt_tokens=spent.input_tokens if chat else 0,
        completion_tokens=spent.output_tokens if chat else 0,
        embedding_tokens=0 if chat else spent.input_tokens,
        cached_tokens=spent.cached_tokens,
        cost_usd=None if spent.cost_nano is None else spent.cost_nano / NANO,
        estimated=spent.estimated,
    )
