"""Measure the CPU time that metrics and traces cost a search: what one reports, with the values that workers share.

Compared is an empty application behind the middleware of metrics, which reports what a search reports, with the same
application alone.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from semsearch.core.metrics import Metrics, MetricsRelay
from semsearch.core.tracing import begin_trace
from semsearch.interfaces.http.request_metrics import RequestMetricsMiddleware
from semsearch.interfaces.http.service_metrics import ServiceMetrics

MAX_MICROSECONDS = 20.0
_START: Message = {"type": "http.response.start", "status": 200, "headers": []}
_BODY: Message = {"type": "http.response.body", "body": b"{}"}


def make_application(metrics: Metrics | None) -> ASGIApp:
    """Return an application that answers at once; with metrics it reports what a search reports."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if metrics is not None:
            begin_trace([], "5f0c9a7be1d24c38")
            metrics.count("query_cache_lookups", ("miss",), 1)
            metrics.observe("stage_seconds", ("search", "embed"), 0.0004)
            metrics.observe("stage_seconds", ("search", "retrieve"), 0.0009)
        await send(_START)
        await send(_BODY)

    return answer if metrics is None else RequestMetricsMiddleware(answer, metrics)


async def measure(app: ASGIApp, requests: int) -> float:
    """Return the CPU microseconds of one request."""
    scope = {"type": "http", "method": "POST", "raw_path": b"/v1/collections/handbook/search", "state": {}}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        return None

    started = time.process_time()
    for _ in range(requests):
        await app(scope, receive, send)
    return (time.process_time() - started) / requests * 1e6


def main() -> None:
    """Print the cost; fail if it is above the limit."""
    parser = argparse.ArgumentParser(prog="scripts/prove metrics-cost", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        metrics, relay = ServiceMetrics(Path(folder)), MetricsRelay()
        metrics.load()
        relay.target = metrics
        cost = min(
            asyncio.run(measure(make_application(relay), requests))
            - asyncio.run(measure(make_application(None), requests))
            for _ in range(3)
        )
    print(f"metrics and traces cost {cost:.1f} µs of CPU per search; the limit is {MAX_MICROSECONDS:g}")
    if cost > MAX_MICROSECONDS:
        sys.exit(1)


if __name__ == "__main__":
    main()
