"""Clients that hang up, also behind requests in the pipeline of their connection."""

import json
import re
import socket
import time
from collections.abc import Callable

import httpx
import pytest
from support.raw_requests import HEALTH_REQUEST, ask_request, connect, read_all, reset, upload_head
from support.upstream import HANG, SLOW, Upstream, delta_event, raw_stream_reply

from semsearch.interfaces.http import limits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

FIRST_TOKEN = b"data: " + json.dumps(delta_event("Parents may. ")).encode() + b"\n\n"
MANY_REQUESTS = HEALTH_REQUEST * limits.MAX_PIPELINED_REQUESTS * 3
CHUNKED_HEAD = (
    b"PUT /v1/collections/hb/documents/broken.txt HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
)
LARGE_UPLOAD = upload_head("/v1/collections/hb/documents/large.txt", 5_000_000) + b"a" * 1_000_000


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("pipelined", "parts", "hang_up"),
    [
        (HEALTH_REQUEST, (), socket.socket.close),
        (ask_request(stream=True), (FIRST_TOKEN,), reset),
        (ask_request(stream=False), (FIRST_TOKEN,), socket.socket.close),
        (HEALTH_REQUEST[:20], (), reset),
        (MANY_REQUESTS, (FIRST_TOKEN,), socket.socket.close),
        (LARGE_UPLOAD, (), socket.socket.close),
    ],
    ids=["get", "stream", "ask", "half_head", "many", "large_upload"],
)
def test_hang_up_behind_pipelined_requests_cancels_the_model_request(
    client: httpx.Client,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    stream: bool,
    pipelined: bytes,
    parts: tuple[bytes, ...],
    hang_up: Callable[[socket.socket], None],
) -> None:
    """Within a second the upstream call is closed. No other call begins, and nothing is logged as an error."""
    upstream.scripted_replies = [raw_stream_reply(*parts, HANG)]
    connection = connect(client.base_url)
    connection.sendall(ask_request(stream=stream))
    while not upstream.calls:
        time.sleep(0.001)
    connection.setblocking(False)
    connection.send(pipelined)
    assert not upstream.hung_up.wait(0.05)
    hang_up(connection)
    assert upstream.hung_up.wait(1.0)
    assert client.get("/healthz").status_code == 200
    assert len(upstream.calls) == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_requests_that_arrive_together_are_answered_in_order(client: httpx.Client) -> None:
    """A full pipeline of fast requests loses none."""
    count = limits.MAX_PIPELINED_REQUESTS * 20
    searches = [
        f"GET /v1/collections/hb/search?q=leave&k={number % 2 + 1} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for number in range(count)
    ]
    with connect(client.base_url) as connection:
        connection.sendall(b"".join(searches[: count // 2]))
        connection.sendall(b"".join(searches[count // 2 :]) + b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        bodies = [
            json.loads(reply.partition(b"\r\n\r\n")[2]) for reply in read_all(connection).split(b"HTTP/1.1 200 ")[1:]
        ]
    assert [len(body["hits"]) for body in bodies[:-1]] == [number % 2 + 1 for number in range(count)]
    assert bodies[-1]["status"] == "ok"


def test_full_pipeline_behind_a_slow_answer_is_dropped(
    client: httpx.Client, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running request is answered, then the connection is closed."""
    monkeypatch.setattr(limits, "FULL_PIPELINE_SECONDS", 0.02)
    cited = upstream.chat_reply
    upstream.reply_rule = lambda call: raw_stream_reply(*[SLOW] * 5, *cited(call.body).parts)
    with connect(client.base_url) as connection:
        connection.sendall(ask_request(stream=False) + MANY_REQUESTS)
        reply = read_all(connection)
    assert reply.count(b"HTTP/1.1 200 ") == 1
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["answered"]


@pytest.mark.parametrize(
    ("behind", "answered"),
    [
        (b"NOT HTTP\r\n\r\n", 1),
        (HEALTH_REQUEST + b"NOT HTTP\r\n\r\n", 2),
        (ask_request(stream=False).split(b"\r\n\r\n")[0] + b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1),
        (CHUNKED_HEAD + b"no size\r\n", 1),
        (HEALTH_REQUEST + CHUNKED_HEAD + b"no size\r\n", 2),
    ],
    ids=["request", "behind_another", "two_lengths", "body", "body_behind_another"],
)
def test_invalid_request_behind_a_slow_answer_is_refused_after_it(
    client: httpx.Client, upstream: Upstream, behind: bytes, answered: int
) -> None:
    """Every request before it is answered completely and in order; then the connection is closed."""
    cited = upstream.chat_reply
    upstream.reply_rule = lambda call: raw_stream_reply(*[SLOW] * 5, *cited(call.body).parts)
    with connect(client.base_url) as connection:
        connection.sendall(ask_request(stream=False))
        connection.sendall(behind)
        replies = read_all(connection)
    assert re.findall(rb"HTTP/1.1 (\d+) ", replies) == [b"200"] * answered + [b"400"]
    first_body = replies.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1 ")[0]
    assert json.loads(first_body)["answered"]


def test_upload_behind_a_slow_answer_is_stored(client: httpx.Client, upstream: Upstream) -> None:
    """A pipelined body that is larger than what is read ahead arrives when its turn comes."""
    cited = upstream.chat_reply
    upstream.reply_rule = lambda call: raw_stream_reply(SLOW, SLOW, *cited(call.body).parts)
    text = b"One line of many.\n" * 10_000
    with connect(client.base_url) as connection:
        connection.sendall(ask_request(stream=False))
        connection.sendall(upload_head("/v1/collections/hb/documents/lines.txt", len(text)) + text)
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        reply = read_all(connection)
    assert reply.count(b"HTTP/1.1 200 ") == 3
    assert client.get("/v1/collections/hb/documents/lines.txt").json()["text"].count("One line of many.") == 10_000
