"""Bodies that arrive slowly, in large numbers or not at all, and large files on disk."""

import asyncio
import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service, send_raw

from semsearch.core.errors import StorageError, UnavailableError
from semsearch.interfaces.http import limits, spool
from semsearch.interfaces.http.bodies import RequestBody
from semsearch.interfaces.http.spool import SpooledFile
from semsearch.interfaces.http.uploads import BodyPool, Upload

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

SEARCH = "/v1/collections/hb/search"
LINE = b"The lamp is lit at dusk.\n"


def make_head(path: str, size: int, method: str = "PUT") -> bytes:
    """Return the head of a request with a body of this size."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


@contextmanager
def connect(client: httpx.Client) -> Iterator[socket.socket]:
    """Yield a connection to the service."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        yield connection


def trickle(connection: socket.socket, part: bytes, seconds: float) -> bytes:
    """Send a part every 20 ms for some time, or until the service answers; return its answer."""
    end = time.monotonic() + seconds
    connection.settimeout(0.02)
    while time.monotonic() < end:
        connection.sendall(part)
        with suppress(TimeoutError):
            return connection.recv(65536)
    connection.settimeout(20)
    return b""


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def list_spooled_files(folder: Path) -> list[int]:
    """Return the modes of the deleted files of a folder that this process has open."""
    modes = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            if target.startswith(f"{folder}/") and target.endswith("(deleted)"):
                modes.append(stat.S_IMODE(os.fstat(int(descriptor)).st_mode))
    return modes


@pytest.mark.parametrize(
    ("period", "rate", "total"), [(0.3, 10_000, 600.0), (0.3, 1, 0.6)], ids=["too slow", "too long"]
)
def test_trickling_body_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, period: float, rate: int, total: float
) -> None:
    """A body needs a minimum rate, and must end, however small the gaps between its parts."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", period)
    monkeypatch.setattr(limits, "MIN_BODY_BYTES_PER_SECOND", rate)
    monkeypatch.setattr(limits, "MAX_BODY_SECONDS", total)
    with run_service(tmp_path) as client, connect(client) as connection:
        connection.sendall(make_head(SEARCH, 100_000, "POST"))
        assert trickle(connection, b"x", seconds=10).startswith(b"HTTP/1.1 408 ")


def test_steady_body_may_take_longer_than_a_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow client that keeps the minimum rate can store a file."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", 0.4)
    monkeypatch.setattr(limits, "MIN_BODY_BYTES_PER_SECOND", 20)
    with run_service(tmp_path) as client, connect(client) as connection:
        fill_collection(client, "hb", {})
        connection.sendall(make_head(document_path("hb", "slow.txt"), len(LINE) * 100))
        assert trickle(connection, LINE, seconds=1.2) == b""
        connection.sendall(LINE * 100)
        assert connection.recv(65536)[9:12] in (b"200", b"400")  # the bytes behind the body are no request


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for one file of 600 kB at a time."""
    monkeypatch.setattr(limits, "MAX_SPOOLED_BYTES", 1_000_000)
    monkeypatch.setattr(limits, "MIN_SPOOLED_BYTES", 1_000_000)


@pytest.mark.usefixtures("small_pool")
def test_body_without_room_is_refused_unread(tmp_path: Path) -> None:
    """It gets a 503 with Retry-After after its head. The room is free again when the other client hangs up."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb", {})
        path = document_path("hb", "second.txt")
        with connect(client) as first:
            first.sendall(make_head(document_path("hb", "first.txt"), 600_000) + b"x" * 300_000)
            wait_until(lambda: bool(list_spooled_files(tmp_path)))
            reply = send_raw(client, make_head(path, 600_000))
            assert reply.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5" in reply.lower()
            assert client.put(path, content=LINE).status_code == 200  # a small one needs no room on disk
            assert client.post(SEARCH, json={"query": "lamp"}).status_code == 200
        wait_until(lambda: not list_spooled_files(tmp_path))
        response = client.put(path, content=LINE * 24_000, headers={"content-type": "text/plain"})
        assert response.json()["status"] == "updated"


@pytest.mark.usefixtures("small_pool")
def test_chunked_body_takes_what_has_arrived(tmp_path: Path) -> None:
    """Its length is not known before; two small ones find room at once, and one that grows over it is refused."""
    with run_service(tmp_path) as client:
        fill_collection(client, "hb", {})
        response = client.put(document_path("hb", "a.txt"), content=iter([LINE * 3_000] * 8))
        assert response.json()["status"] == "added"
        assert client.get(document_path("hb", "a.txt")).json()["text"].count("dusk") == 24_000
        refused = client.put(document_path("hb", "b.txt"), content=iter([LINE * 3_000] * 20))
        assert "try again later" in check_problem(refused, "unavailable", 503)


def test_slow_upload_gives_way_when_room_runs_out() -> None:
    """The slowest is cut off, and only a slow one; without one there is no room."""

    async def wait(upload: Upload) -> None:
        upload.reserve(30)
        async with asyncio.timeout(30) as timeout:
            upload.start(timeout)
            await asyncio.sleep(20)

    async def fill_pool() -> None:
        pool, now = BodyPool(100), asyncio.get_running_loop().time()
        uploads = [Upload(pool, now - age, 100) for age in (10, 20, 0)]
        tasks = [asyncio.create_task(wait(upload)) for upload in uploads]
        await asyncio.sleep(0)
        first = Upload(pool, now, 100)
        first.reserve(40)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert done == {tasks[1]}
        assert isinstance(done.pop().exception(), TimeoutError)
        assert "arrived slowly" in str(uploads[1].make_error())
        late = Upload(pool, now - 100, 100)
        late.reserve(20)
        with pytest.raises(UnavailableError):  # the slow ones are gone; one that grows is not cut off for itself
            late.add_part(51, now)
        assert pool.used_bytes == 90
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for upload in (*uploads, first, late):
            upload.release()
        assert pool == BodyPool(100)

    asyncio.run(fill_pool())


def test_large_file_is_private_and_unlinked_while_it_arrives(tmp_path: Path) -> None:
    """Only its owner could open it, it has no name, and nothing is left of it; a small one is not written at all."""
    with run_service(tmp_path) as client, connect(client) as connection:
        fill_collection(client, "hb", {})
        names = set(os.listdir(tmp_path))
        body = LINE * 16_000
        connection.sendall(make_head(document_path("hb", "large.txt"), len(body)) + body[:100_000])
        wait_until(lambda: bool(list_spooled_files(tmp_path)))
        assert list_spooled_files(tmp_path) == [0o600]
        assert set(os.listdir(tmp_path)) == names
        connection.sendall(body[100_000:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert client.get(document_path("hb", "large.txt")).json()["text"].count("dusk") == 16_000
        wait_until(lambda: not list_spooled_files(tmp_path))


def test_full_disk_is_a_storage_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the cause and no path, and the service goes on."""
    monkeypatch.setattr(spool, "_open_unnamed_file", lambda _: FileIO("/dev/full", "w"))
    with run_service(tmp_path) as client:
        fill_collection(client, "hb", {})
        path = document_path("hb", "large.txt")
        detail = check_problem(client.put(path, content=LINE * 16_000), "storage", 507)
        assert "No space left on device" in detail
        assert str(tmp_path) not in detail
        assert client.put(path, content=LINE).status_code == 200


def test_small_body_outlives_its_request() -> None:
    """A queued write whose request is cancelled stores what was sent, not an empty document."""

    async def receive_parts() -> RequestBody:
        body = RequestBody()
        for part in (b"The lamp", b" is", b" lit."):
            await body.append(part)
        await body.finish()
        body.close()
        return body

    with asyncio.run(receive_parts()).open() as reader:
        assert reader.read() == b"The lamp is lit."


def test_missing_folder_is_replaced_by_the_temporary_one(tmp_path: Path) -> None:
    """A data directory that is not made yet, or read-only, does not prevent the request."""
    file = SpooledFile(tmp_path / "missing")
    file.write(LINE)
    file.write(LINE)
    with file.open() as reader:
        assert reader.read() == LINE * 2
    file.close()


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOENT, StorageError), (errno.ENOSPC, StorageError), (errno.EMFILE, UnavailableError)]
)
def test_error_of_a_temporary_file_names_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    """The client gets the kind of the error; too many open files are not the fault of the disk."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, f"no usable temporary folder found in ['{tmp_path}']")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(error) as info:
        SpooledFile(tmp_path).write(LINE)
    assert str(tmp_path) not in str(info.value)


def test_file_of_an_ended_request_cannot_be_read(tmp_path: Path) -> None:
    """A write that starts later fails, instead of reading what another request has put there."""
    file = SpooledFile(tmp_path)
    file.write(LINE)
    reader = file.open()
    file.close()
    file.write(LINE)
    with reader:
        assert reader.read() == LINE
    with pytest.raises(UnavailableError):
        file.open()
