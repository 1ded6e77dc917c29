"""Every fault of a model server gives a clear error or a correct result in time, without the key, settled correctly."""

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
    chat_once,
    delta_event,
    embed_two,
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

DEADLINE_SECONDS = 1.0
"""Deadline of each call."""

PACED_CALLS = range(2, 9)
"""Calls until the deadline if every response has a short Retry-After; there is no hot loop."""

EXACT = "exact"
NOTHING = "nothing"
UNKNOWN = "unknown"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """Run one server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """Return the server in its initial state."""
    server.reset()
    return server


@dataclass(frozen=True, slots=True)
class Fault:
    """A server response, the expected error, the expected settlement and the expected number of calls."""

    reply: ScriptedReply
    error: type[SemsearchError] | None
    settled_tokens: str
    calls: int | range = 1


def make_rows_reply(*embeddings: object, **more: object) -> ScriptedReply:
    """Return a reply with these rows in order."""
    data = [{"index": index, "embedding": row} for index, row in enumerate(embeddings)]
    return ScriptedReply([json.dumps({"data": data, "usage": {"prompt_tokens": 5}, **more}).encode()])


def make_indexed_reply(*indexes: int) -> ScriptedReply:
    """Return a reply with rows of these indexes."""
    data = [{"index": index, "embedding": [1.0, 2.0]} for index in indexes]
    return ScriptedReply([json.dumps({"data": data, "usage": {"prompt_tokens": 5}}).encode()])


def make_error_reply(status: int, **headers: str) -> ScriptedReply:
    """Return an error that echoes the key in its message and its headers."""
    reply = error_reply(status, f"no: {KEY} {KEY[:7]}")
    return ScriptedReply(reply.parts, status, {"content-type": "application/json", "x-echo": KEY, **headers})


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
    "shuffled": Fault(make_indexed_reply(1, 0), None, EXACT),
    "one missing": Fault(make_indexed_reply(0), UpstreamError, EXACT),
    "one extra": Fault(make_indexed_reply(0, 1, 2), UpstreamError, EXACT),
    "duplicate index": Fault(make_indexed_reply(0, 0), UpstreamError, EXACT),
    "changing dimension": Fault(make_rows_reply([1.0, 2.0], [1.0]), UpstreamError, EXACT),
    "NaN": Fault(NAN, UpstreamError, UNKNOWN),
    "infinity": Fault(make_rows_reply([1e39, 1.0], [1.0, 1.0]), UpstreamError, EXACT),
    "null": Fault(make_rows_reply([None, 1.0], [1.0, 1.0]), UpstreamError, EXACT),
    "null row": Fault(make_rows_reply(None, [1.0, 1.0]), UpstreamError, EXACT),
    "strings": Fault(make_rows_reply(["1", "2"], ["1", "2"]), UpstreamError, EXACT),
    "zeros": Fault(make_rows_reply([0.0, 0.0], [1.0, 1.0]), UpstreamError, EXACT),
    "a page with 200": Fault(PAGE, UpstreamError, UNKNOWN),
    "cut short": Fault(ScriptedReply([b'{"data": [{"index": 0, "embed']), UpstreamError, UNKNOWN),
    "a hundred megabytes": Fault(ScriptedReply([b" " * (1 << 20)] * 100), UpstreamError, UNKNOWN),
    "a gzip bomb": Fault(BOMB, UpstreamError, UNKNOWN),
    "absurd usage": Fault(make_rows_reply([1.0, 2.0], [1.0, 2.0], usage={"prompt_tokens": -3}), None, UNKNOWN),
    "no usage": Fault(make_rows_reply([1.0, 2.0], [1.0, 2.0], usage=None), None, UNKNOWN),
}

BOTH = {
    "400": Fault(make_error_reply(400), UpstreamError, NOTHING),
    "401 with the key": Fault(make_error_reply(401), UpstreamError, NOTHING),
    "403": Fault(make_error_reply(403), UpstreamError, NOTHING),
    "404": Fault(make_error_reply(404), UpstreamError, NOTHING),
    "408": Fault(make_error_reply(408), UpstreamError, NOTHING, 3),
    "409": Fault(make_error_reply(409), UpstreamError, NOTHING, 3),
    "413": Fault(make_error_reply(413), UpstreamError, NOTHING),
    "429": Fault(make_error_reply(429), UnavailableError, NOTHING, 3),
    "429 for a moment": Fault(make_error_reply(429, **{"retry-after-ms": "1"}), UnavailableError, NOTHING, PACED_CALLS),
    "429 now": Fault(make_error_reply(429, **{"retry-after": "0"}), UnavailableError, NOTHING, PACED_CALLS),
    "429 with garbage": Fault(make_error_reply(429, **{"retry-after": "when I say so"}), UnavailableError, NOTHING, 3),
    "429 with a past date": Fault(make_error_reply(429, **PAST), UnavailableError, NOTHING, PACED_CALLS),
    "429 for an hour": Fault(make_error_reply(429, **{"retry-after": "3600"}), UnavailableError, NOTHING),
    "429 for ever": Fault(make_error_reply(429, **{"retry-after": "99999999999"}), UnavailableError, NOTHING),
    "429 never again": Fault(make_error_reply(429, **{"x-should-retry": "false"}), UnavailableError, NOTHING),
    "no quota": Fault(error_reply(429, "pay", "insufficient_quota"), UpstreamError, NOTHING),
    "500": Fault(make_error_reply(500), UpstreamError, NOTHING, 3),
    "502 with a page": Fault(BAD_GATEWAY, UpstreamError, NOTHING, 3),
    "503": Fault(make_error_reply(503), UnavailableError, NOTHING, 3),
    "400 but again": Fault(make_error_reply(400, **{"x-should-retry": "true"}), UpstreamError, NOTHING, 3),
    "reset at once": Fault(ScriptedReply([CUT], headers={}), SemsearchError, UNKNOWN, 3),
    "silence after headers": Fault(ScriptedReply([HANG]), SemsearchError, UNKNOWN),
    "drop by drop": Fault(DRIP, SemsearchError, UNKNOWN),
    "redirect elsewhere": Fault(ScriptedReply([], 302, {"location": "http://127.0.0.1:9/"}), UpstreamError, NOTHING),
}

TEXT_EVENT = delta_event("Half of it")
STREAMS = {
    "no [DONE]": Fault(
        stream_reply(TEXT_EVENT, delta_event(finish_reason="stop"), usage_event(5, 2), done=False), None, EXACT
    ),
    "nothing at the end": Fault(stream_reply(TEXT_EVENT, done=False), UpstreamError, UNKNOWN),
    "cut in the JSON": Fault(raw_stream_reply(b'data: {"choices": [{"del'), UpstreamError, UNKNOWN),
    "cut in a character": Fault(raw_stream_reply(HALF_A_LETTER), UpstreamError, UNKNOWN),
    "an error after text": Fault(
        stream_reply(TEXT_EVENT, {"error": {"message": f"boom {KEY}"}}), UpstreamError, UNKNOWN
    ),
    "a line of 10 MB": Fault(raw_stream_reply(b"data: " + b"x" * (10 << 20)), UpstreamError, UNKNOWN),
    "comments for ever": Fault(raw_stream_reply(*COMMENTS), DeadlineError, UNKNOWN),
    "empty choices": Fault(
        stream_reply({"choices": []}, TEXT_EVENT, delta_event(finish_reason="stop"), usage_event(5, 2)), None, EXACT
    ),
    "no usage": Fault(stream_reply(TEXT_EVENT, delta_event(finish_reason="stop")), None, UNKNOWN),
    "absurd usage": Fault(
        stream_reply(TEXT_EVENT, delta_event(finish_reason="stop"), usage_event(10**15, -2)), None, UNKNOWN
    ),
    "length": Fault(stream_reply(TEXT_EVENT, delta_event(finish_reason="length"), usage_event(5, 2)), None, EXACT),
    "content filter": Fault(
        stream_reply(TEXT_EVENT, delta_event(finish_reason="content_filter"), usage_event(5, 2)), None, EXACT
    ),
    "reset after text": Fault(raw_stream_reply(HALF, CUT), UpstreamError, UNKNOWN),
    "silence after text": Fault(raw_stream_reply(HALF, HANG), DeadlineError, UNKNOWN),
    "a page": Fault(PAGE, UpstreamError, UNKNOWN),
}


async def embed_two_texts(client: OpenAIClient) -> object:
    """Return the vectors of two texts from the embedder."""
    context = RequestContext("query", deadline=time.monotonic() + DEADLINE_SECONDS)
    return await OpenAIEmbedder("m", client, NullEmbeddingCache()).embed(["one", "two"], context, query=True)


async def read_answer(client: OpenAIClient) -> object:
    """Return the pieces of a whole answer."""
    context = RequestContext("answer", deadline=time.monotonic() + DEADLINE_SECONDS)
    async with aclosing(client.stream_chat("m", CHAT_MESSAGES, context, max_tokens=5)) as chat:
        return [piece async for piece in chat]


CASES = [
    *(pytest.param(embed_two_texts, fault, id=f"embeddings: {name}") for name, fault in {**EMBEDDINGS, **BOTH}.items()),
    *(pytest.param(read_answer, fault, id=f"chat: {name}") for name, fault in {**BOTH, **STREAMS}.items()),
]


@pytest.mark.parametrize(("action", "fault"), CASES)
def test_fault_gives_the_expected_error_and_settlement(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, action: object, fault: Fault
) -> None:
    """Time and calls are bounded; the key is in no text, exception or log; each request is settled once.

    Retries that go on until the deadline may begin a last one just before it, which then may not reach the server.
    """
    caplog.set_level(logging.DEBUG)
    upstream.reply_rule = lambda call: fault.reply
    meter, output, start = RecordingMeter(), "", time.monotonic()
    has_cut_retry = False
    try:
        output = repr(run_with_client(upstream, action, meter=meter, timeout=3 * DEADLINE_SECONDS))  # type: ignore[arg-type]
        assert fault.error is None
    except SemsearchError as exc:
        assert fault.error is not None, exc
        has_cut_retry = fault.calls == PACED_CALLS and isinstance(exc, DeadlineError) and len(meter.requests) > 1
        assert isinstance(exc, fault.error) or has_cut_retry, repr(exc)
        output = "".join(traceback.format_exception(exc))
    assert time.monotonic() - start < DEADLINE_SECONDS + 1.5
    assert KEY not in output + caplog.text
    assert KEY[:7] not in output + caplog.text
    assert len(meter.requests) == len(meter.outcomes)
    assert len(meter.requests) - len(upstream.calls) in ((0, 1) if has_cut_retry else (0,))
    assert len(upstream.calls) in (fault.calls if isinstance(fault.calls, range) else [fault.calls])
    assert [request.attempt for request in meter.requests] == list(range(len(meter.requests)))
    outcomes = list(meter.outcomes.values())
    for outcome in outcomes[:-1] if has_cut_retry else outcomes:
        assert_settled(outcome, fault.settled_tokens)


def assert_settled(outcome: RequestOutcome, expected: str) -> None:
    """Check the settled tokens."""
    if expected == EXACT:
        assert (outcome.input_tokens, outcome.output_tokens) in ((5, 0), (5, 2))
    elif expected == NOTHING:
        assert (outcome.input_tokens, outcome.output_tokens) == (0, 0)
    else:
        assert outcome.input_tokens is None


@pytest.mark.parametrize("action", [embed_two_texts, read_answer])
def test_transient_failures_are_retried(upstream: Upstream, action: object) -> None:
    """After two failures the third try works; three requests are settled, and only the last has tokens."""
    upstream.scripted_replies = [make_error_reply(500), ScriptedReply([CUT], headers={})]
    meter = RecordingMeter()
    run_with_client(upstream, action, meter=meter)  # type: ignore[arg-type]
    outcomes = list(meter.outcomes.values())
    assert [outcome.status for outcome in outcomes] == ["500", "broken off", "ok"]
    assert (outcomes[-1].input_tokens, outcomes[-1].output_tokens) == upstream.billed[-1][1:]


def test_stream_is_not_retried_after_its_first_text(upstream: Upstream) -> None:
    """A stream that breaks after its first text is an error."""
    upstream.scripted_replies = [raw_stream_reply(HALF, CUT)]
    with pytest.raises(UpstreamError, match="closed the connection"):
        run_with_client(upstream, read_answer)
    assert len(upstream.calls) == 1


def test_rate_limit_of_one_call_pauses_all_calls(upstream: Upstream) -> None:
    """All calls wait for the Retry-After of one of them."""
    upstream.scripted_replies = [make_error_reply(429, **{"retry-after-ms": "300"})]

    async def embed_twice(client: OpenAIClient) -> float:
        start = time.monotonic()
        first_call = asyncio.ensure_future(embed_two_texts(client))
        async with asyncio.timeout(5):
            while client.get_state().state != "paused":
                await asyncio.sleep(0.001)
        await asyncio.gather(first_call, embed_two_texts(client))
        return time.monotonic() - start

    assert run_with_client(upstream, embed_twice) >= 0.3
    assert len(upstream.calls) == 3


@pytest.mark.parametrize("headers", [{"retry-after": "0.05"}, {"retry-after-ms": "50"}, {"retry-after": "0"}])
@pytest.mark.parametrize("action", [embed_two_texts, read_answer])
def test_short_retry_after_fails_no_call(upstream: Upstream, action: object, headers: dict[str, str]) -> None:
    """With a 429 for every fifth request all 60 calls succeed, and the retry budget is not used."""
    upstream.reply_rule = lambda call: make_error_reply(429, **headers) if len(upstream.calls) % 5 == 0 else None

    async def call_many_times(client: OpenAIClient) -> None:
        retry_tokens = client._circuit_breaker._retry_tokens
        for _ in range(60):
            await action(client)  # type: ignore[operator]
            assert client.get_state().state == "ok"
        assert client._circuit_breaker._retry_tokens == retry_tokens

    run_with_client(upstream, call_many_times)
    assert len(upstream.calls) == 60 * 5 // 4 - 1


def test_concurrent_rate_limited_calls_all_succeed(upstream: Upstream) -> None:
    """The server accepts only a few requests in each tenth of a second."""
    accepted_at: list[float] = []

    def reply_with_limit(call: object) -> ScriptedReply | None:
        now = time.monotonic()
        if sum(now - accepted < 0.1 for accepted in accepted_at) >= 4:
            return make_error_reply(429, **{"retry-after": "0.05"})
        accepted_at.append(now)
        return None

    upstream.reply_rule = reply_with_limit

    async def embed_patiently(client: OpenAIClient) -> object:
        return await client.create_embeddings("m", ["one"], RequestContext("query", deadline=time.monotonic() + 20))

    async def embed_many_times(client: OpenAIClient) -> int:
        return len(await asyncio.gather(*(embed_patiently(client) for _ in range(20))))

    assert run_with_client(upstream, embed_many_times, timeout=20) == 20


@pytest.mark.parametrize("purpose", ["query", "ingest"])
def test_retry_after_beyond_the_deadline_fails_at_once(upstream: Upstream, purpose: Purpose) -> None:
    """The error and those of later calls say how long to wait."""
    upstream.reply_rule = lambda call: make_error_reply(429, **{"retry-after": "3"})

    async def embed(client: OpenAIClient) -> object:
        return await client.create_embeddings("m", ["one"], RequestContext(purpose, deadline=time.monotonic() + 1))

    async def embed_twice(client: OpenAIClient) -> None:
        with pytest.raises(UnavailableError, match=r"too busy \(429\).* Retry-After is 3 seconds, and [01]\."):
            await embed(client)
        with pytest.raises(UnavailableError, match=r"too busy \(429\); the next call is allowed in [23]\.\d seconds"):
            await embed(client)

    start = time.monotonic()
    run_with_client(upstream, embed_twice)
    assert time.monotonic() - start < 0.5
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("action", [embed_two, chat_once])
def test_rate_limit_waits_without_a_deadline_are_limited_together(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, action: object
) -> None:
    """A user who has set no deadline does not wait for ever, although each Retry-After is short."""
    monkeypatch.setattr("semsearch.models.openai.errors.MAX_INTERACTIVE_WAIT_SECONDS", 0.6)
    upstream.reply_rule = lambda call: make_error_reply(429, **{"retry-after": "0.05"})
    start = time.monotonic()
    with pytest.raises(UnavailableError, match=r"too busy \(429\).* and 0\.[0-5] seconds are left"):
        run_with_client(upstream, action, timeout=60)  # type: ignore[arg-type]
    assert 0.1 < time.monotonic() - start < 3
    assert len(upstream.calls) >= 2


def test_pauses_of_other_calls_without_a_deadline_are_limited_together(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waits of a call for the Retry-After of other calls count too."""
    monkeypatch.setattr("semsearch.models.openai.errors.MAX_INTERACTIVE_WAIT_SECONDS", 0.6)

    async def embed_during_pauses(client: OpenAIClient) -> None:
        async def pause_again() -> None:
            while True:
                client._circuit_breaker.pause(0.2)
                await asyncio.sleep(0.1)

        pauses = asyncio.ensure_future(pause_again())
        await asyncio.sleep(0)
        with pytest.raises(
            UnavailableError, match=r"next call is allowed in 0\.\d seconds, and 0\.\d seconds are left"
        ):
            await asyncio.wait_for(embed_two(client), 5)
        pauses.cancel()

    run_with_client(upstream, embed_during_pauses)
    assert not upstream.calls


@pytest.mark.parametrize("purpose", ["query", "ingest"])
def test_rate_limit_waits_go_on_until_the_deadline(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, purpose: Purpose
) -> None:
    """The limit without a deadline does not apply to a call with a deadline, or to an ingest."""
    monkeypatch.setattr("semsearch.models.openai.errors.MAX_INTERACTIVE_WAIT_SECONDS", 0.1)
    upstream.scripted_replies = [make_error_reply(429, **{"retry-after": "0.05"})] * 4
    context = RequestContext(purpose, deadline=time.monotonic() + 10 if purpose == "query" else None)
    run_with_client(upstream, lambda client: client.create_embeddings("m", ["one"], context), timeout=20)
    assert len(upstream.calls) == 5


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("concurrency", [1, 12])
def test_text_that_causes_errors_does_not_open_the_circuit(upstream: Upstream, status: int, concurrency: int) -> None:
    """Only calls with this text fail. A call sends at most three tries and probes."""
    upstream.reply_rule = lambda call: make_error_reply(status) if "bad" in call.body["input"] else None

    async def embed_query(client: OpenAIClient, read_answer: str) -> object:
        embedder = OpenAIEmbedder("m", client, NullEmbeddingCache(), concurrency=concurrency)
        return await embedder.embed([read_answer], RequestContext("query", deadline=time.monotonic() + 5), query=True)

    async def embed_many_times(client: OpenAIClient) -> None:
        states = []
        for _ in range(6):
            bad_calls = [asyncio.ensure_future(embed_query(client, "bad")) for _ in range(concurrency)]
            while not all(task.done() for task in bad_calls):
                states.append(client.get_state().state)
                await asyncio.sleep(0)
            assert all(isinstance(task.exception(), UpstreamError | UnavailableError) for task in bad_calls)
        assert await embed_query(client, "good") is not None
        assert set(states) == {"ok"}

    run_with_client(upstream, embed_many_times)
    assert len(upstream.calls) <= 6 * 4 * concurrency + 6 + 1


def test_failing_server_gets_few_calls(upstream: Upstream) -> None:
    """After five failures calls fail at once without a request; they succeed soon after the server recovers."""
    upstream.reply_rule = lambda call: make_error_reply(500)

    async def embed_during_outage(client: OpenAIClient) -> None:
        for _ in range(20):
            with pytest.raises((UpstreamError, UnavailableError)):
                await embed_two_texts(client)
        assert client.get_state().state == "open"
        assert len(upstream.calls) <= 8
        upstream.reply_rule = lambda call: None
        give_up_at = time.monotonic() + 10
        while True:
            try:
                await embed_two_texts(client)
                break
            except UnavailableError as exc:
                assert "the next call is allowed in" in str(exc)
                assert time.monotonic() < give_up_at
                await asyncio.sleep(0.1)
        assert client.get_state().state == "ok"

    run_with_client(upstream, embed_during_outage)


def test_probe_that_reaches_its_deadline_keeps_the_circuit_open(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline says nothing about the server."""
    upstream.reply_rule = lambda call: make_error_reply(500)

    async def probe(client: OpenAIClient) -> str:
        for _ in range(6):
            with pytest.raises((UpstreamError, UnavailableError)):
                await embed_two_texts(client)
        upstream.reply_rule = lambda call: ScriptedReply([HANG])
        blocked_seconds = client.get_state().seconds + 0.1
        monkeypatch.setattr(client._circuit_breaker, "_clock", lambda: time.monotonic() + blocked_seconds)
        with pytest.raises(DeadlineError):
            await client.create_embeddings("m", ["one"], RequestContext("query", deadline=time.monotonic() + 0.1))
        return client.get_state().state

    assert run_with_client(upstream, probe) == "open"


def test_ingest_waits_for_its_server(upstream: Upstream) -> None:
    """An ingest is retried more often than a query."""
    upstream.scripted_replies = [make_error_reply(500)] * 6

    async def embed_for_ingest(client: OpenAIClient) -> int:
        reply = await client.create_embeddings("m", ["one"], RequestContext("ingest", deadline=time.monotonic() + 20))
        return len(reply.vectors)

    assert run_with_client(upstream, embed_for_ingest) == 1
    assert len(upstream.calls) == 7


def test_rotated_key_is_read_after_a_401(upstream: Upstream) -> None:
    """A new key is tried at once; the same key is not tried twice."""
    keys = iter(["old", "new", "new"])

    async def embed(client: OpenAIClient) -> int:
        return len((await client.create_embeddings("m", ["one"], RequestContext("query"))).vectors)

    async def run() -> int:
        client = OpenAIClient(upstream.url, lambda: next(keys), meter=RecordingMeter())
        try:
            return await embed(client)
        finally:
            await client.aclose()

    upstream.reply_rule = lambda call: error_reply(401, "no") if call.headers["authorization"] == "Bearer old" else None
    assert asyncio.run(run()) == 1
    assert [call.headers["authorization"] for call in upstream.calls] == ["Bearer old", "Bearer new"]


def test_key_file_that_is_missing_after_a_401_is_unavailable(upstream: Upstream) -> None:
    """The file is about to be replaced; the 401 costs nothing, and the call can be repeated."""
    keys = iter(["old"])

    def read_key() -> str:
        for key in keys:
            return key
        raise UnavailableError("the key file cannot be read")

    async def run(meter: RecordingMeter) -> None:
        client = OpenAIClient(upstream.url, read_key, meter=meter)
        try:
            await client.create_embeddings("m", ["one"], RequestContext("query"))
        finally:
            await client.aclose()

    upstream.reply_rule = lambda call: error_reply(401, "no")
    meter = RecordingMeter()
    with pytest.raises(UnavailableError, match="key file"):
        asyncio.run(run(meter))
    (outcome,) = meter.outcomes.values()
    assert (outcome.input_tokens, outcome.output_tokens) == (0, 0)


def test_cancelled_answer_is_settled_as_an_estimate(upstream: Upstream) -> None:
    """It is settled once, by its text, and the connection is closed within a second."""
    upstream.reply_rule = lambda call: raw_stream_reply(
        b'data: {"choices": [{"delta": {"content": "Half of it"}}]}\n\n', HANG
    )
    meter = RecordingMeter()

    async def cancel_after_text(client: OpenAIClient) -> bool:
        has_text = asyncio.Event()

        async def read() -> None:
            async with aclosing(
                client.stream_chat("m", CHAT_MESSAGES, RequestContext("answer"), max_tokens=5)
            ) as pieces:
                async for _ in pieces:
                    has_text.set()

        task = asyncio.ensure_future(read())
        await asyncio.wait_for(has_text.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await asyncio.to_thread(upstream.hung_up.wait, 1.0)

    assert run_with_client(upstream, cancel_after_text, meter=meter)
    (outcome,) = meter.outcomes.values()
    assert (outcome.status, outcome.input_tokens, outcome.output_characters) == ("cancelled", None, len("Half of it"))


def test_rate_limit_headers_are_stored(upstream: Upstream) -> None:
    """Valid numbers and durations are stored; invalid values are None."""
    headers = {
        "content-type": "application/json",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "-1",
        "x-ratelimit-remaining-tokens": "1999",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-ratelimit-reset-requests": "<b>",
    }
    upstream.scripted_replies = [ScriptedReply(make_indexed_reply(0, 1).parts, headers=headers)]
    meter = RecordingMeter()
    run_with_client(upstream, embed_two_texts, meter=meter)
    rate_limits = meter.outcomes[0].rate_limits
    assert rate_limits is not None
    assert (rate_limits.limit_requests, rate_limits.remaining_requests, rate_limits.remaining_tokens) == (
        500,
        None,
        1999,
    )
    assert (rate_limits.reset_tokens, rate_limits.reset_requests) == ("6m0s", None)


def test_organization_and_project_are_sent(upstream: Upstream) -> None:
    """The headers are those of the official client."""

    async def run() -> None:
        client = OpenAIClient(upstream.url, lambda: KEY, meter=RecordingMeter(), organization="org", project="proj")
        await embed_two_texts(client)
        await client.aclose()

    asyncio.run(run())
    headers = upstream.calls[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "proj")


def test_rows_are_ordered_by_index(upstream: Upstream) -> None:
    """A shuffled reply is sorted."""
    upstream.scripted_replies = [
        ScriptedReply([b'{"data": [{"index": 1, "embedding": [0, 3]}, {"index": 0, "embedding": [2, 0]}]}']),
    ]
    assert np.array_equal(run_with_client(upstream, embed_two_texts), np.array([[1, 0], [0, 1]], np.float32))  # type: ignore[arg-type]
