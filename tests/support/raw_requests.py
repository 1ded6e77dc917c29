"""Requests as bytes, and sockets that behave as no HTTP client does."""

import json
import socket
import struct
from contextlib import suppress

import httpx

ASK_PATH = "/v1/collections/hb/ask"
HEALTH_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ask_request(*, stream: bool) -> bytes:
    """Return a question to the collection `hb`."""
    body = json.dumps({"question": "How long is parental leave?", "stream": stream}).encode()
    return upload_head(ASK_PATH, len(body), method="POST", media_type="application/json") + body


def upload_head(path: str, size: int, *, method: str = "PUT", media_type: str = "text/plain") -> bytes:
    """Return the head of a request with a body of this size."""
    headers = f"Host: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {size}"
    return f"{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode()


def connect(url: httpx.URL, *, timeout: float = 30) -> socket.socket:
    """Return a connection to the service at this URL."""
    return socket.create_connection((url.host, url.port or 80), timeout=timeout)


def reset(connection: socket.socket) -> None:
    """Close a connection so that the peer gets a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """Return what arrives until the service closes the connection, with or without a reset."""
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received
