"""Requests through a reverse proxy: what reaches the service, and whether its streams, limits and cookies work."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from support.http_service import document_path, fill_collection, run_service
from support.pdf_files import make_pdf
from support.upstream import HANG, Upstream, delta_event, raw_stream_reply, run_upstream

from semsearch import KeyGrants, Library
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.interfaces.http.limits import MIB

RunProxy = Callable[[int], AbstractContextManager[httpx.Client]]
"""Runs a proxy in front of a port and returns a client of it."""

IDENTITY_HEADERS = (
    *("Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "X-Remote-User", "X-Remote-Groups"),
    *("X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Email", "X-Forwarded-Preferred-Username"),
    *("X-Auth-Request-User", "X-Auth-Request-Groups", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username"),
    *("X-Pomerium-Jwt-Assertion", "X-Pomerium-Claim-Email", "X-Pomerium-Claim-Groups"),
    *("Cf-Access-Authenticated-User-Email", "Cf-Access-Jwt-Assertion"),
)
"""Headers with which oauth2-proxy, Authelia, Pomerium and Cloudflare Access name a user."""
PATH = "/v1/collections/a/documents/x%2Fy%3Fz//%C3%A4?q=1%2B2"
MAX_FILE_BYTES = 64 * MIB


def check_headers(run_proxy: RunProxy) -> list[str]:
    """Send forged headers; return what reached the service although it must not, or did not although it must."""
    with _run_recorder() as (port, requests), run_proxy(port) as client:
        forged = {name: "admin" for name in IDENTITY_HEADERS}
        forged |= {"X_Forwarded_User": "admin", "X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
        client.get(PATH, headers={**forged, "Authorization": "Bearer sk_a_b"})
        (path, headers), host = requests[0], f"localhost:{client.base_url.port}"
    names = {name.lower(): value for name, value in headers}
    errors = [f"{name}: {value} reached the service" for name, value in headers if value == "admin"]
    if path != PATH:
        errors.append(f"the address was changed to {path}")
    expected = {"x-forwarded-for": "127.0.0.1", "host": host, "authorization": "Bearer sk_a_b"}
    errors += [
        f"{name} is {names.get(name)}, not {value}" for name, value in expected.items() if names.get(name) != value
    ]
    return errors + (["Forwarded reached the service"] if "forwarded" in names else [])


@contextmanager
def _run_recorder() -> Iterator[tuple[int, list[tuple[str, list[tuple[str, str]]]]]]:
    """Run a server in place of the service; yield its port and the path and headers of the requests it has received."""
    requests: list[tuple[str, list[tuple[str, str]]]] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.path, list(self.headers.items())))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, requests
        finally:
            server.shutdown()
            thread.join()


def check_service(run_proxy: RunProxy, folder: Path) -> list[str]:
    """Use a service with an access key and a model server through the proxy; return what does not work."""
    with Library(folder) as library:
        _, key = library.create_key(KeyGrants("operator", "operator", frozenset({"search", "ask", "write", "admin"})))
    with run_upstream() as upstream:
        settings = Settings(chat=Endpoint(upstream.url, Secret("sk-none")), chat_model="m")
        with run_service(folder, settings) as service, run_proxy(service.base_url.port or 0) as client:
            errors = _check_without_key(client)
            client.headers["authorization"] = f"Bearer {key}"
            fill_collection(client, "hb")
            return [*errors, *_check_uploads(client), *_check_stream(client, upstream), *_check_page(client)]


def _check_without_key(client: httpx.Client) -> Iterator[str]:
    file = bytes(MAX_FILE_BYTES)
    statuses = {
        "GET /healthz": (client.get("/healthz").status_code, 200),
        "GET /": (client.get("/").status_code, 200),
        "a search without a key": (client.get("/v1/collections/hb/search", params={"q": "leave"}).status_code, 401),
        "a file without a key": (client.put(document_path("hb", "large.pdf"), content=file).status_code, 401),
    }
    return (f"{what}: {got}, not {expected}" for what, (got, expected) in statuses.items() if got != expected)


def _check_uploads(client: httpx.Client) -> Iterator[str]:
    """Send a file of the maximum size, one that is a byte larger, and a search whose address has 40 KB."""
    pdf = make_pdf([(50, 700, 12, "The largest file is about kingfishers.")])
    headers = {"content-type": "application/pdf"}
    path = document_path("hb", "large.pdf")
    stored = client.put(path, content=pdf.ljust(MAX_FILE_BYTES, b"\n"), headers=headers)
    if stored.status_code != 200:
        yield f"a file of 64 MiB: {stored.status_code} {stored.text[:200]}"
    if (refused := client.put(path, content=pdf.ljust(MAX_FILE_BYTES + 1), headers=headers).status_code) != 413:
        yield f"a larger file: {refused}, not 413"
    query = "kingfishers " + "🚕" * 3_400  # 12 bytes each in the address
    response = client.get("/v1/collections/hb/search", params={"q": query})
    if response.status_code != 200 or response.json()["hits"][0]["uri"] != "large.pdf":
        yield f"a search with a long address: {response.status_code} {response.text[:200]}"


def _check_stream(client: httpx.Client, upstream: Upstream) -> Iterator[str]:
    """Read the first events of an answer while the model server sends nothing more, then hang up."""
    upstream.scripted_replies = [raw_stream_reply(f"data: {json.dumps(delta_event('Up'))}\n\n".encode(), HANG)]
    body = {"question": "How many weeks of leave do parents take?", "stream": True}
    try:
        with client.stream("POST", "/v1/collections/hb/ask", json=body, timeout=10) as response:
            lines = response.iter_lines()  # dropping it would close the connection
            if "event: passages" not in lines:
                yield "the stream has no passages"
            _wait_for_call(upstream)
    except httpx.TimeoutException:
        yield "the stream is buffered: no event arrived while the model server was writing"
    if not upstream.hung_up.wait(10):
        yield "the request to the model server stayed open after the client had hung up"


def _wait_for_call(upstream: Upstream) -> None:
    """Wait until the model server has the request, so that hanging up must close it."""
    deadline = time.monotonic() + 10
    while not upstream.calls and time.monotonic() < deadline:
        time.sleep(0.02)


def _check_page(client: httpx.Client) -> Iterator[str]:
    """Sign in as the page does, and search with the cookie alone."""
    origin = {"origin": f"https://localhost:{client.base_url.port}"}
    cookie = client.post("/v1/sign-in", headers=origin).headers.get("set-cookie", "")
    if "; Secure" not in cookie:
        yield f"the cookie is not Secure: {cookie.partition('=')[2][-80:]!r}"
    del client.headers["authorization"]
    response = client.post("/v1/collections/hb/search", json={"query": "leave"}, headers=origin)
    if response.status_code != 200:
        yield f"a search with the cookie: {response.status_code} {response.text[:200]}"
