"""Bounded queues: what is refused, how it is refused, and that the service recovers."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from support.http_service import check_problem, document_path, fill_collection, run_service
from support.overload import BODY, SEARCH, fill, search_bytes

from semsearch.collection import Collection
from semsearch.core.errors import DeadlineError, UnavailableError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.search import SearchRequest
from semsearch.interfaces.http import admission, fast_search, limits
from semsearch.interfaces.http.accepting import WaitingConnections
from semsearch.interfaces.http.admission import Admission, AdmissionMiddleware, Place, WorkQueue, wait_for_model
from semsearch.interfaces.http.bodies import ClientDisconnectedError
from semsearch.interfaces.http.limits import QueueLimits
from semsearch.interfaces.http.responses import SearchResponse
from semsearch.interfaces.http.search import run_search
from semsearch.interfaces.http.service import make_service
from semsearch.interfaces.links import PageLinks
from semsearch.library import Library

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

JSON = {"content-type": "application/json"}
EXTRA = 5
"""Requests above a bound."""


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_queue_takes_a_burst_and_fewer_while_it_refuses() -> None:
    """After a refusal the lower limit applies, until none was refused for a second."""
    clock = Clock()
    queue = WorkQueue("search", QueueLimits(burst=5, overload=2), clock)
    assert [queue.enter() for _ in range(6)] == [True] * 5 + [False]
    for _ in range(3):
        queue.leave()
    assert not queue.enter()
    queue.leave()
    assert queue.enter()
    clock.now += limits.OVERLOAD_SECONDS + 0.1
    assert [queue.enter() for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", SEARCH, "search"),
        ("GET", SEARCH, "search"),
        ("POST", "/v1/collections/hb/ask", "ask"),
        ("GET", "/v1/collections/hb/documents/search", "read"),
        ("PUT", "/v1/collections/hb/documents/a%2Fsearch", "write"),
        ("POST", "/v1/collections/hb/recommend", "read"),
        ("POST", "/v1/sessions", "write"),
        ("GET", "/v1/usage", "read"),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("GET", "/", None),
    ],
)
def test_each_request_has_the_queue_of_its_work(method: str, path: str, kind: str | None) -> None:
    """Health checks and the page have none."""
    queue = Admission().find_queue(method, path)
    assert (queue and queue.kind) == kind


@pytest.fixture
def blocked_searches(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Searches of the fast path wait until the event is set."""
    release = threading.Event()

    async def wait_and_search(*arguments: Any, **options: Any) -> Any:
        while not release.is_set():
            await asyncio.sleep(0.005)
        return await run_search(*arguments, **options)

    monkeypatch.setattr(fast_search, "run_search", wait_and_search)
    yield release
    release.set()


def test_a_full_queue_refuses_and_recovers(tmp_path: Path, blocked_searches: threading.Event) -> None:
    """Searches above the bound get a 503 while the others wait; health, reads and writes go on; all is free again."""
    burst = limits.QUEUES["search"].burst
    with run_service(tmp_path) as client, ThreadPoolExecutor(burst + EXTRA) as threads:
        fill_collection(client, "hb")
        replies = _overload(client, threads)
        for refused in islice(as_completed(replies), EXTRA):
            detail = check_problem(refused.result(), "unavailable", 503)
            assert "more searches than it can answer" in detail
            assert int(refused.result().headers["retry-after"]) > 0
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/collections/hb").status_code == 200
        assert client.put(document_path("hb", "b.txt"), content=b"A text.").status_code == 200
        blocked_searches.set()
        assert Counter(reply.result().status_code for reply in replies) == {200: burst, 503: EXTRA}
        assert {client.post(SEARCH, content=BODY, headers=JSON).status_code for _ in range(2)} == {200}


def test_a_search_frees_its_place_once_it_is_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when its response starts; and the place is freed once."""
    counts = list[float]()

    with run_service(tmp_path) as client:
        fill_collection(client, "hb")

        async def search_and_look(
            collection: Collection, request: SearchRequest, links: PageLinks, on_ranked: Callable[[], None]
        ) -> SearchResponse:
            place: Place = on_ranked.__self__  # type: ignore[attr-defined]
            queue = place._queue
            assert queue is not None
            counts.append(queue.count)
            response = await run_search(collection, request, links, on_ranked=on_ranked)
            counts.append(queue.count)
            asyncio.get_running_loop().call_later(0.05, lambda: counts.append(queue.count))
            return response

        monkeypatch.setattr(fast_search, "run_search", search_and_look)
        assert client.post(SEARCH, content=BODY, headers=JSON).status_code == 200
        while len(counts) < 3:
            time.sleep(0.01)
    assert counts == [1, 0, 0]


def _search(client: httpx.Client) -> httpx.Response:
    with httpx.Client(base_url=client.base_url, timeout=60) as own_client:
        return own_client.post(SEARCH, content=BODY, headers=JSON)


def _overload(client: httpx.Client, threads: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """Send more searches than the queue takes; return their responses once one was refused."""
    replies = [threads.submit(_search, client) for _ in range(limits.QUEUES["search"].burst + EXTRA)]
    next(as_completed(replies))
    return replies


def test_an_early_refusal_is_the_usual_one(tmp_path: Path, blocked_searches: threading.Event) -> None:
    """Refused before or after parsing, the response has the same problem and the same headers."""
    with run_service(tmp_path) as client, ThreadPoolExecutor(limits.QUEUES["search"].burst + EXTRA) as threads:
        fill_collection(client, "hb")
        _overload(client, threads)
        early = _exchange(client, search_bytes())
        parsed = _exchange(client, search_bytes("Connection: Keep-Alive, x"))
        blocked_searches.set()
    for head, problem in (early, parsed):
        assert head.pop("x-request-id") == problem.pop("request_id")
    assert "date" not in early[0]
    parsed[0].pop("date")
    assert early == parsed


def _exchange(client: httpx.Client, request: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers and the JSON of the response to these bytes."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        head, _, body = connection.recv(65536).decode().partition("\r\n\r\n")
    status_line, *lines = head.split("\r\n")
    assert status_line == "HTTP/1.1 503 Service Unavailable"
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, json.loads(body)


def test_a_connection_survives_many_early_refusals(tmp_path: Path, blocked_searches: threading.Event) -> None:
    """Refused requests do not count as parts of a head that is too long; the next request is served."""
    request = search_bytes("X-Filler: " + "a" * 8000)
    with run_service(tmp_path) as client, ThreadPoolExecutor(limits.QUEUES["search"].burst + EXTRA) as threads:
        fill_collection(client, "hb")
        _overload(client, threads)
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
            for _ in range(limits.MAX_HEAD_BYTES // len(request) + 5):
                connection.sendall(request)
                assert connection.recv(65536).startswith(b"HTTP/1.1 503 ")
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            blocked_searches.set()


def test_a_large_body_is_not_read_for_a_full_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose queue is full gets its refusal before its body was sent; a small one after it."""
    monkeypatch.setitem(limits.QUEUES, "write", QueueLimits(0, 0))
    head = f"PUT {document_path('hb', 'a.txt')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    with run_service(tmp_path) as client:
        _, problem = _exchange(client, head.encode())
        assert "more changes waiting" in problem["detail"]
        assert "more changes waiting" in check_problem(client.put("/v1/collections/hb"), "unavailable", 503)


def test_an_answer_that_is_not_read_holds_no_place() -> None:
    """A place is free when the response starts; that of a stream when it ends."""
    counts: dict[bytes, list[int]] = {}
    admissions = Admission()
    queue = admissions.queues["ask"]

    async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        media_type = scope["media_type"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media_type)]})
        counts[media_type] = [queue.count]
        await send({"type": "http.response.body", "body": b""})

    async def ignore(message: Any) -> None:
        pass

    for media_type in (b"application/json", b"text/event-stream"):
        scope: dict[str, Any] = {
            "method": "POST",
            "path": "/v1/collections/hb/ask",
            "state": {},
            "media_type": media_type,
        }
        asyncio.run(AdmissionMiddleware(app, admissions)(scope, ignore, ignore))  # type: ignore[arg-type]
        counts[media_type].append(queue.count)
    assert counts == {b"application/json": [0, 0], b"text/event-stream": [1, 0]}


def test_a_client_that_reads_no_stream_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service gives a stream up whose client does not read for long."""
    monkeypatch.setattr(limits, "STREAM_SEND_TIMEOUT_SECONDS", 0.02)

    async def hang(message: Any) -> None:
        await asyncio.sleep(60)

    with pytest.raises(ClientDisconnectedError):
        asyncio.run(admission._send_in_time(hang, {}))


def test_a_request_that_waits_for_a_model_frees_its_place() -> None:
    """It moves to the queue of those, or is refused if that is full."""
    admissions = Admission()
    searches, model = admissions.queues["search"], admissions.queues["model"]
    assert searches.enter()
    place = Place(searches)
    wait_for_model({"state": {"place": place}}, admissions)
    assert (searches.count, model.count) == (0, 1)
    place.leave()
    place.leave()
    assert (searches.count, model.count) == (0, 0)
    fill(model)
    assert searches.enter()
    with pytest.raises(UnavailableError, match="model servers"):
        wait_for_model({"state": {"place": Place(searches)}}, admissions)
    assert searches.count == 1


def test_a_deadline_includes_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose turn comes too late is not started."""
    monkeypatch.setattr(limits, "PUT_TIMEOUT_SECONDS", 0.05)
    started: list[int] = []

    async def write_twice(library: Library) -> None:
        service, release = make_service(library), threading.Event()
        first = asyncio.ensure_future(service.run_write(release.wait))
        second = asyncio.ensure_future(service.run_write(lambda: started.append(1)))
        await asyncio.sleep(0.1)
        release.set()
        await first
        try:
            await second
        finally:
            service.close()

    with Library(tmp_path) as library, pytest.raises(DeadlineError, match="was not started"):
        asyncio.run(write_twice(library))
    assert started == []


def test_all_waiting_connections_are_accepted_at_once() -> None:
    """The event loop accepts one in an iteration; the others do not wait for as many iterations."""
    transports: list[asyncio.BaseTransport] = []

    class Recorder(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)

    async def accept(listener: socket.socket) -> int:
        waiting = WaitingConnections(listener, Recorder)

        def make_first() -> asyncio.Protocol:
            waiting.accept_later()
            return Recorder()

        server = await asyncio.get_running_loop().create_server(make_first, sock=listener)
        for _ in range(10):
            await asyncio.sleep(0)
        count = len(transports)
        while len(transports) < len(clients):  # so that each is closed, and the loop can end
            await asyncio.sleep(0.001)
        server.close()
        for transport in transports:
            transport.close()
        await asyncio.sleep(0.01)
        return count

    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(60)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(accept(listener)) == 60
        for client in clients:
            client.close()


def test_searches_are_refused_on_the_route_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is one for the fast path and the route; other routes of the collection are not affected."""
    monkeypatch.setitem(limits.QUEUES, "search", QueueLimits(0, 0))
    with run_service(tmp_path) as client:
        path = fill_collection(client, "hb")
        check_problem(client.post(f"{path}/search", json={"query": "leave", "explain": True}), "unavailable", 503)
        check_problem(client.get(f"{path}/search?q=leave"), "unavailable", 503)
        assert client.post(f"{path}/ask", json={"question": "How long is leave?"}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "statuses"),
    [
        (Settings(), (200, 200)),
        (Settings(chat=Endpoint("http://127.0.0.1:9", Secret("sk-none")), chat_model="m"), (503, 200)),
    ],
)
def test_only_what_waits_for_a_model_is_in_its_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, statuses: tuple[int, int]
) -> None:
    """While that queue is full, answers of a chat model are refused; excerpts and local searches are not."""
    monkeypatch.setitem(limits.QUEUES, "model", QueueLimits(0, 0))
    with run_service(tmp_path, settings) as client:
        path = fill_collection(client, "hb")
        answer = client.post(f"{path}/ask", json={"question": "How long is leave?"})
        assert (answer.status_code, client.post(SEARCH, json={"query": "leave"}).status_code) == statuses
        assert answer.status_code == 200 or "model servers" in check_problem(answer, "unavailable", 503)
