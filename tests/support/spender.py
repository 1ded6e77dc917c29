"""A process that spends: `spender.py FOLDER REQUESTS THREADS LIMIT`, so many requests on each of so many threads.

Says `ready`, waits for a line, then says of each request that it is held, and after that that it is settled. With 0
requests it goes on until it is killed.
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
    """One line, at once and whole, whichever thread says it."""
    os.write(1, f"{line}\n".encode())


def spend(ledger: LocalLedger, limits: dict[str, BudgetLimits], requests: int) -> None:
    """One request after the other, each when there is room for it."""
    for _ in range(requests) if requests else count():
        while (
            reservation := ledger.reserve(make_reservation(Clock(), upper_bound=MAX_REQUEST_TOKENS), limits)
        ) is None:
            time.sleep(0.001)
        write_line(f"held {reservation}")
        ledger.settle(reservation, make_settled_usage(REQUEST_TOKENS, 0, REQUEST_NANOUSD))
        write_line(f"settled {reservation}")


def main() -> None:
    """Spend as it was told."""
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
