"""Prove that a service under four times its capacity refuses at once what it cannot do, and serves the rest as before.

Capacity is measured with 32 connections that each wait for their reply. Then requests are sent at a fixed rate,
whatever the replies. The server has one core and the client another. On a busy machine the figures are void.
"""

import argparse
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
CAPACITY_REQUESTS = {"search": 1_000, "ask": 96}
"""Requests of one round over all connections; one more round warms the service up."""
MEASURED_REQUESTS = {"search": 30_000, "ask": 4_000}
"""Different requests of the capacity, and as many others of the overload: a service answers a repeated one faster."""
MIN_CORE_SHARE = 0.9
"""Share of its core that the server must get in both phases; below it, the figures are void."""
MAX_LAG_SECONDS = 0.1
"""Delay of the client behind its schedule above which the figures are void."""

_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "is")]


@dataclass(slots=True)
class Phase:
    """Figures of one phase; rates are per wall second."""

    rate: float
    per_cpu_second: float
    """Replies with status 200 per CPU second of the server: comparable on a busy machine too."""
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
    """What is wrong at any speed."""
    slow: list[str] = field(default_factory=list)
    """What took longer than it may."""
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
    folder: Path,
    chunk_count: int,
    seconds: float,
    kind: str = "search",
    *,
    reuse_connections: bool = True,
    factor: float = OVERLOAD_FACTOR,
) -> OverloadRun:
    """Measure capacity, overload and recovery of one service."""
    texts = make_texts(chunk_count)
    fill_collection(folder / "indexes", services.COLLECTION_NAME, texts, LocalEmbedder().embed_sync(texts))
    warm_up_count, count = CAPACITY_REQUESTS[kind], MEASURED_REQUESTS[kind]
    requests = build_requests(texts, warm_up_count + 2 * count, kind)
    capacity_requests = requests[warm_up_count : warm_up_count + count]
    overload_requests = requests[warm_up_count + count :]
    service = services.Semsearch("hybrid")
    service.folder = folder / "indexes"
    with services.run_service(service) as server, machine.pinned(services.CLIENT_CORE):
        load_client.run_requests(server.port, requests[:warm_up_count], CONNECTIONS)
        capacity = _measure_capacity(server, capacity_requests, CAPACITY_REQUESTS[kind], seconds)
        memory, cpu = machine.private_bytes(server.pid), machine.tree_cpu_seconds(server.pid)
        rate = factor * capacity.rate
        result = run_open_loop(server.port, overload_requests, rate, seconds, reuse_connections=reuse_connections)
        overload = _make_phase(
            result.seconds.get(200, [0.0]),
            result.send_seconds + result.drain_seconds,
            machine.tree_cpu_seconds(server.pid) - cpu,
        )
        growth = machine.private_bytes(server.pid) - memory
        time.sleep(1.1)  # clients that were refused come back later
        recovery = run_open_loop(server.port, requests, capacity.rate / 8, max(1.0, 8 / capacity.rate)).statuses
    run = OverloadRun(capacity, overload, result, recovery, growth)
    return judge_figures(judge_replies(run))


def _measure_capacity(
    server: services.RunningService, requests: Sequence[bytes], round_size: int, seconds: float
) -> Phase:
    """Send the requests in rounds, each once as long as they last: a repeated one would be in the service's caches."""
    latencies, cpu, start = list[float](), machine.tree_cpu_seconds(server.pid), time.perf_counter()
    while not latencies or time.perf_counter() - start < seconds:
        first = len(latencies) % (len(requests) - round_size + 1)
        latencies += load_client.run_requests(server.port, requests[first : first + round_size], CONNECTIONS).seconds
    wall = time.perf_counter() - start
    return _make_phase(latencies, wall, machine.tree_cpu_seconds(server.pid) - cpu)


def _make_phase(latencies: list[float], wall: float, cpu: float) -> Phase:
    ascending = sorted(latencies)
    p50, p99 = (1000 * ascending[int(share * len(ascending))] for share in (0.5, 0.99))
    return Phase(len(ascending) / wall, len(ascending) / max(cpu, 0.01), p50, p99, cpu / wall)


def judge_replies(run: OverloadRun) -> OverloadRun:
    """Add what is wrong with the replies, however long they took."""
    checks = (
        (set(+run.result.statuses) <= ALLOWED_STATUSES, f"statuses {dict(run.result.statuses)}"),
        (run.result.statuses[200] > 0, "nothing was served"),
        (b"" not in run.result.retry_after, "a 503 without Retry-After"),
        (run.memory_growth <= MAX_GROWTH_BYTES, f"memory grew by {run.memory_growth / 1e6:.0f} MB"),
        (set(+run.recovery) == {200}, f"after the overload: {dict(run.recovery)}"),
    )
    run.errors += [error for holds, error in checks if not holds]
    return run


def judge_figures(run: OverloadRun) -> OverloadRun:
    """Add what took too long, and the reasons for which the times are void."""
    overload, capacity = run.overload, run.capacity
    checks = (
        (overload.rate >= MIN_GOODPUT * capacity.rate, f"goodput {overload.rate / capacity.rate:.0%} of capacity"),
        (overload.p99_ms <= MAX_P99_RATIO * capacity.p99_ms, f"p99 {overload.p99_ms / capacity.p99_ms:.1f} x"),
        (run.result.drain_seconds <= MAX_DRAIN_SECONDS, f"drained after {run.result.drain_seconds:.1f} s"),
    )
    run.slow += [error for holds, error in checks if not holds]
    share = min(capacity.core_share, overload.core_share)
    if share < MIN_CORE_SHARE:
        run.void_reasons.append(f"the server got only {share:.0%} of its core")
    if run.result.max_lag > MAX_LAG_SECONDS:
        run.void_reasons.append(f"the client was up to {run.result.max_lag:.2f} s behind its schedule")
    return run


def describe(run: OverloadRun) -> str:
    """Return the figures as lines."""
    capacity, overload, result = run.capacity, run.overload, run.result
    sent_rate = sum(result.statuses.values()) / result.send_seconds
    shares = (overload.rate / capacity.rate, overload.per_cpu_second / capacity.per_cpu_second)
    return "\n".join(
        (
            f"capacity: {_describe_phase(capacity)}",
            f"overload: {sent_rate:.0f}/s sent, {_describe_phase(overload)}",
            f"goodput {shares[0]:.0%} of capacity, per CPU second {shares[1]:.0%},"
            f" p99 {overload.p99_ms / capacity.p99_ms:.2f} x that at capacity",
            f"statuses {dict(result.statuses)}, refused in p50 {result.quantile_ms(0.5, 503):.1f} ms,"
            f" p99 {result.quantile_ms(0.99, 503):.1f} ms",
            f"at most {result.max_in_flight} in flight, {result.connection_count} connections,"
            f" client at most {result.max_lag * 1000:.0f} ms behind",
            f"memory {run.memory_growth / 1e6:+.1f} MB, drained in {result.drain_seconds * 1000:.0f} ms,"
            f" afterwards {dict(run.recovery)}",
        )
    )


def _describe_phase(phase: Phase) -> str:
    return (
        f"{phase.rate:.0f}/s served, {phase.per_cpu_second:.0f} per CPU s, p50 {phase.p50_ms:.1f} ms,"
        f" p99 {phase.p99_ms:.1f} ms, core share {phase.core_share:.2f}"
    )


def main() -> None:
    """Run the proof, print the figures, and exit with 1 on an error, with 2 if only the times are void."""
    parser = argparse.ArgumentParser(prog="scripts/prove overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each phase")
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--kind", choices=("search", "ask"), default="search")
    parser.add_argument("--new-connections", action="store_true", help="send each request on a connection of its own")
    arguments = parser.parse_args()
    print(machine.describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        run = prove(
            Path(folder),
            arguments.chunks,
            arguments.seconds,
            arguments.kind,
            reuse_connections=not arguments.new_connections,
        )
    print(describe(run))
    print("\n".join([*run.errors, *run.slow]) or "no error")
    print("\n".join(f"the times are void: {reason}" for reason in run.void_reasons))
    sys.exit(1 if run.errors or (run.slow and not run.void_reasons) else 2 * bool(run.void_reasons))


if __name__ == "__main__":
    main()
