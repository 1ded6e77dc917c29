"""What the client promises about answers that come as a stream, whatever server sends them."""

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
    """One server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """The server as if it were new."""
    server.reset()
    return server


HELLO = "Grüße, 世界 🌍"
ODD_SERVERS = {
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


@pytest.mark.parametrize("kind", ODD_SERVERS)
def test_the_streams_of_every_server_read_alike(upstream: Upstream, kind: str) -> None:
    """Servers differ in all that the format leaves open; the answer is the same."""
    upstream.scripted_replies = [ODD_SERVERS[kind]]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.reason, ending.warnings) == (HELLO, "stop", ())


def test_usage_is_what_the_server_counted_or_marked_as_an_estimate(upstream: Upstream) -> None:
    """Tokens that no one counted are estimated and said to be."""
    upstream.scripted_replies = [ODD_SERVERS["role first, usage last"], ODD_SERVERS["no reason"]]
    counted = run_with_client(upstream, chat_once)[1].usage
    assert (counted.prompt_tokens, counted.completion_tokens, counted.cached_tokens) == (7, 3, 2)
    assert (counted.estimated, counted.cost_usd) == (False, None)
    guessed = run_with_client(upstream, chat_once)[1].usage
    assert guessed.estimated
    assert guessed.prompt_tokens > 0


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_the_reason_for_an_end_is_told(upstream: Upstream, reason: str) -> None:
    """A cut answer is a result, and whoever asked knows that it was cut."""
    upstream.scripted_replies = [stream_reply(delta_event("Half"), delta_event(finish_reason=reason))]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.reason) == ("Half", reason)


BROKEN = {
    "no end": stream_reply(delta_event("Half"), done=False),
    "a lost connection": raw_stream_reply(f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), CUT),
    "half an event": raw_stream_reply(f'data: {json.dumps(delta_event("Half"))}\n\ndata: {{"choi'.encode()),
    "an error": stream_reply(
        delta_event("Half"), {"error": {"message": "overloaded"}}, delta_event(finish_reason="stop")
    ),
    "an error as text": stream_reply(delta_event("Half"), {"error": "overloaded"}),
    "no JSON": stream_reply(delta_event("Half"), "nonsense"),
    "a list": stream_reply(delta_event("Half"), []),
    "content that is no text": stream_reply(delta_event("Half"), {"choices": [{"delta": {"content": 5}}]}),
    "an endless line": raw_stream_reply(
        f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), b"data: " + b"x" * (MAX_EVENT_BYTES + 1)
    ),
    "endless lines": raw_stream_reply(
        f"data: {json.dumps(delta_event('Half'))}\n\n".encode(), b"data: x\n" * (MAX_EVENT_BYTES // 2)
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_breaks_off_is_an_error_after_what_came(upstream: Upstream, kind: str) -> None:
    """What came is given; that it is not the whole answer is never kept silent."""
    upstream.scripted_replies = [BROKEN[kind]]
    came: list[object] = []

    async def collect(client: OpenAIClient) -> None:
        async with aclosing(client.stream_chat("m", CHAT_MESSAGES, RequestContext("answer"), max_tokens=5)) as pieces:
            while True:
                came.append(await anext(pieces))

    with pytest.raises(UpstreamError, match="/v1/chat/completions"):
        run_with_client(upstream, collect)
    assert came == ["Half"]


@pytest.mark.parametrize("media", ["application/json", "text/html; charset=utf-8"])
def test_a_reply_that_is_no_stream_is_refused(upstream: Upstream, media: str) -> None:
    """A page, or one JSON object, where a stream was asked for is an error with the server's own words."""
    upstream.scripted_replies = [ScriptedReply([b'{"error": "no streaming here"}'], headers={"content-type": media})]
    with pytest.raises(UpstreamError, match="where a stream was asked for: no streaming here"):
        run_with_client(upstream, chat_once)


def test_what_a_whole_reply_has_counted_is_booked(upstream: Upstream) -> None:
    """A server that does not stream has worked, and says for how much."""
    said = {"choices": [{"message": {"content": "Hello"}}], **usage_event(70, 30, cached=20), "error": None}
    upstream.scripted_replies = [ScriptedReply([json.dumps(said).encode()])]
    meter = RecordingMeter()
    with pytest.raises(UpstreamError, match="where a stream was asked for"):
        run_with_client(upstream, chat_once, meter=meter)
    (receipt,) = meter.outcomes.values()
    assert (receipt.input_tokens, receipt.output_tokens, receipt.cached_tokens) == (70, 30, 20)


SILENT = {
    "m refused to answer: I cannot help with [key].": [
        delta_event(refusal="I cannot "),
        delta_event(refusal=f"help with {KEY}."),
        delta_event(finish_reason="stop"),
    ],
    "m asked for a tool, and is offered none": [
        delta_event(tool_calls=[{"index": 0}]),
        delta_event(finish_reason="tool_calls"),
    ],
}


@pytest.mark.parametrize("said", SILENT)
def test_why_there_is_no_text_is_told(upstream: Upstream, said: str) -> None:
    """A refusal, and a call of a tool that nobody offered, are no text: a warning has them."""
    upstream.scripted_replies = [stream_reply(*SILENT[said])]
    text, ending = run_with_client(upstream, chat_once)
    assert (text, ending.warnings) == ("", (said,))


def test_an_answer_without_end_is_cut_off(upstream: Upstream) -> None:
    """A server that ignores max_tokens is not read, and not paid, for ever."""
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
def test_a_server_that_cannot_count_a_stream_answers_without(upstream: Upstream, refusal: ScriptedReply) -> None:
    """stream_options is left out from then on, and the tokens are estimated where it does not count all the same."""
    upstream.scripted_replies = [refusal, stream_reply(delta_event("Hi", "stop"))]

    async def twice(client: OpenAIClient) -> list[ChatEnd]:
        return [(await chat_once(client))[1] for _ in range(2)]

    assert run_with_client(upstream, twice)[0].usage.estimated
    assert ["stream_options" in call.body for call in upstream.calls] == [True, False, False]


def test_a_parameter_that_a_model_refuses_is_left_out_and_remembered(upstream: Upstream) -> None:
    """max_tokens gets its newer name, temperature goes; each costs one call, once, and the loss is told each time."""
    upstream.scripted_replies = [
        error_reply(400, "Use 'max_completion_tokens'.", "unsupported_parameter", "max_tokens"),
        error_reply(400, "Only the default (1) value.", "unsupported_value", "temperature"),
    ]

    async def twice(client: OpenAIClient) -> list[ChatEnd]:
        return [(await chat_once(client, temperature=0.2))[1] for _ in range(2)]

    endings = run_with_client(upstream, twice)
    sent = [set(call.body) - {"model", "messages", "stream", "stream_options"} for call in upstream.calls]
    assert sent == [
        {"max_tokens", "temperature"},
        {"max_completion_tokens", "temperature"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    assert all("0.2 was not sent" in ending.warnings[0] for ending in endings)


def test_what_one_model_refuses_is_still_sent_to_others(upstream: Upstream) -> None:
    """Models of one server differ."""
    upstream.scripted_replies = [error_reply(400, "no", "unsupported_value", "temperature")]

    async def both(client: OpenAIClient) -> None:
        await chat_once(client, temperature=0.2)
        await chat_once(client, temperature=0.2, model="other")

    run_with_client(upstream, both)
    assert ["temperature" in call.body for call in upstream.calls] == [True, False, True]


@pytest.mark.parametrize(
    "refusal",
    [
        error_reply(400, "no", "unsupported_parameter", "messages"),
        error_reply(400, "no", "context_length_exceeded", "max_tokens"),
        error_reply(422, "no", "unsupported_parameter", "max_tokens"),
    ],
)
def test_other_refusals_are_not_tried_again(upstream: Upstream, refusal: ScriptedReply) -> None:
    """Only a known parameter that a model says it does not take is worth a second call."""
    upstream.scripted_replies = [refusal]
    with pytest.raises(UpstreamError, match="no"):
        run_with_client(upstream, chat_once)
    assert len(upstream.calls) == 1


def test_a_model_that_refuses_both_names_ends_in_an_error(upstream: Upstream) -> None:
    """Leaving out is done once for each parameter, never in circles."""
    upstream.scripted_replies = [error_reply(400, "no", "unsupported_parameter", "max_tokens")] * 3
    with pytest.raises(UpstreamError, match="answered 400"):
        run_with_client(upstream, chat_once)
    assert len(upstream.calls) == 2


def test_openai_itself_gets_the_newer_name_at_once() -> None:
    """No call is wasted on what OpenAI is known to refuse; other addresses get the older name."""
    assert ModelParameters("https://api.openai.com/v1").get_refused("m") == {"max_tokens"}
    assert ModelParameters("https://api.openai.com.example/v1").get_refused("m") == set()
