"""Prove that searching and asking work while documents are written by HTTP and by another process.

Each sentence of a document contains the version of the document, so that a mixture of two versions is detected.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SUBJECTS = ("lamp tide rope boat signal storm glass oil stair door keeper wall rock gull fog bell chart wind").split()
CLIENTS = 20
DOCUMENTS = 12
_VERSION = re.compile(r"version (\d+)")


class LoadRun:
    """Counts and errors of all clients."""

    def __init__(self, url: str, folder: Path, seconds: float, requests: int) -> None:
        self.url, self.folder = url, folder
        self.deadline = time.monotonic() + seconds
        self.min_requests = requests
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._lock = threading.Lock()

    def is_running(self) -> bool:
        """Return whether there is no error yet, and time or requests are left."""
        return not self.errors and (time.monotonic() < self.deadline or self.counts["requests"] < self.min_requests)

    def call(self, client: httpx.Client, method: str, path: str, **body: object) -> dict[str, object]:
        """Send one request; every status except 200 is an error, including 409 and 503."""
        response = client.request(method, f"{self.url}/v1/collections/load{path}", json=body or None, timeout=30)
        with self._lock:
            self.counts["requests"] += 1
            self.counts[path.split("/")[1] if "/" in path else path] += 1
        if response.status_code != 200:
            self.record_error(f"{method} {path}: {response.status_code} {response.text[:300]}")
        reply: dict[str, object] = response.json()
        return reply

    def record_error(self, message: str) -> None:
        """Record an error."""
        with self._lock:
            self.errors.append(message)


def make_text(subject: str, number: int, version: int) -> str:
    """Return a text in which every sentence contains the version."""
    rng = random.Random(number)
    return "\n\n".join(
        " ".join(
            f"The {subject} number {number} has a {rng.choice(SUBJECTS)} in part {part}.{line} of version {version}."
            for line in range(5)
        )
        for part in range(8)
    )


def check_one_version(run: LoadRun, uri: str, text: str) -> None:
    """Record an error if a text contains sentences of several versions."""
    versions = set(_VERSION.findall(text))
    if len(versions) > 1:
        run.record_error(f"{uri} mixes versions {versions}")


def run_reader(run: LoadRun, seed: int) -> None:
    """Search and ask; check every hit and every citation."""
    rng = random.Random(seed)
    with httpx.Client() as client:
        while run.is_running():
            subject = rng.choice(SUBJECTS)
            if rng.random() < 0.7:
                hits = run.call(client, "POST", "/search", query=f"which {subject} has a {rng.choice(SUBJECTS)}?", k=5)
                for hit in hits.get("hits", []):  # type: ignore[attr-defined]  # JSON
                    check_one_version(run, hit["uri"], hit["text"])
            else:
                answer = run.call(client, "POST", "/ask", question=f"What has the {subject} number 3 in part 2?")
                for citation in answer.get("citations", []):  # type: ignore[attr-defined]  # JSON
                    _check_citation(run, client, citation)


def _check_citation(run: LoadRun, client: httpx.Client, citation: dict[str, object]) -> None:
    stored = run.call(client, "GET", f"/documents/{citation['uri']}")
    check_one_version(run, str(citation["uri"]), str(stored["text"]))
    same = stored["content_sha256"] == citation["content_sha256"]
    start, end = int(str(citation["start"])), int(str(citation["end"]))
    if same and str(stored["text"])[start:end] != citation["quote"]:
        run.record_error(f"{citation['uri']}: the quote differs from the stored text")


def run_writer(run: LoadRun) -> None:
    """Write documents by HTTP; check that each is searchable at once by its own word."""
    number = 0
    with httpx.Client() as client:
        while run.is_running():
            number += 1
            word = f"zq{number:06}x"
            body = f"The word of the day is {word}. It stands here in version {number}."
            run.call(client, "POST", "/documents", documents=[{"uri": f"word/{number % 50}", "text": body}])
            for mode in ("hybrid", "lexical"):
                hits = run.call(client, "POST", "/search", query=f"word of the day {word}", k=3, mode=mode)["hits"]
                if not any(word in hit["text"] for hit in hits):  # type: ignore[attr-defined]  # JSON
                    run.record_error(f"{word} was acknowledged but is not searchable ({mode})")


def run_ingester(run: LoadRun) -> None:
    """Rewrite the files of a folder and ingest it with the command line, repeatedly."""
    version = 0
    while run.is_running():
        version += 1
        write_files(run.folder / "docs", version)
        completed = subprocess.run(
            command(run.folder, "ingest", str(run.folder / "docs"), "-c", "load"), capture_output=True, text=True
        )
        run.counts["ingests"] += 1
        if completed.returncode:
            run.record_error(f"ingest ended with {completed.returncode}: {completed.stderr[:300]}")


def write_files(folder: Path, version: int) -> None:
    """Write a version of every document; replace each file atomically, as an editor does."""
    folder.mkdir(exist_ok=True)
    for number in range(DOCUMENTS):
        subject = SUBJECTS[number % len(SUBJECTS)]
        new_file = folder / f".{number}.new"
        new_file.write_text(make_text(subject, number, version))
        new_file.rename(folder / f"{subject}-{number}.txt")


def command(folder: Path, *arguments: str) -> list[str]:
    """Return a semsearch command on the data of the proof."""
    return [sys.executable, "-m", "semsearch", "--data-dir", str(folder / "indexes"), *arguments]


@contextmanager
def run_service(folder: Path) -> Iterator[str]:
    """Start a server on a free loopback port and yield its URL."""
    server = subprocess.Popen(command(folder, "serve", "--port", "0"), stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    log_reader = threading.Thread(target=server.stderr.read)  # an unread pipe would block the server
    try:
        url_match = re.search(r"http://[\w.:]+", server.stderr.readline())
        assert url_match, "the server did not print its URL"
        log_reader.start()
        yield url_match[0]
    finally:
        server.terminate()
        server.wait(timeout=30)
        log_reader.join()
        server.stderr.close()


def prove(folder: Path, seconds: float, requests: int) -> LoadRun:
    """Run all clients for at least `seconds` and `requests`; return the counts and errors."""
    write_files(folder / "docs", 0)
    subprocess.run(command(folder, "ingest", str(folder / "docs"), "-c", "load"), check=True, capture_output=True)
    with run_service(folder) as url:
        run = LoadRun(url, folder, seconds, requests)
        tasks: list[Callable[[], None]] = [lambda seed=seed: run_reader(run, seed) for seed in range(CLIENTS)]  # type: ignore[misc]
        tasks += [lambda: run_writer(run), lambda: run_ingester(run)]
        threads = [threading.Thread(target=_run_guarded, args=(run, task)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return run


def _run_guarded(run: LoadRun, task: Callable[[], None]) -> None:
    """Run a task; record its exception as an error of the run."""
    try:
        task()
    except (httpx.HTTPError, KeyError, OSError) as exc:
        run.record_error(f"{type(exc).__name__}: {exc}")


def main() -> None:
    """Run the proof, print the result, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove parallel", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=5000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run = prove(Path(folder), arguments.seconds, arguments.requests)
    print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, {CLIENTS} clients: {dict(run.counts)}")
    print("\n".join(run.errors) or "no error")
    sys.exit(bool(run.errors))


if __name__ == "__main__":
    main()
