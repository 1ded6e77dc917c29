"""Prove that the limit of a key holds exactly over several worker processes.

A key may send L requests per minute, and its bucket is full. Ten times as many are offered at a fixed rate, each on a
connection that any worker may get. In T minutes L + T x L are admitted, within 5 %: one full bucket and its refill.
All others are refused with 429, Retry-After and the headers of the limit.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.open_loop_client import run_open_loop

from semsearch.core.settings import Settings
from semsearch.core.types.access import CallerLimits, KeyGrants
from semsearch.library import Library

from .ledger import run_service

OFFERED_FACTOR = 10
TOLERANCE = 0.05
SEGMENT_SECONDS = 30.0
"""Length of one run of the load client, which opens a limited number of connections."""
UNUSED_UPSTREAM = "http://127.0.0.1:9/v1"


@dataclass(slots=True)
class LimitsRun:
    """What was offered and admitted."""

    limit: int
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0
    """CPU time of the service."""

    @property
    def admitted(self) -> int:
        """The requests that the limit did not refuse; a full queue may have refused some of them afterwards."""
        return self.statuses[200] + self.statuses[503]

    @property
    def expected(self) -> float:
        """One full bucket, and its refill."""
        return self.limit * (1 + self.seconds / 60)

    def list_errors(self) -> list[str]:
        """Return what contradicts the proof."""
        errors = []
        if abs(self.admitted - self.expected) > TOLERANCE * self.expected:
            errors.append(f"{self.admitted} requests were admitted, not {self.expected:.0f} ± {TOLERANCE:.0%}")
        if others := {status: count for status, count in self.statuses.items() if status not in (200, 429, 503)}:
            errors.append(f"other replies: {others}")
        return errors


def prove(folder: Path, *, limit: int, seconds: float, workers: int) -> LimitsRun:
    """Offer requests to a service for some seconds."""
    with Library(folder, settings=Settings()) as library:
        grants = KeyGrants("limited", "limited", limits=CallerLimits(requests_per_minute=limit))
        _, key = library.create_key(grants)
        library.create("empty")
    head = ("GET /v1/collections/empty/search?q=lamp HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}")
    request = "\r\n".join((*head, "", "")).encode()
    run = LimitsRun(limit)
    with run_service(folder, UNUSED_UPSTREAM, "--workers", str(workers)) as (process, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        time.sleep(2.0)  # until all workers have started
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < seconds:
            length = min(SEGMENT_SECONDS, seconds - elapsed)
            result = run_open_loop(port, [request], OFFERED_FACTOR * limit / 60, length, reuse_connections=False)
            run.statuses += result.statuses
        run.seconds = time.monotonic() - start
        run.cpu_seconds = _read_cpu_seconds(process.pid)
    return run


def _read_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have used so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for process in (str(pid), *children):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the proof, print the figures, and exit with 1 if it fails."""
    parser = argparse.ArgumentParser(prog="scripts/prove limits", description=__doc__)
    parser.add_argument("--limit", type=int, default=600, help="requests per minute of the key")
    parser.add_argument("--seconds", type=float, default=180, help="for which requests are offered")
    parser.add_argument("--workers", type=int, default=4, help="processes of the service")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = prove(
            Path(folder) / "indexes", limit=arguments.limit, seconds=arguments.seconds, workers=arguments.workers
        )
    print(
        f"limit {run.limit}/min, {arguments.workers} workers: {run.statuses.total()} offered in {run.seconds:.1f} s,"
        f" {run.admitted} admitted, expected {run.expected:.0f} ({run.admitted / run.expected - 1:+.1%}),"
        f" statuses {dict(run.statuses)}, {run.cpu_seconds:.1f} CPU seconds of the service"
    )
    errors = run.list_errors()
    print("\n".join(errors) or "proved")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
