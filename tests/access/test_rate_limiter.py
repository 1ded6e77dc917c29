"""Limits of callers and client addresses, shared by several workers."""

import random
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from support import limit_workers
from support.billing import Clock
from support.limit_workers import is_admitted, make_caller, make_worker

from semsearch.access.rate_limiter import BALANCE_SECONDS, LEASE_SECONDS
from semsearch.core.errors import RateLimitedError
from semsearch.core.types.usage import RequestContext


@pytest.fixture
def clock() -> Clock:
    """A clock that is moved by hand."""
    return Clock(1_000.0)


@pytest.mark.parametrize("limit", [30, 600])
def test_four_workers_admit_exactly_one_bucket_and_its_refill(tmp_path: Path, clock: Clock, limit: int) -> None:
    """Of ten times the limit, offered for three minutes to random workers, four times the limit is admitted."""
    workers, rng, caller = [make_worker(tmp_path, clock) for _ in range(4)], random.Random(7), make_caller(limit)
    admitted = 0
    for _ in range(30 * limit):
        clock.now += 180 / (30 * limit)
        admitted += is_admitted(rng.choice(workers), caller)
    assert 4 * limit * 0.95 <= admitted <= 4 * limit


@pytest.mark.slow
def test_four_processes_admit_exactly_one_bucket_and_its_refill(tmp_path: Path) -> None:
    """Processes that offer ten times the limit at once admit together what one process would in the same time."""
    limit = 600
    arguments = [sys.executable, limit_workers.__file__, str(tmp_path), str(limit), str(10 * limit // 4)]
    workers = [subprocess.Popen(arguments, stdin=PIPE, stdout=PIPE, text=True) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("start\n")
        worker.stdin.flush()
    results = [worker.communicate(timeout=60)[0].split() for worker in workers]
    starts, ends = [[float(result[column]) for result in results] for column in (1, 2)]
    expected = limit + (max(ends) - min(starts)) * limit / 60
    assert 0.95 * expected <= sum(int(result[0]) for result in results) <= expected + 1


def test_unused_parts_of_expired_slices_go_back(tmp_path: Path, clock: Clock) -> None:
    """After a time of few requests the bucket is full, except for what other workers have leased just now."""
    workers, caller = [make_worker(tmp_path, clock) for _ in range(4)], make_caller(600)
    for index in range(100):
        clock.now += (LEASE_SECONDS + 0.1) / 4
        assert is_admitted(workers[index % 4], caller)
    assert 600 - 4 * 12 <= sum(is_admitted(workers[0], caller) for _ in range(1_000)) <= 600


def test_refused_request_touches_no_file(tmp_path: Path, clock: Clock) -> None:
    """A worker remembers until when it refuses, and says it."""
    worker, caller = make_worker(tmp_path, clock), make_caller(60)
    while is_admitted(worker, caller):
        pass
    (tmp_path / "limits.db").unlink()  # a worker that read it would make a new one
    clock.now += 0.4
    with pytest.raises(RateLimitedError, match="60 requests per minute") as refusal:
        worker.admit_request(caller)
    assert refusal.value.retry_after_seconds == pytest.approx(0.6)
    assert not (tmp_path / "limits.db").exists()


@pytest.mark.parametrize("damage", ["delete", "garbage", "other_tables", "no_numbers"])
def test_lost_or_damaged_file_is_made_anew(tmp_path: Path, clock: Clock, damage: str) -> None:
    """No request fails, and soon the workers share buckets again."""
    workers, caller = [make_worker(tmp_path, clock) for _ in range(2)], make_caller(50)
    for worker in workers:
        assert is_admitted(worker, caller)
    damage_file(tmp_path / "limits.db", damage)
    for _ in range(20):
        clock.now += 0.1
        for worker in workers:
            worker.admit_request(caller)
    admitted = sum(is_admitted(worker, caller) for _ in range(100) for worker in workers)
    assert admitted <= 51
    assert not is_admitted(make_worker(tmp_path, clock), caller)


def damage_file(path: Path, damage: str) -> None:
    """Damage a limits file whose connections stay open."""
    if damage == "garbage":
        path.write_bytes(b"no database" * 1_000)
        path.with_name("limits.db-wal").write_bytes(b"")
        return
    statements = {
        "delete": "",
        "other_tables": "DROP TABLE bucket; CREATE TABLE bucket (id INTEGER PRIMARY KEY)",
        "no_numbers": "UPDATE bucket SET level = 'x', updated = 9e999",
    }
    if damage == "delete":
        path.unlink()
        return
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).executescript(sys.argv[2])"
    subprocess.run([sys.executable, "-c", script, str(path), statements[damage]], check=True)


def test_locked_file_delays_no_request_and_its_requests_are_charged_later(tmp_path: Path, clock: Clock) -> None:
    """While another program holds the lock, a worker goes on by itself; what it admitted is charged afterwards."""
    worker, caller = make_worker(tmp_path, clock), make_caller(60)
    assert is_admitted(worker, caller)
    script = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('BEGIN IMMEDIATE'); print(flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "limits.db")]
    with subprocess.Popen(arguments, stdin=PIPE, stdout=PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        admitted = sum(is_admitted(worker, caller) for _ in range(100))
        assert admitted == 59
        holder.communicate()
    clock.now += 1.0
    assert is_admitted(worker, caller)
    assert not is_admitted(make_worker(tmp_path, clock), caller)


def test_folder_that_cannot_be_written_limits_each_worker(tmp_path: Path, clock: Clock) -> None:
    """Without a file, a worker has a bucket of its own."""
    worker = make_worker(tmp_path / "missing", clock)
    assert sum(is_admitted(worker, make_caller(60)) for _ in range(100)) == 60


def test_tokens_are_charged_in_every_worker(tmp_path: Path, clock: Clock) -> None:
    """A request is admitted while any tokens are left; usage beyond them is paid back by waiting."""
    first, second, caller = make_worker(tmp_path, clock), make_worker(tmp_path, clock), make_caller(tokens=1_000)
    context = RequestContext("answer", caller.owner, caller.key)
    assert is_admitted(first, caller)
    assert is_admitted(second, caller)
    first.charge_tokens(context, 1_500)
    clock.now += BALANCE_SECONDS
    for worker in (second, first):
        with pytest.raises(RateLimitedError, match="1,000 tokens") as refusal:
            worker.admit_request(caller)
        assert refusal.value.retry_after_seconds == pytest.approx(30, abs=0.5)
    clock.now += 30.1
    assert is_admitted(first, caller)
    assert is_admitted(second, caller)
    assert first.describe(caller)["tokens"].remaining < 10


def test_keys_have_limits_of_their_own(tmp_path: Path, clock: Clock) -> None:
    """One key that is exhausted limits no other, and none without a limit."""
    worker = make_worker(tmp_path, clock)
    assert sum(is_admitted(worker, make_caller(10)) for _ in range(20)) == 10
    assert is_admitted(worker, make_caller(10, key="otherkey0000"))
    assert all(is_admitted(worker, make_caller()) for _ in range(200))


def test_addresses_are_limited_except_the_loopback(tmp_path: Path, clock: Clock) -> None:
    """All addresses of an IPv6 network of 64 bits count as one client."""
    worker = make_worker(tmp_path, clock)
    for _ in range(30):
        worker.admit_address("2001:db8::1")
        worker.admit_address("2001:db8::2")
    with pytest.raises(RateLimitedError, match="from your address"):
        worker.admit_address("2001:db8::3")
    for _ in range(100):
        worker.admit_address("127.0.0.1")
    worker.admit_address("2001:db8:0:1::1")
