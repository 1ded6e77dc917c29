"""Start and shutdown of the service, its OpenAPI description, and internal errors."""

import contextlib
import gc
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch.collection import Collection
from semsearch.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LockedError,
    StorageError,
    UnsupportedMediaError,
)
from semsearch.core.settings import Settings
from semsearch.core.types.stored_documents import CollectionInfo
from semsearch.interfaces.http.app import create_app
from semsearch.interfaces.http.server import bind, serve
from semsearch.interfaces.http.service import make_service
from semsearch.library import Library

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

UNFINISHED_SEARCH = (
    b"POST /v1/collections/hb/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)

PROGRAM = """
import sys
from semsearch.library import Library
from semsearch.interfaces.http.server import serve

with Library(sys.argv[1]) as library:
    serve(library, sys.argv[2], 0, lambda url: print(url, flush=True))
print("closed", flush=True)
"""


def ignore_url(url: str) -> None:
    """Ignore that the service listens."""


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """The error is a conflict with the port and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Library(tmp_path, settings=Settings()) as library:
        port = listener.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port {port}.*--port"):
            serve(library, "127.0.0.1", port, ignore_url)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_only_the_loopback_is_served(host: str) -> None:
    """Without access keys no other address is allowed; the message names what to do instead."""
    with pytest.raises(ForbiddenError, match=r"no access key.*semsearch keys create NAME.*127\.0\.0\.1"):
        bind(host, 0)


@pytest.mark.parametrize(
    ("host", "port"), [("no such name", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1), ("a" * 70, 0)]
)
def test_an_invalid_address_is_refused(host: str, port: int) -> None:
    """A host that does not resolve and a port out of range are refused with the name of the option."""
    with pytest.raises(InvalidError, match=r"--host|--port"):
        bind(host, port)


@pytest.mark.parametrize(
    ("host", "stop"),
    [
        ("127.0.0.1", signal.SIGTERM),
        ("127.0.0.1", signal.SIGINT),
        ("127.0.0.1", signal.SIGHUP),
        ("localhost", signal.SIGTERM),
        ("::1", signal.SIGTERM),
        ("127.0.0.5", signal.SIGTERM),
    ],
)
def test_a_service_starts_and_stops(tmp_path: Path, host: str, stop: signal.Signals) -> None:
    """It reports its URL when it accepts requests, answers, and exits cleanly on a signal."""
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert host in url
        reply = httpx.get(f"{url}/readyz")
        assert reply.status_code == 200
        assert "server" not in reply.headers
        process.send_signal(stop)
        output, errors = process.communicate(timeout=30)
    assert (output.strip(), process.returncode, errors) == ("closed", 0, "")


def test_nohup_keeps_a_service_running_after_sighup(tmp_path: Path) -> None:
    """A SIGHUP that `nohup` ignores stays ignored."""
    command = ["nohup", sys.executable, "-c", PROGRAM, str(tmp_path), "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(signal.SIGHUP)
            assert httpx.get(f"{url}/healthz").status_code == 200
        finally:
            process.terminate()
        assert process.communicate(timeout=30)[0].strip() == "closed"
    assert process.returncode == 0
    (ignored_signals,) = re.findall(r"^SigIgn:\s+(\w+)$", status, re.MULTILINE)
    assert int(ignored_signals, 16) & 1 << signal.SIGHUP - 1


def _has_ipv6() -> bool:
    try:
        bind("::1", 0).close()
    except Exception:
        return False
    return True


def test_docs_work_offline(tmp_path: Path) -> None:
    """/docs loads nothing from another machine, and every asset exists."""
    with run_service(tmp_path) as client:
        page = client.get("/docs").text
        assets = [text.split('"')[0] for text in page.split('="/')[1:]]
        assert any(asset.endswith(".js") for asset in assets)
        for asset in assets:
            assert client.get(f"/{asset}").status_code == 200
        assert "https://" not in page


def test_the_default_number_of_hits_is_the_described_one(tmp_path: Path) -> None:
    """An answer without `k` in the request or the profile has the number of hits that OpenAPI names."""
    lamps = {f"{number}.txt": f"The lamp of tower {number} burns {number + 3} litres of oil." for number in range(30)}
    with run_service(tmp_path) as client:
        path = fill_collection(client, "lamps", lamps)
        fields = client.get("/openapi.json").json()["components"]["schemas"]["AskBody"]["properties"]
        (described_k,) = re.findall(r"or (\d+)\.", fields["k"]["description"])
        answer = client.post(f"{path}/ask", json={"question": "How much oil does a lamp burn?"}).json()
    assert len(answer["hits"]) == int(described_k)


def test_every_operation_is_described(tmp_path: Path) -> None:
    """Each route has a description, examples of body and response, and its problems with their media type."""
    with Library(tmp_path, settings=Settings()) as library:
        paths = create_app(make_service(library)).openapi()["paths"]
    operations = [(path, verb, operation) for path, verbs in paths.items() for verb, operation in verbs.items()]
    assert len(operations) == 39
    for path, verb, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        for status, response in operation["responses"].items():
            kinds = response.get("content", {})
            assert set(kinds) == {"application/problem+json"} if int(status) >= 400 else True, (path, verb, status)
            assert all("example" in kind for kind in kinds.values()), (path, verb, status)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or "examples" in body["schema"] or "examples" in body, (path, verb)


def test_readiness_writes_to_the_data_directory(tmp_path: Path) -> None:
    """If the data directory cannot be written, the service is alive but not ready."""
    blocked = tmp_path / "indexes"
    with run_service(blocked) as client:
        blocked.write_text("a file instead of the folder")
        assert client.get("/healthz").status_code == 200
        reply = client.get("/readyz")
        check_problem(reply, "unavailable", 503)
        assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (StorageError("the disk is full"), "storage", 507),
        (LockedError("a job runs"), "locked", 409),
        (UnsupportedMediaError("no reader"), "unsupported_media", 415),
    ],
)
def test_each_error_has_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, name: str, status: int
) -> None:
    """An error of the library is the problem of its name, with its message."""

    def fail(self: Collection) -> CollectionInfo:
        raise error

    with run_service(tmp_path) as client:
        path = fill_collection(client, "hb", {})
        monkeypatch.setattr(Collection, "info", fail)
        assert check_problem(client.get(path), name, status) == str(error)


def test_a_lost_wal_is_a_problem_with_both_numbers(tmp_path: Path) -> None:
    """A collection whose WAL was deleted after a crash does not answer with an old state."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        shutil.copytree(tmp_path / "hb", tmp_path / "killed", ignore=shutil.ignore_patterns("*-wal"))
        for path in ("/v1/collections/killed", "/v1/collections/killed/documents"):
            assert "is at commit 0, but commit.seq is at 3" in check_problem(client.get(path), "storage", 507)


def test_an_internal_error_does_not_show_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response to a bug is a 500; the log has the message under the request id."""

    def fail(self: Collection) -> CollectionInfo:
        raise ZeroDivisionError("secret message")

    with run_service(tmp_path) as client, caplog.at_level(logging.ERROR):
        path = fill_collection(client, "hb", {})
        monkeypatch.setattr(Collection, "info", fail)
        reply = client.get(path)
        assert "secret" not in check_problem(reply, "internal", 500)
        assert client.get("/healthz").status_code == 200
    [record] = [record for record in caplog.records if record.name == "semsearch.http"]
    assert reply.headers["x-request-id"] in record.getMessage()
    assert record.exc_info is not None


SEARCHED_SERVICE = """
import signal, sys, threading, urllib.request
from semsearch import text_source
from semsearch.library import Library
from semsearch.interfaces.http.server import serve

def search(url):
    def post(path, body=None):
        headers = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers)) as reply:
            return reply.read()
    def send_requests():
        post("/healthz")
        assert b"Parents" in post("/v1/collections/hb/search", b'{"query": "parental leave"}')
        print("searched:", "fastapi" in sys.modules)
        post("/readyz")
        print("ready:", "fastapi" in sys.modules, flush=True)
        signal.raise_signal(signal.SIGTERM)
    threading.Thread(target=send_requests).start()

with Library(sys.argv[1]) as library:
    library.create("hb").ingest([text_source("leave", "Parents take up to 26 weeks of leave.")])
with Library(sys.argv[1]) as library:
    serve(library, "127.0.0.1", 0, search)
"""


def test_searches_do_not_load_the_framework(tmp_path: Path) -> None:
    """The first request that needs it loads it."""
    result = subprocess.run(
        [sys.executable, "-c", SEARCHED_SERVICE, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.split("\n")[:2] == ["searched: False", "ready: True"], result.stderr


def get_worker_pids(process: "subprocess.Popen[str]") -> list[int]:
    """Return the pids of the child processes."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


@contextlib.contextmanager
def terminating(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Terminate the process after the block; kill it if it does not exit."""
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 20, poll_seconds: float = 0.02) -> None:
    """Wait until the condition holds; fail after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(poll_seconds)


def test_several_workers_serve_one_port(tmp_path: Path) -> None:
    """All workers find what one stores. A killed worker is replaced. A signal stops all, and the port is free."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        with terminating(process):
            wait_until(lambda: len(get_worker_pids(process)) == 2)
            with httpx.Client(base_url=url, headers={"Connection": "close"}) as client:
                fill_collection(client, "hb", {"a.txt": "Leave lasts 26 weeks."})
                for _ in range(20):
                    response = client.post("/v1/collections/hb/search", json={"query": "weeks of leave"})
                    assert response.json()["hits"][0]["uri"] == "a.txt"
                first, second = get_worker_pids(process)
                os.kill(first, signal.SIGKILL)
                wait_until(lambda: len(set(get_worker_pids(process)) - {first, second}) == 1)
                assert client.get("/readyz").status_code == 200
        assert process.returncode == 0
        assert f"worker {first} exited with -9; it is replaced" in process.stderr.read()
        assert not Path(f"/proc/{second}").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_a_worker_is_replaced_with_stderr_closed(tmp_path: Path) -> None:
    """The service does not stop if it cannot report the exit of a worker."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        process.stderr.close()
        with terminating(process):
            first = get_worker_pids(process)
            os.kill(first[0], signal.SIGKILL)
            wait_until(lambda: bool(set(get_worker_pids(process)) - set(first)))
            assert httpx.get(f"{url}/healthz").status_code == 200
    assert process.returncode == 0


FAILING_FORK = """
import os, signal, sys
from pathlib import Path
from semsearch.library import Library
from semsearch.interfaces.http.prefork import serve

fork, fork_calls = os.fork, []

def fail_sometimes():
    fork_calls.append(1)
    if 3 <= len(fork_calls) < 6:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

def kill_one(url):
    os.kill(int(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()[0]), signal.SIGKILL)
    print(url, flush=True)

os.fork = fail_sometimes
serve(lambda: Library(sys.argv[1]), "127.0.0.1", 0, 2, kill_one)
"""


def test_a_worker_that_cannot_be_forked_is_started_later(tmp_path: Path) -> None:
    """The other workers serve meanwhile, and a signal stops all."""
    with subprocess.Popen(
        [sys.executable, "-c", FAILING_FORK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with terminating(process):
            wait_until(lambda: len(get_worker_pids(process)) == 1)
            wait_until(lambda: len(get_worker_pids(process)) == 2)
            assert httpx.get(f"{url}/healthz").status_code == 200
    assert process.returncode == 0


@pytest.mark.parametrize("moment", ["announced", "started"])
def test_a_signal_stops_a_worker_that_just_starts(tmp_path: Path, moment: str) -> None:
    """A stop signal reaches the replacement of a worker, just before and just after its fork."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with terminating(process):
            process.stderr.readline()
            first = get_worker_pids(process)
            os.kill(first[0], signal.SIGKILL)
            if moment == "announced":
                assert "it is replaced" in process.stderr.readline()
            else:
                wait_until(lambda: bool(set(get_worker_pids(process)) - set(first)), poll_seconds=0.0)
    assert process.returncode == 0


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGKILL, -9), (signal.SIGHUP, 0)])
def test_workers_exit_with_their_supervisor(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    """However the supervisor exits, no process keeps the port."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        workers = get_worker_pids(process)
        try:
            process.send_signal(stop)
            assert process.wait(20) == code
            wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        finally:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_workers_that_cannot_start_report_the_cause(tmp_path: Path) -> None:
    """The workers print why the library cannot be opened, and the command has an exit code of its own."""
    (tmp_path / "indexes").write_text("a file")
    result = serve_with_workers(tmp_path)
    assert result.returncode == 5
    assert "indexes is a file; name a folder with --data-dir" in result.stderr
    assert "the workers exit right after their start" in result.stderr


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("[search]\nper_document = 'long'", 2, "search.per_document: 'long' is not a number"),
        ("[chat]\nbase_url = 'http://127.0.0.1:9/v1'", 6, "semsearch config trust"),
    ],
)
def test_settings_are_validated_before_workers_start(tmp_path: Path, text: str, code: int, message: str) -> None:
    """The command exits with the code of the error and prints it once."""
    (tmp_path / "semsearch.toml").write_text(text)
    result = serve_with_workers(tmp_path)
    assert (result.returncode, result.stderr.count(message), result.stderr.count("\n")) == (code, 1, 1)


def serve_with_workers(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `semsearch serve --workers 2` in a folder until it exits."""
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--workers", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


@pytest.mark.parametrize("hangs_up", [False, True], ids=["answered", "hang_up"])
def test_a_request_leaves_no_reference_cycle(tmp_path: Path, hangs_up: bool) -> None:
    """Its objects are freed when it ends. What only a full collection frees takes memory, and delays other requests."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(20):
                if hangs_up:
                    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
                        connection.sendall(UNFINISHED_SEARCH)
                else:
                    assert client.post("/v1/collections/hb/search", json={"query": "leave"}).status_code == 200
                    assert client.get("/v1/collections/hb").status_code == 200
            assert client.get("/healthz").status_code == 200
            gc.collect()
            left = Counter(type(value).__name__ for value in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert left["RequestResponseCycle"] == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_serving_process_collects_rarely(tmp_path: Path, workers: int) -> None:
    """Each process that serves has set up its garbage collector, with one worker and with several.

    A worker reports with one call of `write`: `print` writes in pieces where Python does not buffer, and the pieces
    of two workers mix.
    """
    program = tmp_path / "program.py"
    program.write_text(
        "import gc, os\n"
        "from semsearch.interfaces.http import server\n"
        "start = server._Server.startup\n"
        "async def startup(self, sockets=None):\n"
        "    await start(self, sockets)\n"
        "    state = (gc.get_threshold()[2], gc.get_freeze_count() > 10_000, gc.isenabled())\n"
        "    os.write(1, f'state {state}\\n'.encode())\n"
        "server._Server.startup = startup\n"
        "from semsearch.interfaces.cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, str(program), "--data-dir", str(tmp_path / "indexes"), "serve", "--port", "0"]
    with subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(workers)]
        process.terminate()
    assert lines == ["state (100, True, True)\n"] * workers
