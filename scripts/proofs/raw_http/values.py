"""The strange parts of requests: heads, targets, ranges, JSON."""

import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from .messages import COLLECTION, LONG_URI, PATHS, PDF_URI, Header

NESTING = 20_000
HEADER_COUNT = 100_000
TAGS = ('"x"', "*", 'W/"x"', '"' + "x" * 5000, ",,,,", '"a", ' * 500, "Sat, 29 Oct 1994 19:43:31 GMT", "\x7f")
RANGES = (
    "bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=", "bytes", "bytes=a-b", "lines=0-1", "",
    "bytes=0-99999999999999999999999", "bytes=-99999999999999999999999", "bytes=99999999999-", "bytes=0-0,2-2,-1",
    "bytes=" + ",".join(["0-"] * 2000), "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4000, 2)),
    "bytes=--1", "bytes=0-1-2",
    "bytes = 0-1", "BYTES=0-1", "bytes=0-1\t,", "bytes=\u0660-\u0661",
)  # fmt: skip
RANGE_TARGETS = (
    *PATHS,
    "/static-offline-docs/swagger-ui.css",
    "/static-offline-docs/favicon.png",
    f"/v1/collections/{COLLECTION}/documents/{LONG_URI}/original",
    f"/v1/collections/{COLLECTION}/documents/{PDF_URI}/original",
    f"/v1/collections/{COLLECTION}/documents/docs%2Fleave.md/original",
)
JSON_TARGETS = (
    ("POST", f"/v1/collections/{COLLECTION}/search"),
    ("POST", f"/v1/collections/{COLLECTION}/ask"),
    ("POST", f"/v1/collections/{COLLECTION}/documents"),
    ("POST", f"/v1/collections/{COLLECTION}/documents/delete"),
    ("PUT", "/v1/collections/written-0"),
    ("POST", "/v1/sessions"),
    ("POST", "/v1/answers/ans_0/feedback"),
)
HARMLESS_HEADERS: Sequence[Header] = (
    ("Accept", "*/*"), ("Accept-Encoding", "gzip, br;q=0, *;q=0.5"), ("User-Agent", b"\xe9\xff"), ("X-Empty", ""),
    ("Expect", "100-continue"), ("Cookie", "a=b; " * 50), ("Origin", "http://localhost"), ("X-Request-Id", "mine"),
    ("Authorization", "Bearer x"), ("Accept-Language", "de"), ("X-Forwarded-Proto", "https"), ("Via", "1.1 x"),
    ("If-Match", "*"), ("TE", "trailers"), ("Referer", "http://evil.test/"), ("X-Forwarded-Host", "evil.test"),
)  # fmt: skip
VERSIONS = (
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.2",
    b"HTTP/11.1",
    b"http/1.1",
    b"",
    b"HTTP/1.1 ",
    b"RTSP/1.0",
)
METHODS = (b"get", b"G\x00T", b"", b"CONNECT", b"PRI", b"BREW", b"X" * 5000, b"\xff", b"M-SEARCH", b"SOURCE", b"TRACE")
PREFIXES = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60, b"\r\n\r\n",
    b"\x00" * 100, b"SSH-2.0-x\r\n", b"\x05\x01\x00", b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", b"GET /\r\n", b"\n",
)  # fmt: skip
BAD_HEADERS = (
    b"Host: localhost", b"Host: evil.test", b"Host:", b": x", b"No colon", b"X\x00: y", b"X: \x00", b"X: a\rb",
    b" folded: y", b"\tfolded", b"X Y: z", b"X: y\nZ: w", b"X:\xff\xfe", b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ", b"Connection: close",
    b"Connection: keep-alive, close", b"Connection: " + b"x," * 2000, b"Expect: 200-ok", b"Content-Encoding: gzip",
    b"Content-Type: application/json; charset=utf-16", b"Content-Type: \x7f", b"Origin: http://[", b"Host: [::1",
    b"Host: localhost:99999999", b"Origin: null", b"Sec-Fetch-Site: cross-site", b"X: " + b"\xf0\x9f\x9a\x95" * 100,
)  # fmt: skip
_STRANGE_SCALARS: Sequence[Any] = (
    None, True, -1, 0, 2**31, 2**53, 2**62, -(2**62), 0.5, -0.0, 1e300, "", " ", "\x00", "\ud800", "x" * 5000, "\u202e",
    "a" * 100_000, "$ne", [], {}, [[]], [None] * 2000, {"$and": []}, {"a": {"$in": list(range(2000))}}, "\u0130" * 3999,
    {"a": {"$gt": None}}, {"$not": {"$not": {"a": 1}}}, {"a": {"$exists": "x"}}, {"": 1}, {"uri": {"$in": []}},
    "٣", "１",
)  # fmt: skip
_TARGET_PARTS = (
    "..", "%2e%2e", "%2E%2E%2F", "%00", "%", "%zz", "%ff", "%c0%ae", "%ed%a0%80", ";", "\\", "", ".", "~", "*",
    "@", ":",
    "v1", "collections", COLLECTION, "documents", "search", "original", "blocks", "pages", "1.png", "0.png", "1e9.png",
    "rectangles", "static", "static-offline-docs", "etc", "passwd", "sessions", "answers", "ask", "view",
    "docs", "٣.png",
    LONG_URI, PDF_URI, "ses_x", "ans_x", "%E2%80%AE", "x" * 300, "99999999999999999999.png", "-1.png", "%2F", "%3F",
)  # fmt: skip
_QUERIES = (
    "", "", "?", "?q=leave", "?q=%00", "?q=%ff", "?limit=-1", "?limit=1e9", "?cursor=%00", "?cursor=AAAA", "?start=-1",
    "?start=99999999999999999999&end=1", "?width=1e3", "?k=0x10", "?k=٣&q=x", "?filter=%7B",
    "?q=" + "a" * 5000, "?=", "?&&",
    "?by=day&since=9999-99-99", "?since=0001-01-01", "?metadata=" + quote("[" * 5000), "?title=%ed%a0%80", "?q=a&q=b",
    "?cursor=" + "_" * 190, "?cursor=999999999999.99999999999999999999_a", "?a" * 2000, "?q;k=1",
)  # fmt: skip


def make_target(rng: random.Random) -> str:
    """Return a target of strange parts, or in another form than a path."""
    path = "/" + "/".join(rng.choices(_TARGET_PARTS, k=rng.randint(0, 6)))
    if rng.random() < 0.5:
        path = f"/v1/collections/{COLLECTION}" + path
    forms = (
        path,
        path,
        path,
        path,
        "/" + path,
        f"http://localhost{path}",
        f"http://evil.test{path}",
        "*",
        "localhost:80",
    )
    return rng.choice(forms) + rng.choice(_QUERIES)


def _replace_line_ends(rng: random.Random, lines: list[bytes]) -> bytes:
    ends = [rng.choice((b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r")) for _ in lines]
    return b"".join(line + end for line, end in zip(lines, ends, strict=True)) + rng.choice((b"\r\n", b"\n", b""))


def _use_bare_lf(rng: random.Random, lines: list[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n\n"


def _add_bad_header(rng: random.Random, lines: list[bytes]) -> bytes:
    lines.insert(rng.randint(1, len(lines)), rng.choice(BAD_HEADERS))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _replace_version(rng: random.Random, lines: list[bytes]) -> bytes:
    return b"\r\n".join([lines[0].removesuffix(b"HTTP/1.1") + rng.choice(VERSIONS), *lines[1:]]) + b"\r\n\r\n"


def _replace_method(rng: random.Random, lines: list[bytes]) -> bytes:
    _, _, rest = lines[0].partition(b" ")
    return b"\r\n".join([rng.choice(METHODS) + b" " + rest, *lines[1:]]) + b"\r\n\r\n"


def _drop_host(rng: random.Random, lines: list[bytes]) -> bytes:
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"host")) + b"\r\n\r\n"


def _add_prefix(rng: random.Random, lines: list[bytes]) -> bytes:
    return rng.choice(PREFIXES) + b"\r\n".join(lines) + b"\r\n\r\n"


HEAD_MUTATIONS: Sequence[Callable[[random.Random, list[bytes]], bytes]] = (
    _replace_line_ends,
    _use_bare_lf,
    _add_bad_header,
    _add_bad_header,
    _add_bad_header,
    _replace_version,
    _replace_method,
    _drop_host,
    _add_prefix,
)


def alter_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return the data with a byte altered, or a part of it removed, doubled or moved."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((1, 2, 8, 40)))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]
    if kind == 1:
        return data[:start] + data[end:] or b"\r\n"
    if kind == 2:
        return data[:end] + data[start:]
    if kind == 3:
        return data[:start] + rng.choice((b"\x00", b"\r", b"\n", b"\r\n\r\n", b" ", b":", b"\xff", b"%")) + data[start:]
    position = rng.randrange(len(data))
    return data[:position] + data[start:end] + data[position:]


JSON_BODIES: Sequence[Callable[[random.Random], bytes]] = (
    lambda rng: b"[" * NESTING,
    lambda rng: b"[" * NESTING + b"]" * NESTING,
    lambda rng: b'{"a":' * NESTING + b"1" + b"}" * NESTING,
    lambda rng: b'{"query":"x","filter":' + b'{"$not":' * NESTING + b"{}" + b"}" * NESTING + b"}",
    lambda rng: b'{"query":"x","filter":' + b'{"$not":' * 500 + b'{"a":1}' + b"}" * 500 + b"}",
    lambda rng: b'{"query":"x","filter":{"a":' + b"[" * 900 + b"]" * 900 + b"}}",
    lambda rng: b'{"documents":[{"uri":"deep.txt","text":"x","metadata":{"a":' + b"[" * 900 + b"]" * 900 + b"}}]}",
    lambda rng: b'{"query":' + b"9" * 200_000 + b"}",
    lambda rng: b'{"query":"x","k":1e' + b"9" * 20 + b"}",
    lambda rng: b'{"query":"x","k":NaN,"diversity":-Infinity}',
    lambda rng: b'{"query":"x","query":"y"}',
    lambda rng: b'\xef\xbb\xbf{"query":"x"}',
    lambda rng: '{"query":"x"}'.encode(rng.choice(("utf-16", "utf-32", "utf-16-le"))),
    lambda rng: b'{"query":"\xff\xfe"}',
    lambda rng: b'{"query":"' + rng.choice((rb"\ud800", rb"\ude00\ud83d", rb"\u0000", rb"\x41", rb"\u12")) + b'"}',
    lambda rng: b'{"query":"' + rb"\ud83d" * 30_000 + b'"}',
    lambda rng: b'{"query":"x"' + b" " * 200_000 + b"}",
    lambda rng: b'{"' + b'","'.join(b"%d" % n for n in range(9_000)) + b'"}',
    lambda rng: b"{" + b",".join(b'"f%d":1' % n for n in range(9_000)) + b"}",
    lambda rng: b'{"query":"' + b"a" * 260_000 + b'"}',
    lambda rng: b'{"question":"' + "é\u0301".encode() * 1500 + b'","k":3}',
    lambda rng: rng.randbytes(rng.randint(0, 2000)),
    lambda rng: rng.choice((b"", b"null", b"[]", b'""', b"0", b"{", b"}", b"true false", b"{}{}", b"/* */{}")),
)


def replace_value(rng: random.Random, value: Any) -> Any:
    """Return the value with one part of it, or all of it, replaced by one of another kind."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        name = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {**value, rng.choice(("", "k", "stream", "\ud800", "x" * 1000)): rng.choice(_STRANGE_SCALARS)}
        return {**value, name: replace_value(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        index = rng.randrange(len(value))
        return [*value[:index], replace_value(rng, value[index]), *value[index + 1 :]]
    return rng.choice(_STRANGE_SCALARS)


BIG_HEADS: Sequence[Callable[[random.Random], tuple[list[Header], str]]] = (
    lambda rng: ([("A", "b")] * HEADER_COUNT, ""),
    lambda rng: ([(f"X{n}", "") for n in range(4_000)], ""),
    lambda rng: ([("Cookie", "c" * rng.choice((16_000, 33_000, 250_000, 1_000_000)))], ""),
    lambda rng: ([("h" * 40_000, "v")], ""),
    lambda rng: ([], "q=" + "a" * rng.choice((40_000, 48_000, 70_000, 300_000))),
    lambda rng: ([], "&".join(f"a{n}=b" for n in range(5_000))),
)
