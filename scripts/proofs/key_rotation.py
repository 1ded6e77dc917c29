"""Prove that keys take effect with the next request in every worker, while they are created, rotated and revoked.

Clients send requests with keys of all kinds meanwhile. A request that begins after a key was created or rotated, and
ends before the key is revoked, succeeds; one that begins after the reply to the revocation is refused.
"""

import argparse
import math
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from semsearch import KeyGrants, Library, text_source
from semsearch.core.settings import Settings
from semsearch.core.types.access import ALL_SCOPES

from .ledger import run_service

MANAGERS = 3
CLIENTS = 6
PAUSE_SECONDS = 0.3
"""Most time between two changes of one key."""
MAX_ERRORS = 20


@dataclass(slots=True)
class IssuedSecret:
    """A key as it was sent to its owner, and from when on it must be accepted or refused. Times are monotonic."""

    text: str
    accepted_from: float
    ending_from: float = math.inf
    """When the request that ends it was sent; until then every request must pass."""
    refused_from: float = math.inf
    """When that request was answered."""


@dataclass(slots=True)
class RotationRun:
    """The secrets so far, and what clients saw."""

    url: str
    secrets: list[IssuedSecret] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    is_done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, secret: IssuedSecret, status: int, began: float, ended: float) -> None:
        """Compare the status of a request with what its secret allows."""
        with self.lock:
            if began >= secret.refused_from:
                self.counts["with an ended secret"] += 1
                expected = 401
            elif ended <= secret.ending_from:
                self.counts["with a valid secret"] += 1
                expected = 200
            else:
                self.counts["during a change"] += 1
                return
            if status != expected:
                self.errors.append(f"status {status} instead of {expected} {began - secret.accepted_from:.3f} s after")


def run_manager(run: RotationRun, admin_key: str, key_count: int, seed: int) -> None:
    """Create, rotate and revoke keys one after the other, half of them without an overlap."""
    rng = random.Random(seed)
    with _open_client(run.url) as client:
        client.headers["authorization"] = f"Bearer {admin_key}"
        for number in range(key_count):
            reply = client.post("/v1/keys", json={"name": f"key {seed}.{number}", "scopes": ["search"]})
            reply.raise_for_status()
            key_id = reply.json()["id"]
            first = _issue(run, reply.json()["key"])
            time.sleep(rng.uniform(0, PAUSE_SECONDS))
            overlap = rng.choice([0, 3600])
            with _end([first] if overlap == 0 else []):
                reply = client.post(f"/v1/keys/{key_id}/rotate", json={"overlap_seconds": overlap})
                reply.raise_for_status()
            second = _issue(run, reply.json()["key"])
            time.sleep(rng.uniform(0, PAUSE_SECONDS))
            with _end([second] if overlap == 0 else [first, second]):
                client.delete(f"/v1/keys/{key_id}").raise_for_status()
            with run.lock:
                run.counts["keys"] += 1


def _issue(run: RotationRun, text: str) -> IssuedSecret:
    secret = IssuedSecret(text, time.monotonic())
    run.secrets.append(secret)
    return secret


@contextmanager
def _end(secrets: list[IssuedSecret]) -> Iterator[None]:
    """Note when a request that ends secrets was sent and answered."""
    for secret in secrets:
        secret.ending_from = time.monotonic()
    yield
    for secret in secrets:
        secret.refused_from = time.monotonic()


def run_client(run: RotationRun, seed: int) -> None:
    """Send requests with recent secrets, each on a new connection or one that is open, so that all workers get some."""
    rng = random.Random(seed)
    client = _open_client(run.url)
    while not run.is_done.is_set() and len(run.errors) < MAX_ERRORS:
        if not run.secrets:
            time.sleep(0.01)
            continue
        if rng.random() < 0.1:
            client.close()
            client = _open_client(run.url)
        recent = run.secrets[-8:]
        secret = rng.choice([secret for secret in recent if math.isinf(secret.ending_from)] or recent)
        if rng.random() < 0.3:
            secret = rng.choice(recent)
        headers = {"authorization": f"Bearer {secret.text}"}
        path = rng.choice(["/v1/collections/notes/search?q=lamp", "/v1/me", "/v1/collections"])
        began = time.monotonic()
        status = client.get(path, headers=headers).status_code
        run.check(secret, status, began, time.monotonic())
    client.close()


def _open_client(url: str) -> httpx.Client:
    # an idle connection expires before the service closes it, after 5 s
    return httpx.Client(base_url=url, timeout=60, trust_env=False, limits=httpx.Limits(keepalive_expiry=2.0))


def prove(folder: Path, keys: int, workers: int) -> RotationRun:
    """Run the service, the clients and the managers until so many keys were created, rotated and revoked."""
    with Library(folder, settings=Settings()) as library:
        library.create("notes").upsert([text_source("lamp", "The lamp is lit at dusk.")])
        admin_key = library.create_key(KeyGrants("admin", "operator", ALL_SCOPES))[1]
    with run_service(folder, "http://127.0.0.1:9/v1", "--workers", str(workers)) as (_, url):
        run = RotationRun(url)
        shares = [keys // MANAGERS + (number < keys % MANAGERS) for number in range(MANAGERS)]
        managers = [_start(run, run_manager, run, admin_key, share, number) for number, share in enumerate(shares)]
        clients = [_start(run, run_client, run, number) for number in range(CLIENTS)]
        for thread in managers:
            thread.join()
        run.is_done.set()
        for thread in clients:
            thread.join()
    return run


def _start(run: RotationRun, function: Callable[..., None], *arguments: object) -> threading.Thread:
    """Run a function on a thread; what it raises is an error of the run."""

    def call() -> None:
        try:
            function(*arguments)
        except Exception as exc:
            run.errors.append(f"{type(exc).__name__}: {exc}")

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def main() -> None:
    """Run the proof, print the result, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove key_rotation", description=__doc__)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        run = prove(Path(name) / "indexes", options.keys, options.workers)
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(run.counts.items()))
    print(f"{options.workers} workers: {counts}; {time.monotonic() - began:.0f} s")
    print("\n".join(run.errors[:MAX_ERRORS]) or "every valid secret was accepted, every ended one refused")
    sys.exit(bool(run.errors))


if __name__ == "__main__":
    main()
