"""A receiver of Standard Webhooks on the loopback: verifies each signature, and answers as a test says."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
TOLERANCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One request: its id and its body."""

    id: str
    body: dict[str, Any]


@dataclass(slots=True)
class WebhookReceiver:
    """What was received, and how the next requests are answered."""

    url: str = ""
    replies: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the next responses; when it is empty, 204."""
    received: list[ReceivedMessage] = field(default_factory=list)
    """All requests with a valid signature, whatever was answered."""
    errors: list[str] = field(default_factory=list)
    """Why other requests were refused."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Requests wait while it is not set."""

    def wait(self, count: int, seconds: float = 20.0) -> list[ReceivedMessage]:
        """Return what was received as soon as it is `count` messages."""
        deadline = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.received) >= count, (self.received, self.errors)
        return list(self.received)


def verify(secret: str, headers: dict[str, str], body: bytes) -> None:
    """Raise ValueError unless the signature is valid: the algorithm of the specification, without our code."""
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        raise ValueError("the timestamp is too far from now")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    to_sign = f"{message_id}.{timestamp}.{body.decode()}".encode()
    expected = base64.b64encode(hmac.new(key, to_sign, hashlib.sha256).digest()).decode()
    for versioned in headers["webhook-signature"].split(" "):
        version, _, signature = versioned.partition(",")
        if version == "v1" and hmac.compare_digest(expected, signature):
            return
    raise ValueError("no matching signature")


@contextmanager
def run_receiver(port: int = 0) -> Iterator[WebhookReceiver]:
    """Yield a receiver that runs until the block ends."""
    receiver = WebhookReceiver()
    receiver.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.gate.wait(20)
            status, headers = receiver.replies.pop(0) if receiver.replies else (204, {})
            try:
                verify(SECRET, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.received.append(ReceivedMessage(self.headers["webhook-id"], json.loads(body)))
            except (ValueError, KeyError) as exc:
                receiver.errors.append(repr(exc))
                status, headers = 400, {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # the default of 5 refuses what arrives at once

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def write_secret(folder: Path, secret: str = SECRET) -> Path:
    """Write the secret into a private file and return its path."""
    path = folder / "webhook.secret"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return path
