"""Prove that a service under four times its capacity refuses at once what it cannot do, and serves the rest as before.

Capacity is measured with 32 connections that each wait for their reply. Then requests are sent at a fixed rate,
whatever the replies. The server has one core and the client another. On a busy machine the figures are void.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from benchmarks import load_client, machine, services
from benchmarks.collection_builder import fill_collection
from benchmarks.open_loop_client import OpenLoopResult, run_open_loop

from semsearch.models.embedders.local import LocalEmbedder

CONNECTIONS = 32
OVERLOAD_FACTOR = 4.0
ALLOWED_STATUSES = {200, 429, 503}
MIN_GOODPUT = 0.9
MAX_P99_RATIO = 2.0
MAX_GROWTH_BYTES = 40 << 20
MAX_DRAIN_SECONDS = 1.0
MIN_CORE_SHARE = 0.9
"""Share of its core that the server must get in both phases; below it, the figures are void."""
MAX_LAG_SECONDS = 0.1
"""Delay of the client behind its schedule above which the figures are void."""

_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "is")]


@dataclass(slots=True)
class Phase:
    """Figures of one phase; rates are per wall second."""

    rate: float
    p50_ms: float
    p99_ms: float
    core_share: float
    """CPU seconds of the server per wall second."""


@dataclass(slots=True)
class OverloadRun:
    """What was measured, and what was not as it must be."""

    capacity: Phase
    overload: Phase
    result: OpenLoopResult
    recovery: Counter[int]
    """Replies by status of searches right after the overload."""
    memory_growth: int
    """Growth of the server's private memory during the overload, in bytes."""
    errors: list[str] = field(default_factory=list)
    void_reasons: list[str] = field(default_factory=list)


def make_texts(count: int, seed: int = 5) -> list[str]:
    """Return texts of about 800 characters from 20,000 invented words, of which few are frequent."""
    rng = random.Random(seed)
    words = ["".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(1, 4))) for _ in range(20_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    return [
        " ".join(" ".join(rng.choices(words, weights, k=rng.randint(8, 18))).capitalize() + "." for _ in range(10))
        for _ in range(count)
    ]


def build_requests(texts: Sequence[str], count: int, kind: str, seed: int = 6) -> list[bytes]:
    """Return searches or questions of five words each, from different texts."""
    rng, name = random.Random(seed), {"search": "query", "ask": "question"}[kind]
    queries = (" ".join(rng.sample(rng.choice(texts).split(), 5)) for _ in range(count))
    path = f"/v1/collections/{services.COLLECTION_NAME}/{kind}"
    return [load_client.build_request("POST", path, orjson.dumps({name: query})) for query in queries]


def prove(
    folder: Path, chunk_count: int, seconds: float, kind: str = "search", *, reuse_connections: bool = True
) -> OverloadRun:
    """Measure capacity, overload and recovery of one service."""
    texts = make_texts(chunk_count)
    fill_collection(folder / "indexes", services.COLLECTION_NAME, texts, LocalEmbedder().embed_sync(texts))
    requests = build_requests(texts, 5_000, kind)
    service = services.Semsearch("hybrid")
    service.folder = folder / "indexes"
    with services.run_service(service) as server, machine.pinned(services.CLIENT_CORE):
        load_client.run_requests(server.port, requests[:200], CONNECTIONS)
        capacity = _measure_capacity(server, requests, seconds)
        memory = machine.private_bytes(server.pid)
        cpu = machine.tree_cpu_seconds(server.pid)
        rate = OVERLOAD_FACTOR * capacity.rate
        result = run_open_loop(server.port, requests, rate, seconds, reuse_connections=reuse_connections)
        wall = result.send_seconds + result.drain_seconds
        overload = Phase(
            result.statuses[200] / wall,
            result.quantile_ms(0.5),
            result.quantile_ms(0.99),
            (machine.tree_cpu_seconds(server.pid) - cpu) / wall,
        )
        growth = machine.private_bytes(server.pid) - memory
        recovery = run_open_loop(server.port, requests, capacity.rate / 4, 1.0).statuses
    return judge(OverloadRun(capacity, overload, result, recovery, growth))


def _measure_capacity(server: services.RunningService, requests: Sequence[bytes], seconds: float) -> Phase:
    latencies, cpu, start = list[float](), machine.tree_cpu_seconds(server.pid), time.perf_counter()
    while time.perf_counter() - start < seconds:
        latencies += load_client.run_requests(server.port, requests[:1_000], CONNECTIONS).seconds
    wall = time.perf_counter() - start
    ascending = sorted(latencies)
    p50, p99 = (1000 * ascending[int(share * len(ascending))] for share in (0.5, 0.99))
    return Phase(len(latencies) / wall, p50, p99, (machine.tree_cpu_seconds(server.pid) - cpu) / wall)


def judge(run: OverloadRun) -> OverloadRun:
    """Add the errors, and the reasons for which the timed figures are void."""
    statuses, overload, capacity = run.result.statuses, run.overload, run.capacity
    checks = (
        (set(+statuses) <= ALLOWED_STATUSES, f"statuses {dict(statuses)}"),
        (b"" not in run.result.retry_after, "a 503 without Retry-After"),
        (overload.rate >= MIN_GOODPUT * capacity.rate, f"goodput {overload.rate / capacity.rate:.0%} of capacity"),
        (overload.p99_ms <= MAX_P99_RATIO * capacity.p99_ms, f"p99 {overload.p99_ms / capacity.p99_ms:.1f} x"),
        (run.memory_growth <= MAX_GROWTH_BYTES, f"memory grew by {run.memory_growth / 1e6:.0f} MB"),
        (run.result.drain_seconds <= MAX_DRAIN_SECONDS, f"drained after {run.result.drain_seconds:.1f} s"),
        (set(run.recovery) == {200}, f"after the overload: {dict(run.recovery)}"),
    )
    run.errors += [error for holds, error in checks if not holds]
    shares = min(capacity.core_share, overload.core_share)
    if shares < MIN_CORE_SHARE:
        run.void_reasons.append(f"the server got only {shares:.0%} of its core")
    if run.result.max_lag > MAX_LAG_SECONDS:
        run.void_reasons.append(f"the client was up to {run.result.max_lag:.2f} s behind its schedule")
    return run


def describe(run: OverloadRun) -> str:
    """Return the figures as lines."""
    capacity, overload, result = run.capacity, run.overload, run.result
    sent = sum(result.statuses.values())
    return "\n".join(
        (
            f"capacity: {capacity.rate:.0f}/s, p50 {capacity.p50_ms:.1f} ms, p99 {capacity.p99_ms:.1f} ms,"
            f" core share {capacity.core_share:.2f}",
            f"overload: {sent / result.send_seconds:.0f}/s sent, {overload.rate:.0f}/s served"
            f" ({overload.rate / capacity.rate:.0%}), p50 {overload.p50_ms:.1f} ms, p99 {overload.p99_ms:.1f} ms"
            f" ({overload.p99_ms / capacity.p99_ms:.2f} x), core share {overload.core_share:.2f}",
            f"statuses {dict(result.statuses)}, refused in p50 {result.quantile_ms(0.5, 503):.1f} ms,"
            f" p99 {result.quantile_ms(0.99, 503):.1f} ms, at most {result.max_in_flight} in flight on"
            f" {result.connection_count} connections, client lag {result.max_lag * 1000:.0f} ms",
            f"memory {run.memory_growth / 1e6:+.1f} MB, drained in {result.drain_seconds * 1000:.0f} ms,"
            f" afterwards {dict(run.recovery)}",
        )
    )


def main() -> None:
    """Run the proof, print the figures, and exit with 1 on an error, with 2 if they are void."""
    parser = argparse.ArgumentParser(prog="scripts/prove overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each phase")
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--kind", choices=("search", "ask"), default="search")
    parser.add_argument("--new-connections", action="store_true", help="send each request on a connection of its own")
    arguments = parser.parse_args()
    print(f"{machine.describe_machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        run = prove(
            Path(folder),
            arguments.chunks,
            arguments.seconds,
            arguments.kind,
            reuse_connections=not arguments.new_connections,
        )
    print(describe(run))
    print("\n".join(f"void: {reason}" for reason in run.void_reasons))
    print("\n".join(run.errors) or "no error")
    sys.exit(2 if run.void_reasons else bool(run.errors))


if __name__ == "__main__":
    main()
