"""Prove that a client that hangs up ends its call to the model server within a second, in 99 of 100 cases at least.

It hangs up before the first token or after it, with a stream or without, by an end or a reset of the connection, with
nothing, requests, half a head or half an upload behind its question. No other call begins, and no traceback is logged.
"""

import argparse
import json
import random
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from support.raw_requests import HEALTH_REQUEST, reset, upload_head
from support.upstream import ScriptedReply, Upstream, delta_event, run_upstream

from .ledger import TEXTS, run_service

CLIENTS = 16
MAX_SECONDS = 1.0
MIN_SHARE_IN_TIME = 0.99
"""Goal for the share of the calls that end within `MAX_SECONDS`."""
WAIT_SECONDS = 30.0
MAX_PAUSE_SECONDS = 0.2
"""Longest time between the call of the model server and the hang-up."""

_COLLECTION = "/v1/collections/ledger"
_WORD = re.compile(r"W\d{6}")
_BEHIND: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda word: b"",
    "get": lambda word: HEALTH_REQUEST,
    "question": lambda word: build_question(f"again {word}", stream=True),
    "half a head": lambda word: HEALTH_REQUEST[:20],
    "full pipeline": lambda word: HEALTH_REQUEST * 24,
    "half an upload": lambda word: upload_head(f"{_COLLECTION}/documents/{word}.txt", 5_000_000) + b"a" * 1_000_000,
}
"""Bytes that the client sends behind its question."""


class HangingUpstream(Upstream):
    """A model server that never ends an answer, and records when the service closes each call."""

    def __init__(self) -> None:
        super().__init__()
        self.called = dict[str, int]()
        """Calls by the word of the question."""
        self.closed_at = dict[str, float]()

    async def _send_reply(self, reply: ScriptedReply, receive: Any, send: Any) -> None:
        words = _WORD.findall(str(self.calls[-1].body.get("messages", "")))
        if not words:
            await super()._send_reply(reply, receive, send)
            return
        word = words[-1]
        self.called[word] = self.called.get(word, 0) + 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        if int(word[1:]) % 2:
            event = b"data: " + json.dumps(delta_event("Parents may. ")).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.closed_at[word] = time.monotonic()


@dataclass(slots=True)
class HangUpRun:
    """What was seen."""

    seconds: list[float] = field(default_factory=list)
    """From each hang-up to the end of its call."""
    errors: list[str] = field(default_factory=list)

    @property
    def share_in_time(self) -> float:
        """Share of the calls that ended in time."""
        return sum(seconds <= MAX_SECONDS for seconds in self.seconds) / max(1, len(self.seconds))

    def quantile(self, share: float) -> float:
        """Return a quantile of the times."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def build_question(question: str, *, stream: bool) -> bytes:
    """Return a request with a question."""
    body = json.dumps({"question": question, "stream": stream}).encode()
    return upload_head(f"{_COLLECTION}/ask", len(body), method="POST", media_type="application/json") + body


def hang_up(address: tuple[str, int], upstream: HangingUpstream, number: int, seed: int) -> tuple[float | None, str]:
    """Ask, wait for the call of the model server, and hang up; return the seconds to its end, or an error."""
    rng, word = random.Random(seed * 1_000_003 + number), f"W{number:06}"
    behind = list(_BEHIND)[number // 2 % len(_BEHIND)]
    stream, close = rng.random() < 0.5, rng.choice((socket.socket.close, reset))
    place = f"{word}, {behind} behind it, stream {stream}"
    with closing(socket.create_connection(address, timeout=WAIT_SECONDS)) as connection:
        connection.sendall(build_question(f"How long is parental leave of {word}?", stream=stream))
        if not _wait(lambda: word in upstream.called):
            return None, f"{place}: the model server was not called"
        connection.setblocking(False)
        if data := _BEHIND[behind](word):
            connection.send(data)
        time.sleep(rng.uniform(0.0, MAX_PAUSE_SECONDS))
        if word in upstream.closed_at:
            return None, f"{place}: the call ended before the hang-up"
        hung_up_at = time.monotonic()
        close(connection)
    if not _wait(lambda: word in upstream.closed_at):
        return None, f"{place}: the call did not end"
    if upstream.called[word] > 1:
        return None, f"{place}: {upstream.called[word]} calls began"
    return upstream.closed_at[word] - hung_up_at, ""


def _wait(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def prove(folder: Path, count: int, seed: int = 1) -> HangUpRun:
    """Let `count` clients hang up, several at the same time."""
    run, log = HangUpRun(), list[str]()
    with run_upstream(HangingUpstream()) as upstream:
        assert isinstance(upstream, HangingUpstream)
        with run_service(folder, upstream.url) as (process, url):
            assert process.stderr is not None
            log_reader = threading.Thread(target=lambda: log.extend(process.stderr or []))
            log_reader.start()
            with httpx.Client(base_url=url, timeout=WAIT_SECONDS, trust_env=False) as client:
                client.put(_COLLECTION).raise_for_status()
                documents = [{"uri": uri, "text": text} for uri, text in TEXTS.items()]
                client.post(f"{_COLLECTION}/documents", json={"documents": documents}).raise_for_status()
                address = (client.base_url.host, client.base_url.port or 80)
                with ThreadPoolExecutor(CLIENTS) as pool:
                    for seconds, error in pool.map(lambda n: hang_up(address, upstream, n, seed), range(count)):
                        run.seconds += [] if seconds is None else [seconds]
                        run.errors += [error] if error else []
                time.sleep(MAX_SECONDS)  # until a call that should not begin would have begun
                if client.get("/healthz").status_code != 200:
                    run.errors.append("the service is not healthy afterwards")
            process.terminate()
            process.wait(WAIT_SECONDS)
            log_reader.join()
    if repeated := [word for word, calls in upstream.called.items() if calls > 1]:
        run.errors.append(f"calls began after the hang-up: {repeated[:5]}")
    if any("Traceback" in line for line in log):
        run.errors.append("the log has a traceback")
    return run


def main() -> None:
    """Run the proof, print the figures, and exit with 1 on an error or if too few calls end in time."""
    parser = argparse.ArgumentParser(prog="scripts/prove hang_ups", description=__doc__)
    parser.add_argument("--count", type=int, default=1_200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run = prove(Path(folder) / "indexes", arguments.count, arguments.seed)
    if run.seconds:
        print(
            f"{len(run.seconds)} hang-ups, {run.share_in_time:.1%} ended their call within {MAX_SECONDS:g} s;"
            f" p50 {run.quantile(0.5) * 1000:.0f} ms, p99 {run.quantile(0.99) * 1000:.0f} ms,"
            f" longest {max(run.seconds) * 1000:.0f} ms; {time.monotonic() - began:.0f} s"
        )
    print("\n".join(run.errors[:20]) or "no error")
    sys.exit(bool(run.errors) or run.share_in_time < MIN_SHARE_IN_TIME)


if __name__ == "__main__":
    main()
