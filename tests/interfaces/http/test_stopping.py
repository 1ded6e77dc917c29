"""Stopping the service: bounded time, readiness first, and an end that clients can see."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.http_service import fill_collection, run_service
from support.raw_requests import ask_request, connect, read_all, upload_head
from support.upstream import HANG, Upstream, delta_event, raw_stream_reply, run_upstream

from semsearch.interfaces.http import limits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

TOKEN = b"data: " + json.dumps(delta_event("Parents may. ")).encode() + b"\n\n"

SHORT_GRACE_SECONDS = 2.0
COMMAND_WITH_SHORT_GRACE = f"""
import sys
from semsearch.interfaces.cli.main import main
from semsearch.interfaces.http import limits

limits.GRACE_SECONDS = {SHORT_GRACE_SECONDS}
sys.argv[0] = "semsearch"
main()
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """One model server for all tests of this module."""
    with run_upstream() as upstream:
        yield upstream


@contextmanager
def run_command(
    folder: Path, upstream: Upstream, *options: str, program: Sequence[str] = ("-m", "semsearch")
) -> Iterator[tuple["subprocess.Popen[str]", httpx.URL]]:
    """Run `semsearch serve`; yield the process and its URL. Kill it if it still runs after the block."""
    environment = {
        **os.environ,
        "SEMSEARCH_CHAT__BASE_URL": upstream.url,
        "SEMSEARCH_CHAT__API_KEY": "sk-none",
        "SEMSEARCH_CHAT__MODEL": "m",
    }
    command = [sys.executable, *program, "--data-dir", str(folder), "serve", "--port", "0", *options]
    with subprocess.Popen([*command, "--no-access-log"], stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            yield process, httpx.URL(process.stderr.readline().split()[2].rstrip(","))
        finally:
            process.kill()


def poll_readiness(url: httpx.URL) -> list[int]:
    """Return the status codes of the readiness check, on a new connection each, until the service accepts none."""
    statuses: list[int] = []
    while True:
        try:
            statuses.append(httpx.get(url.join("/readyz"), timeout=20).status_code)
        except httpx.TransportError:
            return statuses
        time.sleep(0.02)


@pytest.mark.parametrize(("workers", "stream_count"), [(1, 40), (4, 12)])
def test_service_stops_in_time_and_ends_each_stream_with_an_event(
    tmp_path: Path, upstream: Upstream, workers: int, stream_count: int
) -> None:
    """Readiness fails while connections are accepted; half uploads are cut early; no traceback is printed."""
    upstream.reset()
    upstream.reply_rule = lambda call: raw_stream_reply(TOKEN, HANG)
    program = ("-c", COMMAND_WITH_SHORT_GRACE)
    with (
        run_command(tmp_path, upstream, "--workers", str(workers), program=program) as (process, url),
        ThreadPoolExecutor(60) as pool,
    ):
        with httpx.Client(base_url=url) as client:
            fill_collection(client, "hb", {"leave.txt": "Parents take up to 26 weeks of leave."})
        streams, uploads = [[connect(url) for _ in range(count)] for count in (stream_count, 10)]
        for stream in streams:
            stream.sendall(ask_request(stream=True))
        for upload in uploads:
            upload.sendall(upload_head("/v1/collections/hb/documents/half.txt", 5_000_000) + b"a" * 100_000)
        while len(upstream.calls) < stream_count:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        stopped_at = time.monotonic()
        statuses = pool.submit(poll_readiness, url)
        stream_replies, upload_replies = pool.map(read_all, streams), pool.map(read_all, uploads)
        assert all(b" 503 " in reply[:20] for reply in upload_replies)
        assert time.monotonic() - stopped_at < limits.READINESS_SECONDS + SHORT_GRACE_SECONDS
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - stopped_at < 10 - (limits.GRACE_SECONDS - SHORT_GRACE_SECONDS)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        for reply in stream_replies:
            last_event = reply.split(b"event: ")[-1]
            assert last_event.startswith(b"error\n")
            assert b'"/problems/unavailable"' in last_event
            assert reply.endswith(b"\r\n0\r\n\r\n")
    assert statuses.result()[-1] == 503
    for connection in (*streams, *uploads):
        connection.close()


def test_second_interrupt_stops_at_once(tmp_path: Path, upstream: Upstream) -> None:
    """A second Ctrl-C does not wait for running requests, and prints no traceback."""
    upstream.reset()
    upstream.reply_rule = lambda call: raw_stream_reply(TOKEN, HANG)
    with run_command(tmp_path, upstream) as (process, url):
        with httpx.Client(base_url=url) as client:
            fill_collection(client, "hb", {"leave.txt": "Parents take up to 26 weeks of leave."})
        with connect(url) as stream:
            stream.sendall(ask_request(stream=True))
            while not upstream.calls:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)  # signals that arrive together are delivered as one
            interrupted_at = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert time.monotonic() - interrupted_at < limits.GRACE_SECONDS - 1
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_fails_before_an_idle_service_stops(tmp_path: Path, upstream: Upstream, workers: int) -> None:
    """New connections get a 503 from the check and other answers as before, then they are refused."""
    with run_command(tmp_path, upstream, "--workers", str(workers)) as (process, url):
        assert httpx.get(url.join("/readyz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        time.sleep(limits.READINESS_SECONDS / 2)
        assert httpx.get(url.join("/healthz")).status_code == 200
        assert poll_readiness(url)[-1] == 503
        assert process.wait(timeout=20) == 0


def test_client_that_does_not_read_does_not_delay_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose send buffer is full is cut."""
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(limits, "CANCEL_SECONDS", 0.2)
    with socket.socket() as connection, run_service(tmp_path) as client:
        assert client.get("/openapi.json").status_code == 200
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((client.base_url.host, client.base_url.port or 80))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        time.sleep(0.5)
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 5


STUCK_SERVICE = """
import sys, threading, time
from semsearch.library import Library
from semsearch.interfaces.http import limits
from semsearch.interfaces.http.server import serve
from semsearch.interfaces.http.service import Service

limits.STOP_SECONDS = 2
Service.close = lambda self: time.sleep(60)  # as it waits for a write that does not end
with Library(sys.argv[1]) as library:
    serve(library, "127.0.0.1", 0, lambda url: print(url, flush=True))
"""

STUCK_LOOP = """
import sys, threading, time, urllib.request
from semsearch.library import Library
from semsearch.interfaces.http import limits
from semsearch.interfaces.http.asgi import Application
from semsearch.interfaces.http.server import serve

limits.STOP_SECONDS = 2

async def block(self, scope, receive, send):
    print("blocked", flush=True)
    while True:
        time.sleep(0.01)

def start_request(url):
    threading.Thread(target=urllib.request.urlopen, args=(url,), daemon=True).start()

Application._middleware = property(lambda self: lambda *args: block(self, *args), lambda self, value: None)
with Library(sys.argv[1]) as library:
    serve(library, "127.0.0.1", 0, start_request)
"""

STUCK_WORKERS = """
import sys, time
from semsearch.library import Library
from semsearch.interfaces.http import limits, prefork
from semsearch.interfaces.http.asgi import Application

limits.WORKER_STOP_SECONDS = 2
Application.begin_shutdown = lambda self: time.sleep(60)  # as the event loop hangs
prefork.serve(lambda: Library(sys.argv[1]), "127.0.0.1", 0, 2, lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [(STUCK_SERVICE, 1, "did not end in time"), (STUCK_LOOP, 1, "did not end in time"), (STUCK_WORKERS, 0, "")],
    ids=["thread", "loop", "workers"],
)
def test_code_that_does_not_end_does_not_delay_the_stop(tmp_path: Path, program: str, code: int, message: str) -> None:
    """The process exits without it, and says so; a supervisor kills its workers."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert process.returncode == code
    assert message in errors
    assert "Traceback" not in errors
