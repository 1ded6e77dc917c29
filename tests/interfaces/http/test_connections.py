"""Bounds on connections: their number, in total and by address, and which is closed when there is no room."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service, send_raw

from semsearch import Library
from semsearch.access.trusted_proxies import TrustedProxies
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.stored_documents import CollectionInfo
from semsearch.interfaces.http import limits
from semsearch.interfaces.http.asgi import Application
from semsearch.interfaces.http.connections import (
    CLOSING,
    IDLE,
    ConnectionTable,
    EvictionRank,
    count_open_descriptors,
    normalize_address,
    rank_by_rate,
)

SLOW, SLOWER, FAST = map(rank_by_rate, (1000.0, 10.0, 1e6))
AT_WORK = None


class FakeConnection:
    """A connection that says what it does, and notes that it was closed."""

    def __init__(self, rank: EvictionRank | None) -> None:
        self.rank = rank
        self.is_evicted = False

    def get_eviction_rank(self) -> EvictionRank | None:
        """Return what the test has set."""
        return self.rank

    def evict(self) -> None:
        """Note it."""
        assert not self.is_evicted
        self.is_evicted = True


def fill(table: ConnectionTable, *ranks: EvictionRank | None, address: str = "") -> list[FakeConnection]:
    """Add a connection of each rank."""
    connections = [FakeConnection(rank) for rank in ranks]
    assert all([table.add(connection, address) for connection in connections])
    return connections


class Descriptors:
    """The clock, and the descriptors of a process with a table of connections."""

    def __init__(self, limit: int, others: int) -> None:
        self.now = 100.0
        self.others = others
        self.accepted = 0
        self.table = ConnectionTable(limit, descriptor_limit=limit, count_open=self.count, get_time=lambda: self.now)

    def count(self) -> int:
        """Return the number of open descriptors."""
        return self.table.connection_count + self.accepted + self.others


def test_connections_leave_descriptors_to_other_files() -> None:
    """Open collections may take more than is kept for them; they are counted again after a while."""
    descriptors = Descriptors(limit=100, others=20)
    table, room = descriptors.table, 100 - 20 - limits.SPARE_DESCRIPTORS
    assert table.has_room(0)
    assert table.has_room(room - 1)
    assert not table.has_room(room)
    connections = fill(table, *[SLOW] * 40)
    descriptors.others, room = 50, 100 - 50 - limits.SPARE_DESCRIPTORS
    assert table.has_room(0)
    descriptors.now += 2 * limits.SCARCE_DESCRIPTOR_COUNT_SECONDS
    assert not table.has_room(0)
    fill(table, AT_WORK)
    assert table.connection_count == room
    assert all(connection.is_evicted for connection in connections[: 41 - room])
    assert not any(connection.is_evicted for connection in connections[41 - room :])
    assert table.add_file()
    assert table.connection_count == room - 1


def test_connections_are_closed_while_none_can_be_accepted() -> None:
    """Without descriptors nothing is added to the table, so it looks itself. A few connections always have room."""
    descriptors = Descriptors(limit=100, others=20)
    table = descriptors.table
    table.trim(0)
    fill(table, *[SLOW] * 60)
    descriptors.others = 40
    table.trim(0)
    assert table.connection_count == 60
    descriptors.now += 2 * limits.SCARCE_DESCRIPTOR_COUNT_SECONDS
    table.trim(0)
    assert table.connection_count == 100 - 40 - limits.SPARE_DESCRIPTORS
    descriptors.others = 200
    descriptors.now += 2 * limits.SCARCE_DESCRIPTOR_COUNT_SECONDS
    table.trim(0)
    assert table.connection_count == limits.MIN_CONNECTIONS


def test_accepted_connections_are_no_other_files() -> None:
    """Those that are not in the table yet leave it all the same room."""
    descriptors = Descriptors(limit=100, others=20)
    descriptors.accepted = 30
    room = 100 - 20 - limits.SPARE_DESCRIPTORS
    assert descriptors.table.has_room(30)
    assert descriptors.table.has_room(room - 1)
    assert not descriptors.table.has_room(room)


def test_descriptors_of_this_process_are_counted() -> None:
    """Also those that a library or another thread opens."""
    before = count_open_descriptors()
    with socket.socket(), socket.socket():
        after = count_open_descriptors()
    assert before is not None
    assert after == before + 2


def test_count_without_a_free_descriptor_is_the_limit() -> None:
    """The list of the descriptors takes one itself; a count that is unknown would leave the service locked."""
    code = (
        "import os, resource\n"
        "from semsearch.interfaces.http.connections import count_open_descriptors\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "try:\n"
        "    while True: os.dup(0)\n"
        "except OSError:\n"
        "    os.write(1, str(count_open_descriptors()).encode())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"64"


def test_slowest_uploads_are_closed_first() -> None:
    """Then idle connections, then fast uploads; never one whose response is being made. Then there is no room."""
    table = ConnectionTable(6)
    connections = fill(table, AT_WORK, FAST, SLOW, IDLE, CLOSING, SLOWER)
    order = []
    for _ in range(5):
        fill(table, AT_WORK)
        order.append(next(c for c in connections if c.is_evicted and c not in order))
    assert [connection.rank for connection in order] == [CLOSING, SLOWER, SLOW, IDLE, FAST]
    refused = FakeConnection(CLOSING)
    assert not table.add(refused, "")
    table.remove(connections[0])
    assert table.add(FakeConnection(AT_WORK), "")
    assert refused.is_evicted


def test_oldest_of_equal_connections_is_closed() -> None:
    """So a client that has just connected can send its request."""
    table = ConnectionTable(2)
    first, second = fill(table, IDLE, IDLE)
    fill(table, IDLE)
    assert (first.is_evicted, second.is_evicted) == (True, False)


def test_one_address_takes_its_share_only() -> None:
    """Its own connections give way, also slower ones of others do not; the loopback has no such limit."""
    table = ConnectionTable(100, max_per_address=2)
    [other] = fill(table, SLOWER, address="192.0.2.9")
    first, second = fill(table, FAST, SLOW, address="192.0.2.1")
    fill(table, AT_WORK, AT_WORK, address="192.0.2.1")
    assert (other.is_evicted, first.is_evicted, second.is_evicted) == (False, True, True)
    assert not table.add(FakeConnection(CLOSING), "192.0.2.1")
    fill(table, *[SLOW] * 10)
    fill(table, SLOW, address="192.0.2.2")


def test_temporary_files_count_as_connections() -> None:
    """Each takes a descriptor."""
    table = ConnectionTable(3)
    connections = fill(table, SLOW, SLOWER, AT_WORK)
    assert table.add_file()
    assert table.add_file()
    assert not table.add_file()
    assert [connection.is_evicted for connection in connections] == [True, True, False]
    table.remove_file()
    fill(table, AT_WORK)


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("127.0.0.1", 5000), ""),
        (("127.8.8.8", 5000), ""),
        (("::1", 5000), ""),
        (("::ffff:127.0.0.1", 5000), ""),
        (None, ""),
        (("192.0.2.1", 5000), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5000), "192.0.2.1"),
        (("2001:db8::1:2:3:4", 5000), "2001:db8::/64"),
        (("fe80::1%eth0", 5000), "fe80::/64"),
    ],
)
def test_connections_are_counted_by_address(client: tuple[str, int] | None, address: str) -> None:
    """One site has a whole IPv6 network; the loopback, behind which a proxy may stand, is not counted."""
    assert normalize_address(client) == address


def test_connections_of_trusted_proxies_are_not_counted() -> None:
    """All clients of a proxy come from its address: one of them must not lock out the others."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert normalize_address(("10.1.1.1", 5000), proxies) == ""
    assert normalize_address(("192.0.2.1", 5000), proxies) == "192.0.2.1"


def test_service_knows_its_trusted_proxies(tmp_path: Path) -> None:
    """They are those of the settings."""
    with Library(tmp_path, settings=Settings(access_proxies=("10.0.0.0/8",))) as library:
        assert Application(library, "0.0.0.0", is_exposed=True).trusted_proxies.contains("10.1.1.1")


@contextmanager
def blocked_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[httpx.Client, threading.Event, threading.Semaphore]]:
    """Yield a service for two connections, in which GET of the collection `hb` ends when the event is set.

    The semaphore counts the requests that have begun.
    """
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    is_released, begun, get_info = threading.Event(), threading.Semaphore(0), Collection.info

    def get_info_later(self: Collection) -> CollectionInfo:
        begun.release()
        is_released.wait(60)
        return get_info(self)

    with run_service(folder) as client:
        fill_collection(client, "hb", {})
        monkeypatch.setattr(Collection, "info", get_info_later)
        try:
            yield client, is_released, begun
        finally:
            is_released.set()


@pytest.mark.slow
def test_new_connection_is_refused_while_all_are_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a 503 with Retry-After at once; those at work get their responses."""
    with blocked_service(tmp_path, monkeypatch) as (client, is_released, begun), ExitStack() as stack:
        url = client.base_url
        sockets = [stack.enter_context(socket.create_connection((url.host, url.port or 80), 20)) for _ in range(2)]
        for connection in sockets:
            connection.sendall(b"GET /v1/collections/hb HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert begun.acquire(timeout=60)  # an idle connection would give way to the third
        reply = send_raw(client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5\r\n" in reply.lower()
        is_released.set()
        for connection in sockets:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_idle_connection_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept-alive connection is closed for a new one, and its client connects again."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 1)
    with run_service(tmp_path) as client:
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            assert (
                send_raw(client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[9:12]
                == b"200"
            )


@pytest.mark.slow
@pytest.mark.usefixtures("shared_readers")
def test_client_that_reads_nothing_is_disconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses that it leaves unread do not keep its connection for ever."""
    monkeypatch.setattr(limits, "STALL_TIMEOUT_SECONDS", 0.3)
    with run_service(tmp_path) as client:
        fill_collection(client, "hb", {"large.txt": "The lamp is lit. " * 40_000})
        request = f"GET {document_path('hb', 'large.txt')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
            is_closed = False
            while not is_closed:
                try:
                    connection.sendall(request * 100)
                except ConnectionError:
                    is_closed = True
        check_problem(client.get("/v1/collections/none"), "not_found", 404)
