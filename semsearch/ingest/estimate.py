"""Adds up what an ingestion would ask of its embedder. Sends nothing and keeps nothing."""

from collections.abc import Callable, Sequence

from ..core.ports import Embedder, Ledger
from ..core.types.usage import NANOUSD_PER_USD, CostEstimate, IngestEstimate, ModelRequest, TokenEstimate

DIMENSION_PROBE_TEXT = "how long is a vector?"
"""What a server is asked when a collection is made for a model of unknown length."""


class CostEstimator:
    """Is told, batch by batch, which texts would be embedded together."""

    def __init__(
        self, embedder: Embedder, estimate_cost: Callable[[ModelRequest], CostEstimate], ledger: Ledger
    ) -> None:
        self._embedder = embedder
        self._estimate_cost = estimate_cost
        self._ledger = ledger
        self._texts: set[str] = set()
        self._text_count = 0
        self._request_estimates: list[tuple[str, CostEstimate]] = []
        if not embedder.dim:
            self.add([DIMENSION_PROBE_TEXT])

    def add(self, texts: Sequence[str]) -> None:
        """Count these texts; one that stood in an earlier batch would be stored by then."""
        new = [text for text in texts if text not in self._texts]
        self._texts.update(new)
        requests = self._embedder.plan_requests(new)
        self._text_count += sum(len(order.texts) for order in requests)
        self._request_estimates += [(order.model, self._estimate_cost(order)) for order in requests]

    def estimate(self) -> IngestEstimate:
        """All of it together."""
        quotes = [quote for _, quote in self._request_estimates]
        tokens = sum((quote.tokens for quote in quotes), TokenEstimate(0, 0))
        return IngestEstimate(
            texts=self._text_count,
            requests=len(quotes),
            tokens=tokens,
            usd=_sum_usd([quote.expected_nanousd for quote in quotes]),
            max_usd=_sum_usd([quote.max_nanousd for quote in quotes]),
            seconds=self._estimate_seconds(tokens.expected),
        )

    def _estimate_seconds(self, tokens: int) -> float | None:
        if not self._request_estimates:
            return 0.0
        pace = self._ledger.throughput(self._request_estimates[0][0])
        side_by_side = min(len(self._request_estimates), self._embedder.concurrency)
        return None if pace is None else round(tokens / pace / side_by_side, 1)


def _sum_usd(costs: Sequence[int | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) / NANOUSD_PER_USD if len(known) == len(costs) else None
