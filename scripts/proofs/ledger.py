"""Prove that the ledger stays correct when a service is killed while it calls a model server.

Each completely delivered reply is in the ledger with the server's exact token counts, or, if the kill came before the
settlement, as an estimate. No reply is in the ledger twice, and no request that was not sent.
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from support.upstream import ScriptedReply, Upstream, run_upstream

CLIENTS = 6
QUESTIONS = ("How long is parental leave?", "Who pays for a hotel?", "When are lamps checked?", "Is leave paid in May?")
TEXTS = {
    "leave.txt": "Parental leave lasts 26 weeks. Leave is paid in May. It is asked for eight weeks before.",
    "travel.txt": "The company pays for a hotel room up to 140 euros. Trains are preferred to planes.",
    "lamps.txt": "Lamps are checked every spring. Two people sign the record.",
}
WAIT_SECONDS = 30


class CountingUpstream(Upstream):
    """A model server that records the usage of each reply that it delivers completely."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered_usage: list[tuple[int, int]] = []
        self.request_count = 0

    async def _send_reply(self, script: ScriptedReply, receive: Any, send: Any) -> None:
        self.request_count += 1
        await super()._send_reply(script, receive, send)
        self.delivered_usage.append(_parse_usage(b"".join(part for part in script.parts if isinstance(part, bytes))))


def _parse_usage(body: bytes) -> tuple[int, int]:
    """Return the input and output tokens that a reply states."""
    matches = re.findall(rb'"usage": ?(\{.*?\})', body)
    usage = json.loads(
        matches[-1].replace(b'"prompt_tokens_details": {', b"").split(b', "cached')[0].rstrip(b"}") + b"}"
    )
    return usage["prompt_tokens"], usage.get("completion_tokens", 0)


@contextmanager
def run_service(
    folder: Path, url: str, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the service in a process of its own, with further options and settings; kill it when the block ends."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SEMSEARCH_DATA_DIR": str(folder),
        "SEMSEARCH_CHAT__BASE_URL": url,
        "SEMSEARCH_EMBEDDINGS__BASE_URL": url,
        "SEMSEARCH_CHAT__MODEL": "m",
        **(settings or {}),
    }
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--no-access-log", *options]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, cwd=folder.parent)
    assert process.stderr is not None
    try:
        url_match = re.search(r"http://[\w.:]+", process.stderr.readline())
        assert url_match, "the service did not print its URL"
        yield process, url_match[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _run_client(url: str, seed: int, stop: threading.Event) -> None:
    """Ask questions until `stop` is set; sometimes disconnect during a reply."""
    rng = random.Random(seed)
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        while not stop.is_set():
            body = {"question": rng.choice(QUESTIONS), "stream": True}
            with suppress(httpx.HTTPError), client.stream("POST", "/v1/collections/ledger/ask", json=body) as response:
                for _ in response.iter_lines():
                    if rng.random() < 0.02:
                        break


def prove(folder: Path, kills: int, seed: int = 1) -> list[str]:
    """Kill the service `kills` times under load; return the errors in the ledger."""
    rng = random.Random(seed)
    with run_upstream(CountingUpstream()) as upstream:
        assert isinstance(upstream, CountingUpstream)
        for kill in range(kills + 1):
            with run_service(folder, upstream.url) as (process, url):
                if not kill:
                    _fill_collection(url)
                stop = threading.Event()
                clients = [threading.Thread(target=_run_client, args=(url, rng.random(), stop)) for _ in range(CLIENTS)]
                for client in clients:
                    client.start()
                time.sleep(rng.uniform(0.3, 1.2))
                process.send_signal(signal.SIGKILL)
                stop.set()
                for client in clients:
                    client.join(WAIT_SECONDS)
        time.sleep(0.5)
        return find_ledger_errors(folder, upstream)


def _fill_collection(url: str) -> None:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        client.put("/v1/collections/ledger", json={"embedder": "openai:vectors"}).raise_for_status()
        documents = [{"uri": uri, "text": text} for uri, text in TEXTS.items()]
        client.post("/v1/collections/ledger/documents", json={"documents": documents}).raise_for_status()


def find_ledger_errors(folder: Path, upstream: CountingUpstream) -> list[str]:
    """Compare the ledger with the replies that the model server recorded."""
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        rows = db.execute("SELECT input_tokens, output_tokens, outcome, estimated, state FROM call").fetchall()
        total_reserved = db.execute(
            "SELECT sum(held_tokens) FROM spent WHERE owner = '' AND length(period) = 10"
        ).fetchone()[0]
        open_reserved = db.execute("SELECT total(held_tokens) FROM call WHERE state = 'held'").fetchone()[0]
    exact = Counter((row[0], row[1]) for row in rows if row[2] == "ok" and not row[3])
    delivered = Counter(upstream.delivered_usage)
    unsettled = sum(row[2] != "ok" or row[3] for row in rows)
    errors = []
    if undelivered := exact - delivered:
        errors.append(f"recorded as exact, but not delivered: {dict(undelivered)}")
    missing = (delivered - exact).total()
    if missing > unsettled:
        errors.append(f"{missing} delivered replies have no exact record, but only {unsettled} have an estimate")
    if len(rows) < upstream.request_count:
        errors.append(f"the server received {upstream.request_count} requests, the ledger has {len(rows)}")
    if total_reserved != open_reserved:
        errors.append(f"the sums reserve {total_reserved} tokens, the open requests {open_reserved:.0f}")
    print(
        f"{upstream.request_count} requests, {delivered.total()} delivered completely; {exact.total()} exact,"
        f" {unsettled} estimated or still reserved; exact tokens {sum(a + b for a, b in exact.elements())}"
    )
    return errors


def main() -> None:
    """Run the proof, print the result, and exit with 1 on an error."""
    parser = argparse.ArgumentParser(prog="scripts/prove ledger", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    with tempfile.TemporaryDirectory() as name:
        errors = prove(Path(name) / "indexes", parser.parse_args().kills)
    print("\n".join(errors) or "the ledger is correct")
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
