"""Starting and stopping the service, how it describes itself, and what it does when something breaks inside."""

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
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
from semsearch.core.types.documents import CollectionInfo
from semsearch.interfaces.http.app import create_app
from semsearch.interfaces.http.server import bind, serve
from semsearch.interfaces.http.service import make_service
from semsearch.library import Library

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from semsearch.library import Library
from semsearch.interfaces.http.server import serve

with Library(sys.argv[1]) as library:
    serve(library, sys.argv[2], 0, lambda url: print(url, flush=True))
print("closed", flush=True)
"""


def silent(url: str) -> None:
    """Nobody wants to know where the service listens."""


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port in use is a conflict that names it and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken, Library(tmp_path, settings=Settings()) as library:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port {port}.*--port"):
            serve(library, "127.0.0.1", port, silent)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_other_machines_are_not_let_in(host: str) -> None:
    """As long as there are no keys, only the loopback is served."""
    with pytest.raises(ForbiddenError, match=r"127\.0\.0\.1"):
        bind(host, 0)


@pytest.mark.parametrize(
    ("host", "port"), [("no such name", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1), ("a" * 70, 0)]
)
def test_an_impossible_address_is_invalid(host: str, port: int) -> None:
    """A name that leads nowhere and a port that does not exist are refused by name."""
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
    """It says its URL when it can be called, answers, and on a signal ends in good order."""
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
        rest, errors = process.communicate(timeout=30)
    assert (rest.strip(), process.returncode, errors) == ("closed", 0, "")


def test_a_service_outlives_its_terminal_where_it_is_told_to(tmp_path: Path) -> None:
    """As `nohup` does: what it has ignored stays ignored."""
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
    (ignored,) = re.findall(r"^SigIgn:\s+(\w+)$", status, re.MULTILINE)
    assert int(ignored, 16) & 1 << signal.SIGHUP - 1


def test_a_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice is not kept by who is still served, and sees no traceback."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=20) as upload:
            upload.sendall(b"PUT /v1/collections/hb HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            assert httpx.get(f"http://{address[0]}:{address[1]}/healthz").status_code == 200
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)  # else both are one
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=5)
    assert (rest.strip(), process.returncode, errors) == ("closed", 0, "")


def _has_ipv6() -> bool:
    try:
        bind("::1", 0).close()
    except Exception:
        return False
    return True


def test_the_documentation_works_offline(tmp_path: Path) -> None:
    """Nothing on the page of /docs comes from another machine, and all of it is there."""
    with run_service(tmp_path) as client:
        page = client.get("/docs").text
        parts = [part.split('"')[0] for part in page.split('="/')[1:]]
        assert any(part.endswith(".js") for part in parts)
        for part in parts:
            assert client.get(f"/{part}").status_code == 200
        assert "https://" not in page


def test_an_answer_is_written_from_as_many_hits_as_its_description_says(tmp_path: Path) -> None:
    """Where neither the request nor the profile says."""
    lamps = {f"{number}.txt": f"The lamp of tower {number} burns {number + 3} litres of oil." for number in range(30)}
    with run_service(tmp_path) as client:
        path = fill_collection(client, "lamps", lamps)
        fields = client.get("/openapi.json").json()["components"]["schemas"]["AskBody"]["properties"]
        (said,) = re.findall(r"else (\d+)\.", fields["k"]["description"])
        answer = client.post(f"{path}/ask", json={"question": "How much oil does a lamp burn?"}).json()
    assert len(answer["hits"]) == int(said)


def test_every_operation_is_described(tmp_path: Path) -> None:
    """Each route has words, an example for what it takes and gives, and its problems with their media type."""
    with Library(tmp_path, settings=Settings()) as library:
        paths = create_app(make_service(library)).openapi()["paths"]
    operations = [(path, verb, operation) for path, verbs in paths.items() for verb, operation in verbs.items()]
    assert len(operations) == 18
    for path, verb, operation in operations:
        assert operation["summary"], path
        assert operation["description"], path
        for status, response in operation["responses"].items():
            kinds = response.get("content", {})
            assert set(kinds) == {"application/problem+json"} if int(status) >= 400 else True, (path, verb, status)
            assert all("example" in kind for kind in kinds.values()), (path, verb, status)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or "examples" in body["schema"] or "examples" in body, (path, verb)


def test_readiness_is_tried_for_real(tmp_path: Path) -> None:
    """Where the data directory cannot be written, the service lives but is not ready."""
    blocked = tmp_path / "indexes"
    with run_service(blocked) as client:
        blocked.write_text("a file in the place of the folder")
        assert client.get("/healthz").status_code == 200
        reply = client.get("/readyz")
        check_problem(reply, "unavailable", 503)
        assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (StorageError("full"), "storage", 507),
        (LockedError("held"), "locked", 409),
        (UnsupportedMediaError("odd"), "unsupported_media", 415),
    ],
)
def test_each_error_has_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, name: str, status: int
) -> None:
    """An error that the library raises comes out as the problem of its name, with its words."""

    def fails(self: Collection) -> CollectionInfo:
        raise error

    with run_service(tmp_path) as client:
        path = fill_collection(client, "hb", {})
        monkeypatch.setattr(Collection, "info", fails)
        assert check_problem(client.get(path), name, status) == str(error)


def test_a_lost_log_is_a_problem_with_both_numbers(tmp_path: Path) -> None:
    """A service that was killed, whose log was deleted, answers with no old state."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        shutil.copytree(tmp_path / "hb", tmp_path / "killed", ignore=shutil.ignore_patterns("*-wal"))
        for path in ("/v1/collections/killed", "/v1/collections/killed/documents"):
            assert "is at commit 0, but commit.seq at 3" in check_problem(client.get(path), "storage", 507)


def test_what_nobody_foresaw_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is a 500 without its words; they stand in the log under the request's id."""

    def fails(self: Collection) -> CollectionInfo:
        raise ZeroDivisionError("secret words")

    with run_service(tmp_path) as client, caplog.at_level(logging.ERROR):
        path = fill_collection(client, "hb", {})
        monkeypatch.setattr(Collection, "info", fails)
        reply = client.get(path)
        assert "secret" not in check_problem(reply, "internal", 500)
        assert client.get("/healthz").status_code == 200
    [record] = [record for record in caplog.records if record.name == "semsearch.http"]
    assert reply.headers["x-request-id"] in record.getMessage()
    assert record.exc_info is not None


LOADED = """
import signal, sys, threading, urllib.request
from semsearch import text_source
from semsearch.library import Library
from semsearch.interfaces.http.server import serve

def search(url):
    def post(path, body=None):
        headers = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers)) as reply:
            return reply.read()
    def called():
        post("/healthz")
        assert b"Parents" in post("/v1/collections/hb/search", b'{"query": "parental leave"}')
        print("searched:", "fastapi" in sys.modules)
        post("/readyz")
        print("asked:", "fastapi" in sys.modules, flush=True)
        signal.raise_signal(signal.SIGTERM)
    threading.Thread(target=called).start()

with Library(sys.argv[1]) as library:
    library.create("hb").ingest([text_source("leave", "Parents take up to 26 weeks of leave.")])
with Library(sys.argv[1]) as library:
    serve(library, "127.0.0.1", 0, search)
"""


def test_a_service_that_is_only_searched_loads_no_framework(tmp_path: Path) -> None:
    """It comes with the first request that needs it."""
    ran = subprocess.run([sys.executable, "-c", LOADED, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split("\n")[:2] == ["searched: False", "asked: True"], ran.stderr


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that this one has begun."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in path.read_text().split()]


@contextlib.contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Tell it to end behind the block, and see to it that it has."""
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def until(true: Callable[[], bool], seconds: float = 20, pause: float = 0.02) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(pause)


def test_several_workers_serve_one_port(tmp_path: Path) -> None:
    """What one stores all find; one that is killed is replaced; a signal ends them all, and the port is free."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        with ended(process):
            until(lambda: len(workers_of(process)) == 2)
            with httpx.Client(base_url=url, headers={"Connection": "close"}) as client:
                fill_collection(client, "hb", {"a.txt": "Leave lasts 26 weeks."})
                for _ in range(20):
                    found = client.post("/v1/collections/hb/search", json={"query": "weeks of leave"})
                    assert found.json()["hits"][0]["uri"] == "a.txt"
                first, second = workers_of(process)
                os.kill(first, signal.SIGKILL)
                until(lambda: len(set(workers_of(process)) - {first, second}) == 1)
                assert client.get("/readyz").status_code == 200
        assert process.returncode == 0
        assert f"worker {first} ended with -9; another takes its place" in process.stderr.read()
        assert not Path(f"/proc/{second}").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_a_worker_is_replaced_though_nobody_reads_of_it(tmp_path: Path) -> None:
    """Whoever read stderr may be gone: the service goes on."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        process.stderr.close()
        with ended(process):
            first = workers_of(process)
            os.kill(first[0], signal.SIGKILL)
            until(lambda: bool(set(workers_of(process)) - set(first)))
            assert httpx.get(f"{url}/healthz").status_code == 200
    assert process.returncode == 0


NO_ROOM = """
import os, signal, sys
from pathlib import Path
from semsearch.library import Library
from semsearch.interfaces.http.prefork import serve

fork, forks = os.fork, []

def rarely():
    forks.append(1)
    if 3 <= len(forks) < 6:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

def kill_one(url):
    os.kill(int(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()[0]), signal.SIGKILL)
    print(url, flush=True)

os.fork = rarely
serve(lambda: Library(sys.argv[1]), "127.0.0.1", 0, 2, kill_one)
"""


def test_a_worker_for_which_there_is_no_room_is_begun_later(tmp_path: Path) -> None:
    """The others go on meanwhile, and a signal ends them all."""
    with subprocess.Popen([sys.executable, "-c", NO_ROOM, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with ended(process):
            until(lambda: len(workers_of(process)) == 1)
            until(lambda: len(workers_of(process)) == 2)
            assert httpx.get(f"{url}/healthz").status_code == 200
    assert process.returncode == 0


@pytest.mark.parametrize("moment", ["announced", "begun"])
def test_a_worker_that_is_just_beginning_ends_too(tmp_path: Path, moment: str) -> None:
    """A signal to stop reaches the process that takes the place of another, just before and just after it is made."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with ended(process):
            process.stderr.readline()
            first = workers_of(process)
            os.kill(first[0], signal.SIGKILL)
            if moment == "announced":
                assert "another takes its place" in process.stderr.readline()
            else:
                until(lambda: bool(set(workers_of(process)) - set(first)), pause=0.0)
    assert process.returncode == 0


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGKILL, -9), (signal.SIGHUP, 0)])
def test_workers_end_with_who_watches_over_them(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    """However that ends, nothing holds the port afterwards."""
    command = [sys.executable, "-m", "semsearch", "--data-dir", str(tmp_path), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[2].rstrip(",")
        workers = workers_of(process)
        try:
            process.send_signal(stop)
            assert process.wait(20) == code
            until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        finally:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_workers_that_cannot_begin_end_with_the_reason(tmp_path: Path) -> None:
    """A library that cannot be opened is said by the workers, and the command ends with its code."""
    (tmp_path / "indexes").write_text("a file")
    done = serve_with_workers(tmp_path)
    assert done.returncode == 5
    assert "indexes is a file; name a folder with --data-dir" in done.stderr
    assert "the workers end as soon as they begin" in done.stderr


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("keep_days = 'long'", 2, "keep_days: 'long' is not a number"),
        ("[chat]\nbase_url = 'http://127.0.0.1:9/v1'", 6, "semsearch config trust"),
    ],
)
def test_settings_are_checked_before_workers_begin(tmp_path: Path, text: str, code: int, message: str) -> None:
    """The command ends with the code of the error, which stands there once."""
    (tmp_path / "semsearch.toml").write_text(text)
    done = serve_with_workers(tmp_path)
    assert (done.returncode, done.stderr.count(message), done.stderr.count("\n")) == (code, 1, 1)


def serve_with_workers(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `semsearch serve --workers 2` in a folder until it ends by itself."""
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--workers", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
