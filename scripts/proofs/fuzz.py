"""Prove that no bytes over a connection make the service fail: hundreds of kinds of invalid and unusual requests.

Several processes send cases over keep-alive connections: valid requests in pieces and chunks, pipelines, wrong chunk
sizes, two lengths, bare line feeds, altered bytes, deep JSON, huge heads, ranges, strange paths, half bodies, clients
that never read. The model server fails now and then. There is no 5xx but for its failures, every other request is
answered by a valid response, no process of the service ends, its log has no traceback, and its memory stays flat.
"""

import argparse
import multiprocessing
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.http_service import fill_collection
from support.pdf_files import make_pdf
from support.upstream import CUT, ReceivedCall, ScriptedReply, error_reply, raw_stream_reply, run_upstream

from semsearch.access.secrets import parse_key
from semsearch.core.types.access import ALL_SCOPES, AccessKey, KeyGrants
from semsearch.storage.ledger.local.ledger import LocalLedger

from .ledger import run_service
from .raw_http.cases import make_case
from .raw_http.client import MAX_ERRORS, Counts, Part, run_part
from .raw_http.messages import AUTHORIZATION, COLLECTION, KEY, LONG_URI, PDF_URI

DEFAULT_ROUNDS = 10
"""Parts of a run; the memory is measured after each, while nothing is running."""
MAX_GROWTH_BYTES = 32 << 20
"""In the second half of a run. The caches of words, queries and texts are bounded, and fill in the first half."""
SETTLE_SECONDS = 1.0
CASES_PER_PART = 100_000_000
LONG_TEXT = "".join(f"The lamp of tower {n} burns {n + 3} litres of oil.\n" for n in range(5_000))


@dataclass(slots=True)
class FuzzRun:
    """Results of a run."""

    counts: Counts = field(default_factory=Counts)
    memory_bytes: list[int] = field(default_factory=list)
    """Resident memory of all processes of the service, before the first round and after each."""
    peak_bytes: int = 0
    log_lines: int = 0

    @property
    def errors(self) -> list[str]:
        """Return what went wrong."""
        return self.counts.errors


def store_key(folder: Path) -> None:
    """Store the key of all requests, with every scope."""
    credential = parse_key(KEY)
    assert credential is not None
    grants = KeyGrants("fuzz", "fuzz", ALL_SCOPES)
    with closing(LocalLedger(folder)) as ledger:
        ledger.add_key(AccessKey(credential.key_id, grants, credential.secret_hash, time.time()))


def make_client(url: str) -> httpx.Client:
    """Return a client with this key."""
    return httpx.Client(base_url=url, timeout=120, trust_env=False, headers=dict([AUTHORIZATION]))


def fill_service(url: str) -> None:
    """Store the documents that the cases read."""
    with make_client(url) as client:
        path = fill_collection(client, COLLECTION)
        page = [(100.0, 700.0 - 20 * row, 12.0, f"Lamp {row} burns oil.") for row in range(20)]
        for uri, data in ((LONG_URI, LONG_TEXT.encode()), (PDF_URI, make_pdf(page, page))):
            assert client.put(f"{path}/documents/{uri}", content=data).status_code == 200


def make_reply_rule(seed: int) -> "FailingRule":
    """Return a rule by which one of twenty replies of the model server fails."""
    return FailingRule(random.Random(seed))


@dataclass(slots=True)
class FailingRule:
    """Returns a failing reply now and then."""

    rng: random.Random

    def __call__(self, call: ReceivedCall) -> ScriptedReply | None:
        """Return the reply to a call, or None if the server works."""
        if self.rng.random() > 0.05:
            return None
        return self.rng.choice(
            (
                error_reply(500, "failed"),
                error_reply(429, "too many"),
                ScriptedReply([CUT]),
                ScriptedReply([b"<html>"], 200, {"content-type": "text/html"}),
                raw_stream_reply(b"data: {\n\n", b"data: [1]\n\n"),
                raw_stream_reply(b'data: {"choices": []}\n\n', CUT),
            )
        )


def list_processes(pid: int) -> list[int]:
    """Return the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def read_memory(pids: list[int], name: str = "VmRSS") -> int:
    """Return the sum of a value of /proc/PID/status, in bytes."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def prove(
    folder: Path, requests: int, *, seed: int, processes: int = 1, workers: int = 1, rounds: int = DEFAULT_ROUNDS
) -> FuzzRun:
    """Send about `requests` requests to a service in its own processes; return counts, memory and errors."""
    run = FuzzRun()
    store_key(folder)
    log: list[str] = []
    with run_upstream() as upstream, run_service(folder, upstream.url, "--workers", str(workers)) as (process, url):
        assert process.stderr is not None
        log_reader = threading.Thread(target=lambda: log.extend(process.stderr or []))
        log_reader.start()
        fill_service(url)
        upstream.reply_rule = make_reply_rule(seed)
        pids = list_processes(process.pid)
        _run_rounds(run, Part(int(url.rpartition(":")[2]), seed, 0, requests), processes, pids, rounds)
        if process.poll() is not None or list_processes(process.pid) != pids:
            run.errors.append(f"a process of the service has ended: {pids}, {process.poll()}")
        _check_service(run, url)
        process.terminate()
        process.wait(30)
        log_reader.join()
    _check_log(run, log)
    _check_memory(run)
    return run


def _run_rounds(run: FuzzRun, whole: Part, processes: int, pids: list[int], rounds: int) -> None:
    run.memory_bytes.append(read_memory(pids))
    with _make_executor(processes) as executor:
        for number in range(rounds):
            first = (number * processes) * CASES_PER_PART
            share = max(1, whole.requests // rounds // processes)
            parts = [Part(whole.port, whole.seed, first + index * CASES_PER_PART, share) for index in range(processes)]
            for counts in executor.map(run_part, parts):
                run.counts.add(counts)
            if len(run.errors) >= MAX_ERRORS:
                break
            time.sleep(SETTLE_SECONDS if processes > 1 else 0)
            run.memory_bytes.append(read_memory(pids))
            _report(run)
    run.peak_bytes = read_memory(pids, "VmHWM")


def _make_executor(processes: int) -> Executor:
    """Return processes that send, or for one a thread, which starts faster."""
    if processes == 1:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def _report(run: FuzzRun) -> None:
    print(f"{run.counts.requests:,} requests, {run.memory_bytes[-1] >> 20} MiB", file=sys.stderr, flush=True)


def _check_service(run: FuzzRun, url: str) -> None:
    with make_client(url) as client:
        if client.get("/readyz").status_code != 200 or client.get(f"/v1/collections/{COLLECTION}").status_code != 200:
            run.errors.append("the service is not ready afterwards")


def _check_log(run: FuzzRun, log: list[str]) -> None:
    """Record each kind of traceback as an error, with its first example."""
    run.log_lines = len(log)
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    starts = [number for number, line in enumerate(log) if line.startswith("Traceback")]
    for start in starts:
        end = next((n for n in range(start + 1, len(log)) if not log[n].startswith(" ")), len(log) - 1)
        if "exception" in "".join(log[end + 1 : end + 4]):  # the cause of the next traceback
            continue
        kind = re.sub(r"0x[0-9a-f]+", "", log[end])[:100]
        counts[kind] += 1
        examples.setdefault(kind, "".join(log[max(0, start - 1) : end + 1]))
    run.counts.errors += [f"{count} times in the log: {examples[kind]}" for kind, count in counts.items()]


def _check_memory(run: FuzzRun) -> None:
    growth = run.memory_bytes[-1] - run.memory_bytes[len(run.memory_bytes) // 2]
    if growth > MAX_GROWTH_BYTES:
        run.errors.append(f"the memory has grown by {growth >> 20} MiB in the second half")


def show_case(seed: int, number: int) -> None:
    """Print what a case sends."""
    case = make_case(seed, number)
    print(case.kind, case.reading, *(f"{piece!r}" for piece in case.pieces), sep="\n")


def main() -> None:
    """Run the proof, print the result, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=max(2, os.cpu_count() or 2), help="processes that send")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument("--show", type=int, metavar="CASE", help="only print a case of this seed")
    arguments = parser.parse_args()
    if arguments.show is not None:
        show_case(arguments.seed, arguments.show)
        return
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        run = prove(
            Path(name) / "indexes",
            arguments.requests,
            seed=arguments.seed,
            processes=arguments.processes,
            workers=arguments.workers,
        )
    for outcome, count in sorted(run.counts.outcomes.items()):
        print(f"{count:>9,}  {outcome}")
    memory = ", ".join(f"{size >> 20}" for size in run.memory_bytes)
    print(f"{run.counts.requests:,} requests with seed {arguments.seed} in {time.monotonic() - began:.0f} s")
    print(f"memory in MiB: {memory}; peak {run.peak_bytes >> 20}; {run.log_lines} lines of log")
    print("\n".join(run.errors) or "no error")
    sys.exit(bool(run.errors))


if __name__ == "__main__":
    main()
