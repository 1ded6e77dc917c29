"""Limits of keys and addresses over HTTP: refusals, headers, forwarded addresses and streams."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service
from support.raw_requests import connect, reset
from support.upstream import HANG, Upstream, delta_event, raw_stream_reply, run_upstream, stream_reply, usage_event

from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.interfaces.http.request_limits import format_duration
from semsearch.models.openai.responses import parse_rate_limits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

SEARCH = "/v1/collections/hb/search"
ASK = "/v1/collections/hb/ask"
QUESTION = {"question": "How long is parental leave?"}


@contextmanager
def run_with_key(folder: Path, settings: Settings | None = None, **limits: int) -> Iterator[httpx.Client]:
    """Yield a client that sends a key with these limits to a service with the collection `hb`."""
    with run_service(folder, settings) as client:
        fill_collection(client, "hb")
        body: dict[str, Any] = {"name": "test", "scopes": ["search", "ask", "admin"], **limits}
        response = client.post("/v1/keys", json=body)
        assert response.status_code == 201, response.text
        client.headers["authorization"] = f"Bearer {response.json()['key']}"
        yield client


def make_settings(upstream: Upstream) -> Settings:
    """Return the settings of a service that asks a model server."""
    return Settings(chat=Endpoint(upstream.url, Secret("sk-none")), chat_model="m")


def test_key_is_refused_with_retry_after_and_headers(tmp_path: Path) -> None:
    """Every response tells the limit as OpenAI does; the refusal comes before the body is read."""
    with run_with_key(tmp_path, requests_per_minute=3) as client:
        responses = [client.post(SEARCH, json={"query": "leave"}) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 200]
        remaining = [response.headers["x-ratelimit-remaining-requests"] for response in responses]
        assert remaining == ["2", "1", "0"]
        assert responses[0].headers["x-ratelimit-limit-requests"] == "3"
        assert responses[0].headers["x-ratelimit-reset-requests"] == "20s"
        assert "x-ratelimit-limit-tokens" not in responses[0].headers
        announced = f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\nContent-Type: application/json"
        key = f"Authorization: {client.headers['authorization']}"
        with closing(connect(client.base_url)) as connection:
            connection.sendall(f"{announced}\r\n{key}\r\n\r\n".encode())  # and no body
            head = connection.recv(65_536).decode().lower()
        assert head.startswith("http/1.1 429")
        refusal = client.post(SEARCH, json={"query": "leave"})
        assert "3 requests per minute" in check_problem(refusal, "rate_limited", 429)
        assert 1 <= int(refusal.headers["retry-after"]) <= 20
        assert refusal.headers["x-ratelimit-remaining-requests"] == "0"
        assert client.get("/healthz").status_code == 200


def test_openai_clients_can_parse_the_headers(tmp_path: Path) -> None:
    """Our own client reads them as those of OpenAI, on errors too."""
    with run_with_key(tmp_path, requests_per_minute=600, tokens_per_minute=10_000) as client:
        response = client.get("/v1/collections/none")
        assert response.status_code == 404
        assert response.headers["x-ratelimit-remaining-tokens"] == "10000"
        assert response.headers["x-ratelimit-reset-tokens"] == "0ms"
        limits = parse_rate_limits(response.headers)
        assert limits is not None
        assert (limits.limit_requests, limits.remaining_requests) == (600, 599)
    assert [format_duration(seconds) for seconds in (0, 0.1, 59.9995, 60, 90.25)] == [
        "0ms", "100ms", "1m0s", "1m0s", "1m30.25s",
    ]  # fmt: skip


def test_used_tokens_refuse_the_next_request(tmp_path: Path) -> None:
    """The model server reports 600 tokens, of which the key may use 500 in a minute."""
    with run_upstream() as upstream, run_with_key(tmp_path, make_settings(upstream), tokens_per_minute=500) as client:
        upstream.scripted_replies = [stream_reply(delta_event("Parents may. ", "stop"), usage_event(590, 10))] * 3
        assert client.post(ASK, json=QUESTION).status_code == 200
        refusal = client.post(ASK, json=QUESTION)
        assert "500 tokens" in check_problem(refusal, "rate_limited", 429)
        assert refusal.headers["x-ratelimit-remaining-tokens"] == "0"
        assert int(refusal.headers["retry-after"]) >= 5


def test_stream_slot_is_free_again_after_a_hang_up(tmp_path: Path) -> None:
    """A second stream is refused while the first one runs, and admitted once its client has gone."""
    with run_upstream() as upstream, run_with_key(tmp_path, make_settings(upstream), streams=1) as client:
        upstream.scripted_replies = [raw_stream_reply(HANG)]
        with closing(connect(client.base_url)) as connection:
            send_stream_request(connection, client.headers["authorization"])
            assert b" 200 OK" in connection.recv(65_536)
            refusal = client.post(ASK, json={**QUESTION, "stream": True})
            assert "1 streamed answers" in check_problem(refusal, "rate_limited", 429)
            assert refusal.headers["retry-after"] == "2"
            assert client.post(ASK, json=QUESTION).status_code == 200  # without a stream
            reset(connection)
        assert wait_until_admitted(client)
        assert wait_until_admitted(client)  # that one has ended by itself


def send_stream_request(connection: socket.socket, authorization: str) -> None:
    """Send a question whose answer is streamed."""
    body = b'{"question": "How long is parental leave?", "stream": true}'
    head = (
        f"POST {ASK} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)


def wait_until_admitted(client: httpx.Client) -> bool:
    """Return whether a stream is admitted within some seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if client.post(ASK, json={**QUESTION, "stream": True}).status_code == 200:
            return True
        time.sleep(0.02)
    return False


def test_forwarded_addresses_count_only_from_trusted_proxies(tmp_path: Path) -> None:
    """The right-most entry that is no proxy is limited; what the client wrote left of it does not help."""
    settings = Settings(access_proxies=("127.0.0.1/32", "10.0.0.0/8"), address_requests_per_minute=3)
    with run_with_key(tmp_path, settings) as client:
        for index in range(3):
            forwarded = {"x-forwarded-for": f"192.0.2.{index}, 198.51.100.7, 10.1.1.1"}
            assert client.get("/v1/collections", headers=forwarded).status_code == 200
        spoofed = client.get("/v1/collections", headers={"x-forwarded-for": "192.0.2.9, 198.51.100.7"})
        assert "from your address" in check_problem(spoofed, "rate_limited", 429)
        assert int(spoofed.headers["retry-after"]) <= 20
        assert client.get("/v1/collections", headers={"x-forwarded-for": "198.51.100.8"}).status_code == 200
        assert client.get("/healthz", headers={"x-forwarded-for": "198.51.100.7"}).status_code == 200
        assert all(client.get("/v1/collections").status_code == 200 for _ in range(10))  # the loopback itself


def test_forwarded_addresses_of_others_are_ignored(tmp_path: Path) -> None:
    """Without trusted proxies, the loopback has no limit whatever it forwards."""
    with run_with_key(tmp_path, Settings(address_requests_per_minute=2)) as client:
        headers = {"x-forwarded-for": "198.51.100.7"}
        assert all(client.get("/v1/collections", headers=headers).status_code == 200 for _ in range(5))


def test_wrong_keys_count_for_their_address(tmp_path: Path) -> None:
    """Who guesses keys is refused like anybody else."""
    settings = Settings(access_proxies=("127.0.0.1/32",), address_requests_per_minute=4)
    with run_with_key(tmp_path, settings) as client:
        headers = {"x-forwarded-for": "198.51.100.7", "authorization": f"Bearer sk_k3v9x0q2m7ab_{'A' * 43}"}
        statuses = [client.get("/v1/collections", headers=headers).status_code for _ in range(6)]
        assert statuses == [401] * 4 + [429] * 2
