"""The HTTP service for tests: the real server with a real library, on a free loopback port."""

import json
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import httpx

from semsearch.core.settings import Settings
from semsearch.interfaces.http.server import bind, make_server
from semsearch.library import Library

HANDBOOK: Mapping[str, str] = {
    "docs/leave.md": "# Leave\n\n## Parents\n\nParents take up to 26 weeks of leave. Ask the people team ahead.",
    "docs/travel.md": "# Travel\n\n## Trains\n\nTake the train. A taxi needs a reason — “late” is one. 🚕",
    "it/alarms.md": "# Alarms\n\nThe alarm E-417 means that the pump is dry. Don't restart it before it has cooled.",
}


@contextmanager
def run_service(
    folder: Path, settings: Settings | None = None, *, has_access_log: bool = False
) -> Iterator[httpx.Client]:
    """Yield a client of a service that runs until the block ends."""
    with Library(folder, settings=settings or Settings()) as library, closing(bind("127.0.0.1", 0)) as listener:
        urls: queue.Queue[str] = queue.Queue()
        server = make_server(library, "127.0.0.1", listener, urls.put, has_access_log=has_access_log)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=urls.get(timeout=30), timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def document_path(collection: str, uri: str) -> str:
    """Return the path of a document."""
    return f"/v1/collections/{collection}/documents/{quote(uri, safe='')}"


def fill_collection(client: httpx.Client, name: str, texts: Mapping[str, str] = HANDBOOK) -> str:
    """Create a collection with these files and return its path."""
    assert client.put(f"/v1/collections/{name}").status_code == 200
    for uri, text in texts.items():
        metadata = json.dumps({"folder": uri.split("/")[0]})
        headers = {"content-type": "text/markdown" if uri.endswith(".md") else "text/plain"}
        response = client.put(
            document_path(name, uri), content=text.encode(), params={"metadata": metadata}, headers=headers
        )
        assert response.status_code == 200, response.text
    return f"/v1/collections/{name}"


def check_problem(response: httpx.Response, name: str, status: int) -> str:
    """Check that the response is this problem, and return its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert (body["type"], body["status"]) == (f"/problems/{name}", status)
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["detail"])


def send_raw(client: httpx.Client, *chunks: bytes) -> bytes:
    """Send these bytes and return what the service sends until it closes the connection."""
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        with suppress(ConnectionError):  # the service may close before it has read everything
            for chunk in chunks:
                connection.sendall(chunk)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received
