"""Metrics in memory, and the parsed metrics of a service."""

from collections import defaultdict

import httpx
from prometheus_client.parser import text_string_to_metric_families

from semsearch.core.metrics import CounterName, GaugeName, HistogramName

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name of the sample, and its labels with their values."""


class RecordingMetrics:
    """Adds up what is reported; a histogram has the sum of its values, a gauge the last one."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = defaultdict(float)

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter."""
        self.values[name, *labels] += amount

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""
        self.values[name, *labels] += value

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        self.values[name, *labels] = value


def parse_series(text: str) -> Series:
    """Return all samples of an exposition; a sample that stands there twice is an error."""
    series: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in series, key
            series[key] = sample.value
    return series


def read_series(client: httpx.Client) -> Series:
    """Scrape a service."""
    reply = client.get("/metrics")
    assert reply.status_code == 200, reply.text
    return parse_series(reply.text)


def get_value(series: Series, name: str, **labels: str) -> float:
    """Return the value of one sample, 0 if there is none."""
    return series.get((f"semsearch_{name}", frozenset(labels.items())), 0.0)
