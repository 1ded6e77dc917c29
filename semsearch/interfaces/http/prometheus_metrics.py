"""Metrics in the text format of Prometheus, summed over all worker processes.

The only module that imports prometheus-client, and only in a process that serves. Workers share a folder of mapped
files; a single process keeps its values in memory. Which of both it is, prometheus-client decides when it is imported.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.metrics import COUNTERS, GAUGES, HISTOGRAMS, LATENCY_BUCKETS, CounterName, GaugeName, HistogramName
from ...core.settings import set_metrics_folder

if TYPE_CHECKING:
    pass

PREFIX = "semsearch_"

_FILE_BYTES = 256 << 10
"""Twice what all series need: a mapped file that grows on a full disk would end the process with SIGBUS."""
_FILE_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax")


class PrometheusMetrics:
    """Implements Metrics with prometheus-client. `folder` is that of all workers; None for a single process."""

    def __init__(self, folder: Path | None) -> None:
        set_metrics_folder(folder)
        from importlib.metadata import version  # late, as prometheus-client: a search waits for neither

        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        if folder is not None:
            _reserve_files(folder)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder = folder
        self._registry = CollectorRegistry()
        registry = self._registry if folder is None else None
        self._counters: dict[str, Counter] = {
            name: Counter(PREFIX + name, metric.help, metric.labels, registry=registry)
            for name, metric in COUNTERS.items()
        }
        self._histograms: dict[str, Histogram] = {
            name: Histogram(PREFIX + name, metric.help, metric.labels, registry=registry, buckets=LATENCY_BUCKETS)
            for name, metric in HISTOGRAMS.items()
        }
        self._gauges: dict[str, Gauge] = {
            name: Gauge(
                PREFIX + name,
                metric.help,
                metric.labels,
                registry=registry,
                multiprocess_mode="livesum" if metric.gauge_sum == "sum" else "livemax",
            )
            for name, metric in GAUGES.items()
        }
        self._counter_children: dict[tuple[str, tuple[str, ...]], Counter] = {}
        self._histogram_children: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._make_series()
        self.set("build_info", (version("semsearch"),), 1)

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter."""
        child = self._counter_children.get((name, labels))
        if child is None:
            counter = self._counters[name]
            child = self._counter_children[name, labels] = counter.labels(*labels) if labels else counter
        child.inc(amount)

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""
        child = self._histogram_children.get((name, labels))
        if child is None:
            child = self._histogram_children[name, labels] = self._histograms[name].labels(*labels)
        child.observe(value)

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def render(self) -> bytes:
        """Return the values of all workers in the text format 0.0.4."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = self._registry
        if self._folder is not None:
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _make_series(self) -> None:
        """Make all series with 0: a rate over a counter that appears with its first event misses that event."""
        for name, metric in COUNTERS.items():
            for labels in metric.series or ():
                self.count(name, labels, 0)
        for histogram, metric in HISTOGRAMS.items():
            for labels in metric.series or ():
                self._histograms[histogram].labels(*labels)
        for gauge, metric in GAUGES.items():
            for labels in metric.series or ():
                self.set(gauge, labels, 0)


def remove_gauges(folder: Path, pid: int) -> None:
    """Remove the gauges of a worker that has exited; what it counted stays."""
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)


def _reserve_files(folder: Path) -> None:
    """Make the files of this process with all the space that they need; OSError if the disk is full."""
    for kind in _FILE_KINDS:
        file = folder / f"{kind}_{os.getpid()}.db"
        if file.exists():  # of an earlier worker with the same process id: its counts go on
            continue
        new_file = file.with_suffix(".new")
        descriptor = os.open(new_file, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
            os.pwrite(descriptor, (8).to_bytes(4, "little"), 0)  # the used bytes: a reader of 0 would fail
        finally:
            os.close(descriptor)
        new_file.rename(file)
