"""Estimate the requests, tokens and cost of an ingestion. Sends and stores nothing."""

from collections.abc import Callable, Sequence

from ..core.ports import Embedder, Ledger
from ..core.types.usage import NANOUSD_PER_USD, CostEstimate, IngestEstimate, ModelRequest, TokenEstimate

DIMENSION_PROBE_TEXT = "how long is a vector?"
"""Text sent to a server to learn the dimension of its model when a collection is created."""


class CostEstimator:
    """Add up the estimated requests of the batches that an ingestion would embed."""

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
        """Add one batch of texts; a text of an earlier batch counts once, because it would be stored by then."""
        new_texts = [text for text in texts if text not in self._texts]
        self._texts.update(new_texts)
        requests = self._embedder.plan_requests(new_texts)
        self._text_count += sum(len(request.texts) for request in requests)
        self._request_estimates += [(request.model, self._estimate_cost(request)) for request in requests]

    def estimate(self) -> IngestEstimate:
        """Return the totals of all batches."""
        cost_estimates = [cost for _, cost in self._request_estimates]
        tokens = sum((cost.tokens for cost in cost_estimates), TokenEstimate(0, 0))
        return IngestEstimate(
            texts=self._text_count,
            requests=len(cost_estimates),
            tokens=tokens,
            usd=_sum_usd([cost.expected_nanousd for cost in cost_estimates]),
            max_usd=_sum_usd([cost.max_nanousd for cost in cost_estimates]),
            seconds=self._estimate_seconds(tokens.expected),
        )

    def _estimate_seconds(self, tokens: int) -> float | None:
        if not self._request_estimates:
            return 0.0
        tokens_per_second = self._ledger.throughput(self._request_estimates[0][0])
        parallel_requests = min(len(self._request_estimates), self._embedder.concurrency)
        return None if tokens_per_second is None else round(tokens / tokens_per_second / parallel_requests, 1)


def _sum_usd(costs: Sequence[int | None]) -> float | None:
    known_costs = [cost for cost in costs if cost is not None]
    return sum(known_costs) / NANOUSD_PER_USD if len(known_costs) == len(costs) else None
