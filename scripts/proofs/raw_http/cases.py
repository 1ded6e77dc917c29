"""The cases of the fuzzer: what is sent over a connection, and what may be answered. The number of a case fixes it."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from . import values
from .messages import LONG_URI, Header, Message, encode, make_message, make_probe, make_wrong_authorization

Reading = Literal["answers", "probe", "leave", "stall"]
"""`answers`: one response for each request. `probe`: any problems, then that of the probe behind, unless the service
closes the connection or waits for more. `leave`: close without reading all. `stall`: do not read for a while."""

FORBIDDEN_TOKEN = "smuggled"
"""Part of the path of a request inside the body of another one. No response may have it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to send."""

    kind: str
    pieces: Sequence[bytes]
    """Sent one after the other."""
    messages: Sequence[Message] = ()
    """The requests in it that are valid, in order."""
    reading: Reading = "probe"
    may_fail_upstream: bool = False
    may_end_early: bool = False
    """Whether the service may close the connection without a response, or behind any of them."""

    @property
    def request_count(self) -> int:
        """Return how many requests this is."""
        return max(1, len(self.messages))


def make_case(seed: int, number: int) -> Case:
    """Return case `number` of a run."""
    rng = random.Random(f"{seed}/{number}")
    make = rng.choices(_MAKERS, _WEIGHTS)[0]
    return make(rng, number)


def make_token(number: int) -> str:
    """Return the token of the probe behind a case."""
    return f"probe-{number}"


def _make_valid(rng: random.Random, number: int) -> Case:
    """Make a valid request in unusual form: in pieces, with any letter case, in chunks, with headers of many kinds."""
    message = _add_headers(rng, make_message(rng))
    if message.body and rng.random() < 0.3:
        data = encode(Message(message.method, message.target, message.headers), framing=b"Transfer-Encoding: chunked")
        data += _encode_chunks(rng, message.body)
    else:
        data = encode(message)
    return _read_all("valid", _split(rng, data), [message])


def _make_wrong_key(rng: random.Random, number: int) -> Case:
    """Make a request whose key or cookie is none."""
    message = _message_with_body(rng).with_headers(*make_wrong_authorization(rng))
    return Case("wrong key", _split(rng, encode(message)), may_fail_upstream=message.may_fail_upstream)


def _make_pipeline(rng: random.Random, number: int) -> Case:
    """Make a few requests that are sent at once; each other one names itself in its response."""
    return _make_pairs(rng, number, "pipeline", rng.randint(1, 4))


def _make_long_pipeline(rng: random.Random, number: int) -> Case:
    """Make more requests than a service has to keep while the client waits for the first of them."""
    return replace(_make_pairs(rng, number, "long pipeline", rng.randint(5, 30)), may_end_early=True)


def _make_pairs(rng: random.Random, number: int, kind: str, count: int) -> Case:
    messages = []
    for index in range(count):
        messages += [make_message(rng), make_probe(f"pipeline-{number}-{index}")]
    return _read_all(kind, _split(rng, b"".join(map(encode, messages)), 0.1), messages)


def _make_bad_chunks(rng: random.Random, number: int) -> Case:
    """Make a body whose chunks are wrong, with another request in it."""
    message = _search_message(rng)
    head = encode(Message(message.method, message.target, message.headers), framing=b"Transfer-Encoding: chunked")
    size = b"%x" % len(message.body)
    line = rng.choice(
        (
            *(b"-1", b"", b" ", b"g", b"\x00", b"1\r2", b"\xef\xbc\x95", b"0x" + size, b"+" + size, size + b" ;"),
            *(b"f" * 16, b"f" * 17, b"f" * 5000, b"0" * 20 + size, size + b";" + b"e" * 50_000, size + b"\n"),
        )
    )
    ending = rng.choice((b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b"XX"))
    hidden = rng.choice((b"", encode(make_probe(FORBIDDEN_TOKEN))))
    # a hidden request may be answered where a wrong size line is the end of the body by the letter of the standard
    return Case(
        "bad chunks", [head, line + b"\r\n" + message.body + ending + b"0\r\n\r\n"[: rng.randint(0, 5)] + hidden]
    )


def _make_two_lengths(rng: random.Random, number: int) -> Case:
    """Make a request whose length is ambiguous, with another request in its body."""
    message = _search_message(rng)
    hidden = encode(make_probe(FORBIDDEN_TOKEN))
    body = rng.choice((message.body + hidden, b"0\r\n\r\n" + hidden, b"5\r\nhello\r\n0\r\n\r\n" + hidden))
    length = b"%d" % len(body)
    framing = rng.choice(
        (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: " + length,
            b"Content-Length: 5\r\nContent-Length: " + length,
            b"Content-Length: " + length + b"\r\nContent-Length: 5",
            b"Content-Length: 5, " + length,
            b"Content-Length: +" + length,
            b"Content-Length: -1",
            b"Content-Length: 0x" + length,
            b"Content-Length: 5 " + length,
            b"Content-Length: " + b"9" * rng.choice((19, 20, 21, 40, 5000)),
            b"Content-Length : 5",
            b"Content-Length: 5\nTransfer-Encoding: chunked",
            b"Content-Length: \xef\xbc\x95",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: chunked, identity",
            b"Transfer-Encoding: identity\r\nContent-Length: " + length,
            b"Transfer-Encoding : chunked\r\nContent-Length: " + length,
            b"Transfer-Encoding:\x0bchunked\r\nContent-Length: " + length,
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b" Transfer-Encoding: chunked\r\nContent-Length: " + length,
            b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: " + length,
        )
    )
    return Case("two lengths", [encode(Message("POST", message.target, message.headers), framing=framing) + body])


def _make_bad_lines(rng: random.Random, number: int) -> Case:
    """Make a head with wrong line ends, characters, versions, or no request at all."""
    message = _message_with_body(rng)
    data = encode(_add_headers(rng, message))
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    pieces = _split(rng, rng.choice(values.HEAD_MUTATIONS)(rng, lines) + body)
    return Case("bad lines", pieces, may_fail_upstream=message.may_fail_upstream)


def _make_altered_bytes(rng: random.Random, number: int) -> Case:
    """Make one or two requests with a few bytes altered, removed, doubled or moved."""
    count = rng.randint(1, 2)
    data = b"".join(encode(_add_headers(rng, _message_with_body(rng))) for _ in range(count))
    for _ in range(rng.choice((1, 1, 2, 5))):
        data = values.alter_bytes(rng, data)
    # an invalid request ends the connection, also while the response to the one before it is not sent yet
    return Case("altered bytes", [data], may_fail_upstream=b"/ask" in data, may_end_early=count > 1)


def _make_deep_json(rng: random.Random, number: int) -> Case:
    """Make a body of JSON that is hard to parse."""
    message = _json_target(rng)
    body = rng.choice(values.JSON_BODIES)(rng)
    return _read_all("json", [encode(Message(message.method, message.target, message.headers, body))], [message])


def _make_altered_json(rng: random.Random, number: int) -> Case:
    """Make a valid body in which one value is replaced by one of another kind."""
    message = make_message(rng)
    while not message.body or not message.body.startswith(b"{"):
        message = make_message(rng)
    body = json.dumps(values.replace_value(rng, json.loads(message.body))).encode()
    return _read_all("values", [encode(Message(message.method, message.target, message.headers, body))], [message])


def _make_big_head(rng: random.Random, number: int) -> Case:
    """Make a head with many or long headers, or a long target."""
    message = _message_with_body(rng)
    headers, query = rng.choice(values.BIG_HEADS)(rng)
    target = message.target + ("&" if "?" in message.target else "?") + query if query else message.target
    return Case("big head", [encode(Message(message.method, target, (*message.headers, *headers), message.body))])


def _make_range(rng: random.Random, number: int) -> Case:
    """Make a read with a range or conditions."""
    target = rng.choice(values.RANGE_TARGETS)
    headers: list[Header] = [("Range", rng.choice(values.RANGES))]
    if rng.random() < 0.3:
        headers.append((rng.choice(("If-Range", "If-None-Match", "If-Modified-Since")), rng.choice(values.TAGS)))
    message = Message(rng.choice(("GET", "GET", "HEAD")), target, headers)
    return _read_all("range", [encode(message)], [message])


def _make_strange_target(rng: random.Random, number: int) -> Case:
    """Make a target that means nothing, or names a file of the machine."""
    method, target = rng.choice(("GET", "GET", "PUT", "DELETE", "POST")), values.make_target(rng)
    data = encode(Message(method, target, (("Content-Type", "text/plain"),), b"" if method == "GET" else b"x"))
    return Case("target", [data])


def _make_half(rng: random.Random, number: int) -> Case:
    """Make a request that ends before its end."""
    message = rng.choice((_search_message(rng), make_message(rng), _upload_message(rng)))
    data = encode(message)
    return Case("half", _split(rng, data[: rng.randrange(1, len(data))]), reading="leave", may_fail_upstream=True)


def _make_left(rng: random.Random, number: int) -> Case:
    """Make requests whose responses are not waited for."""
    messages = [make_message(rng) for _ in range(rng.randint(1, 5))]
    return Case("left", [b"".join(map(encode, messages))], messages, "leave", may_fail_upstream=True)


def _make_stalled(rng: random.Random, number: int) -> Case:
    """Make many requests for a long document by a client that does not read."""
    target = f"/v1/collections/fuzz/documents/{LONG_URI}"
    messages = [Message("GET", target + rng.choice(("", "/original")))] * rng.randint(2, 30)
    return Case("stalled", [b"".join(map(encode, messages))], messages, "stall")


def _read_all(kind: str, pieces: Sequence[bytes], messages: Sequence[Message]) -> Case:
    return Case(kind, pieces, messages, "answers", any(message.may_fail_upstream for message in messages))


def _search_message(rng: random.Random) -> Message:
    body = json.dumps({"query": "leave", "k": rng.randint(1, 5)}).encode()
    return Message("POST", "/v1/collections/fuzz/search", (("Content-Type", "application/json"),), body)


def _message_with_body(rng: random.Random) -> Message:
    """Return a request whose response has a body: one to HEAD looks like half of a response."""
    message = make_message(rng)
    return replace(message, method="GET") if message.method == "HEAD" else message


def _upload_message(rng: random.Random) -> Message:
    target = "/v1/collections/fuzz/documents/half.txt"
    return Message("PUT", target, (("Content-Type", "text/plain"),), b"half " * rng.choice((10, 10_000, 200_000)))


def _json_target(rng: random.Random) -> Message:
    method, target = rng.choice(values.JSON_TARGETS)
    return Message(method, target, (("Content-Type", "application/json"),))


def _add_headers(rng: random.Random, message: Message) -> Message:
    added = rng.sample(values.HARMLESS_HEADERS, rng.choice((0, 0, 1, 3)))
    headers = [(_mix_case(rng, name), value) for name, value in (*message.headers, *added)]
    return Message(message.method, message.target, headers, message.body)


def _mix_case(rng: random.Random, name: str | bytes) -> str:
    text = name if isinstance(name, str) else name.decode()
    return rng.choice((text, text.lower(), text.upper()))


def _encode_chunks(rng: random.Random, body: bytes) -> bytes:
    parts = []
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice((b"", b"", b";a=b", b';a="b c"'))
        parts.append(
            b"%s%s\r\n%s\r\n" % (b"%X" % size if rng.random() < 0.5 else b"00%x" % size, extension, body[:size])
        )
        body = body[size:]
    return b"".join(parts) + b"0\r\n" + rng.choice((b"", b"", b"X-Trailer: 1\r\n")) + b"\r\n"


def _split(rng: random.Random, data: bytes, share: float = 0.25) -> list[bytes]:
    """Return the data in up to four pieces, `share` of the time in more than one."""
    if rng.random() > share or len(data) < 2:
        return [data]
    cuts = sorted(rng.sample(range(1, len(data)), min(3, len(data) - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


_WEIGHT_BY_MAKER: dict[Callable[[random.Random, int], Case], float] = {
    _make_valid: 30,
    _make_wrong_key: 6,
    _make_pipeline: 6,
    _make_long_pipeline: 0.3,
    _make_bad_chunks: 6,
    _make_two_lengths: 6,
    _make_bad_lines: 8,
    _make_altered_bytes: 15,
    _make_deep_json: 3,
    _make_altered_json: 8,
    _make_big_head: 0.5,
    _make_range: 6,
    _make_strange_target: 8,
    _make_half: 2,
    _make_left: 2,
    _make_stalled: 0.1,
}
_MAKERS, _WEIGHTS = list(_WEIGHT_BY_MAKER), list(_WEIGHT_BY_MAKER.values())
