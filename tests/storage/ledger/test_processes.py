"""Tests of the ledger with several processes, and with processes that are killed."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from support.billing import (
    MAX_REQUEST_TOKENS,
    REQUEST_NANOUSD,
    REQUEST_TOKENS,
    Clock,
    make_reservation,
    make_settled_usage,
    read_totals,
    sum_rows,
)

from semsearch.core.types.usage import BudgetLimits, UsageRow
from semsearch.storage.ledger.local.ledger import LocalLedger

pytestmark = pytest.mark.slow

NewLedger = Callable[[], LocalLedger]

TESTS = Path(__file__).parents[2]
TODAY = ("", "2026-11-23")


@contextmanager
def run_spender(folder: Path, *arguments: int) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that waits for a line before it sends requests."""
    command = [sys.executable, "-W", "error", str(TESTS / "support" / "spender.py"), str(folder)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            assert stdout_of(process).readline() == "ready\n", process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()


def stdout_of(process: "subprocess.Popen[str]") -> IO[str]:
    """Return the standard output of a process."""
    assert process.stdout is not None
    return process.stdout


def start_spending(process: "subprocess.Popen[str]") -> None:
    """Send the line that the process waits for."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kill_after_lines(process: "subprocess.Popen[str]", line_count: int) -> list[str]:
    """Kill the process after this many lines of output; return all complete lines."""
    lines = [stdout_of(process).readline() for _ in range(line_count)]
    process.send_signal(signal.SIGKILL)
    lines += stdout_of(process).readlines()
    assert process.wait(10) == -signal.SIGKILL
    return [line.strip() for line in lines if line.endswith("\n")]


def read_today_totals(folder: Path) -> tuple[int, int, int, int] | None:
    """Return the totals of today; None if there are no tables yet."""
    try:
        return read_totals(folder / "ledger.db").get(TODAY)
    except sqlite3.OperationalError:  # the file is being created
        return None


def test_process_killed_before_the_settlement(new_ledger: NewLedger, clock: Clock, tmp_path: Path) -> None:
    """Earlier requests stay exact; the open one counts as an estimate after its expiry, and its rest is released."""
    folder = tmp_path / "indexes"
    code = (
        "import os, sys, pathlib; from support.billing import *\n"
        "from semsearch.storage.ledger.local.ledger import LocalLedger\n"
        "ledger = LocalLedger(pathlib.Path(sys.argv[1]), clock=Clock())\n"
        "for cost in (70, 80):\n"
        "    ledger.settle(ledger.reserve(make_reservation(Clock()), {}), make_settled_usage(7, 1, cost))\n"
        "ledger.reserve(make_reservation(Clock(), upper_bound=100), {})\n"
        "os.kill(os.getpid(), 9)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    completed = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, env=environ, timeout=60)
    assert completed.returncode == -signal.SIGKILL
    ledger, limits = new_ledger(), {"": BudgetLimits(day_tokens=120)}
    assert read_totals(ledger.path)[TODAY] == (16, 150, 100, 200)
    assert ledger.usage("day") == [UsageRow("2026-11-23", 2, 0, 14, 2, 0, 1.5e-7, 0)]
    assert ledger.reserve(make_reservation(clock), limits) is None
    clock.now += 60
    assert ledger.usage("day") == [UsageRow("2026-11-23", 3, 0, 24, 2, 0, 2.5e-7, 1)]
    reservation = ledger.reserve(make_reservation(clock), limits)
    assert reservation is not None
    ledger.settle(reservation, make_settled_usage(0))
    assert read_totals(ledger.path)[TODAY] == (26, 250, 0, 0)
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_process_killed_at_any_moment(new_ledger: NewLedger, clock: Clock, tmp_path: Path) -> None:
    """Acknowledged reservations and settlements are stored; others are stored completely or not at all."""
    rng, folder = random.Random(0), tmp_path / "indexes"
    reserved_ids: set[str] = set()
    settled_ids: set[str] = set()
    kills = 4
    for _ in range(kills):
        with run_spender(folder, 0, 1, 10**6) as process:
            start_spending(process)
            for state, reservation in (line.split() for line in kill_after_lines(process, rng.randrange(1, 80))):
                (reserved_ids if state == "reserved" else settled_ids).add(reservation)
        assert read_totals(folder / "ledger.db") == sum_rows(folder / "ledger.db")
    ledger = new_ledger()
    rows = ledger.usage("day")
    exact = rows[0].requests if rows else 0
    assert len(settled_ids) <= exact <= len(settled_ids) + kills
    clock.now += 60
    (row,) = ledger.usage("day")
    assert row.requests - row.estimated_requests == exact
    assert len(reserved_ids) <= row.requests <= len(reserved_ids) + kills
    assert row.estimated_requests <= kills
    assert row.input_tokens == exact * REQUEST_TOKENS + row.estimated_requests * 10
    last = ledger.reserve(make_reservation(clock), {})
    assert last is not None
    ledger.settle(last, make_settled_usage(0))
    assert read_totals(ledger.path)[TODAY] == (
        row.input_tokens,
        exact * REQUEST_NANOUSD + row.estimated_requests * 100,
        0,
        0,
    )
    assert read_totals(ledger.path) == sum_rows(ledger.path)


def test_two_concurrent_processes(new_ledger: NewLedger, tmp_path: Path) -> None:
    """They create one file, never exceed the limit together, and each request is settled once."""
    folder, request_count, reservation_count, threads = tmp_path / "indexes", 60, 3, 4
    limit = 2 * request_count * REQUEST_TOKENS + reservation_count * MAX_REQUEST_TOKENS
    arguments = (request_count // threads, threads, limit)
    with run_spender(folder, *arguments) as first, run_spender(folder, *arguments) as second:
        assert not folder.exists()
        for process in (first, second):
            start_spending(process)
        max_reserved = 0
        while first.poll() is None or second.poll() is None:
            if (folder / "ledger.db").exists() and (totals := read_today_totals(folder)):
                spent_tokens, _, reserved_tokens, _ = totals
                assert spent_tokens + reserved_tokens <= limit
                max_reserved = max(max_reserved, reserved_tokens)
        lines = [line.split() for process in (first, second) for line in stdout_of(process)]
        assert (first.returncode, second.returncode) == (0, 0), [
            process.stderr and process.stderr.read() for process in (first, second)
        ]
    assert max_reserved > 0
    reservations = [reservation for state, reservation in lines if state == "settled"]
    assert len(reservations) == len(set(reservations)) == 2 * request_count
    assert read_totals(folder / "ledger.db")[TODAY] == (
        2 * request_count * REQUEST_TOKENS,
        2 * request_count * REQUEST_NANOUSD,
        0,
        0,
    )
    assert new_ledger().usage("day")[0].requests == 2 * request_count
    assert read_totals(folder / "ledger.db") == sum_rows(folder / "ledger.db")


def test_reservation_of_another_process_counts_against_the_limit(
    new_ledger: NewLedger, tmp_path: Path, clock: Clock
) -> None:
    """A process waits until the reservation here is settled."""
    folder = tmp_path / "indexes"
    ledger = new_ledger()
    assert ledger.reserve(make_reservation(clock, upper_bound=MAX_REQUEST_TOKENS), {}) is not None
    with run_spender(folder, 1, 1, 2 * MAX_REQUEST_TOKENS - 1) as process:
        start_spending(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        ledger.settle(1, make_settled_usage(REQUEST_TOKENS))
        assert process.wait(10) == 0
        assert [line.split()[0] for line in stdout_of(process)] == ["reserved", "settled"]
