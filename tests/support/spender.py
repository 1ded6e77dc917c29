"""A process that reserves and settles requests: `spender.py FOLDER REQUESTS THREADS LIMIT`, REQUESTS on each thread.

Prints `ready`, waits for a line, then prints `reserved ID` and `settled ID` for each request. With 0 requests it runs
until it is killed.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from support.billing import (
    MAX_REQUEST_TOKENS,
    REQUEST_NANOUSD,
    REQUEST_TOKENS,
    Clock,
    make_reservation,
    make_settled_usage,
)

from semsearch.core.types.usage import BudgetLimits
from semsearch.storage.ledger.local.ledger import LocalLedger


def write_line(line: str) -> None:
    """Write a line in one system call, so that lines of threads do not mix."""
    os.write(1, f"{line}\n".encode())


def spend(ledger: LocalLedger, limits: dict[str, BudgetLimits], requests: int) -> None:
    """Reserve and settle requests one after the other, each when the limit allows."""
    for _ in range(requests) if requests else count():
        while (
            reservation := ledger.reserve(make_reservation(Clock(), upper_bound=MAX_REQUEST_TOKENS), limits)
        ) is None:
            time.sleep(0.001)
        write_line(f"reserved {reservation}")
        ledger.settle(reservation, make_settled_usage(REQUEST_TOKENS, 0, REQUEST_NANOUSD))
        write_line(f"settled {reservation}")


def main() -> None:
    """Run the process."""
    folder, requests, threads, limit = Path(sys.argv[1]), *map(int, sys.argv[2:])
    ledger = LocalLedger(folder, clock=Clock())
    limits = {"": BudgetLimits(day_tokens=limit)}
    write_line("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: spend(ledger, limits, requests), range(threads)))
    ledger.close()


if __name__ == "__main__":
    main()
