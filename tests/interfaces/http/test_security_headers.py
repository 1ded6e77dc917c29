"""Every reply has the security headers, each once: of every route, of the page, of refusals, and of raw bytes."""

import socket
from collections.abc import Iterator, Mapping

import httpx
import pytest
from support.http_service import fill_collection, run_service, send_raw

from semsearch.interfaces.http import limits
from semsearch.interfaces.http.routes.page import PAGE_PATHS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

PATH_VALUES = {
    "{name}": "hb",
    "{collection}": "hb",
    "{page}": "1",
    "{uri}": "a.txt",
    "{answer_id}": "ans_0",
    "{session_id}": "ses_0",
    "{key_id}": "000000000000",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb", {"a.txt": "a text"})
        yield client


def list_missing_headers(headers: httpx.Headers) -> list[str]:
    """Return what is wrong with the security headers of a reply."""
    policies = headers.get_list("content-security-policy")
    expected = {
        "x-content-type-options": headers.get_list("x-content-type-options") == ["nosniff"],
        "referrer-policy": headers.get_list("referrer-policy") == ["same-origin"],
        "content-security-policy": len(policies) == 1 and "frame-ancestors 'none'" in policies[0],
        "default-src": any("default-src" in policy for policy in policies),
    }
    return [name for name, is_right in expected.items() if not is_right]


def parse_headers(lines: list[bytes]) -> httpx.Headers:
    """Return the headers of the lines of a head."""
    pairs = (line.decode("latin-1").partition(": ") for line in lines)
    return httpx.Headers([(name, value) for name, _, value in pairs])


def fill_path(path: str) -> str:
    """Return a path of the OpenAPI document with values in place of its parameters."""
    for name, value in PATH_VALUES.items():
        path = path.replace(name, value)
    return path


def test_every_route_and_every_method(client: httpx.Client) -> None:
    """Successes, 404, 405 and 422 are among the replies."""
    paths = [fill_path(path) for path in client.get("/openapi.json").json()["paths"]]
    assets = [part.split('"')[0] for part in client.get("/docs").text.split('="/')[1:]]
    assert len(assets) >= 3
    paths += [
        *map(fill_path, PAGE_PATHS),
        "/docs",
        "/openapi.json",
        "/favicon.ico",
        "/nope",
        "/v1/nope",
        *(f"/{path}" for path in assets),
    ]
    assert not any("{" in path for path in paths)
    replies = {
        f"{method} {path}": client.request(method, path)
        for path in paths
        for method in METHODS
        if not (method == "DELETE" and path in ("/v1/collections/hb", "/v1/collections/hb/documents/a.txt"))
    }
    wrong = {name: missing for name, reply in replies.items() if (missing := list_missing_headers(reply.headers))}
    assert wrong == {}
    assert {reply.status_code for reply in replies.values()} >= {200, 404, 405, 422}
    assert all(reply.status_code < 500 for reply in replies.values())


REFUSALS: Mapping[str, tuple[bytes, int]] = {
    "no request": (b"GET\r\n\r\n", 400),
    "another host": (b"GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403),
    "long path": (b"GET /%s HTTP/1.1\r\nhost: localhost\r\n\r\n" % (b"a" * (limits.MAX_PATH_BYTES + 1)), 413),
    "long head": (b"GET / HTTP/1.1\r\nx: %s" % (b"a" * (limits.MAX_HEAD_BYTES + 1)), 400),
    "many headers": (
        b"GET / HTTP/1.1\r\nhost: localhost\r\n%s\r\n"
        % (b"x: %s\r\n" % (b"a" * 500) * (limits.MAX_HEADER_BYTES // 500 + 1)),
        413,
    ),
    "large body": (b"POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n", 413),
    "websocket": (b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 422),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_before_any_route(client: httpx.Client, name: str) -> None:
    """They are answered by the server or by the middleware."""
    request, status = REFUSALS[name]
    head = send_raw(client, request).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0].startswith(b"HTTP/1.1 %d " % status)
    assert list_missing_headers(parse_headers(head[1:])) == []


def test_timeout_of_a_body(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply to a body that does not arrive."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_SECONDS", 0.1)
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall(b"POST /v1/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        head = connection.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0].startswith(b"HTTP/1.1 408 ")
    assert list_missing_headers(parse_headers(head[1:])) == []
