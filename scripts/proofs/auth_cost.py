"""Measure the CPU time that authentication adds to a search over HTTP: a key of a hundred, and the page's cookie.

The same search is sent to three applications in random order, in one process and without a socket: one without keys,
one with keys that gets an access key, and one that gets the cookie of the page. The authentication alone is measured
too, as it is small beside the spread of a search. The limit is for the authentication.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from semsearch import KeyGrants, Library, text_source
from semsearch.access.secrets import make_cookie_value
from semsearch.core.settings import Settings
from semsearch.interfaces.http.asgi import Application
from semsearch.interfaces.http.auth import COOKIE, Authenticator

KEYS = 100
WARM_UP_ROUNDS = 200
MAX_MICROSECONDS = 60.0
BODY = b'{"query": "When is the lamp lit?", "k": 5}'
Headers = list[tuple[bytes, bytes]]


class SearchClient:
    """Sends one search to an application, as the server would."""

    def __init__(self, application: Application, headers: Headers) -> None:
        self._application = application
        self._headers = [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(BODY)),
            *headers,
        ]

    async def search(self) -> None:
        """Send the search; fail unless it succeeds."""
        statuses = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": BODY, "more_body": False}

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {
            "type": "http", "method": "POST", "path": "/v1/collections/notes/search", "query_string": b"",
            "raw_path": b"/v1/collections/notes/search", "headers": self._headers, "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2), "scheme": "http", "http_version": "1.1", "state": {},
        }  # fmt: skip
        await self._application(scope, receive, send)
        if statuses[0] != 200:
            raise RuntimeError(f"the search has the status {statuses[0]}")


def open_library(stack: ExitStack, folder: Path, key_count: int) -> tuple[Library, str]:
    """Open a library with a collection; return it with one of its keys."""
    library = stack.enter_context(Library(folder, settings=Settings()))
    texts = [f"Note {number}: the lamp {number} is lit at dusk." for number in range(50)]
    library.create("notes").upsert([text_source(f"{number}", text) for number, text in enumerate(texts)])
    keys = [library.create_key(KeyGrants(f"{number}", "ann"))[1] for number in range(key_count)]
    return library, keys[-1] if keys else ""


async def measure_searches(clients: dict[str, SearchClient], rounds: int) -> dict[str, float]:
    """Return the median microseconds of CPU of one search on the thread of the event loop, by client."""
    times: dict[str, list[int]] = {name: [] for name in clients}
    names = list(clients)
    for _ in range(WARM_UP_ROUNDS + rounds):
        random.shuffle(names)
        for name in names:
            began = time.thread_time_ns()
            await clients[name].search()
            times[name].append(time.thread_time_ns() - began)
    return {name: statistics.median(values[WARM_UP_ROUNDS:]) / 1e3 for name, values in times.items()}


def measure_checks(library: Library, headers: Headers, rounds: int) -> float:
    """Return the median microseconds of CPU of the authentication alone, over batches of 100."""
    authenticator = Authenticator(library, is_exposed=False)
    times = []
    for _ in range(rounds // 10):
        scopes: list[Any] = [
            {"method": "POST", "path": "/v1/collections/notes/search", "headers": headers, "state": {}}
            for _ in range(100)
        ]
        began = time.thread_time_ns()
        for scope in scopes:
            authenticator.authenticate(scope)
        times.append(time.thread_time_ns() - began)
    return statistics.median(times) / 100 / 1e3


def prove(folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median microseconds of a search, and of the authentication alone, by its kind."""
    with ExitStack() as stack:
        plain, _ = open_library(stack, folder / "plain", 0)
        guarded, key = open_library(stack, folder / "guarded", KEYS)
        cookie = f"{COOKIE}={make_cookie_value(key)}".encode()
        cases: dict[str, tuple[Library, Headers]] = {
            "none": (plain, []),
            "key": (guarded, [(b"authorization", b"Bearer " + key.encode())]),
            "cookie": (guarded, [(b"cookie", cookie), (b"origin", b"http://127.0.0.1")]),
        }
        clients = {
            name: SearchClient(Application(library, "127.0.0.1"), headers) for name, (library, headers) in cases.items()
        }
        searches = asyncio.run(measure_searches(clients, rounds))
        return searches, {name: measure_checks(*case, rounds) for name, case in cases.items()}


def main() -> None:
    """Measure, print the result, and exit with 1 if it is too much."""
    parser = argparse.ArgumentParser(prog="scripts/prove auth_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3_000)
    with tempfile.TemporaryDirectory() as name:
        searches, checks = prove(Path(name), parser.parse_args().rounds)
    for name, check in checks.items():
        added = searches[name] - searches["none"]
        print(f"{name:7} search {searches[name]:6.0f} µs ({added:+.0f} µs), authentication {check:5.1f} µs of CPU")
    sys.exit(max(checks.values()) > MAX_MICROSECONDS)


if __name__ == "__main__":
    main()
