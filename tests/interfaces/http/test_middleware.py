"""What happens before any route: bounds, names, ids, and bytes that are no request. On the wire of a real server."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, fill_collection, run_service, send_raw

from semsearch.interfaces.http import limits as bounds
from semsearch.interfaces.http import server as serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb", {"a.txt": "a text"})
        yield client


def head(request: str, *headers: str) -> bytes:
    """A request without its body."""
    return "\r\n".join([f"{request} HTTP/1.1", *headers, "", ""]).encode()


def detail(reply: bytes, status: int) -> dict[str, str]:
    """The problem in a whole reply, which must be one."""
    top, _, body = reply.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d " % status), reply[:300]
    assert b"content-type: application/problem+json" in top
    found: dict[str, str] = json.loads(body)
    assert f"x-request-id: {found['request_id']}".encode() in top
    return found


def test_every_reply_has_an_id_of_its_own(client: httpx.Client) -> None:
    """Good or bad, each response carries an id, and never one that the client has chosen."""
    replies = [client.get(path, headers={"x-request-id": "mine"}) for path in ("/healthz", "/nope", "/docs", "/readyz")]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len({*ids, "mine"}) == len(ids) + 1


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "10.0.0.1", "[::2]",
                                  "localhost:80:80", "user@localhost", "127.0.0.2"])  # fmt: skip
def test_another_name_is_refused(client: httpx.Client, host: str) -> None:
    """A name that leads here by somebody else's will (DNS rebinding) opens nothing."""
    check_problem(client.get("/v1/collections", headers={"host": host}), "forbidden", 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80"])
def test_the_loopback_has_many_names(client: httpx.Client, host: str) -> None:
    """This machine may be called by each of its own names, with any port."""
    assert client.get("/v1/collections", headers={"host": host}).status_code == 200


def test_a_request_has_one_name(client: httpx.Client) -> None:
    """Without a Host, or with two, nobody can tell who is meant."""
    assert detail(send_raw(client, head("GET /healthz")), 403)["type"] == "/problems/forbidden"
    detail(send_raw(client, head("GET /healthz", "Host: localhost", "Host: localhost")), 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "http://[", "file://", ""])
def test_another_page_is_refused(client: httpx.Client, origin: str) -> None:
    """A web page from anywhere else may not use the service through its reader's browser."""
    reply = client.post("/v1/collections/hb/search", json={"query": "x"}, headers={"origin": origin})
    check_problem(reply, "forbidden", 403)


def test_an_own_page_is_welcome(client: httpx.Client) -> None:
    """A page that came from this service may use it."""
    origin = str(client.base_url).rstrip("/")
    assert client.post("/v1/collections/hb/search", json={"query": "x"}, headers={"origin": origin}).status_code == 200


BODIES = [
    ("POST", "/v1/collections/hb/search", bounds.DEFAULT_MAX_BODY_BYTES),
    ("PUT", "/v1/collections/hb", bounds.DEFAULT_MAX_BODY_BYTES),
    ("DELETE", "/v1/nothing", bounds.DEFAULT_MAX_BODY_BYTES),
    ("POST", "/v1/collections/hb/documents", 8 << 20),
    ("PUT", "/v1/collections/hb/documents/big.txt", 64 << 20),
]


@pytest.mark.parametrize(("method", "path", "bound"), BODIES)
def test_a_declared_body_is_refused_unread(client: httpx.Client, method: str, path: str, bound: int) -> None:
    """A length over the bound is refused before a byte of the body has come."""
    reply = send_raw(client, head(f"{method} {path}", "Host: localhost", f"Content-Length: {bound + 1}"))
    assert f"{bound:,}" in detail(reply, 413)["detail"]
    assert b"connection: close" in reply


@pytest.mark.parametrize(("method", "path", "bound"), BODIES[:4])
def test_a_chunked_body_is_cut_at_the_bound(client: httpx.Client, method: str, path: str, bound: int) -> None:
    """A body without a length is read as far as it may go, and not to its end, which never comes."""
    piece = b"%x\r\n%s\r\n" % (bound // 4 + 1, b" " * (bound // 4 + 1))
    reply = send_raw(client, head(f"{method} {path}", "Host: localhost", "Transfer-Encoding: chunked"), *[piece] * 4)
    assert detail(reply, 413)["type"] == "/problems/too_large"


def test_a_client_that_keeps_sending_sees_the_refusal(client: httpx.Client) -> None:
    """An ordinary client that sends a too large body reads the problem, with and without a length."""
    body = b" " * (bounds.DEFAULT_MAX_BODY_BYTES * 4)
    check_problem(client.post("/v1/collections/hb/search", content=body), "too_large", 413)
    check_problem(client.post("/v1/collections/hb/search", content=iter([body[:100_000]] * 40)), "too_large", 413)


def test_a_refused_client_can_finish_sending(client: httpx.Client) -> None:
    """The connection ends in good order, without a reset that could take the answer along."""
    size = bounds.DEFAULT_MAX_BODY_BYTES * 8
    start = head("POST /v1/collections/hb/search", "Host: localhost", f"Content-Length: {size}")
    detail(send_raw(client, start, *[b" " * 65536] * (size // 65536)), 413)


def test_a_length_that_is_too_short_is_believed(client: httpx.Client) -> None:
    """Bytes behind the stated length are no part of the body, and no request: at once with it all is refused."""
    body = b'{"query": "x"}'
    request = head("POST /v1/collections/hb/search", "Host: localhost", "Content-Type: application/json",
                   f"Content-Length: {len(body)}") + body  # fmt: skip
    smuggled = b'{"query": "smuggled"}'
    assert detail(send_raw(client, request + smuggled), 400)["type"] == "/problems/malformed"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(request)
        reply = connection.recv(65536)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"}")
        connection.sendall(smuggled)
        behind = b"".join(iter(lambda: connection.recv(65536), b""))
    assert detail(behind, 400)["type"] == "/problems/malformed"


def test_a_length_and_chunks_at_once_are_refused(client: httpx.Client) -> None:
    """Two statements about the length are how requests are smuggled."""
    both = head("POST /healthz", "Host: localhost", "Content-Length: 5", "Transfer-Encoding: chunked")
    assert detail(send_raw(client, both + b"0\r\n\r\n"), 400)["type"] == "/problems/malformed"


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
def test_what_is_no_request_gets_a_problem(client: httpx.Client, request_bytes: bytes) -> None:
    """Bytes that are not HTTP are answered in the same form as every other error."""
    assert detail(send_raw(client, request_bytes), 400)["type"] == "/problems/malformed"


def test_a_head_without_end_is_cut(client: httpx.Client) -> None:
    """Headers are not collected for ever."""
    start = head("GET /healthz", "Host: localhost")[:-2]
    assert detail(send_raw(client, start, b"X: ", *[b"x" * 65536] * 4), 400)["type"] == "/problems/malformed"
    reply = send_raw(
        client, start, *[b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(bounds.MAX_HEAD_BYTES // 8000 + 2)]
    )
    assert detail(reply, 400)["type"] == "/problems/malformed"


def test_trailers_without_end_are_cut(client: httpx.Client) -> None:
    """What may follow a body in chunks is not collected for ever either."""
    start = head("POST /v1/collections/hb/search", "Host: localhost", "Transfer-Encoding: chunked") + b"0\r\n"
    # twice the bound and more: a busy service takes the head and as much as the bound in one piece
    reply = send_raw(client, start, *[b"X: %s\r\n" % (b"x" * 60_000)] * 10)
    detail(reply, 413 if b" 413 " in reply[:20] else 400)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/collections/hb/documents/" + "a" * bounds.MAX_PATH_BYTES, {}),
        ("/healthz?" + "a" * (bounds.MAX_QUERY_STRING_BYTES - 1) + "aa", {}),
        ("/healthz", {"x-long": "x" * bounds.MAX_HEADER_BYTES}),
    ],
)
def test_each_part_of_the_head_is_bounded(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    """A path, a query string or headers over the bound are refused with the bound."""
    lines = ["Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    assert "at most" in detail(send_raw(client, head(f"GET {path}", *lines)), 413)["detail"]


def test_a_head_that_does_not_come_is_given_up(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever never ends a head is told and cut off, also behind a whole request; where none was begun, cut off."""
    monkeypatch.setattr(bounds, "HEAD_TIMEOUT_SECONDS", 0.3)
    assert detail(send_raw(client, b"GET /healthz HTTP/1.1\r\nHost: local"), 408)["type"] == "/problems/timeout"
    assert send_raw(client) == b""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        connection.sendall(head("GET /healthz", "Host: localhost"))
        assert connection.recv(65536).endswith(b"}")
        connection.sendall(b"\r\nGET /")
        detail(connection.recv(65536), 408)


def test_a_slow_upload_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the time to end is over it is told so, and nothing is logged of it but how many there were."""
    monkeypatch.setattr(serving, "GRACE_SECONDS", 1)
    caplog.set_level(logging.WARNING, logger="uvicorn.error")  # another server of this process may have silenced it
    with ExitStack() as stack:
        with run_service(tmp_path) as client:
            url, uploads = client.base_url, []
            for _ in range(3):
                uploads.append(stack.enter_context(socket.create_connection((url.host, url.port or 80), timeout=20)))
                uploads[-1].sendall(head("PUT /v1/collections/hb", "Host: localhost", "Content-Length: 100") + b"{")
            client.get("/healthz")
        for upload in uploads:
            reply = b"".join(iter(lambda upload=upload: upload.recv(65536), b""))  # type: ignore[misc]
            assert detail(reply, 503)["detail"] == "the service is ending; send it again"
    (said,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.getMessage().startswith("Cancel 3 running task(s)")
    assert said.exc_info is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_head_of_a_look_is_had_alone(client: httpx.Client, path: str) -> None:
    """HEAD gives what GET does, without the body."""
    looked, alone = client.get(path), client.head(path)
    assert (alone.status_code, alone.content) == (200, b"")
    assert alone.headers["content-length"] == str(len(looked.content))


def test_a_body_that_does_not_come_is_given_up(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that announces a body and sends nothing does not hold a place for ever."""
    monkeypatch.setattr(bounds, "BODY_TIMEOUT_SECONDS", 0.05)
    reply = send_raw(client, head("POST /v1/collections/hb/search", "Host: localhost", "Content-Length: 5"), b"{")
    assert detail(reply, 408)["type"] == "/problems/timeout"


def test_a_large_file_is_stored(client: httpx.Client) -> None:
    """What keeps to the bound goes through, whole."""
    text = "One line of many.\n" * 20_000
    assert client.put(document_path("hb", "large.txt"), content=text.encode()).status_code == 200
    assert client.get(document_path("hb", "large.txt")).json()["text"].count("One line of many.") == 20_000


def test_what_is_malformed_behind_requests_that_wait_gets_no_answer_of_theirs(client: httpx.Client) -> None:
    """Answers come in the order of the requests: a client takes the first one for that of its first request."""
    reply = send_raw(client, 2 * head("GET /healthz", "Host: localhost") + b"\x00 no request\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b" 400 " not in reply


def test_a_reply_comes_in_one_piece(client: httpx.Client) -> None:
    """Its head and the beginning of its body wake the client once."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        for _ in range(5):
            connection.sendall(head("GET /healthz", "Host: localhost"))
            assert connection.recv(65536).endswith(b"}")


@pytest.mark.parametrize("request_line", ["HEAD /v1/collections", "HEAD /v1/collections/hb"])
def test_a_reply_without_a_body_comes_too(client: httpx.Client, request_line: str) -> None:
    """Nothing is held back for a body that never comes."""
    reply = send_raw(client, head(request_line, "Host: localhost", "Connection: close"))
    assert reply.startswith(b"HTTP/1.1 405 ")
    assert reply.endswith(b"\r\n\r\n")
