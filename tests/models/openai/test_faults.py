"""Every fault of a model server ends in a clear error or a right result, soon, the key unseen and the bill right."""

import asyncio
import gzip
import json
import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import pytest
from support.fakes import NullEmbeddingCache, RecordingMeter
from support.upstream import (
    CHAT_MESSAGES,
    CUT,
    HANG,
    KEY,
    SLOW,
    ScriptedReply,
    Upstream,
    delta_event,
    error_reply,
    raw_stream_reply,
    run_upstream,
    run_with_client,
    stream_reply,
    usage_event,
)

from semsearch.core.errors import DeadlineError, SemsearchError, UnavailableError
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.types.usage import Purpose, RequestContext, RequestOutcome
from semsearch.models.embedders.openai import OpenAIEmbedder
from semsearch.models.openai.client import OpenAIClient

pytestmark = pytest.mark.slow

SECONDS = 1.0
"""What an errand is given here."""

PACED = range(2, 9)
"""Calls that are paced in the seconds of an errand: they go on until its deadline, but not in a hot loop."""

EXACT = "exact"
NOTHING = "nothing"
UNKNOWN = "unknown"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """One server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """The server as if it were new."""
    server.reset()
    return server


@dataclass(frozen=True, slots=True)
class Fault:
    """What a server does, what comes of it, and what of it is booked."""

    script: ScriptedReply
    error: type[SemsearchError] | None
    booked: str
    calls: int | range = 1


def rows(*embeddings: object, **more: object) -> ScriptedReply:
    """A reply with these rows, numbered as they stand."""
    data = [{"index": index, "embedding": row} for index, row in enumerate(embeddings)]
    return ScriptedReply([json.dumps({"data": data, "usage": {"prompt_tokens": 5}, **more}).encode()])


def numbered(*indexes: int) -> ScriptedReply:
    """A reply with rows of these numbers."""
    data = [{"index": index, "embedding": [1.0, 2.0]} for index in indexes]
    return ScriptedReply([json.dumps({"data": data, "usage": {"prompt_tokens": 5}}).encode()])


def answering(status: int, **headers: str) -> ScriptedReply:
    """An error that echoes the key in its message and its headers."""
    said = error_reply(status, f"no: {KEY} {KEY[:7]}")
    return ScriptedReply(said.parts, status, {"content-type": "application/json", "x-echo": KEY, **headers})


PAGE = ScriptedReply([f"<html><title>{KEY}</title>".encode()], headers={"content-type": "text/html"})
NAN = ScriptedReply([b'{"data": [{"index": 0, "embedding": [NaN, 1]}, {"index": 1, "embedding": [1, 1]}]}'])
HALF = b'data: {"choices": [{"delta": {"content": "Ha"}}]}\n\n'
HALF_A_LETTER = 'data: {"choices": [{"delta": {"content": "é'.encode()[:-1]
COMMENTS = [piece for _ in range(200) for piece in (b": still here\n", SLOW)]
PAST = {"retry-after": "Mon, 23 Nov 2020 09:00:00 GMT"}
BAD_GATEWAY = ScriptedReply([f"<html>{KEY}".encode()], 502, {"content-type": "text/html"})
BOMB = ScriptedReply(
    [gzip.compress(b" " * (1 << 24))], headers={"content-encoding": "gzip", "content-type": "application/json"}
)
DRIP = ScriptedReply([piece for _ in range(200) for piece in (b" ", SLOW)])

EMBEDDINGS = {
    "shuffled": Fault(numbered(1, 0), None, EXACT),
    "one missing": Fault(numbered(0), UpstreamError, EXACT),
    "one extra": Fault(numbered(0, 1, 2), UpstreamError, EXACT),
    "duplicate index": Fault(numbered(0, 0), UpstreamError, EXACT),
    "changing dimension": Fault(rows([1.0, 2.0], [1.0]), UpstreamError, EXACT),
    "NaN": Fault(NAN, UpstreamError, UNKNOWN),
    "infinity": Fault(rows([1e39, 1.0], [1.0, 1.0]), UpstreamError, EXACT),
    "null": Fault(rows([None, 1.0], [1.0, 1.0]), UpstreamError, EXACT),
    "null row": Fault(rows(None, [1.0, 1.0]), UpstreamError, EXACT),
    "strings": Fault(rows(["1", "2"], ["1", "2"]), UpstreamError, EXACT),
    "zeros": Fault(rows([0.0, 0.0], [1.0, 1.0]), UpstreamError, EXACT),
    "a page with 200": Fault(PAGE, UpstreamError, UNKNOWN),
    "cut short": Fault(ScriptedReply([b'{"data": [{"index": 0, "embed']), UpstreamError, UNKNOWN),
    "a hundred megabytes": Fault(ScriptedReply([b" " * (1 << 20)] * 100), UpstreamError, UNKNOWN),
    "a gzip bomb": Fault(BOMB, UpstreamError, UNKNOWN),
    "absurd usage": Fault(rows([1.0, 2.0], [1.0, 2.0], usage={"prompt_tokens": -3}), None, UNKNOWN),
    "no usage": Fault(rows([1.0, 2.0], [1.0, 2.0], usage=None), None, UNKNOWN),
}

BOTH = {
    "400": Fault(answering(400), UpstreamError, NOTHING),
    "401 with the key": Fault(answering(401), UpstreamError, NOTHING),
    "403": Fault(answering(403), UpstreamError, NOTHING),
    "404": Fault(answering(404), UpstreamError, NOTHING),
    "408": Fault(answering(408), UpstreamError, NOTHING, 3),
    "409": Fault(answering(409), UpstreamError, NOTHING, 3),
    "413": Fault(answering(413), UpstreamError, NOTHING),
    "429": Fault(answering(429), UnavailableError, NOTHING, 3),
    "429 for a moment": Fault(answering(429, **{"retry-after-ms": "1"}), UnavailableError, NOTHING, PACED),
    "429 now": Fault(answering(429, **{"retry-after": "0"}), UnavailableError, NOTHING, PACED),
    "429 with garbage": Fault(answering(429, **{"retry-after": "when I say so"}), UnavailableError, NOTHING, 3),
    "429 with a past date": Fault(answering(429, **PAST), UnavailableError, NOTHING, PACED),
    "429 for an hour": Fault(answering(429, **{"retry-after": "3600"}), UnavailableError, NOTHING),
    "429 for ever": Fault(answering(429, **{"retry-after": "99999999999"}), UnavailableError, NOTHING),
    "429 never again": Fault(answering(429, **{"x-should-retry": "false"}), UnavailableError, NOTHING),
    "no quota": Fault(error_reply(429, "pay", "insufficient_quota"), UpstreamError, NOTHING),
    "500": Fault(answering(500), UpstreamError, NOTHING, 3),
    "502 with a page": Fault(BAD_GATEWAY, UpstreamError, NOTHING, 3),
    "503": Fault(answering(503), UnavailableError, NOTHING, 3),
    "400 but again": Fault(answering(400, **{"x-should-retry": "true"}), UpstreamError, NOTHING, 3),
    "reset at once": Fault(ScriptedReply([CUT], headers={}), SemsearchError, UNKNOWN, 3),
    "silence after headers": Fault(ScriptedReply([HANG]), SemsearchError, UNKNOWN),
    "drop by drop": Fault(DRIP, SemsearchError, UNKNOWN),
    "redirect elsewhere": Fault(ScriptedReply([], 302, {"location": "http://127.0.0.1:9/"}), UpstreamError, NOTHING),
}

SAID = delta_event("Half of it")
STREAMS = {
    "no [DONE]": Fault(
        stream_reply(SAID, delta_event(finish_reason="stop"), usage_event(5, 2), done=False), None, EXACT
    ),
    "nothing at the end": Fault(stream_reply(SAID, done=False), UpstreamError, UNKNOWN),
    "cut in the JSON": Fault(raw_stream_reply(b'data: {"choices": [{"del'), UpstreamError, UNKNOWN),
    "cut in a character": Fault(raw_stream_reply(HALF_A_LETTER), UpstreamError, UNKNOWN),
    "an error after text": Fault(stream_reply(SAID, {"error": {"message": f"boom {KEY}"}}), UpstreamError, UNKNOWN),
    "a line of 10 MB": Fault(raw_stream_reply(b"data: " + b"x" * (10 << 20)), UpstreamError, UNKNOWN),
    "comments for ever": Fault(raw_stream_reply(*COMMENTS), DeadlineError, UNKNOWN),
    "empty choices": Fault(
        stream_reply({"choices": []}, SAID, delta_event(finish_reason="stop"), usage_event(5, 2)), None, EXACT
    ),
    "no usage": Fault(stream_reply(SAID, delta_event(finish_reason="stop")), None, UNKNOWN),
    "absurd usage": Fault(
        stream_reply(SAID, delta_event(finish_reason="stop"), usage_event(10**15, -2)), None, UNKNOWN
    ),
    "length": Fault(stream_reply(SAID, delta_event(finish_reason="length"), usage_event(5, 2)), None, EXACT),
    "content filter": Fault(
        stream_reply(SAID, delta_event(finish_reason="content_filter"), usage_event(5, 2)), None, EXACT
    ),
    "reset after text": Fault(raw_stream_reply(HALF, CUT), UpstreamError, UNKNOWN),
    "silence after text": Fault(raw_stream_reply(HALF, HANG), DeadlineError, UNKNOWN),
    "a page": Fault(PAGE, UpstreamError, UNKNOWN),
}


async def vectors(client: OpenAIClient) -> object:
    """The vectors of two texts, as an embedder takes them."""
    errand = RequestContext("query", deadline=time.monotonic() + SECONDS)
    return await OpenAIEmbedder("m", client, NullEmbeddingCache()).embed(["one", "two"], errand, query=True)


async def text(client: OpenAIClient) -> object:
    """A whole answer."""
    errand = RequestContext("answer", deadline=time.monotonic() + SECONDS)
    async with aclosing(client.stream_chat("m", CHAT_MESSAGES, errand, max_tokens=5)) as chat:
        return [piece async for piece in chat]


CASES = [
    *(pytest.param(vectors, fault, id=f"embeddings: {name}") for name, fault in {**EMBEDDINGS, **BOTH}.items()),
    *(pytest.param(text, fault, id=f"chat: {name}") for name, fault in {**BOTH, **STREAMS}.items()),
]


@pytest.mark.parametrize(("deed", "fault"), CASES)
def test_a_fault_ends_well(upstream: Upstream, caplog: pytest.LogCaptureFixture, deed: object, fault: Fault) -> None:
    """The right error or result, in bounded time and calls; no key in text, causes or log; each request booked once."""
    caplog.set_level(logging.DEBUG)
    upstream.reply_rule = lambda call: fault.script
    meter, said, began = RecordingMeter(), "", time.monotonic()
    try:
        said = repr(run_with_client(upstream, deed, meter=meter, timeout=3 * SECONDS))  # type: ignore[arg-type]
        assert fault.error is None
    except SemsearchError as exc:
        assert fault.error is not None, exc
        assert isinstance(exc, fault.error), repr(exc)
        said = "".join(traceback.format_exception(exc))
    assert time.monotonic() - began < SECONDS + 1.5
    assert KEY not in said + caplog.text
    assert KEY[:7] not in said + caplog.text
    assert len(upstream.calls) == len(meter.requests) == len(meter.outcomes)
    assert len(upstream.calls) in (fault.calls if isinstance(fault.calls, range) else [fault.calls])
    assert [order.attempt for order in meter.requests] == list(range(len(meter.requests)))
    for receipt in meter.outcomes.values():
        assert_booked(receipt, fault.booked)


def assert_booked(receipt: RequestOutcome, booked: str) -> None:
    """What the receipt says of the tokens."""
    if booked == EXACT:
        assert (receipt.input_tokens, receipt.output_tokens) in ((5, 0), (5, 2))
    elif booked == NOTHING:
        assert (receipt.input_tokens, receipt.output_tokens) == (0, 0)
    else:
        assert receipt.input_tokens is None


@pytest.mark.parametrize("deed", [vectors, text])
def test_what_passes_is_tried_again_and_works(upstream: Upstream, deed: object) -> None:
    """Two failures, then the reply; the bill has three rows, and the tokens of the last alone."""
    upstream.scripted_replies = [answering(500), ScriptedReply([CUT], headers={})]
    meter = RecordingMeter()
    run_with_client(upstream, deed, meter=meter)  # type: ignore[arg-type]
    receipts = list(meter.outcomes.values())
    assert [receipt.status for receipt in receipts] == ["500", "broken off", "ok"]
    assert (receipts[-1].input_tokens, receipts[-1].output_tokens) == upstream.billed[-1][1:]


def test_text_that_was_given_is_not_asked_for_again(upstream: Upstream) -> None:
    """A stream that breaks after its first text is an error: nobody reads a beginning twice."""
    upstream.scripted_replies = [raw_stream_reply(HALF, CUT)]
    with pytest.raises(UpstreamError, match="broke off"):
        run_with_client(upstream, text)
    assert len(upstream.calls) == 1


def test_a_rate_limit_of_one_call_pauses_the_others(upstream: Upstream) -> None:
    """All calls wait for what one of them was told."""
    upstream.scripted_replies = [answering(429, **{"retry-after-ms": "300"})]

    async def both(client: OpenAIClient) -> float:
        began = time.monotonic()
        first = asyncio.ensure_future(vectors(client))
        async with asyncio.timeout(5):
            while client.get_state().state != "paused":
                await asyncio.sleep(0.001)
        await asyncio.gather(first, vectors(client))
        return time.monotonic() - began

    assert run_with_client(upstream, both) >= 0.3
    assert len(upstream.calls) == 3


@pytest.mark.parametrize("headers", [{"retry-after": "0.05"}, {"retry-after-ms": "50"}, {"retry-after": "0"}])
@pytest.mark.parametrize("deed", [vectors, text])
def test_a_paced_server_fails_no_call(upstream: Upstream, deed: object, headers: dict[str, str]) -> None:
    """Every fifth request is answered with 429 and Retry-After: all of 60 calls have their result, and no retry is
    spent."""
    upstream.reply_rule = lambda call: answering(429, **headers) if len(upstream.calls) % 5 == 0 else None

    async def many(client: OpenAIClient) -> None:
        stock = client._circuit_breaker._retry_tokens
        for _ in range(60):
            await deed(client)  # type: ignore[operator]
            assert client.get_state().state == "ok"
        assert client._circuit_breaker._retry_tokens == stock

    run_with_client(upstream, many)
    assert len(upstream.calls) == 60 * 5 // 4 - 1


def test_paced_calls_at_once_all_have_their_result(upstream: Upstream) -> None:
    """Also where a server takes only a few requests in each moment."""
    taken: list[float] = []

    def limited(call: object) -> ScriptedReply | None:
        now = time.monotonic()
        if sum(now - at < 0.1 for at in taken) >= 4:
            return answering(429, **{"retry-after": "0.05"})
        taken.append(now)
        return None

    upstream.reply_rule = limited

    async def patient(client: OpenAIClient) -> object:
        return await client.create_embeddings("m", ["one"], RequestContext("query", deadline=time.monotonic() + 20))

    async def many(client: OpenAIClient) -> int:
        return len(await asyncio.gather(*(patient(client) for _ in range(20))))

    assert run_with_client(upstream, many, timeout=20) == 20


@pytest.mark.parametrize("purpose", ["query", "ingest"])
def test_a_wait_that_is_longer_than_the_deadline_fails_at_once(upstream: Upstream, purpose: Purpose) -> None:
    """And says how long the server asks to wait; so do the calls after it."""
    upstream.reply_rule = lambda call: answering(429, **{"retry-after": "3"})

    async def ask(client: OpenAIClient) -> object:
        return await client.create_embeddings("m", ["one"], RequestContext(purpose, deadline=time.monotonic() + 1))

    async def twice(client: OpenAIClient) -> None:
        with pytest.raises(
            UnavailableError, match=r"too busy \(429\).* asks to wait 3 seconds, and there is time for [01]\."
        ):
            await ask(client)
        with pytest.raises(UnavailableError, match=r"too busy \(429\); it is called again in [23]\.\d seconds"):
            await ask(client)

    began = time.monotonic()
    run_with_client(upstream, twice)
    assert time.monotonic() - began < 0.5
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("at_once", [1, 12])
def test_a_text_that_a_server_fails_for_does_not_open_the_circuit(
    upstream: Upstream, status: int, at_once: int
) -> None:
    """Whoever asks for it gets the error; other questions are answered. A call sends three tries and probes at most."""
    upstream.reply_rule = lambda call: answering(status) if "bad" in call.body["input"] else None

    async def question(client: OpenAIClient, text: str) -> object:
        embedder = OpenAIEmbedder("m", client, NullEmbeddingCache(), concurrency=at_once)
        return await embedder.embed([text], RequestContext("query", deadline=time.monotonic() + 5), query=True)

    async def many(client: OpenAIClient) -> None:
        states = []
        for _ in range(6):
            bad = [asyncio.ensure_future(question(client, "bad")) for _ in range(at_once)]
            while not all(task.done() for task in bad):
                states.append(client.get_state().state)
                await asyncio.sleep(0)
            assert all(isinstance(task.exception(), UpstreamError | UnavailableError) for task in bad)
        assert await question(client, "good") is not None
        assert set(states) == {"ok"}

    run_with_client(upstream, many)
    assert len(upstream.calls) <= 6 * 4 * at_once + 6 + 1


def test_a_server_that_keeps_failing_is_left_alone(upstream: Upstream) -> None:
    """After five failures calls fail at once and without a request; when it works again, so do they."""
    upstream.reply_rule = lambda call: answering(500)

    async def outage(client: OpenAIClient) -> None:
        for _ in range(20):
            with pytest.raises((UpstreamError, UnavailableError)):
                await vectors(client)
        assert client.get_state().state == "open"
        assert len(upstream.calls) <= 8
        upstream.reply_rule = lambda call: None
        until = time.monotonic() + 10
        while True:
            try:
                await vectors(client)
                break
            except UnavailableError as exc:
                assert "called again in" in str(exc)
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
        assert client.get_state().state == "ok"

    run_with_client(upstream, outage)


def test_a_call_without_time_does_not_speak_for_its_server(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe of an open circuit that ends by its own deadline closes nothing."""
    upstream.reply_rule = lambda call: answering(500)

    async def probe(client: OpenAIClient) -> str:
        for _ in range(6):
            with pytest.raises((UpstreamError, UnavailableError)):
                await vectors(client)
        upstream.reply_rule = lambda call: ScriptedReply([HANG])
        closed = client.get_state().seconds + 0.1
        monkeypatch.setattr(client._circuit_breaker, "_clock", lambda: time.monotonic() + closed)
        with pytest.raises(DeadlineError):
            await client.create_embeddings("m", ["one"], RequestContext("query", deadline=time.monotonic() + 0.1))
        return client.get_state().state

    assert run_with_client(upstream, probe) == "open"


def test_a_long_job_waits_for_its_server(upstream: Upstream) -> None:
    """Where somebody who waits for an answer is told at once, an ingestion is patient."""
    upstream.scripted_replies = [answering(500)] * 6

    async def patient(client: OpenAIClient) -> int:
        reply = await client.create_embeddings("m", ["one"], RequestContext("ingest", deadline=time.monotonic() + 20))
        return len(reply.vectors)

    assert run_with_client(upstream, patient) == 1
    assert len(upstream.calls) == 7


def test_a_key_that_was_rotated_is_read_again(upstream: Upstream) -> None:
    """A 401 costs one more look at the key; a new one is tried at once, an old one is not tried twice."""
    keys = iter(["old", "new", "new"])

    async def rotated(client: OpenAIClient) -> int:
        return len((await client.create_embeddings("m", ["one"], RequestContext("query"))).vectors)

    async def run() -> int:
        client = OpenAIClient(upstream.url, lambda: next(keys), meter=RecordingMeter())
        try:
            return await rotated(client)
        finally:
            await client.aclose()

    upstream.reply_rule = lambda call: error_reply(401, "no") if call.headers["authorization"] == "Bearer old" else None
    assert asyncio.run(run()) == 1
    assert [call.headers["authorization"] for call in upstream.calls] == ["Bearer old", "Bearer new"]


def test_a_key_that_goes_missing_behind_a_refusal_is_unavailable(upstream: Upstream) -> None:
    """It is about to be another; the refusal costs nothing, and the call can be made again."""
    keys = iter(["old"])

    def key() -> str:
        for each in keys:
            return each
        raise UnavailableError("the key file cannot be read")

    async def run(meter: RecordingMeter) -> None:
        client = OpenAIClient(upstream.url, key, meter=meter)
        try:
            await client.create_embeddings("m", ["one"], RequestContext("query"))
        finally:
            await client.aclose()

    upstream.reply_rule = lambda call: error_reply(401, "no")
    meter = RecordingMeter()
    with pytest.raises(UnavailableError, match="key file"):
        asyncio.run(run(meter))
    (receipt,) = meter.outcomes.values()
    assert (receipt.input_tokens, receipt.output_tokens) == (0, 0)


def test_hanging_up_books_what_had_come(upstream: Upstream) -> None:
    """A cancelled answer is settled once, as an estimate from its text, and the call is closed within a second."""
    upstream.reply_rule = lambda call: raw_stream_reply(
        b'data: {"choices": [{"delta": {"content": "Half of it"}}]}\n\n', HANG
    )
    meter = RecordingMeter()

    async def leave(client: OpenAIClient) -> bool:
        came = asyncio.Event()

        async def read() -> None:
            async with aclosing(
                client.stream_chat("m", CHAT_MESSAGES, RequestContext("answer"), max_tokens=5)
            ) as pieces:
                async for _ in pieces:
                    came.set()

        task = asyncio.ensure_future(read())
        await asyncio.wait_for(came.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await asyncio.to_thread(upstream.hung_up.wait, 1.0)

    assert run_with_client(upstream, leave, meter=meter)
    (receipt,) = meter.outcomes.values()
    assert (receipt.status, receipt.input_tokens, receipt.output_characters) == ("cancelled", None, len("Half of it"))


def test_what_a_server_says_of_its_limits_is_kept(upstream: Upstream) -> None:
    """Numbers and durations; nonsense is nothing, and nothing is divided by them."""
    headers = {
        "content-type": "application/json",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "-1",
        "x-ratelimit-remaining-tokens": "1999",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-ratelimit-reset-requests": "<b>",
    }
    upstream.scripted_replies = [ScriptedReply(numbered(0, 1).parts, headers=headers)]
    meter = RecordingMeter()
    run_with_client(upstream, vectors, meter=meter)
    found = meter.outcomes[0].rate_limits
    assert found is not None
    assert (found.limit_requests, found.remaining_requests, found.remaining_tokens) == (500, None, 1999)
    assert (found.reset_tokens, found.reset_requests) == ("6m0s", None)


def test_organisation_and_project_are_named(upstream: Upstream) -> None:
    """As the official client names them."""

    async def run() -> None:
        client = OpenAIClient(upstream.url, lambda: KEY, meter=RecordingMeter(), organization="org", project="proj")
        await vectors(client)
        await client.aclose()

    asyncio.run(run())
    headers = upstream.calls[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "proj")


def test_rows_are_those_of_their_numbers(upstream: Upstream) -> None:
    """A shuffled reply is put in order."""
    upstream.scripted_replies = [
        ScriptedReply([b'{"data": [{"index": 1, "embedding": [0, 3]}, {"index": 0, "embedding": [2, 0]}]}']),
    ]
    assert np.array_equal(run_with_client(upstream, vectors), np.array([[1, 0], [0, 1]], np.float32))  # type: ignore[arg-type]
