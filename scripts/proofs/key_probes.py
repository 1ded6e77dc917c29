"""Prove that no key reaches the data of another one, with random requests of every operation in the route table.

A service with several workers holds the data of a victim. Four keys look for it: one with a filter, one of another
owner, one of another collection, and one of the same owner with a filter; some requests are first sent by the victim,
so that caches hold its results. No reply may have a word that is hidden from its key, and a hidden value must get the
same reply as one that does not exist.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.probes import (
    Operation,
    Request,
    Values,
    find_leaks,
    is_compared,
    list_operations,
    make_request,
    normalize,
    send,
)
from support.tenants import ALLOWED_DOCUMENTS, CANARY, OPEN, Prober, TenantWorld, plant_world

from semsearch.core.settings import Settings
from semsearch.interfaces.http.app import create_app
from semsearch.interfaces.http.service import make_service
from semsearch.library import Library

from .ledger import run_service

THREADS = 6
MAX_ERRORS = 20


@dataclass(slots=True)
class ProbeRun:
    """Counts and errors of a run."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, operation: Operation, replies: Sequence[httpx.Response], errors: list[str]) -> None:
        """Count the replies of one probe."""
        with self.lock:
            self.requests += len(replies)
            self.statuses.update(reply.status_code for reply in replies)
            self.operations.add(f"{operation.method} {operation.path}")
            self.errors += errors


def load_operations() -> list[Operation]:
    """Return the operations of the service that do not only return files of the page."""
    with tempfile.TemporaryDirectory() as folder, Library(folder, settings=Settings()) as library:
        service = make_service(library)
        operations = list_operations(create_app(service))
        service.close()
    return [operation for operation in operations if operation.path.startswith("/v1/") or operation.method == "GET"]


def send_probe(
    client: httpx.Client, world: TenantWorld, prober: Prober, operation: Operation, seed: int
) -> tuple[list[httpx.Response], list[str]]:
    """Send a request with hidden values and its twin; return the replies, and what is wrong with them."""
    rng = random.Random(seed)
    as_cookie = operation.method == "GET" and rng.random() < 0.2
    requests = [
        make_request(operation, Values(world, prober, random.Random(seed), absent=absent)) for absent in (False, True)
    ]
    changes_nothing = operation.method == "GET" or operation.path.endswith("/search")
    if changes_nothing and rng.random() < 0.3:
        send(client, requests[0], world.victim_key)
    replies = [send(client, request, prober.key, as_cookie=as_cookie) for request in requests]
    place = f"seed {seed}, {prober.name}: {operation.method} {requests[0].path} {requests[0].params} {requests[0].json}"
    return replies, [f"{place}: {error}" for error in _find_errors(operation, requests, replies, prober)]


def _find_errors(
    operation: Operation, requests: Sequence[Request], replies: Sequence[httpx.Response], prober: Prober
) -> list[str]:
    errors = []
    for request, reply in zip(requests, replies, strict=True):
        errors += [f"the reply has the hidden {word}" for word in find_leaks(request, reply, prober)]
        if reply.status_code >= 500:
            errors.append(f"status {reply.status_code}: {reply.text[:200]}")
    hidden, absent = (normalize(*pair) for pair in zip(requests, replies, strict=True))
    if is_compared(requests[0], replies[0]) and hidden != absent:
        errors.append(f"another reply than for what does not exist: {hidden} instead of {absent}")
    if requests[0].hides_path and not operation.is_public and replies[0].status_code < 400:
        errors.append(f"a hidden id has the status {replies[0].status_code}")
    return errors


def find_damage(client: httpx.Client, world: TenantWorld) -> list[str]:
    """Return what the victim has lost, and what the keys see that they should not, or do not see that they should."""
    errors = []
    paths = [f"/v1/{kind}s/{value}" for kind in ("answer", "session") for value in world.ids[kind]]
    paths += [
        f"/v1/collections/{name}/documents/{world.ids['uri'][1].replace('/', '%2F')}" for name in (OPEN, world.vault)
    ]
    for path in paths:
        reply = send(client, Request("GET", path, {}), world.victim_key)
        if reply.status_code != 200 or not CANARY.search(reply.text):
            errors.append(f"the victim gets {reply.status_code} for {path}")
    for prober in world.probers[:1]:
        errors += _find_wrong_counts(client, prober)
    return errors


def _find_wrong_counts(client: httpx.Client, prober: Prober) -> list[str]:
    """Return the searches that have fewer than k hits though k exist, and totals that count hidden documents."""
    errors = []
    allowed = ALLOWED_DOCUMENTS + 1
    for mode in ("hybrid", "dense"):
        for k in (1, 5, allowed, 40):
            body = {"query": "How long may the lamp burn?", "k": k, "mode": mode}
            reply = send(client, Request("POST", f"/v1/collections/{OPEN}/search", {}, body), prober.key)
            if len(reply.json()["hits"]) != min(k, allowed):
                errors.append(f"{mode} search with k {k} has {len(reply.json()['hits'])} hits")
    listed = send(client, Request("GET", f"/v1/collections/{OPEN}/documents", {"limit": "5"}), prober.key).json()
    collection = send(client, Request("GET", f"/v1/collections/{OPEN}", {}), prober.key).json()
    if listed["total"] != allowed or collection["documents"] != allowed:
        errors.append(f"{listed['total']} and {collection['documents']} documents are counted instead of {allowed}")
    return errors


def run_probes(
    url: str, world: TenantWorld, operations: Sequence[Operation], requests: int, seed: int, threads: int = THREADS
) -> ProbeRun:
    """Send about this many requests, besides those of the victim."""
    run = ProbeRun()
    limits = httpx.Limits(keepalive_expiry=2.0)  # before the service closes it, which takes 5 s

    def send_share(share: int) -> None:
        rng = random.Random(f"{seed} {share}")
        with httpx.Client(base_url=url, timeout=60, trust_env=False, limits=limits) as client:
            while run.requests < requests and len(run.errors) < MAX_ERRORS:
                operation, prober = rng.choice(operations), rng.choice(world.probers)
                run.add(operation, *send_probe(client, world, prober, operation, rng.getrandbits(40)))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send_share, range(threads)))
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        run.errors += find_damage(client, world)
    return run


def prove(folder: Path, requests: int, seed: int, workers: int = 2) -> ProbeRun:
    """Probe a service in processes of its own; its log may have no hidden word either."""
    world = plant_world(folder, seed)
    log: list[str] = []
    with run_service(folder, "http://127.0.0.1:9/v1", "--workers", str(workers)) as (process, url):
        assert process.stderr is not None
        reader = threading.Thread(target=lambda: log.extend(process.stderr or []))
        reader.start()
        run = run_probes(url, world, load_operations(), requests, seed)
        process.terminate()
        process.wait(30)
        reader.join()
    logged = set(CANARY.findall("".join(log))) & set(world.canaries.values())
    run.errors += [f"the log has the hidden {word}" for word in logged]
    return run


def main() -> None:
    """Run the proof, print the result, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove key_probes", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        run = prove(Path(name) / "indexes", options.requests, options.seed, options.workers)
    print(
        f"{run.requests:,} requests of {len(run.operations)} operations with seed {options.seed}, statuses"
        f" {dict(sorted(run.statuses.items()))}, {time.monotonic() - began:.0f} s"
    )
    print("\n".join(run.errors[:MAX_ERRORS]) or "nothing hidden was seen")
    sys.exit(bool(run.errors))


if __name__ == "__main__":
    main()
