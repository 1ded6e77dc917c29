"""The metrics of one process that serves: kept until a scrape or the next second, because no search waits for them.

prometheus-client is loaded a second after the start. Gauges are sampled each second, so that a scrape of one worker
has recent values of the others.
"""

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from ...core.metrics import CounterName, GaugeName, HistogramName
from ...library import Library
from .admission import Admission
from .connections import ConnectionTable
from .prometheus_metrics import PrometheusMetrics

SAMPLE_SECONDS = 1.0
INDEX_SAMPLE_SECONDS = 15.0
"""Between two looks at the indexes, which read each catalogue."""

_MAX_KEPT_EVENTS = 100_000
_Event = tuple[Callable[..., None], str, tuple[str, ...], float]
"""What was reported: the method to call, and its arguments."""

_log = logging.getLogger("semsearch.http")


class ServiceMetrics:
    """Implements Metrics: keeps what is reported until `load`, which a scrape calls, then passes it on.

    With several workers everything is passed on at once as soon as it can be: a scrape of one worker has no access to
    what another one keeps.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._events: deque[_Event] = deque(maxlen=_MAX_KEPT_EVENTS)
        self._loaded: PrometheusMetrics | None = None
        self._shared: PrometheusMetrics | None = None
        """The metrics that other workers read; None in a single process."""
        self._load_lock = threading.Lock()

    def count(self, name: CounterName, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Add to a counter."""
        if self._shared is not None:
            self._shared.count(name, labels, amount)
        else:
            self._events.append((PrometheusMetrics.count, name, labels, amount))

    def observe(self, name: HistogramName, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""
        if self._shared is not None:
            self._shared.observe(name, labels, value)
        else:
            self._events.append((PrometheusMetrics.observe, name, labels, value))

    def set(self, name: GaugeName, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        if self._shared is not None:
            self._shared.set(name, labels, value)
        else:
            self._events.append((PrometheusMetrics.set, name, labels, value))

    def load(self) -> PrometheusMetrics:
        """Load prometheus-client if it is not loaded yet, pass on what was kept, and return the metrics.

        OSError if the files of this process cannot be made.
        """
        with self._load_lock:
            if self._loaded is None:
                self._loaded = PrometheusMetrics(self._folder)
                self._shared = self._loaded if self._folder is not None else None
            while self._events:
                report, *arguments = self._events.popleft()
                report(self._loaded, *arguments)
            return self._loaded


class MetricsSampler:
    """Samples the gauges of one process."""

    def __init__(
        self, metrics: ServiceMetrics, library: Library, admission: Admission, connections: ConnectionTable
    ) -> None:
        self._metrics = metrics
        self._library = library
        self._admission = admission
        self._connections = connections

    async def run(self) -> None:
        """Load the metrics after a while, then sample them until this task is cancelled."""
        await asyncio.sleep(SAMPLE_SECONDS)
        try:
            await asyncio.to_thread(self._metrics.load)
        except OSError as exc:
            _log.warning("there are no metrics: their temporary files cannot be made: %s", exc.strerror)
            return
        ticks_between_index_samples = round(INDEX_SAMPLE_SECONDS / SAMPLE_SECONDS)
        tick = 0
        while True:
            self._sample_queues()
            await asyncio.to_thread(self._metrics.load)
            if tick % ticks_between_index_samples == 0:
                await asyncio.to_thread(self._sample_indexes)
            tick += 1
            await asyncio.sleep(SAMPLE_SECONDS)

    async def render(self) -> bytes:
        """Return the present metrics of all workers as text."""
        self._sample_queues()
        return await asyncio.to_thread(self._render)

    def _render(self) -> bytes:
        self._sample_indexes()
        return self._metrics.load().render()

    def _sample_queues(self) -> None:
        for kind, queue in self._admission.queues.items():
            self._metrics.set("http_queue_depth", (kind,), queue.count)
        self._metrics.set("http_open_connections", (), self._connections.connection_count)

    def _sample_indexes(self) -> None:
        states = self._library.index_states()
        counts = Counter(state.state for state in states)
        for name in ("current", "behind", "damaged", "none"):
            self._metrics.set("index_collections", (name,), counts[name])
        self._metrics.set("index_chunks", (), sum(state.indexed_chunks for state in states))
        self._metrics.set("index_pending_chunks", (), sum(state.pending_chunks for state in states))
