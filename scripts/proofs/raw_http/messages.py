"""Valid requests of the service as parts that can be mutated: method, target, headers and body."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

COLLECTION = "fuzz"
LONG_URI, PDF_URI, PLAIN_URI = "long.txt", "two.pdf", "docs/leave.md"
URIS = (LONG_URI, PDF_URI, PLAIN_URI, "docs/travel.md", "it/alarms.md", "gone.txt")
WORDS = "leave train pump alarm weeks reason lamp tide 灯台 🚕 E-417 “late” don't \x7f \u202e".split(" ")
PATHS = (
    "/",
    "/ask",
    "/keys",
    "/v1/me",
    "/v1/keys",
    "/static/app.js",
    "/docs",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/v1/usage",
    "/v1/sessions",
)
QUERY_COUNT = 2_000
WRITABLE_URIS = 20
WRITABLE_COLLECTIONS = 4
JSON = ("Content-Type", "application/json")

KEY = f"sk_{'f' * 12}_{'F' * 43}"
"""The access key of the requests, which the proof stores before the service starts."""
AUTHORIZATION = ("Authorization", f"Bearer {KEY}")

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """One request."""

    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes = b""

    @property
    def may_fail_upstream(self) -> bool:
        """Return whether a model server takes part, whose errors are passed on."""
        return self.target.endswith("/ask")

    def with_headers(self, *headers: Header) -> "Message":
        """Return the request with further headers."""
        return replace(self, headers=(*self.headers, *headers))


def encode(message: Message, *, framing: bytes | None = None) -> bytes:
    """Return the request as bytes; with `framing` instead of the header of its length."""
    lines = [f"{message.method} {message.target} HTTP/1.1".encode("utf-8", "surrogateescape")]
    names = {_to_bytes(name).lower() for name, _ in message.headers}
    if b"host" not in names:
        lines.append(b"Host: localhost")
    if b"authorization" not in names:
        lines.append(b"Authorization: Bearer " + KEY.encode())
    lines += [_to_bytes(name) + b": " + _to_bytes(value) for name, value in message.headers]
    if framing is not None:
        lines.append(framing)
    elif message.body or message.method in ("PUT", "POST"):
        lines.append(b"Content-Length: %d" % len(message.body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + message.body


def make_wrong_authorization(rng: random.Random) -> tuple[Header, ...]:
    """Return headers that identify nobody, or a header that means nothing beside another one."""
    wrong = (
        *(b"", b"Bearer", b"Bearer ", b"bearer x", b"Basic eDp5", b"Bearer " + b"\xff" * 43, b"Bearer " + b"a" * 9_000),
        *(KEY.encode(), b"Bearer " + KEY[:-1].encode(), b"Bearer " + KEY.replace("sk_", "sc_").encode()),
        f"Bearer sk_{rng.getrandbits(60):012x}_{'F' * 43}".encode()[:68],
    )
    header: Header = ("Authorization", rng.choice(wrong))
    cookie: Header = (
        "Cookie",
        rng.choice((b"semsearch_key=sc_1_2", b'semsearch_key="', b"a=b; semsearch_key", b"=;=;")),
    )
    return rng.choice(((header,), (header, AUTHORIZATION), (header, cookie), (cookie, AUTHORIZATION)))


def _to_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def make_probe(token: str) -> Message:
    """Return a request that is answered with a 404 that repeats the token."""
    return Message("GET", f"/v1/probe/{token}")


def make_message(rng: random.Random) -> Message:
    """Return a request that the service understands; most are cheap reads."""
    makers = (_search, _search, _search_with_get, _read, _read, _page, _write, _ask, _other)
    return rng.choice(makers)(rng)


def make_query(rng: random.Random) -> str:
    """Return one of the queries of a few words; there are so few of them that a run soon fills the caches."""
    words = random.Random(rng.randrange(QUERY_COUNT))
    return " ".join(words.choices(WORDS, k=words.randint(1, 6)))


def _path(rest: str) -> str:
    return f"/v1/collections/{COLLECTION}{rest}"


def _json_message(method: str, target: str, value: object) -> Message:
    return Message(method, target, (JSON,), json.dumps(value).encode())


def _search(rng: random.Random) -> Message:
    body: dict[str, object] = {"query": make_query(rng), "k": rng.choice((1, 3, 10))}
    options: dict[str, object] = {
        "mode": rng.choice(("hybrid", "dense", "lexical")),
        "filter": {"folder": rng.choice(("docs", "it"))},
        "offset": rng.randint(0, 5),
        "explain": True,
        "facets": [],
        "diversity": 0.5,
        "history": [make_query(rng)],
    }
    for name in rng.sample(sorted(options), rng.choice((0, 0, 1, 2))):
        body[name] = options[name]
    return _json_message("POST", _path("/search"), body)


def _search_with_get(rng: random.Random) -> Message:
    return Message("GET", _path(f"/search?q={quote(make_query(rng))}&k={rng.randint(1, 5)}"))


def _document(rng: random.Random) -> str:
    return _path(f"/documents/{quote(rng.choice(URIS), safe='')}")


def _read(rng: random.Random) -> Message:
    start = rng.randint(0, 3000)
    rest = rng.choice(("", "/original", f"/blocks?start={start}&end={start + 200}", f"/rectangles?start=0&end={start}"))
    target = rng.choice((_path(f"/documents?limit={rng.randint(1, 9)}"), _path(""), _document(rng) + rest))
    return Message("GET", target)


def _page(rng: random.Random) -> Message:
    if rng.random() < 0.05:
        return Message("GET", _path(f"/documents/{PDF_URI}/pages/{rng.randint(0, 3)}.png?width=200"))
    tags = rng.choice((None, '"x"', "*", 'W/"x", "y"'))
    message = Message(rng.choice(("GET", "GET", "HEAD")), rng.choice(PATHS))
    return message if tags is None else message.with_headers(("If-None-Match", tags))


def _write(rng: random.Random) -> Message:
    """Return a write to one of few documents, so that the collection keeps its size."""
    uri = f"written-{rng.randrange(WRITABLE_URIS)}.txt"
    kind = rng.random()
    text = f"The {make_query(rng)} of {rng.randrange(100)}."
    if kind < 0.1:
        return Message("DELETE", _path(f"/documents/{uri}"))
    if kind < 0.2:
        return _json_message("POST", _path("/documents"), {"documents": [{"uri": uri, "text": text}]})
    if kind < 0.3:
        return Message("PUT", _path(f"/documents/{uri}"), (("Content-Type", "text/plain"),), text.encode())
    if kind < 0.35:
        method = rng.choice(("PUT", "DELETE"))
        return Message(method, f"/v1/collections/written-{rng.randrange(WRITABLE_COLLECTIONS)}")
    return Message("GET", _path(f"/documents/{uri}"))


def _ask(rng: random.Random) -> Message:
    if rng.random() < 0.7:
        return _search(rng)
    body = {"question": f"How long is {make_query(rng)}?", "stream": rng.random() < 0.5}
    return _json_message("POST", _path("/ask"), body)


def _other(rng: random.Random) -> Message:
    kind = rng.random()
    if kind < 0.1:
        return _json_message("POST", "/v1/sessions", {"collection": COLLECTION})
    if kind < 0.4:
        return Message("GET", f"/v1/answers/ans_{rng.getrandbits(60):x}")
    if kind < 0.7:
        return _json_message("POST", f"/v1/answers/ans_{rng.getrandbits(60):x}/feedback", {"helpful": True})
    return Message(rng.choice(("PATCH", "TRACE", "OPTIONS", "POST", "DELETE")), rng.choice(PATHS))
