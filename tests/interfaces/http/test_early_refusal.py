"""Refusals before a request is parsed: which requests they concern."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope
from support.metrics import RecordingMetrics
from support.overload import BODY, SEARCH, fill, search_bytes

from semsearch.interfaces.http import problems
from semsearch.interfaces.http.admission import Admission, WorkQueue
from semsearch.interfaces.http.early_refusal import EarlyRefusal
from semsearch.interfaces.http.limits import QueueLimits


def refuse(refusal: EarlyRefusal, data: bytes) -> bytes | None:
    """Return the response to data that arrive in an iteration of their own."""

    async def arrive() -> bytes | None:
        response = refusal.refuse(data)
        await asyncio.sleep(0)
        return response

    return asyncio.run(arrive())


@pytest.fixture
def refusal() -> EarlyRefusal:
    """The early refusal of full queues."""
    full = Admission()
    fill(full.queues["search"])
    return EarlyRefusal(full)


@pytest.mark.parametrize(
    "data",
    [
        search_bytes("Connection: close"),
        search_bytes("Connection: keep-alive, upgrade"),
        search_bytes("Upgrade: websocket"),
        search_bytes("Expect: 100-continue"),
        search_bytes("Transfer-Encoding: chunked"),
        search_bytes("Content-Length: 3"),
        search_bytes("Content-Length : 3"),
        search_bytes("X-A: b\nTransfer-Encoding: chunked"),
        search_bytes("X-A: b\rTransfer-Encoding: chunked"),
        search_bytes("X-A: b", " Content-Length: 9"),
        search_bytes(length=len(BODY) + 1),
        search_bytes(length=len(BODY) - 1),
        search_bytes() + search_bytes(),
        search_bytes(path="/v1/collections/hb/documents"),
        search_bytes(path="/v1/collections/hb/documents/search"),
        search_bytes().replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET " + SEARCH.encode() + b"?q=x HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
    ],
)
def test_an_unusual_request_is_parsed(refusal: EarlyRefusal, data: bytes) -> None:
    """What might be framed in another way, or is no search, is never refused before it is parsed."""
    assert refuse(refusal, search_bytes()) is not None
    assert refuse(refusal, search_bytes("Connection: keep-alive")) is not None
    assert refuse(refusal, data) is None


def test_early_refusals_are_logged_and_counted() -> None:
    """Each has the line of any other request; those of one iteration of the event loop are written together."""
    written, metrics = list[list[str]](), RecordingMetrics()
    full = Admission(metrics)
    fill(full.queues["search"])
    refusal = EarlyRefusal(full, lambda lines: written.append([*lines]))

    async def arrive() -> None:
        for _ in range(3):
            assert refusal.refuse(search_bytes(path=SEARCH + "?q=secret"))
        assert written == []
        await asyncio.sleep(0.01)

    asyncio.run(arrive())
    [lines] = written
    assert [tuple(line.split()[1:4]) for line in lines] == [("POST", SEARCH, "503")] * 3
    route = "/v1/collections/{name}/search"
    assert metrics.values == {("http_shed", "search"): 3, ("http_requests", route, "POST", "5xx"): 3}


@pytest.mark.parametrize("kind", ["search", "ask"])
def test_an_early_refusal_is_the_problem_that_the_middleware_returns(kind: str) -> None:
    """Only the id of the request differs."""
    full = Admission()
    fill(full.queues[kind])
    path = f"/v1/collections/hb-1_x/{kind}"
    response = refuse(EarlyRefusal(full), search_bytes(path=path))
    assert response is not None
    head, body = response.split(b"\r\n\r\n")
    request_id = json.loads(body)["request_id"]
    scope: Scope = {"path": path, "state": {"request_id": request_id}}
    expected = problems.from_exception(scope, full.queues[kind].refusal())
    assert body == expected.body
    assert f"x-request-id: {request_id}".encode() in head
    assert f"content-length: {len(body)}".encode() in head


@given(st.integers(0, len(search_bytes()) - 1))
def test_a_part_of_a_request_is_parsed(size: int) -> None:
    """A request that has not arrived whole is not refused early."""
    full = Admission()
    fill(full.queues["search"])
    early_refusal, data = EarlyRefusal(full), search_bytes()
    assert refuse(early_refusal, data[:size]) is None
    assert refuse(early_refusal, data[size:]) is None or size == 0


def test_requests_of_one_iteration_count_before_they_are_served(refusal: EarlyRefusal) -> None:
    """Those that were let through fill the queue, though no middleware has seen them yet."""
    queue = WorkQueue("search", QueueLimits(3, 3))
    early_refusal = EarlyRefusal(Admission())
    early_refusal._queues[b"search"] = queue

    async def arrive() -> list[bool]:
        first = [early_refusal.refuse(search_bytes()) is None for _ in range(5)]
        await asyncio.sleep(0.01)
        return [*first, early_refusal.refuse(search_bytes()) is None]

    assert asyncio.run(arrive()) == [True, True, True, False, False, True]
