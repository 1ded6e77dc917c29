"""Metrics of a running service: their names and labels, and the port through which all layers report them.

Labels have fixed values: no label holds a path, an owner, a key, the name of a collection, or a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

CounterName = Literal[
    "http_requests",
    "http_shed",
    "http_rate_limited",
    "query_cache_lookups",
    "index_generations",
    "upstream_requests",
    "upstream_tokens",
    "upstream_cost_usd",
    "upstream_unpriced_requests",
]
HistogramName = Literal["stage_seconds", "upstream_seconds"]
GaugeName = Literal[
    "http_queue_depth",
    "http_open_connections",
    "index_collections",
    "index_chunks",
    "index_pending_chunks",
    "build_info",
]
MetricName = CounterName | HistogramName | GaugeName
GaugeSum = Literal["sum", "max"]
"""How the values of several worker processes are joined."""

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds, from a search without a model server to the longest answer."""

Operation = Literal["search", "ask"]

QUEUE_KINDS = ("search", "ask", "model", "read", "write")
UPSTREAM_KINDS = ("embedding", "chat")
UPSTREAM_OUTCOMES = (
    "ok", "rate_limited", "client_error", "server_error", "connection", "timeout", "bad_reply", "cancelled", "other",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its help text, its labels, and the combinations of label values that it may have."""

    help: str
    labels: tuple[str, ...] = ()
    series: tuple[tuple[str, ...], ...] | None = ((),)
    """All combinations of label values; None if they follow from the table of routes or from the version."""
    gauge_sum: GaugeSum = "sum"


def _each(values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


COUNTERS: Mapping[CounterName, Metric] = {
    "http_requests": Metric(
        "Requests, by route template, method and class of the status (none: the client left before the response).",
        ("route", "method", "status"),
        None,
    ),
    "http_shed": Metric(
        "Requests refused with 503 because a queue or the table of connections was full.",
        ("kind",),
        _each((*QUEUE_KINDS, "connection")),
    ),
    "http_rate_limited": Metric(
        "Requests refused with 429, by a rate limit or by a budget.", ("reason",), _each(("rate_limited", "budget"))
    ),
    "query_cache_lookups": Metric(
        "Look-ups of queries in the cache of query vectors.", ("result",), _each(("hit", "miss"))
    ),
    "index_generations": Metric("Generations of indexes that this service published."),
    "upstream_requests": Metric(
        "Requests to model servers, by kind and outcome.",
        ("kind", "outcome"),
        tuple((kind, outcome) for kind in UPSTREAM_KINDS for outcome in UPSTREAM_OUTCOMES),
    ),
    "upstream_tokens": Metric(
        "Tokens that model servers processed; cached ones are a part of prompt.",
        ("kind",),
        _each(("prompt", "completion", "embedding", "cached")),
    ),
    "upstream_cost_usd": Metric("Cost of requests to model servers in US dollars, where the price is known."),
    "upstream_unpriced_requests": Metric("Requests to model servers whose price is unknown."),
}

HISTOGRAMS: Mapping[HistogramName, Metric] = {
    "stage_seconds": Metric(
        "Seconds of successful searches and answers: in total over HTTP, and in each stage.",
        ("operation", "stage"),
        (
            *(("search", stage) for stage in ("total", "embed", "retrieve")),
            *(("ask", stage) for stage in ("total", "embed", "retrieve", "rerank", "generate")),
        ),
    ),
    "upstream_seconds": Metric("Seconds of requests to model servers.", ("kind",), _each(UPSTREAM_KINDS)),
}

GAUGES: Mapping[GaugeName, Metric] = {
    "http_queue_depth": Metric("Requests that are being served or wait, by queue.", ("kind",), _each(QUEUE_KINDS)),
    "http_open_connections": Metric("Open connections of clients."),
    "index_collections": Metric(
        "Open collections, by the state of their index.",
        ("state",),
        _each(("current", "behind", "damaged", "none")),
        "max",
    ),
    "index_chunks": Metric("Chunks of the open collections that their index covers.", gauge_sum="max"),
    "index_pending_chunks": Metric(
        "Chunks of the open collections that their index does not cover yet.", gauge_sum="max"
    ),
    "build_info": Metric("The version that runs; the value is 1.", ("version",), None, "max"),
}


class Metrics(Protocol):
    """Receives what happens. `labels` are in the order of the table; none of the methods raises an error."""

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter."""

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""


class NoMetrics:
    """Drops everything: what a program and the command line report to."""

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Do nothing."""

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Do nothing."""

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Do nothing."""


class MetricsRelay:
    """Passes everything on to a target, which the service sets after the library was made."""

    __slots__ = ("target",)

    def __init__(self) -> None:
        self.target: Metrics = NoMetrics()

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter of the target."""
        self.target.count(name, labels, amount)

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram of the target."""
        self.target.observe(name, labels, value)

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge of the target."""
        self.target.set(name, labels, value)
