"""Full queues, and searches as bytes."""

from semsearch.interfaces.http.admission import WorkQueue

SEARCH = "/v1/collections/hb/search"
BODY = b'{"query":"leave"}'


def search_bytes(*headers: str, body: bytes = BODY, path: str = SEARCH, length: int | None = None) -> bytes:
    """Return the bytes of a search."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def fill(queue: WorkQueue) -> None:
    """Fill a queue so that it refuses."""
    while queue.enter():
        pass
