"""Report settled requests to model servers as metrics: outcomes, seconds, tokens and cost."""

from ..core.metrics import Metrics
from ..core.types.usage import NANOUSD_PER_USD, ModelRequest, SettledUsage

_OUTCOMES = {
    "ok": "ok",
    "429": "rate_limited",
    "no connection": "connection",
    "broken off": "connection",
    "deadline": "timeout",
    "bad reply": "bad_reply",
    "too long": "bad_reply",
    "cancelled": "cancelled",
    "key changed": "client_error",
}
"""Outcome in the metrics by the status of a settled request."""


def report_model_request(metrics: Metrics, request: ModelRequest, settled: SettledUsage) -> None:
    """Report one request that has ended."""
    metrics.count("upstream_requests", (request.kind, classify_outcome(settled.status)))
    if not request.is_batch:
        metrics.observe("upstream_seconds", (request.kind,), settled.seconds)
    is_chat = request.kind == "chat"
    _count_tokens(metrics, "prompt" if is_chat else "embedding", settled.input_tokens)
    _count_tokens(metrics, "completion", settled.output_tokens)
    _count_tokens(metrics, "cached", settled.cached_tokens)
    if settled.cost_nanousd is None:
        metrics.count("upstream_unpriced_requests")
    elif settled.cost_nanousd > 0:
        metrics.count("upstream_cost_usd", (), settled.cost_nanousd / NANOUSD_PER_USD)


def classify_outcome(status: str) -> str:
    """Return the outcome in the metrics: one of `UPSTREAM_OUTCOMES`.

    >>> classify_outcome("503"), classify_outcome("no connection")
    ('server_error', 'connection')
    """
    if status in _OUTCOMES:
        return _OUTCOMES[status]
    if status.isdecimal() and 400 <= int(status) < 600:
        return "client_error" if int(status) < 500 else "server_error"
    return "other"


def _count_tokens(metrics: Metrics, kind: str, tokens: int) -> None:
    if tokens > 0:
        metrics.count("upstream_tokens", (kind,), tokens)
