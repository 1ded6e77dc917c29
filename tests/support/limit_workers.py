"""Workers that limit the requests of one caller together, for tests of limits: each with its own connection."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from semsearch.access.rate_limiter import RateLimiter
from semsearch.core.errors import RateLimitedError
from semsearch.core.types.access import Caller, CallerLimits
from semsearch.storage.limits_file import LimitsFile


def make_caller(
    requests: int | None = None, tokens: int | None = None, streams: int | None = None, key: str = "k3v9x0q2m7ab"
) -> Caller:
    """Return the caller of a key with these limits."""
    return Caller("ann", key=key, limits=CallerLimits(requests, tokens, streams))


def make_worker(folder: Path, clock: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return the limiter of one worker."""
    return RateLimiter(LimitsFile(folder, clock=clock), 60, clock=clock)


def is_admitted(worker: RateLimiter, caller: Caller) -> bool:
    """Return whether a worker admits a request."""
    try:
        worker.admit_request(caller)
    except RateLimitedError:
        return False
    return True


def offer_requests(folder: Path, limit: int, count: int) -> tuple[int, float, float]:
    """Offer requests at short intervals; return how many were admitted, and the times of the first and the last one."""
    worker, caller, admitted = make_worker(folder), make_caller(limit), 0
    start = time.monotonic()
    for _ in range(count):
        admitted += is_admitted(worker, caller)
        time.sleep(0.0002)
    return admitted, start, time.monotonic()


def main() -> None:
    """Say that this worker is ready, wait for a line, offer the requests and print the result."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    result = offer_requests(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(" ".join(map(str, result)))


if __name__ == "__main__":
    main()
