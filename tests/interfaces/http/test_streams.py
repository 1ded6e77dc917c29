"""Answers of a chat model over HTTP: upstream errors, shutdown, and clients that disconnect."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from support.billing import Clock, make_reservation, make_settled_usage
from support.http_service import check_problem, document_path, fill_collection, run_service
from support.upstream import (
    CUT,
    HANG,
    ScriptedReply,
    Upstream,
    delta_event,
    error_reply,
    raw_stream_reply,
)

from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import Budget, BudgetLimits
from semsearch.interfaces.http import limits
from semsearch.storage.ledger.local.ledger import LocalLedger

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

ASK = "/v1/collections/hb/ask"


def test_citations_of_a_model_are_in_the_stored_text(client: httpx.Client) -> None:
    """Each quote is at the offsets of its citation."""
    answer = client.post(ASK, json={"question": "How long is parental leave?", "max_completion_tokens": 77}).json()
    assert answer["answered"]
    for citation in answer["citations"]:
        stored = client.get(document_path("hb", citation["uri"])).json()
        assert stored["text"][citation["start"] : citation["end"]] == citation["quote"]


def test_generation_options_reach_the_model(client: httpx.Client, upstream: Upstream) -> None:
    """Model, token limit, temperature and the cleaned system text are in the request to the upstream."""
    options = {"model": "big", "max_completion_tokens": 77, "temperature": 0.5, "system": "Be bri\u200bef."}
    assert client.post(ASK, json={"question": "How long is parental leave?", **options}).status_code == 200
    body = upstream.calls[-1].body
    assert (body["model"], body["temperature"]) == ("big", 0.5)
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert "Be brief." in json.dumps(body["messages"])


def test_a_failing_model_is_a_problem(client: httpx.Client, upstream: Upstream) -> None:
    """Without a stream, an upstream error is a 502 problem."""
    upstream.scripted_replies = [error_reply(500, "boom")] * 5
    check_problem(client.post(ASK, json={"question": "How long is parental leave?"}), "upstream", 502)


def test_an_unreachable_model_is_a_503_with_retry_after(tmp_path: Path) -> None:
    """The response says when to try again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with run_service(tmp_path, Settings(chat=Endpoint(url, Secret("sk-none")), chat_model="m")) as client:
        fill_collection(client, "hb")
        reply = client.post(ASK, json={"question": "How long is parental leave?"})
    check_problem(reply, "unavailable", 503)
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(("limit", "can_retry"), [(20_000, True), (100, False)])
def test_a_used_up_budget_says_when_to_retry(tmp_path: Path, upstream: Upstream, limit: int, can_retry: bool) -> None:
    """429 has the seconds until the end of the month, and none if the request alone exceeds the budget."""
    clock = Clock(time.time())
    ledger = LocalLedger(tmp_path, clock=clock)
    ledger.settle(ledger.reserve(make_reservation(clock), {}) or 0, make_settled_usage(19_900))
    ledger.close()
    budget = Budget(BudgetLimits(month_tokens=limit))
    settings = Settings(chat=Endpoint(upstream.url, Secret("sk-none")), chat_model="m", budget=budget)
    with run_service(tmp_path, settings) as client:
        fill_collection(client, "hb")
        reply = client.post(ASK, json={"question": "How long is parental leave?"})
    check_problem(reply, "budget", 429)
    now = datetime.now(UTC)
    month_end = (now.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert ("retry-after" in reply.headers) is can_retry
    assert not can_retry or abs(int(reply.headers["retry-after"]) - (month_end - now).total_seconds()) < 60


def test_an_error_in_a_stream_is_its_last_event(client: httpx.Client, upstream: Upstream) -> None:
    """After the first event an error is an `error` event with a problem."""
    upstream.scripted_replies = [
        raw_stream_reply(b"data: " + json.dumps(delta_event("Parents ")).encode() + b"\n\n", CUT)
    ] * 5
    reply = client.post(ASK, json={"question": "How long is parental leave?", "stream": True})
    assert reply.status_code == 200
    blocks = [block.split("\n") for block in reply.text.split("\n\n") if block]
    assert blocks[0][0] == "event: sources"
    assert blocks[-1][0] == "event: error"
    last = json.loads(blocks[-1][1].removeprefix("data: "))
    assert last["type"] in ("/problems/upstream", "/problems/unavailable")
    assert last["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("events", [(), (b"data: " + json.dumps(delta_event("Parents may. ")).encode() + b"\n\n",)])
def test_a_disconnect_cancels_the_model_request(
    client: httpx.Client, upstream: Upstream, stream: bool, events: tuple[bytes, ...]
) -> None:
    """Within a second of the disconnect the upstream request is closed: streaming or not, started or not."""
    upstream.scripted_replies = [raw_stream_reply(*events, HANG)]
    body = json.dumps({"question": "How long is parental leave?", "stream": stream}).encode()
    request = f"POST {ASK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
        connection.sendall(request.encode() + b"\r\n\r\n" + body)
        while not upstream.calls:
            pass
        assert not upstream.hung_up.wait(0.05)
    assert upstream.hung_up.wait(1.0)
    assert client.get("/healthz").status_code == 200


def test_all_requests_share_one_connection_pool(upstream: Upstream, tmp_path: Path) -> None:
    """Storing, searching and asking call the model server from one loop, over one connection."""
    upstream.reset()
    endpoint = Endpoint(upstream.url, Secret("sk-none"))
    with run_service(tmp_path, Settings(embeddings=endpoint, chat=endpoint, chat_model="m")) as client:
        assert client.put("/v1/collections/hb", json={"embedder": "openai:e@16"}).status_code == 200
        fill_collection(client, "hb")
        assert client.post("/v1/collections/hb/search", json={"query": "leave"}).json()["hits"]
        assert client.post(ASK, json={"question": "How long is parental leave?"}).json()["answered"]
    assert len(upstream.calls) >= 6
    assert len({call.client for call in upstream.calls}) == 1


def test_shutdown_does_not_wait_for_a_model_server(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stores gets a 503 with the remedy, and the request to the model server is in the ledger."""
    upstream.reset()
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.1)
    settings = Settings(embeddings=Endpoint(upstream.url, Secret("sk-none")))
    with ThreadPoolExecutor(1) as pool:
        with run_service(tmp_path, settings) as client:
            assert client.put("/v1/collections/hb", json={"embedder": "openai:e@16"}).status_code == 200
            upstream.scripted_replies = [ScriptedReply([HANG])]
            url = client.base_url.join(document_path("hb", "a.txt"))
            response = pool.submit(
                httpx.put, url, content=b"A lamp.", headers={"content-type": "text/plain"}, timeout=60
            )
            while not upstream.calls:
                time.sleep(0.01)
            started_at = time.monotonic()
        assert time.monotonic() - started_at < 10
        assert "shutting down" in check_problem(response.result(), "unavailable", 503)
    with closing(LocalLedger(tmp_path)) as ledger:
        assert [(row.requests, row.estimated_requests) for row in ledger.usage("model")] == [(1, 1)]
