"""The client against a server that misbehaves: errors, keys, deadlines, connections."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
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
    embed_text,
    embed_two,
    error_reply,
    raw_stream_reply,
    run_upstream,
    run_with_client,
    stream_reply,
)

from semsearch.core.errors import DeadlineError, InvalidError, SemsearchError, UnavailableError
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai.client import OpenAIClient


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


def test_embeddings_are_ordered_by_their_index(upstream: Upstream) -> None:
    """A server may send embeddings in any order; rows are in the order of the inputs."""
    result = run_with_client(
        upstream, lambda client: client.create_embeddings("m", ["a b", "c", "d d d"], RequestContext("query"))
    )
    assert np.allclose(result.vectors, [embed_text("a b"), embed_text("c"), embed_text("d d d")])
    assert result.tokens == 6


def test_lists_of_numbers_give_the_same_vectors_as_base64(upstream: Upstream) -> None:
    """A server may ignore encoding_format."""
    encoded = run_with_client(upstream, embed_two)
    upstream.sends_base64 = False
    assert np.array_equal(run_with_client(upstream, embed_two), encoded)


STATUSES = [
    (400, None, UpstreamError, "answered 400: because"),
    (401, None, UpstreamError, r"rejected the key \(401\): set SEMSEARCH_EMBEDDINGS__API_KEY"),
    (403, None, UpstreamError, r"rejected the key \(403\): set SEMSEARCH_EMBEDDINGS__API_KEY"),
    (404, None, UpstreamError, r"no model 'm' at http://.*SEMSEARCH_EMBEDDINGS__BASE_URL is wrong: because"),
    (429, None, UnavailableError, r"too busy \(429\)"),
    (429, "insufficient_quota", UpstreamError, r"no quota left \(429\): because"),
    (500, None, UpstreamError, "answered 500: because"),
    (503, None, UnavailableError, r"too busy \(503\)"),
    (204, None, UpstreamError, "answered 204"),
]


@pytest.mark.parametrize(("status", "code", "error_type", "message"), STATUSES)
def test_status_becomes_an_error_with_a_remedy(
    upstream: Upstream, status: int, code: str | None, error_type: type[SemsearchError], message: str
) -> None:
    """Each status has its error with the setting to change; transient errors are tried three times."""
    upstream.reply_rule = lambda call: (
        error_reply(status, "because", code) if status != 204 else ScriptedReply([], 204, {})
    )
    with pytest.raises(error_type, match=message):
        run_with_client(upstream, embed_two)
    assert len(upstream.calls) == (3 if code is None and status in (429, 500, 503) else 1)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"error": null}', b'{"error"', b"x" * 100_000])
def test_error_without_a_message_names_its_status(upstream: Upstream, body: bytes) -> None:
    """Gateways send HTML or an empty body."""
    upstream.reply_rule = lambda call: ScriptedReply([body], 502)
    with pytest.raises(UpstreamError, match=r"answered 502$"):
        run_with_client(upstream, embed_two)


def test_404_without_a_model_names_the_url(upstream: Upstream) -> None:
    """A request without a model does not report a missing model."""
    upstream.reply_rule = lambda call: error_reply(404, "because")
    with pytest.raises(
        UpstreamError, match=r"^there is nothing at http://.*/v1/batches \(404\), or .* is wrong: because"
    ):
        run_with_client(upstream, lambda client: client.fetch("POST", "batches", RequestContext("ingest"), {}))


UNREADABLE = {
    "a page": ScriptedReply([b"<html>hello</html>"], headers={"content-type": "text/html"}),
    "a compressed body": ScriptedReply([b"\x1f\x8b\x08"], headers={"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_reply_names_the_server(upstream: Upstream, kind: str) -> None:
    """The UpstreamError begins with the URL."""
    upstream.scripted_replies = [UNREADABLE[kind]]
    with pytest.raises(UpstreamError, match=r"^http://127.*/v1/embeddings"):
        run_with_client(upstream, embed_two)


def test_replies_are_requested_without_compression(upstream: Upstream) -> None:
    """A small compressed reply could fill the memory."""
    run_with_client(upstream, embed_two)
    run_with_client(upstream, chat_once)
    assert [call.headers["accept-encoding"] for call in upstream.calls] == ["identity"] * 2


def test_environment_does_not_change_the_destination(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies and credentials come from the settings only."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password x")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    run_with_client(upstream, embed_two, key=None)
    assert "authorization" not in upstream.calls[0].headers


def test_endless_reply_is_cut_off(upstream: Upstream) -> None:
    """The size limit of a reply depends on the number of inputs."""
    upstream.scripted_replies = [ScriptedReply([b'{"data": [', b" " * (1 << 21), HANG])]
    with pytest.raises(UpstreamError, match="sent more than"):
        run_with_client(upstream, embed_two)


def test_redirect_is_not_followed(upstream: Upstream) -> None:
    """The key is not sent to another server, and the message does not contain the target."""
    upstream.scripted_replies = [ScriptedReply([], 307, {"location": f"{upstream.url}/elsewhere"})]
    with pytest.raises(UpstreamError, match="307, a redirect") as caught:
        run_with_client(upstream, embed_two)
    assert [call.path for call in upstream.calls] == ["/v1/embeddings"]
    assert "elsewhere" not in str(caught.value)


LEAKS = [
    error_reply(400, f"Incorrect: {KEY} and Bearer {KEY}"),
    error_reply(401, f"Incorrect API key provided: {KEY[:9]}"),
    error_reply(500, f"{'x' * 290} {KEY}"),
    error_reply(404, f"\u202e{KEY[:5]}\u200b{KEY[5:]}"),
    ScriptedReply([f'{{"error": "{KEY}"'.encode()], 400),
    stream_reply({"error": {"message": f"Bearer {KEY} is wrong"}}),
    raw_stream_reply(f"data: {KEY}\n\n".encode()),
    stream_reply(delta_event(finish_reason=KEY)),
    ScriptedReply([KEY.encode(), CUT], headers={"content-type": "text/event-stream"}),
]


@pytest.mark.parametrize("script", LEAKS)
def test_key_is_in_no_error_and_no_log(
    upstream: Upstream, script: ScriptedReply, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that the server echoes is not in the text, the exception chain or the debug log."""
    caplog.set_level(logging.DEBUG)
    upstream.scripted_replies = [script]
    output = ""
    try:
        output = repr(run_with_client(upstream, chat_once))
    except UpstreamError as exc:
        error: BaseException | None = exc
        while error is not None:
            output += f"{error} {error!r}"
            error = error.__cause__ or error.__context__
    assert output
    assert "sk-" not in output + caplog.text


def test_no_authorization_is_sent_without_a_key(upstream: Upstream) -> None:
    """If the server requires a key, the error names the setting."""
    run_with_client(upstream, embed_two, key=None)
    assert "authorization" not in upstream.calls[0].headers
    upstream.scripted_replies = [error_reply(401, "who are you?")]
    with pytest.raises(UpstreamError, match="requires a key"):
        run_with_client(upstream, embed_two, key=None)


def test_key_is_read_for_each_call(upstream: Upstream) -> None:
    """A rotated key is used from the next call on."""
    keys = iter(["first", "second"])

    async def run() -> None:
        client = OpenAIClient(upstream.url, lambda: next(keys), meter=RecordingMeter())
        await embed_two(client)
        await embed_two(client)
        await client.aclose()

    asyncio.run(run())
    assert [call.headers["authorization"] for call in upstream.calls] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} x", f"{KEY}é"])
def test_key_with_invalid_characters_is_rejected(upstream: Upstream, key: str) -> None:
    """The error names the setting without the key, before anything is sent."""
    with pytest.raises(InvalidError, match="SEMSEARCH_EMBEDDINGS__API_KEY") as caught:
        run_with_client(upstream, embed_two, key=key)
    assert "sk-" not in str(caught.value)
    assert not upstream.calls


def test_server_that_does_not_run_is_unavailable(upstream: Upstream) -> None:
    """The error names the address and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    async def run() -> None:
        await chat_once(OpenAIClient(f"http://127.0.0.1:{port}/v1", lambda: None, meter=RecordingMeter()))

    with pytest.raises(UnavailableError, match=rf"127.0.0.1:{port}.*is the server running.*SEMSEARCH_CHAT__BASE_URL"):
        asyncio.run(run())


def test_connection_closed_without_a_response_is_unavailable() -> None:
    """The server closes the connection before its first byte."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            client = OpenAIClient(f"http://127.0.0.1:{port}", lambda: None, meter=RecordingMeter())
            try:
                await embed_two(client)
            finally:
                await client.aclose()

    with pytest.raises(UnavailableError, match="closed the connection"):
        asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("parts", [[HANG], [b"data: ", HANG]])
def test_hanging_call_ends_at_its_deadline(upstream: Upstream, parts: list[bytes | str]) -> None:
    """A call ends at its deadline or the endpoint's timeout, whichever is sooner.

    It is not retried, because the server may be working and bills it.
    """
    upstream.reply_rule = lambda call: ScriptedReply(parts)
    for seconds, timeout in ((0.3, 5.0), (5.0, 0.3)):

        async def embed_with_deadline(client: OpenAIClient, seconds: float = seconds) -> None:
            await client.create_embeddings("m", ["a"], RequestContext("query", deadline=time.monotonic() + seconds))

        start = time.monotonic()
        with pytest.raises(DeadlineError, match="time allowed"):
            run_with_client(upstream, embed_with_deadline, timeout=timeout)
        assert time.monotonic() - start < 3
    with pytest.raises(DeadlineError, match="time allowed"):
        run_with_client(
            upstream, lambda client: client.create_embeddings("m", ["a"], RequestContext("ingest")), timeout=0.3
        )
    assert len(upstream.calls) <= 3  # a call without time left is not sent


def test_abandoned_answer_closes_the_connection(upstream: Upstream) -> None:
    """The server notices when the client stops reading."""

    async def stop_reading(client: OpenAIClient) -> bool:
        async with aclosing(client.stream_chat("m", CHAT_MESSAGES, RequestContext("answer"), max_tokens=5)) as pieces:
            async for piece in pieces:
                assert piece == "Hel"
                break
        return await asyncio.to_thread(upstream.hung_up.wait, 1.0)

    upstream.scripted_replies = [raw_stream_reply(b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n', HANG)]
    assert run_with_client(upstream, stop_reading)


def test_calls_reuse_a_connection(upstream: Upstream) -> None:
    """Successive embeddings and answers use one connection."""

    async def call_three_times(client: OpenAIClient) -> None:
        for _ in range(3):
            await chat_once(client)
            await embed_two(client)

    run_with_client(upstream, call_three_times)
    assert len({call.client for call in upstream.calls}) == 1
