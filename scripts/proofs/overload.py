"""Prove that a service under four times its capacity refuses at once what it cannot do, and serves the rest as before.

Capacity is measured with 32 connections that each wait for their reply. Then requests are sent at a fixed rate,
whatever the replies. Both are repeated in turns, since the speed of a machine varies. The server has one core and the
client another. On a busy machine the figures are void.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import orjson
from benchmarks import load_client, machine, services
from benchmarks.collection_builder import fill_collection
from benchmarks.open_loop_client import OpenLoopClient, OpenLoopResult, run_open_loop

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
CAPACITY_VARIETY = {"search": 24_000, "ask": 3_000}
"""Different requests of the capacity; the overload has other ones. A service answers a repeated one faster."""
OVERLOAD_VARIETY = {"search": 100_000, "ask": 12_000}
WARM_UP_SECONDS = 1.0
"""Overload before it is measured: at first the service accepts a burst, whose last requests wait longer."""
RECOVERY_SECONDS = 1.1
"""Pause after an overload: clients that were refused come back later, and the service refuses earlier until then."""
MIN_CORE_SHARE = 0.9
"""Share of its core that the server must get in both phases; below it, the figures are void."""
MAX_LAG_SECONDS = 0.1
"""Delay of the client behind its schedule above which the figures are void."""

_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "is")]


@dataclass(slots=True)
class Phase:
    """What one or several phases of the same kind measured."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of each reply with status 200."""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the server."""

    def __add__(self, other: "Phase") -> "Phase":
        """Return both together."""
        return Phase(
            self.latencies + other.latencies,
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
        )

    @property
    def rate(self) -> float:
        """Replies with status 200 per wall second."""
        return len(self.latencies) / self.wall_seconds

    @property
    def core_share(self) -> float:
        """CPU seconds of the server per wall second."""
        return self.cpu_seconds / self.wall_seconds

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds; 0 without replies."""
        ascending = sorted(self.latencies)
        return 1000 * ascending[int(share * len(ascending))] if ascending else 0.0


@dataclass(slots=True)
class Round:
    """One measurement of the capacity, and one of the overload after it."""

    capacity: Phase
    overload: Phase
    results: list[OpenLoopResult]
    """Replies of the overload, first those of its warm-up."""

    @property
    def goodput(self) -> float:
        """Rate of the overload as a share of the capacity."""
        return self.overload.rate / self.capacity.rate


@dataclass(slots=True)
class OverloadRun:
    """What was measured, and what was not as it must be."""

    rounds: list[Round]
    recovery: Counter[int]
    """Replies by status of searches right after the overload."""
    memory_growth: int
    """Growth of the server's private memory from the first overload on, in bytes."""
    errors: list[str] = field(default_factory=list)
    """What is wrong at any speed."""
    slow: list[str] = field(default_factory=list)
    """What took longer than it may."""
    void_reasons: list[str] = field(default_factory=list)

    @property
    def capacity(self) -> Phase:
        """The capacity over all rounds."""
        return sum((one.capacity for one in self.rounds), Phase())

    @property
    def overload(self) -> Phase:
        """The overload over all rounds."""
        return sum((one.overload for one in self.rounds), Phase())

    @property
    def results(self) -> list[OpenLoopResult]:
        """The replies of the overload in all rounds."""
        return [result for one in self.rounds for result in one.results]

    @property
    def statuses(self) -> Counter[int]:
        """Replies of the overload by status."""
        return sum((result.statuses for result in self.results), Counter[int]())

    @property
    def goodput(self) -> float:
        """Median over the rounds."""
        return statistics.median(one.goodput for one in self.rounds)

    @property
    def p99_ratio(self) -> float:
        """p99 of accepted requests, as a multiple of that at capacity."""
        return self.overload.quantile_ms(0.99) / self.capacity.quantile_ms(0.99)


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
    rounds: int = 1,
    reuse_connections: bool = True,
    factor: float = OVERLOAD_FACTOR,
) -> OverloadRun:
    """Measure capacity and overload of one service in turns, `seconds` each, and its recovery."""
    texts = make_texts(chunk_count)
    fill_collection(folder / "indexes", services.COLLECTION_NAME, texts, LocalEmbedder().embed_sync(texts))
    round_size, variety = CAPACITY_REQUESTS[kind], CAPACITY_VARIETY[kind]
    requests = build_requests(texts, variety + OVERLOAD_VARIETY[kind], kind)
    capacity_requests, overload_requests = cycle(requests[:variety]), cycle(requests[variety:])
    service = services.Semsearch("hybrid")
    service.folder = folder / "indexes"
    run_rounds, memory = list[Round](), 0
    with services.run_service(service) as server, machine.pinned(services.CLIENT_CORE):
        load_client.run_requests(server.port, _take(overload_requests, round_size), CONNECTIONS)
        for _ in range(rounds):
            time.sleep(RECOVERY_SECONDS)
            capacity = _measure_capacity(server, capacity_requests, round_size, seconds)
            memory = memory or machine.private_bytes(server.pid)
            overload, results = _measure_overload(
                server, overload_requests, factor * capacity.rate, seconds, reuse_connections=reuse_connections
            )
            run_rounds.append(Round(capacity, overload, results))
        growth = machine.private_bytes(server.pid) - memory
        time.sleep(RECOVERY_SECONDS)
        rate = run_rounds[-1].capacity.rate / 8
        recovery = run_open_loop(server.port, requests, rate, max(1.0, 1 / rate)).statuses
    return judge_figures(judge_replies(OverloadRun(run_rounds, recovery, growth)))


def _take(requests: Iterator[bytes], count: int) -> list[bytes]:
    return list(islice(requests, count))


def _measure_capacity(
    server: services.RunningService, requests: Iterator[bytes], round_size: int, seconds: float
) -> Phase:
    latencies, cpu, start = list[float](), machine.tree_cpu_seconds(server.pid), time.perf_counter()
    while not latencies or time.perf_counter() - start < seconds:
        latencies += load_client.run_requests(server.port, _take(requests, round_size), CONNECTIONS).seconds
    return Phase(latencies, time.perf_counter() - start, machine.tree_cpu_seconds(server.pid) - cpu)


def _measure_overload(
    server: services.RunningService, requests: Iterator[bytes], rate: float, seconds: float, *, reuse_connections: bool
) -> tuple[Phase, list[OpenLoopResult]]:
    """Return the phase, without its warm-up, and the replies of both."""
    results, cpu = list[OpenLoopResult](), 0.0
    with OpenLoopClient(server.port, reuse_connections=reuse_connections) as client:
        for duration in (WARM_UP_SECONDS, seconds):
            cpu = machine.tree_cpu_seconds(server.pid)
            results.append(client.run(_take(requests, int(rate * duration) + 1), rate, duration))
    wall = results[-1].send_seconds + results[-1].drain_seconds
    latencies = results[-1].seconds.get(200, [])
    return Phase(latencies, wall, machine.tree_cpu_seconds(server.pid) - cpu), results


def judge_replies(run: OverloadRun) -> OverloadRun:
    """Add what is wrong with the replies, however long they took."""
    checks = (
        (set(+run.statuses) <= ALLOWED_STATUSES, f"statuses {dict(run.statuses)}"),
        (all(one.overload.latencies for one in run.rounds), "nothing was served"),
        (all(b"" not in result.retry_after for result in run.results), "a 503 without Retry-After"),
        (run.memory_growth <= MAX_GROWTH_BYTES, f"memory grew by {run.memory_growth / 1e6:.0f} MB"),
        (set(+run.recovery) == {200}, f"after the overload: {dict(run.recovery)}"),
    )
    run.errors += [error for holds, error in checks if not holds]
    return run


def judge_figures(run: OverloadRun) -> OverloadRun:
    """Add what took too long, and the reasons for which the times are void."""
    drain_seconds = max(result.drain_seconds for result in run.results)
    checks = (
        (run.goodput >= MIN_GOODPUT, f"goodput {run.goodput:.0%} of capacity"),
        (run.p99_ratio <= MAX_P99_RATIO, f"p99 {run.p99_ratio:.1f} x"),
        (drain_seconds <= MAX_DRAIN_SECONDS, f"drained after {drain_seconds:.1f} s"),
    )
    run.slow += [error for holds, error in checks if not holds]
    share = min(phase.core_share for one in run.rounds for phase in (one.capacity, one.overload))
    if share < MIN_CORE_SHARE:
        run.void_reasons.append(f"the server got only {share:.0%} of its core")
    lag = max(result.max_lag for result in run.results)
    if lag > MAX_LAG_SECONDS:
        run.void_reasons.append(f"the client was up to {lag:.2f} s behind its schedule")
    return run


def describe(run: OverloadRun) -> str:
    """Return the figures as lines."""
    results = run.results
    sent_rate = sum(run.statuses.values()) / sum(result.send_seconds for result in results)
    each = ", ".join(f"{one.goodput:.0%}" for one in run.rounds)
    refused = Phase([seconds for result in results for seconds in result.seconds.get(503, ())])
    return "\n".join(
        (
            f"capacity: {_describe_phase(run.capacity)}",
            f"overload: {sent_rate:.0f}/s sent, {_describe_phase(run.overload)}",
            f"goodput {run.goodput:.0%} of capacity (by round: {each}), p99 {run.p99_ratio:.2f} x that at capacity",
            f"statuses {dict(run.statuses)}, refused in p50 {refused.quantile_ms(0.5):.1f} ms,"
            f" p99 {refused.quantile_ms(0.99):.1f} ms",
            f"at most {max(result.max_in_flight for result in results)} in flight,"
            f" {max(result.connection_count for result in results)} connections,"
            f" client at most {max(result.max_lag for result in results) * 1000:.0f} ms behind",
            f"memory {run.memory_growth / 1e6:+.1f} MB,"
            f" drained in {max(result.drain_seconds for result in results) * 1000:.0f} ms,"
            f" afterwards {dict(run.recovery)}",
        )
    )


def _describe_phase(phase: Phase) -> str:
    return (
        f"{phase.rate:.0f}/s served, p50 {phase.quantile_ms(0.5):.1f} ms, p99 {phase.quantile_ms(0.99):.1f} ms,"
        f" core share {phase.core_share:.2f}"
    )


def main() -> None:
    """Run the proof, print the figures, and exit with 1 on an error, with 2 if only the times are void."""
    parser = argparse.ArgumentParser(prog="scripts/prove overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of each phase")
    parser.add_argument("--rounds", type=int, default=5, help="of capacity and overload in turns")
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
            rounds=arguments.rounds,
            reuse_connections=not arguments.new_connections,
        )
    print(describe(run))
    print("\n".join([*run.errors, *run.slow]) or "no error")
    print("\n".join(f"the times are void: {reason}" for reason in run.void_reasons))
    sys.exit(1 if run.errors or (run.slow and not run.void_reasons) else 2 * bool(run.void_reasons))


if __name__ == "__main__":
    main()
