"""Streamed answers from servers with different dialects and faults."""

import json
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from support.fakes import RecordingMeter
from support.upstream import (
    CHAT_MESSAGES,
    CUT,
    HANG,
    KEY,
    ScriptedReply,
    Upstream,
    chat_once,
    delta_event,
    error_reply,
    raw_stream_reply,
    run_upstream,
    run_with_client,
    stream_reply,
    usage_event,
)

from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai.client import OpenAIClient
from semsearch.models.openai.parameters import ModelParameters
from semsearch.models.openai.responses import ChatEnd
from semsearch.models.openai.sse import MAX_EVENT_BYTES


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


HELLO = "Grüße, 世界 🌍"
STREAM_DIALECTS = {
    "role first, usage last": stream_reply(
        delta_event("", role="assistant"),
        delta_event(HELLO),
        delta_event(finish_reason="stop"),
        usage_event(7, 3, cached=2),
    ),
    "reasoning beside the text": stream_reply(
        delta_event(role="assistant", content=None, reasoning_content="hm"),
        delta_event(HELLO, reasoning=""),
        delta_event(finish_reason="stop"),
    ),
    "usage null until the end": stream_reply(
        {**delta_event(HELLO), "usage": None}, {**delta_event(finish_reason="stop"), "usage": None}
    ),
    "usage in every event": stream_reply(
        {**delta_event(HELLO), **{"usage": {"prompt_tokens": 7}}}, delta_event("", finish_reason="stop")
    ),
    "no space after data:": raw_stream_reply(
        f"data:{json.dumps(delta_event(HELLO, 'stop'))}\n\ndata:[DONE]\n\n".encode()
    ),
    "comments and event lines": raw_stream_reply(
        b": hello\n\nevent: chunk\nid: 7\nretry: 5\n"
        + f"data: {json.dumps(delta_event(HELLO))}\n\n: ping\n\n".encode(),
        f"data: {json.dumps(delta_event(finish_reason='stop'))}\n\ndata: [DONE]\n\n".encode(),
    ),
    "CRLF": raw_stream_reply(f"data: {json.dumps(delta_event(HELLO, 'stop'))}\r\n\r\ndata: [DONE]\r\n\r\n".encode()),
    "CR": raw_stream_reply(f"data: {json.dumps(delta_event(HELLO, 'stop'))}\r\rdata: [DONE]\r\r".encode()),
    "CR, kept open": raw_stream_reply(
        f"data: {json.dumps(delta_event(HELLO, 'stop'))}\r\rdata: [DONE]\r\r".encode(), HANG
    ),
    "no end marker": stream_reply(delta_event(HELLO), delta_event(finish_reason="stop"), done=False),
    "no reason": stream_reply(delta_event(HELLO)),
    "no last line end": raw_stream_reply(f"data: {json.dumps(delta_event(HELLO))}\n\ndata: [DONE]".encode()),
    "no type": ScriptedReply([f"data: {json.dumps(delta_event(HELLO, 'stop'))}\n\n".encode()], headers={}),
    "empty choices": stream_reply(
        {"choices": []}, delta_event(HELLO), {"choices": []}, delta_event(finish_reason="stop"), {"choices": None}
    ),
    "text after the end": stream_reply(delta_event(HELLO, "stop"), "[DONE]", "not json", delta_event("more")),
    "byte by byte": raw_stream_reply(
        *(bytes([byte]) for byte in f"data: {json.dumps(delta_event(HELLO, 'stop'), ensure_ascii=False)}\n\n".encode())
    ),
}


@pytest.mark.parametrize("kind", STREAM_DIALECTS)
def test_streams_of_all_dialects_give_the_same_answer(upstream: Upstream, kind: str) -> None:
    """Servers differ where the format is not specified."""
    upstream.scripted_replies = [STREAM_DIALECTS[kind]]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.reason, ending.warnings) == (HELLO, "stop", ())


def test_usage_is_counted_by_the_server_or_marked_as_an_estimate(upstream: Upstream) -> None:
    """Without counts of the server, tokens are estimated and marked."""
    upstream.scripted_replies = [STREAM_DIALECTS["role first, usage last"], STREAM_DIALECTS["no reason"]]
    counted = run_with_client(upstream, chat_once)[1].usage
    assert (counted.prompt_tokens, counted.completion_tokens, counted.cached_tokens) == (7, 3, 2)
    assert (counted.estimated, counted.cost_usd) == (False, None)
    estimated = run_with_client(upstream, chat_once)[1].usage
    assert estimated.estimated
    assert estimated.prompt_tokens > 0


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_finish_reason_is_returned(upstream: Upstream, reason: str) -> None:
    """A truncated answer is a result with its reason."""
    upstream.scripted_replies = [stream_reply(delta_event("Half"), delta_event(finish_reason=reason))]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.reason) == ("Half", reason)


BROKEN_STREAMS = {
    "no end": stream_reply(delta_event("Half"), done=False),
    "a lost connection": raw_stream_reply(f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), CUT),
    "half an event": raw_stream_reply(f'data: {json.dumps(delta_event("Half"))}\n\ndata: {{"choi'.encode()),
    "an error": stream_reply(
        delta_event("Half"), {"error": {"message": "overloaded"}}, delta_event(finish_reason="stop")
    ),
    "an error as text": stream_reply(delta_event("Half"), {"error": "overloaded"}),
    "no JSON": stream_reply(delta_event("Half"), "nonsense"),
    "a list": stream_reply(delta_event("Half"), []),
    "content that is not text": stream_reply(delta_event("Half"), {"choices": [{"delta": {"content": 5}}]}),
    "an endless line": raw_stream_reply(
        f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), b"data: " + b"x" * (MAX_EVENT_BYTES + 1)
    ),
    "endless lines": raw_stream_reply(
        f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), b"data: x\n" * (MAX_EVENT_BYTES // 2)
    ),
}


@pytest.mark.parametrize("kind", BROKEN_STREAMS)
def test_incomplete_answer_is_an_error_after_its_text(upstream: Upstream, kind: str) -> None:
    """The received text is yielded before the error."""
    upstream.scripted_replies = [BROKEN_STREAMS[kind]]
    received: list[object] = []

    async def collect(client: OpenAIClient) -> None:
        async with aclosing(client.stream_chat("m", CHAT_MESSAGES, RequestContext("answer"), max_tokens=5)) as pieces:
            while True:
                received.append(await anext(pieces))

    with pytest.raises(UpstreamError, match="/v1/chat/completions"):
        run_with_client(upstream, collect)
    assert received == ["Half"]


@pytest.mark.parametrize("media_type", ["application/json", "text/html; charset=utf-8"])
def test_reply_that_is_not_a_stream_is_rejected(upstream: Upstream, media_type: str) -> None:
    """A page or a JSON object is an error with the server's message."""
    upstream.scripted_replies = [
        ScriptedReply([b'{"error": "no streaming here"}'], headers={"content-type": media_type})
    ]
    with pytest.raises(UpstreamError, match="instead of a stream: no streaming here"):
        run_with_client(upstream, chat_once)


def test_usage_of_a_reply_that_is_not_a_stream_is_settled(upstream: Upstream) -> None:
    """The server has done the work and reports its tokens."""
    reply = {"choices": [{"message": {"content": "Hello"}}], **usage_event(70, 30, cached=20), "error": None}
    upstream.scripted_replies = [ScriptedReply([json.dumps(reply).encode()])]
    meter = RecordingMeter()
    with pytest.raises(UpstreamError, match="instead of a stream"):
        run_with_client(upstream, chat_once, meter=meter)
    (outcome,) = meter.outcomes.values()
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cached_tokens) == (70, 30, 20)


STREAMS_WITHOUT_TEXT = {
    "m refused to answer: I cannot help with [key].": [
        delta_event(refusal="I cannot "),
        delta_event(refusal=f"help with {KEY}."),
        delta_event(finish_reason="stop"),
    ],
    "m called a tool, but no tools were offered": [
        delta_event(tool_calls=[{"index": 0}]),
        delta_event(finish_reason="tool_calls"),
    ],
}


@pytest.mark.parametrize("warning", STREAMS_WITHOUT_TEXT)
def test_warning_explains_an_answer_without_text(upstream: Upstream, warning: str) -> None:
    """A refusal and a tool call are reported as warnings."""
    upstream.scripted_replies = [stream_reply(*STREAMS_WITHOUT_TEXT[warning])]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.warnings) == ("", (warning,))


def test_endless_answer_is_cut_off(upstream: Upstream) -> None:
    """The client stops reading from a server that ignores max_tokens."""
    piece = f"data: {json.dumps(delta_event('word ' * 20))}\n\n".encode()
    upstream.scripted_replies = [raw_stream_reply(*[piece] * 100, HANG)]
    text, ending = run_with_client(upstream, chat_once)
    assert ending.reason == "length"
    assert 2_000 < len(text) < 3_000
    assert upstream.hung_up.wait(1.0)


REFUSED_OPTIONS = [
    error_reply(400, "Unrecognized request argument supplied: stream_options"),
    error_reply(400, "no", "unsupported_parameter", "stream_options"),
    ScriptedReply([b'{"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}'], 422),
]


@pytest.mark.parametrize("refusal", REFUSED_OPTIONS)
def test_rejected_stream_options_are_left_out(upstream: Upstream, refusal: ScriptedReply) -> None:
    """stream_options is not sent again, and tokens that are not counted are estimated."""
    upstream.scripted_replies = [refusal, stream_reply(delta_event("Hi", "stop"))]

    async def chat_twice(client: OpenAIClient) -> list[ChatEnd]:
        return [(await chat_once(client))[1] for _ in range(2)]

    assert run_with_client(upstream, chat_twice)[0].usage.estimated
    assert ["stream_options" in call.body for call in upstream.calls] == [True, False, False]


def test_rejected_parameter_is_left_out_from_then_on(upstream: Upstream) -> None:
    """max_tokens gets its newer name, temperature is dropped with a warning; each costs one call, once."""
    upstream.scripted_replies = [
        error_reply(400, "Use 'max_completion_tokens'.", "unsupported_parameter", "max_tokens"),
        error_reply(400, "Only the default (1) value.", "unsupported_value", "temperature"),
    ]

    async def chat_twice(client: OpenAIClient) -> list[ChatEnd]:
        return [(await chat_once(client, temperature=0.2))[1] for _ in range(2)]

    endings = run_with_client(upstream, chat_twice)
    sent_parameters = [set(call.body) - {"model", "messages", "stream", "stream_options"} for call in upstream.calls]
    assert sent_parameters == [
        {"max_tokens", "temperature"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    assert all("0.2 was not sent" in ending.warnings[0] for ending in endings)


def test_rejected_parameter_is_still_sent_to_other_models(upstream: Upstream) -> None:
    """Models of one server differ."""
    upstream.scripted_replies = [error_reply(400, "no", "unsupported_value", "temperature")]

    async def chat_with_both(client: OpenAIClient) -> None:
        await chat_once(client, temperature=0.2)
        await chat_once(client, temperature=0.2, model="other")

    run_with_client(upstream, chat_with_both)
    assert ["temperature" in call.body for call in upstream.calls] == [True, False, True]


@pytest.mark.parametrize(
    "refusal",
    [
        error_reply(400, "no", "unsupported_parameter", "messages"),
        error_reply(400, "no", "context_length_exceeded", "max_tokens"),
        error_reply(422, "no", "unsupported_parameter", "max_tokens"),
    ],
)
def test_other_rejections_are_not_retried(upstream: Upstream, refusal: ScriptedReply) -> None:
    """Only a known parameter that the model rejects causes a second call."""
    upstream.scripted_replies = [refusal]
    with pytest.raises(UpstreamError, match="no"):
        run_with_client(upstream, chat_once)
    assert len(upstream.calls) == 1


def test_model_that_rejects_both_parameter_names_raises_an_error(upstream: Upstream) -> None:
    """Each parameter is left out once, without a loop."""
    upstream.scripted_replies = [error_reply(400, "no", "unsupported_parameter", "max_tokens")] * 3
    with pytest.raises(UpstreamError, match="answered 400"):
        run_with_client(upstream, chat_once)
    assert len(upstream.calls) == 2


def test_openai_gets_the_newer_parameter_name_at_once() -> None:
    """Other servers get the older name first."""
    assert ModelParameters("https://api.openai.com/v1").get_refused("m") == {"max_tokens"}
    assert ModelParameters("https://api.openai.com.example/v1").get_refused("m") == set()
