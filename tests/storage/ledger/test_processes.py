"""Several processes, and processes that are killed: what was said to be done is done, and nothing is held for ever."""

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
def spender(folder: Path, *arguments: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that waits for a line before it begins to spend."""
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
            assert out(process).readline() == "ready\n", process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()


def out(process: "subprocess.Popen[str]") -> IO[str]:
    """What it says."""
    assert process.stdout is not None
    return process.stdout


def go(process: "subprocess.Popen[str]") -> None:
    """Let it begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def killed(process: "subprocess.Popen[str]", after: int) -> list[str]:
    """Kill it when it has said this many lines; everything that it has said."""
    said = [out(process).readline() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    said += out(process).readlines()
    assert process.wait(10) == -signal.SIGKILL
    return [line.strip() for line in said if line.endswith("\n")]


def totals_of(folder: Path) -> tuple[int, int, int, int] | None:
    """What is spent and held today, as far as there are tables yet."""
    try:
        return read_totals(folder / "ledger.db").get(TODAY)
    except sqlite3.OperationalError:  # being made
        return None


def test_killed_between_holding_and_booking(new_ledger: NewLedger, clock: Clock, tmp_path: Path) -> None:
    """Earlier requests stay exact; the one under way is an estimate when it has expired, and its room comes back."""
    folder = tmp_path / "indexes"
    code = (
        "import os, sys, pathlib; from support.billing import *\n"
        "from semsearch.storage.ledger.local.ledger import LocalLedger\n"
        "ledger = LocalLedger(pathlib.Path(sys.argv[1]), clock=Clock())\n"
        "for nano in (70, 80): ledger.settle(ledger.reserve(make_reservation(Clock()), {}), make_settled_usage(7, 1, nano))\n"
        "ledger.reserve(make_reservation(Clock(), upper_bound=100), {})\n"
        "os.kill(os.getpid(), 9)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, env=environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
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


def test_killed_at_any_moment(new_ledger: NewLedger, clock: Clock, tmp_path: Path) -> None:
    """What was said to be held or settled is; what was not is there whole or not at all."""
    dice, folder = random.Random(0), tmp_path / "indexes"
    held_ones: set[str] = set()
    settled_ones: set[str] = set()
    kills = 4
    for _ in range(kills):
        with spender(folder, 0, 1, 10**6) as process:
            go(process)
            for verb, reservation in (line.split() for line in killed(process, dice.randrange(1, 80))):
                (held_ones if verb == "held" else settled_ones).add(reservation)
        assert read_totals(folder / "ledger.db") == sum_rows(folder / "ledger.db")
    ledger = new_ledger()
    booked = ledger.usage("day")
    exact = booked[0].requests if booked else 0
    assert len(settled_ones) <= exact <= len(settled_ones) + kills
    clock.now += 60
    (row,) = ledger.usage("day")
    assert row.requests - row.estimated_requests == exact
    assert len(held_ones) <= row.requests <= len(held_ones) + kills
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


def test_two_processes_at_once(new_ledger: NewLedger, tmp_path: Path) -> None:
    """They make the file together, never hold more than fits together, and each request is booked once."""
    folder, each, room, threads = tmp_path / "indexes", 60, 3, 4
    limit = 2 * each * REQUEST_TOKENS + room * MAX_REQUEST_TOKENS
    arguments = (each // threads, threads, limit)
    with spender(folder, *arguments) as one, spender(folder, *arguments) as other:
        assert not folder.exists()
        for process in (one, other):
            go(process)
        most = 0
        while one.poll() is None or other.poll() is None:
            if (folder / "ledger.db").exists() and (totals := totals_of(folder)):
                spent_tokens, _, held_tokens, _ = totals
                assert spent_tokens + held_tokens <= limit
                most = max(most, held_tokens)
        said = [line.split() for process in (one, other) for line in out(process)]
        assert (one.returncode, other.returncode) == (0, 0), [
            process.stderr and process.stderr.read() for process in (one, other)
        ]
    assert most > 0
    reservations = [reservation for verb, reservation in said if verb == "settled"]
    assert len(reservations) == len(set(reservations)) == 2 * each
    assert read_totals(folder / "ledger.db")[TODAY] == (2 * each * REQUEST_TOKENS, 2 * each * REQUEST_NANOUSD, 0, 0)
    assert new_ledger().usage("day")[0].requests == 2 * each
    assert read_totals(folder / "ledger.db") == sum_rows(folder / "ledger.db")


def test_a_limit_holds_between_processes(new_ledger: NewLedger, tmp_path: Path, clock: Clock) -> None:
    """What another process holds counts against the limit here."""
    folder = tmp_path / "indexes"
    ledger = new_ledger()
    assert ledger.reserve(make_reservation(clock, upper_bound=MAX_REQUEST_TOKENS), {}) is not None
    with spender(folder, 1, 1, 2 * MAX_REQUEST_TOKENS - 1) as process:
        go(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        ledger.settle(1, make_settled_usage(REQUEST_TOKENS))
        assert process.wait(10) == 0
        assert [line.split()[0] for line in out(process)] == ["held", "settled"]
