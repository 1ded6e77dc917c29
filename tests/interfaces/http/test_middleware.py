"""Checks before any route: limits, hosts, request ids, and bytes that are no request."""

import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service, send_raw

from semsearch.core.settings import Settings
from semsearch.interfaces.http import limits
from semsearch.interfaces.http.security_headers import SECURITY_HEADERS, add_security_headers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb", {"a.txt": "a text"})
        yield client


def head(request: str, *headers: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{request} HTTP/1.1", *headers, "", ""]).encode()


def parse_problem(reply: bytes, status: int) -> dict[str, str]:
    """Return the problem of a complete response; fail if it is none."""
    reply_head, _, body = reply.partition(b"\r\n\r\n")
    assert reply_head.startswith(b"HTTP/1.1 %d " % status), reply[:300]
    assert b"content-type: application/problem+json" in reply_head
    problem: dict[str, str] = json.loads(body)
    assert f"x-request-id: {problem['request_id']}".encode() in reply_head
    return problem


def test_every_response_has_its_own_id(client: httpx.Client) -> None:
    """Success or error, each response has a new id, never one that the client sent."""
    replies = [client.get(path, headers={"x-request-id": "mine"}) for path in ("/healthz", "/nope", "/docs", "/readyz")]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len({*ids, "mine"}) == len(ids) + 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/v1/collections", 200),
        ("GET", "/v1/collections/hb/search?q=text", 200),
        ("GET", "/v1/collections/none/search?q=text", 404),
        ("GET", "/nope", 404),
        ("POST", "/healthz", 405),
        ("PUT", "/v1/collections/A", 422),
        ("GET", "/openapi.json", 200),
        ("GET", "/" + "a" * limits.MAX_PATH_BYTES, 413),
    ],
)
def test_every_response_has_the_security_headers(client: httpx.Client, method: str, path: str, status: int) -> None:
    """Each header once, in successes and errors, on the fast path, on routes, and where no route is reached."""
    response = client.request(method, path)
    assert response.status_code == status
    for name, value in SECURITY_HEADERS:
        assert response.headers.get_list(name.decode()) == [value.decode()]


def test_bytes_that_are_no_request_get_the_security_headers(client: httpx.Client) -> None:
    """The server answers them before any middleware."""
    reply = send_raw(client, b"GET\r\n\r\n")
    assert all(b"\r\n%s: %s\r\n" % header in reply for header in SECURITY_HEADERS)


def test_a_route_keeps_its_own_policy() -> None:
    """A header that a response sets is not sent twice; the others are added."""
    own = [(b"content-type", b"text/html"), (b"content-security-policy", b"default-src 'self'")]
    assert add_security_headers(own) == [*own, *SECURITY_HEADERS[1:]]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "10.0.0.1", "[::2]",
                                  "localhost:80:80", "user@localhost", "127.0.0.2"])  # fmt: skip
def test_another_host_is_refused(client: httpx.Client, host: str) -> None:
    """A foreign name that resolves to this machine (DNS rebinding) gets no access."""
    check_problem(client.get("/v1/collections", headers={"host": host}), "forbidden", 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"])
def test_every_loopback_name_is_accepted(client: httpx.Client, host: str) -> None:
    """Each name of the loopback is accepted, with any port."""
    assert client.get("/v1/collections", headers={"host": host}).status_code == 200


def test_a_request_needs_exactly_one_host(client: httpx.Client) -> None:
    """A request without a Host header, or with two, is refused."""
    assert parse_problem(send_raw(client, head("GET /healthz")), 403)["type"] == "/problems/forbidden"
    parse_problem(send_raw(client, head("GET /healthz", "Host: localhost", "Host: localhost")), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "http://[", "file://", ""])
def test_another_origin_is_refused(client: httpx.Client, origin: str) -> None:
    """A web page of another site may not use the service through its reader's browser."""
    reply = client.post("/v1/collections/hb/search", json={"query": "x"}, headers={"origin": origin})
    check_problem(reply, "forbidden", 403)


def test_the_own_origin_is_accepted(client: httpx.Client) -> None:
    """A page that this service delivered may use it."""
    origin = str(client.base_url).rstrip("/")
    assert client.post("/v1/collections/hb/search", json={"query": "x"}, headers={"origin": origin}).status_code == 200


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service that is also reached as `search.example`, and as `intranet` at port 8443 only."""
    settings = Settings(allowed_hosts=("search.example", "intranet:8443"))
    with run_service(tmp_path_factory.mktemp("indexes"), settings) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("search.example", 200),
        ("SEARCH.example:8080", 200),
        ("intranet:8443", 200),
        ("localhost", 200),
        ("intranet", 403),
        ("intranet:8444", 403),
        ("a.search.example", 403),
        ("search.example.evil", 403),
        ("*", 403),
    ],
)
def test_an_allowed_host_is_accepted_by_its_exact_name(proxied: httpx.Client, host: str, status: int) -> None:
    """Without a port in the setting every port is accepted; the names of the loopback stay accepted."""
    response = proxied.get("/v1/collections", headers={"host": host})
    assert response.status_code == status
    assert status == 200 or "--allowed-host" in check_problem(response, "forbidden", 403)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("search.example", "https://search.example", 200),
        ("127.0.0.1:8765", "https://search.example", 200),
        ("127.0.0.1:8765", "https://intranet:8443", 200),
        ("127.0.0.1:8765", "https://intranet", 403),
        ("127.0.0.1:8765", "https://search.example:9000", 403),
        ("search.example", "https://evil.example", 403),
        ("search.example", "http://localhost:3000", 403),
        ("search.example", "http://localhost", 403),
        ("127.0.0.1:8765", "http://127.0.0.1", 403),
        ("search.example", "https://user@search.example", 403),
    ],
)
def test_the_origin_is_the_host_or_an_allowed_one(proxied: httpx.Client, host: str, origin: str, status: int) -> None:
    """A proxy may send the loopback's name in Host, and its own stays in Origin; another port is another site."""
    assert proxied.get("/v1/collections", headers={"host": host, "origin": origin}).status_code == status


@pytest.mark.parametrize(
    ("path", "site", "status"),
    [
        ("/v1/collections/hb/search?q=leave", "cross-site", 403),
        ("/v1/collections/hb/search?q=leave", "same-site", 403),
        ("/v1/collections/hb/search?q=leave", "same-origin", 200),
        ("/v1/collections/hb/search?q=leave", "none", 200),
        ("/docs", "cross-site", 200),
    ],
)
def test_an_image_of_another_site_cannot_search(client: httpx.Client, path: str, site: str, status: int) -> None:
    """Such a GET has no Origin, and could cost money; the documentation may be linked from other sites."""
    assert client.get(path, headers={"sec-fetch-site": site}).status_code == status


def test_every_host_can_be_allowed(tmp_path: Path) -> None:
    """With `*` any name is accepted, but only its own origin."""
    with run_service(tmp_path, Settings(allowed_hosts=("*",))) as client:
        headers = {"host": "any.example"}
        assert client.get("/v1/collections", headers=headers).status_code == 200
        headers["origin"] = "https://evil.example"
        assert client.get("/v1/collections", headers=headers).status_code == 403


BODIES = [
    ("POST", "/v1/collections/hb/search", limits.DEFAULT_MAX_BODY_BYTES),
    ("PUT", "/v1/collections/hb", limits.DEFAULT_MAX_BODY_BYTES),
    ("DELETE", "/v1/nothing", limits.DEFAULT_MAX_BODY_BYTES),
    ("POST", "/v1/collections/hb/documents", 8 << 20),
    ("PUT", "/v1/collections/hb/documents/big.txt", 64 << 20),
]


@pytest.mark.parametrize(("method", "path", "limit"), BODIES)
def test_a_body_declared_too_large_is_refused_unread(client: httpx.Client, method: str, path: str, limit: int) -> None:
    """A Content-Length over the limit is refused before any byte of the body arrives."""
    reply = send_raw(client, head(f"{method} {path}", "Host: localhost", f"Content-Length: {limit + 1}"))
    assert f"{limit:,}" in parse_problem(reply, 413)["detail"]
    assert b"connection: close" in reply


@pytest.mark.parametrize(("method", "path", "limit"), BODIES[:4])
def test_a_chunked_body_is_refused_at_the_limit(client: httpx.Client, method: str, path: str, limit: int) -> None:
    """A body without a length is read up to the limit; its end never comes."""
    chunk = b"%x\r\n%s\r\n" % (limit // 4 + 1, b" " * (limit // 4 + 1))
    reply = send_raw(client, head(f"{method} {path}", "Host: localhost", "Transfer-Encoding: chunked"), *[chunk] * 4)
    assert parse_problem(reply, 413)["type"] == "/problems/too_large"


def test_a_client_that_keeps_sending_sees_the_refusal(client: httpx.Client) -> None:
    """A common client that sends too large a body gets the problem, with and without a length."""
    body = b" " * (limits.DEFAULT_MAX_BODY_BYTES * 4)
    check_problem(client.post("/v1/collections/hb/search", content=body), "too_large", 413)
    check_problem(client.post("/v1/collections/hb/search", content=iter([body[:100_000]] * 40)), "too_large", 413)


def test_a_refused_client_can_finish_sending(client: httpx.Client) -> None:
    """The connection is closed without a reset, which could discard the response."""
    size = limits.DEFAULT_MAX_BODY_BYTES * 8
    start = head("POST /v1/collections/hb/search", "Host: localhost", f"Content-Length: {size}")
    parse_problem(send_raw(client, start, *[b" " * 65536] * (size // 65536)), 413)


def test_bytes_behind_the_declared_length_are_no_request(client: httpx.Client) -> None:
    """They are not part of the body. Sent together with the request, they are refused after its response."""
    body = b'{"query": "x"}'
    request = head("POST /v1/collections/hb/search", "Host: localhost", "Content-Type: application/json",
                   f"Content-Length: {len(body)}") + body  # fmt: skip
    smuggled = b'{"query": "smuggled"}'
    replies = send_raw(client, request + smuggled)
    assert re.findall(rb"HTTP/1\.1 (\d+)", replies) == [b"200", b"400"]
    assert parse_problem(replies[replies.rindex(b"HTTP/1.1 400 ") :], 400)["type"] == "/problems/malformed"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        reply = connection.recv(65536)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"}")
        connection.sendall(smuggled)
        second_reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert parse_problem(second_reply, 400)["type"] == "/problems/malformed"


def test_a_length_together_with_chunks_is_refused(client: httpx.Client) -> None:
    """Two lengths for one body allow request smuggling."""
    request_head = head("POST /healthz", "Host: localhost", "Content-Length: 5", "Transfer-Encoding: chunked")
    assert parse_problem(send_raw(client, request_head + b"0\r\n\r\n"), 400)["type"] == "/problems/malformed"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_bytes_that_are_no_request_get_a_problem(client: httpx.Client, request_bytes: bytes) -> None:
    """The response has the format of every other error."""
    assert parse_problem(send_raw(client, request_bytes), 400)["type"] == "/problems/malformed"


def test_an_endless_head_is_refused(client: httpx.Client) -> None:
    """Headers are buffered up to a limit only."""
    start = head("GET /healthz", "Host: localhost")[:-2]
    assert parse_problem(send_raw(client, start, b"X: ", *[b"x" * 65536] * 4), 400)["type"] == "/problems/malformed"
    reply = send_raw(
        client, start, *[b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(limits.MAX_HEAD_BYTES // 8000 + 2)]
    )
    assert parse_problem(reply, 400)["type"] == "/problems/malformed"


def test_endless_trailers_are_refused(client: httpx.Client) -> None:
    """Trailers behind a chunked body are buffered up to a limit only."""
    start = head("POST /v1/collections/hb/search", "Host: localhost", "Transfer-Encoding: chunked") + b"0\r\n"
    # more than twice the limit: a busy service may read the head and as much as the limit at once
    reply = send_raw(client, start, *[b"X: %s\r\n" % (b"x" * 60_000)] * 10)
    parse_problem(reply, 413 if b" 413 " in reply[:20] else 400)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/collections/hb/documents/" + "a" * limits.MAX_PATH_BYTES, {}),
        ("/healthz?" + "a" * (limits.MAX_QUERY_STRING_BYTES - 1) + "aa", {}),
        ("/healthz", {"x-long": "x" * limits.MAX_HEADER_BYTES}),
    ],
)
def test_each_part_of_the_head_has_a_limit(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    """A path, a query string or headers over the limit are refused; the detail names the limit."""
    lines = ["Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    assert "the limit is" in parse_problem(send_raw(client, head(f"GET {path}", *lines)), 413)["detail"]


def test_an_incomplete_head_times_out(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets a 408, also for a second request. A connection without any byte is closed silently."""
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 0.3)
    assert parse_problem(send_raw(client, b"GET /healthz HTTP/1.1\r\nHost: local"), 408)["type"] == "/problems/timeout"
    assert send_raw(client) == b""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(head("GET /healthz", "Host: localhost"))
        assert connection.recv(65536).endswith(b"}")
        connection.sendall(b"\r\nGET /")
        parse_problem(connection.recv(65536), 408)


def test_a_client_that_waits_for_100_continue_gets_it_before_its_body(client: httpx.Client) -> None:
    """The head and the body of the response follow together."""
    body = b'{"query": "leave"}'
    lines = [
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(head("POST /v1/collections/hb/search", *lines))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        response = connection.recv(65536)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.endswith(b"}")


@pytest.mark.parametrize("pause", [0.2, 0.9])
def test_each_head_has_its_own_time(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    """The time of the second request counts from its first byte, before and after that of the connection is over."""
    monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 0.6)
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        time.sleep(0.3)
        connection.sendall(head("GET /healthz", "Host: localhost"))
        assert connection.recv(65536).endswith(b"}")
        time.sleep(pause)
        started = time.monotonic()
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        parse_problem(connection.recv(65536), 408)
    assert time.monotonic() - started > 0.55


def test_shutdown_does_not_wait_for_slow_uploads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each upload gets a 503 at once, and nothing is logged."""
    caplog.set_level(
        logging.WARNING, logger="uvicorn.error"
    )  # another server of this process may have changed the level
    with ExitStack() as stack:
        with run_service(tmp_path) as client:
            url, uploads = client.base_url, []
            for _ in range(3):
                uploads.append(stack.enter_context(socket.create_connection((url.host, url.port or 80), timeout=20)))
                uploads[-1].sendall(head("PUT /v1/collections/hb", "Host: localhost", "Content-Length: 100") + b"{")
            client.get("/healthz")
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < limits.GRACE_SECONDS
        for upload in uploads:
            reply = b"".join(iter(lambda upload=upload: upload.recv(65536), b""))  # type: ignore[misc]
            assert parse_problem(reply, 503)["detail"] == "the service is shutting down; send the request again"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_returns_the_headers_of_get(client: httpx.Client, path: str) -> None:
    """HEAD returns what GET does, without the body."""
    get_response, head_response = client.get(path), client.head(path)
    assert (head_response.status_code, head_response.content) == (200, b"")
    assert head_response.headers["content-length"] == str(len(get_response.content))


def test_an_incomplete_body_times_out(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that declares a body and does not send it gets a 408."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", 0.05)
    reply = send_raw(client, head("POST /v1/collections/hb/search", "Host: localhost", "Content-Length: 5"), b"{")
    assert parse_problem(reply, 408)["type"] == "/problems/timeout"


def test_a_large_file_is_stored(client: httpx.Client) -> None:
    """A body below the limit is stored completely."""
    text = "One line of many.\n" * 20_000
    assert client.put(document_path("hb", "large.txt"), content=text.encode()).status_code == 200
    assert client.get(document_path("hb", "large.txt")).json()["text"].count("One line of many.") == 20_000


def test_a_malformed_request_in_a_pipeline_does_not_answer_an_earlier_one(client: httpx.Client) -> None:
    """A client takes the first response for that of its first request."""
    reply = send_raw(client, 2 * head("GET /healthz", "Host: localhost") + b"\x00 no request\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+)", reply) == [b"200", b"200", b"400"]


def test_head_and_body_of_a_response_arrive_together(client: httpx.Client) -> None:
    """The client reads the head and the start of the body with one call."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        for _ in range(5):
            connection.sendall(head("GET /healthz", "Host: localhost"))
            assert connection.recv(65536).endswith(b"}")


@pytest.mark.parametrize("request_line", ["HEAD /v1/collections", "HEAD /v1/collections/hb"])
def test_a_response_without_a_body_is_sent(client: httpx.Client, request_line: str) -> None:
    """Its head is not buffered for a body that never comes."""
    reply = send_raw(client, head(request_line, "Host: localhost", "Connection: close"))
    assert reply.startswith(b"HTTP/1.1 405 ")
    assert reply.endswith(b"\r\n\r\n")


def test_websocket_is_refused_and_logged_once(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """The problem names the alternative; other upgrades, as curl asks for, are ignored."""
    websocket = ("connection: Upgrade", "upgrade: WebSocket", "sec-websocket-key: eA==", "sec-websocket-version: 13")
    reply = send_raw(client, head("GET /v1/collections", "host: 127.0.0.1", *websocket))
    problem = parse_problem(reply, 422)
    assert "no WebSockets" in problem["detail"]
    assert [record.getMessage() for record in caplog.records] == [
        f"request {problem['request_id']}: a WebSocket was refused"
    ]
    upgrade = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABk"}
    assert client.get("/v1/collections", headers=upgrade).status_code == 200
    assert len(caplog.records) == 1
