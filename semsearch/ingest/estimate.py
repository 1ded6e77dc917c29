"""Adds up what an ingestion would ask of its embedder. Sends nothing and keeps nothing."""

from collections.abc import Callable, Sequence

from ..core.ports import Embedder, Ledger
from ..core.types.usage import Order, Plan, Quote, TokenRange

NANO = 1_000_000_000

PROBE = "how long is a vector?"
"""What a server is asked when a collection is made for a model of unknown length."""


class Planner:
    """Is told, batch by batch, which texts would be embedded together."""

    def __init__(self, embedder: Embedder, quote: Callable[[Order], Quote], ledger: Ledger) -> None:
        self._embedder = embedder
        self._quote = quote
        self._ledger = ledger
        self._texts: set[str] = set()
        self._sent = 0
        self._orders: list[tuple[str, Quote]] = []
        if not embedder.dim:
            self.add([PROBE])

    def add(self, texts: Sequence[str]) -> None:
        """Count these texts; one that stood in an earlier batch would be stored by then."""
        new = [text for text in texts if text not in self._texts]
        self._texts.update(new)
        orders = self._embedder.orders(new)
        self._sent += sum(len(order.texts) for order in orders)
        self._orders += [(order.model, self._quote(order)) for order in orders]

    def plan(self) -> Plan:
        """All of it together."""
        quotes = [quote for _, quote in self._orders]
        tokens = sum((quote.tokens for quote in quotes), TokenRange(0, 0))
        return Plan(
            texts=self._sent,
            requests=len(quotes),
            tokens=tokens,
            usd=_dollars([quote.likely_nano for quote in quotes]),
            usd_at_most=_dollars([quote.at_most_nano for quote in quotes]),
            seconds=self._seconds(tokens.likely),
        )

    def _seconds(self, tokens: int) -> float | None:
        if not self._orders:
            return 0.0
        pace = self._ledger.pace(self._orders[0][0])
        side_by_side = min(len(self._orders), self._embedder.concurrency)
        return None if pace is None else round(tokens / pace / side_by_side, 1)


def _dollars(costs: Sequence[int | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) / NANO if len(known) == len(costs) else None
