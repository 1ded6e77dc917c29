"""Embeddings from an OpenAI-compatible server: requests, order, cache and rejected texts."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.batch_server import (
    CUT_OFF,
    EmbeddingServer,
    Refusal,
    corrupt_texts,
    refuse_texts,
    run_embedding_server,
)
from support.fakes import NullEmbeddingCache, RecordingMeter
from support.upstream import ScriptedReply, Upstream, embed_text, run_upstream

from semsearch.core.errors import UnavailableError
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.ports import Embedder, EmbeddingCache, PartialEmbeddingError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.openai import (
    MAX_EXTRA_REQUESTS,
    MAX_REQUEST_TOKENS,
    OpenAIEmbedder,
    hash_text,
    split_into_requests,
)
from semsearch.models.openai.client import OpenAIClient
from semsearch.storage.embedding_cache import SqliteEmbeddingCache

pytestmark = pytest.mark.slow

T = TypeVar("T")
TEXTS = [f"text number {number}" for number in range(100)]


@pytest.fixture(scope="module")
def module_upstream() -> Iterator[Upstream]:
    """Run one scripted server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(module_upstream: Upstream) -> Upstream:
    """Return the scripted server in its initial state."""
    module_upstream.reset()
    return module_upstream


@pytest.fixture(scope="module")
def module_server() -> Iterator[EmbeddingServer]:
    """Run one embedding server for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(module_server: EmbeddingServer) -> EmbeddingServer:
    """Return the embedding server in its initial state."""
    module_server.reset()
    return module_server


@pytest.fixture
def embedding_cache(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """Return an empty embedding cache."""
    cache = SqliteEmbeddingCache(tmp_path)
    yield cache
    cache.close()


def run_with_embedder(
    server: Upstream | EmbeddingServer,
    action: Callable[[OpenAIEmbedder], Awaitable[T]],
    embedding_cache: EmbeddingCache | None = None,
    model: str = "m",
    dimensions: int | None = None,
    max_batch_inputs: int = 2048,
    concurrency: int = 4,
) -> T:
    """Return the result of `action` with a new embedder."""

    async def run() -> T:
        make_client = OpenAIClient(server.url, lambda: "sk-test-5ecret", meter=RecordingMeter(), timeout=5)
        try:
            return await action(
                OpenAIEmbedder(
                    model,
                    make_client,
                    embedding_cache or NullEmbeddingCache(),
                    dimensions=dimensions,
                    max_batch_inputs=max_batch_inputs,
                    concurrency=concurrency,
                )
            )
        finally:
            await make_client.aclose()

    return asyncio.run(run())


def embed_passages(texts: Sequence[str]) -> Callable[[OpenAIEmbedder], Awaitable[Vectors]]:
    """Return an action that embeds these texts as passages."""
    return lambda embedder: embedder.embed(texts, RequestContext("ingest"))


def make_client(url: str = "http://h") -> OpenAIClient:
    """Return a client that sends no requests."""
    return OpenAIClient(url, lambda: None, meter=RecordingMeter())


def expected_vectors(*texts: str) -> Vectors:
    """Return the normalized embeddings of the server."""
    rows = np.array([embed_text(text) for text in texts])
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_vectors_have_unit_length_and_the_order_of_the_texts(upstream: Upstream) -> None:
    """Vectors from the server may have any length and come in any order."""
    texts = ["one two", "three", "four five six"]
    assert np.allclose(run_with_embedder(upstream, embed_passages(texts)), expected_vectors(*texts), atol=1e-6)


def test_texts_are_split_into_requests_and_returned_in_order(server: EmbeddingServer) -> None:
    """With a limit of two inputs, each request has two texts."""
    texts = TEXTS[:5]
    vectors = run_with_embedder(server, embed_passages(texts), max_batch_inputs=2)
    assert sorted(server.requests) == [texts[:2], texts[2:4], texts[4:]]
    assert np.allclose(vectors, expected_vectors(*texts), atol=1e-6)


def test_blank_texts_are_not_sent_and_have_zero_vectors(server: EmbeddingServer) -> None:
    """Servers reject empty inputs."""
    vectors = run_with_embedder(server, embed_passages(["", "one", " \n"]))
    assert server.requests == [["one"]]
    assert np.linalg.norm(vectors, axis=1).round(5).tolist() == [0, 1, 0]


def test_empty_list_sends_no_request(server: EmbeddingServer) -> None:
    """The result has no rows and the dimension of the model."""
    assert run_with_embedder(server, embed_passages([]), model="text-embedding-3-small").shape == (0, 1536)
    assert not server.requests


def test_a_repeated_text_is_sent_once(server: EmbeddingServer) -> None:
    """Every row of a repeated text gets the same vector."""
    texts = ["a b", "c", "a b", "c", "a b"]
    assert np.allclose(
        run_with_embedder(server, embed_passages(texts), max_batch_inputs=2), expected_vectors(*texts), atol=1e-6
    )
    assert server.sent_texts == ["a b", "c"]


@settings(max_examples=60)
@example([200_000] * 8, 8)
@example([599_990, 9, 600_000, 5], 2048)
@given(st.lists(st.integers(0, 700_000), max_size=20), st.integers(1, 8))
def test_no_request_exceeds_a_limit(sizes: list[int], max_inputs: int) -> None:
    """Requests stay within the limits on inputs and tokens; an oversized text is alone; no text is lost."""
    texts = [f"{number} {'x' * size}" for number, size in enumerate(sizes)]
    requests = split_into_requests([*texts, " ", *texts], max_inputs)
    assert [text for batch in requests for text in batch] == texts
    assert all(0 < len(batch) <= max_inputs for batch in requests)
    assert all(len(batch) == 1 or sum(map(len, batch)) / 2 <= MAX_REQUEST_TOKENS for batch in requests)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=40), st.integers(1, 5))
def test_only_the_last_request_is_not_full(texts: list[str], max_inputs: int) -> None:
    """Each text is sent once, in the order of its first occurrence."""
    requests = split_into_requests(texts, max_inputs)
    assert [text for batch in requests for text in batch] == [text for text in dict.fromkeys(texts) if text.strip()]
    assert all(len(batch) == max_inputs for batch in requests[:-1])


def test_concurrent_requests_are_limited(server: EmbeddingServer) -> None:
    """A long list uses the allowed number of concurrent requests and no more."""
    server.delay_seconds = lambda inputs: 0.02
    run_with_embedder(server, embed_passages(TEXTS[:24]), max_batch_inputs=2, concurrency=3)
    assert len(server.requests) == 12
    assert server.max_concurrent == 3


def test_concurrent_calls_share_the_request_limit(server: EmbeddingServer) -> None:
    """The limit applies to the embedder, not to a call."""
    server.delay_seconds = lambda inputs: 0.01

    async def embed_both(embedder: OpenAIEmbedder) -> object:
        halves = TEXTS[:8], TEXTS[8:16]
        return await asyncio.gather(*(embedder.embed(half, RequestContext("ingest")) for half in halves))

    run_with_embedder(server, embed_both, max_batch_inputs=1, concurrency=2)
    assert len(server.requests) == 16
    assert server.max_concurrent == 2


@pytest.mark.slow
@pytest.mark.parametrize("position", [0, 1, 49, 50, 98, 99])
def test_rejected_text_is_found(server: EmbeddingServer, position: int) -> None:
    """One rejected text among 100 is found with at most 16 requests; the others have their vectors."""
    server.refuse = refuse_texts(TEXTS[position])
    with pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(server, embed_passages(TEXTS))
    assert list(caught.value.rejections) == [position]
    assert "content is not allowed" in caught.value.rejections[position]
    others = [row for row in range(100) if row != position]
    assert np.allclose(caught.value.vectors[others], expected_vectors(*(TEXTS[row] for row in others)), atol=1e-6)
    assert not caught.value.vectors[position].any()
    assert len(server.requests) <= 16


UNUSABLE_EMBEDDINGS = {
    "zeros": [0.0] * 32,
    "numbers that are not finite": [float("nan"), float("-inf")] * 16,
    "nulls": [None] * 32,
    "base64 of such numbers": base64.b64encode(np.full(32, np.nan, "<f4").tobytes()).decode(),
}


@pytest.mark.parametrize("kind", UNUSABLE_EMBEDDINGS)
def test_text_without_a_usable_vector_is_rejected(
    server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache, kind: str
) -> None:
    """The other texts of its request are cached; the next run sends only this text."""
    server.odd_embeddings = {TEXTS[3]: UNUSABLE_EMBEDDINGS[kind]}
    for _ in range(2):
        with pytest.raises(PartialEmbeddingError) as caught:
            run_with_embedder(server, embed_passages(TEXTS), embedding_cache)
        assert list(caught.value.rejections) == [3]
        assert "zeros" in caught.value.rejections[3]
        assert np.count_nonzero(caught.value.vectors.any(axis=1)) == 99
    assert server.requests == [TEXTS, [TEXTS[3]], ["text"]]


def test_server_without_any_usable_vector_raises_an_error(server: EmbeddingServer) -> None:
    """No text is rejected, and not all texts are sent."""
    server.odd_embeddings = dict.fromkeys([*TEXTS, "text"], [0.0] * 32)
    with pytest.raises(UpstreamError, match="zeros") as caught:
        run_with_embedder(server, embed_passages(TEXTS), max_batch_inputs=5)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert len(server.requests) <= 8


def test_query_without_a_usable_vector_raises_an_error(server: EmbeddingServer) -> None:
    """A query is not bisected: it costs one request."""
    server.odd_embeddings = {"odd": [0.0] * 32}
    with pytest.raises(UpstreamError, match="zeros"):
        run_with_embedder(server, lambda embedder: embedder.embed(["odd"], RequestContext("query"), query=True))
    assert server.requests == [["odd"]]


def test_texts_beside_a_rejected_text_are_paid_once(
    server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache
) -> None:
    """A second run sends only the rejected text, and it is rejected again."""
    server.refuse = refuse_texts(TEXTS[0])
    for _ in range(2):
        server.requests.clear()
        with pytest.raises(PartialEmbeddingError) as caught:
            run_with_embedder(server, embed_passages(TEXTS), embedding_cache)
        assert list(caught.value.rejections) == [0]
    assert set(server.sent_texts) & set(TEXTS) == {TEXTS[0]}
    assert server.billed <= 3 * 99 + 2


def test_single_rejected_text_is_reported_by_its_row(server: EmbeddingServer) -> None:
    """A list of one rejected text is a partial error, so that the document can be named."""
    server.refuse = refuse_texts("bad")
    with pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(server, embed_passages(["bad"]))
    assert list(caught.value.rejections) == [0]
    assert len(server.requests) <= 2


@pytest.mark.parametrize("inputs", [1, 2048])
def test_server_that_rejects_everything_raises_an_error_soon(server: EmbeddingServer, inputs: int) -> None:
    """The error comes after a few requests, and no text is rejected."""
    server.refuse = lambda inputs: Refusal(400, "this model does not support the parameter dimensions")
    with pytest.raises(UpstreamError, match="parameter dimensions") as caught:
        run_with_embedder(server, embed_passages(TEXTS), max_batch_inputs=inputs)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert len(server.requests) <= 8


@pytest.mark.parametrize("code", ["unsupported_parameter", "model_not_found"])
def test_error_code_about_the_request_is_not_bisected(server: EmbeddingServer, code: str) -> None:
    """Some codes say that the request is wrong, not a text."""
    server.refuse = lambda inputs: Refusal(400, "no", code)
    with pytest.raises(UpstreamError, match="answered 400"):
        run_with_embedder(server, embed_passages(TEXTS))
    assert len(server.requests) == 1


def test_rejected_query_costs_one_request(server: EmbeddingServer) -> None:
    """A query is not bisected, because its user waits."""
    server.refuse = refuse_texts("bad")
    with pytest.raises(UpstreamError, match="content is not allowed"):
        run_with_embedder(server, lambda embedder: embedder.embed(["bad"], RequestContext("query"), query=True))
    assert server.requests == [["bad"]]


@pytest.mark.slow
def test_bisection_of_many_rejected_texts_is_bounded(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every third of 150 texts rejected, every text has a vector or a reason, and not all are sent alone."""
    monkeypatch.setattr("semsearch.models.embedders.openai.MAX_EXTRA_REQUESTS", MAX_EXTRA_REQUESTS // 8)
    texts = [f"text number {number}" for number in range(150)]
    server.refuse = refuse_texts(*texts[::3])
    with pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(server, embed_passages(texts))
    assert len(server.requests) <= 2 + MAX_EXTRA_REQUESTS // 8 + 2
    refused = caught.value.rejections
    assert set(range(0, 150, 3)) <= set(refused)
    assert [row for row in range(150) if row not in refused] == np.flatnonzero(
        caught.value.vectors.any(axis=1)
    ).tolist()


@pytest.mark.parametrize(
    "refusal", [Refusal(400, "Requested 453357 tokens", "max_tokens_per_request"), Refusal(413, "too large")]
)
def test_request_that_is_too_large_is_halved(server: EmbeddingServer, refusal: Refusal) -> None:
    """A server with a lower limit than the known one gets smaller requests."""
    server.refuse = lambda inputs: refusal if len(inputs) > 30 else None
    vectors = run_with_embedder(server, embed_passages(TEXTS))
    assert np.allclose(vectors, expected_vectors(*TEXTS), atol=1e-6)
    assert [len(inputs) for inputs in server.requests if len(inputs) != 1] == [100, 50, 25, 25, 50, 25, 25]


def test_vectors_before_an_outage_are_kept(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """Texts that were embedded before an outage are not sent again."""
    texts = TEXTS[:40]
    server.refuse = lambda inputs: Refusal(401, "out") if len(server.requests) > 5 else None
    with pytest.raises(UpstreamError):
        run_with_embedder(server, embed_passages(texts), embedding_cache, max_batch_inputs=4, concurrency=1)
    embedded_texts = [text for inputs in server.requests[:5] for text in inputs]
    assert len(server.requests) == 6
    server.reset()
    vectors = run_with_embedder(server, embed_passages(texts), embedding_cache, max_batch_inputs=4)
    assert sorted(server.sent_texts) == sorted(set(texts) - set(embedded_texts))
    assert np.allclose(vectors, expected_vectors(*texts), atol=1e-6)


def test_requests_beside_a_failure_are_kept(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """Running requests are cached although another has failed; waiting requests are not sent."""
    server.delay_seconds = lambda inputs: 0.01 if "text number 0" in inputs else 0.05
    server.refuse = lambda inputs: Refusal(401, "no") if "text number 0" in inputs else None
    with pytest.raises(UpstreamError):
        run_with_embedder(server, embed_passages(TEXTS), embedding_cache, max_batch_inputs=10, concurrency=4)
    assert len(server.requests) == 4
    cached = embedding_cache.find(f"openai:m {server.url}", [hash_text(text) for text in TEXTS])
    assert len(cached) == 30


FAULTS: dict[str, Refusal | bytes] = {
    "500": Refusal(500, "it broke"),
    "502": Refusal(502, "it broke"),
    "503": Refusal(503, "it broke"),
    "another dimension": b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}',
    "no vectors": b'{"data": []}',
    "not JSON": b"<html>",
    "cut short": b'{"data": [{"index": 0, "embed',
    "an error with 200": b'{"error": "it broke"}',
    "not an embedding": b'{"data": [{"index": 0, "embedding": "%"}]}',
    "too long for one text": b" " * (2 << 20),
    "503 with Retry-After": Refusal(503, "it broke"),
    "broken off": CUT_OFF,
}
"""Responses to a request that contains a bad text."""

TEMPORARY_FAULTS = ("503 with Retry-After", "broken off")
"""Faults after which a request of an ingest is tried eight times; a probe follows."""


def fail_for(server: EmbeddingServer, fault: str, *bad: str) -> None:
    """Make the server respond with this fault to these texts."""
    response = FAULTS[fault]
    server.retry_after = "0.001" if fault == "503 with Retry-After" else None
    if isinstance(response, Refusal):
        server.refuse = refuse_texts(*bad, refusal=response)
    else:
        server.corrupt = corrupt_texts(response, *bad)


@contextmanager
def no_backoff() -> Iterator[None]:
    """Retry at once in this block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semsearch.models.openai.errors.compute_backoff", lambda attempt, random_fn: 0.0)
        yield


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@example(64, {0}, 64, "500")
@example(64, {63}, 64, "500")
@example(300, {17}, 2048, "another dimension")
@example(40, set(range(40)), 2048, "not JSON")
@example(40, {0, 1, 2, 3, 39}, 7, "503")
@example(64, {63}, 64, "503 with Retry-After")
@example(40, {0, 1, 2, 3, 39}, 7, "503 with Retry-After")
@example(64, {0}, 64, "broken off")
@example(40, set(range(40)), 2048, "broken off")
@example(1, {0}, 1, "broken off")
@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59), min_size=1, max_size=12),
    st.sampled_from([1, 2, 7, 2048]),
    st.sampled_from(sorted(FAULTS)),
)
def test_texts_that_cause_faults_are_found(
    module_server: EmbeddingServer, count: int, positions: set[int], max_inputs: int, fault: str
) -> None:
    """Only the bad texts are rejected; each costs at most 2 ceil(log2 n) requests, plus retries and a probe.

    There is one retry, or seven after a fault that may be temporary.
    """
    module_server.reset()
    texts = [f"text number {number}" for number in range(count)]
    bad = sorted(position for position in positions if position < count) or [count - 1]
    fail_for(module_server, fault, *(texts[position] for position in bad))
    with no_backoff(), pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(module_server, embed_passages(texts), dimensions=32, max_batch_inputs=max_inputs)
    assert sorted(caught.value.rejections) == bad
    good_rows = [row for row in range(count) if row not in bad]
    if good_rows:
        assert np.allclose(
            caught.value.vectors[good_rows], expected_vectors(*(texts[row] for row in good_rows)), atol=1e-6
        )
    max_retries_and_probes = 8 if fault in TEMPORARY_FAULTS else 2
    max_requests = 0
    for start in range(0, count, max_inputs):
        size = min(max_inputs, count - start)
        bad_count = sum(start <= position < start + size for position in bad)
        max_requests += 1 + bad_count * 2 * (size - 1).bit_length() + (max_retries_and_probes if bad_count else 0)
    assert len(module_server.requests) <= max_requests


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_texts_beside_a_fault_are_paid_once(
    server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache, fault: str
) -> None:
    """The next run sends only the bad text and rejects it again."""
    fail_for(server, fault, TEXTS[7])
    for _ in range(2):
        earlier_requests = len(server.requests)
        with no_backoff(), pytest.raises(PartialEmbeddingError) as caught:
            run_with_embedder(server, embed_passages(TEXTS), embedding_cache, dimensions=32)
        assert list(caught.value.rejections) == [7]
    assert set(text for inputs in server.requests[earlier_requests:] for text in inputs) == {TEXTS[7], "text"}
    assert len(server.requests[earlier_requests:]) <= (9 if fault in TEMPORARY_FAULTS else 3)


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [5, 2048])
def test_outage_is_not_bisected(server: EmbeddingServer, inputs: int) -> None:
    """If the server fails for a harmless text too, no request is halved."""
    server.refuse = lambda inputs: Refusal(500, "down")
    meter = RecordingMeter()

    async def run() -> None:
        client = OpenAIClient(server.url, lambda: None, meter=meter)
        try:
            embedder = OpenAIEmbedder("m", client, NullEmbeddingCache(), max_batch_inputs=inputs)
            await embedder.embed(TEXTS, RequestContext("ingest", deadline=time.monotonic() + 3))
        finally:
            await client.aclose()

    with pytest.raises((UpstreamError, UnavailableError)) as caught:
        asyncio.run(run())
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert {len(sent) for sent in server.requests} <= {1, min(inputs, 100)}
    assert len(server.requests) <= (8 if inputs == 2048 else 4 * 8)
    assert len(meter.outcomes) == len(server.requests)


@pytest.mark.parametrize("fault", TEMPORARY_FAULTS)
def test_outage_that_may_be_temporary_is_not_bisected(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """If the server fails for the probe after the last try too, no text is rejected and the circuit opens."""
    for name in ("_MIN_OPEN_SECONDS", "_MAX_OPEN_SECONDS"):
        monkeypatch.setattr(f"semsearch.models.openai.retries.{name}", 0.05)
    fail_for(server, fault, *TEXTS, "text")

    async def run(embedder: OpenAIEmbedder) -> str:
        with pytest.raises(UnavailableError, match=r"too busy \(503\)|closed the connection"):
            await embedder.embed(TEXTS, RequestContext("ingest"))
        return embedder.client.get_state().state

    with no_backoff():
        assert run_with_embedder(server, run) == "open"
    assert {len(sent) for sent in server.requests} == {1, 100}
    assert len(server.requests) <= 9


@pytest.mark.parametrize("fault", TEMPORARY_FAULTS)
def test_temporary_fault_is_waited_for(server: EmbeddingServer, fault: str) -> None:
    """An ingest retries its request six times, and no half is sent."""
    fail_for(server, fault, *TEXTS)
    fails, breaks = server.refuse, server.corrupt
    server.refuse = lambda inputs: fails(inputs) if len(server.requests) <= 7 else None
    server.corrupt = lambda inputs: breaks(inputs) if len(server.requests) <= 7 else None
    with no_backoff():
        vectors = run_with_embedder(server, embed_passages(TEXTS))
    assert np.allclose(vectors, expected_vectors(*TEXTS), atol=1e-6)
    assert {len(inputs) for inputs in server.requests} <= {1, 100}


def test_probe_after_the_last_try_waits_for_the_server(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that works again after its Retry-After, such as one that starts again, is not taken for an outage."""
    for name in ("_MIN_OPEN_SECONDS", "_MAX_OPEN_SECONDS"):
        monkeypatch.setattr(f"semsearch.models.openai.retries.{name}", 0.01)
    server.retry_after = "0.1"
    failed_at = 0.0

    def refuse(inputs: list[str]) -> Refusal | None:
        nonlocal failed_at
        if TEXTS[0] not in inputs and time.monotonic() - failed_at >= 0.1:
            return None
        failed_at = time.monotonic() if TEXTS[0] in inputs else failed_at
        return Refusal(503, "it starts")

    server.refuse = refuse
    with pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(server, embed_passages(TEXTS[:1]))
    assert list(caught.value.rejections) == [0]
    assert len(server.requests) <= 9


def test_text_with_a_long_retry_after_is_rejected(server: EmbeddingServer) -> None:
    """A Retry-After that is too long to wait for is followed by the probe at once."""
    fail_for(server, "503 with Retry-After", TEXTS[0])
    server.retry_after = "3600"
    with pytest.raises(PartialEmbeddingError) as caught:
        run_with_embedder(server, embed_passages(TEXTS[:2]))
    assert list(caught.value.rejections) == [0]
    assert server.requests == [TEXTS[:2], ["text"], TEXTS[:1], TEXTS[1:2]]


@pytest.mark.parametrize("fault", ["not JSON", "another dimension"])
def test_server_with_only_unusable_replies_raises_an_error(server: EmbeddingServer, fault: str) -> None:
    """No text is rejected if a harmless text gets the same reply."""
    fail_for(server, fault, *TEXTS, "text")
    with pytest.raises(UpstreamError) as caught:
        run_with_embedder(server, embed_passages(TEXTS), dimensions=32)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert server.requests == [TEXTS, ["text"]]


def test_outage_during_a_bisection_rejects_no_text(
    server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache
) -> None:
    """After ceil(log2 n) + 1 consecutive faults the server is probed again; earlier vectors are kept."""
    bad = refuse_texts(TEXTS[99], refusal=Refusal(500, "it broke"))
    server.refuse = lambda inputs: Refusal(500, "down") if len(server.requests) > 6 else bad(inputs)
    with pytest.raises(UpstreamError, match="answered 500") as caught:
        run_with_embedder(server, embed_passages(TEXTS), embedding_cache)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert [len(inputs) for inputs in server.requests[:6]] == [100, 100, 1, 50, 50, 25]
    assert len(server.requests) <= 6 + 8 + 1
    assert len(embedding_cache.find(f"openai:m {server.url}", [hash_text(text) for text in TEXTS])) == 75


def test_transient_fault_rejects_no_text(server: EmbeddingServer) -> None:
    """After two consecutive faults the halves get their vectors."""
    server.refuse = lambda inputs: Refusal(500, "for a moment") if len(server.requests) <= 2 else None
    assert np.allclose(run_with_embedder(server, embed_passages(TEXTS)), expected_vectors(*TEXTS), atol=1e-6)
    assert [len(inputs) for inputs in server.requests] == [100, 100, 1, 50, 50]


@pytest.mark.parametrize("fault", ["500", *TEMPORARY_FAULTS])
def test_bad_texts_do_not_open_the_circuit(server: EmbeddingServer, fault: str) -> None:
    """Even several concurrent requests with bad texts leave the circuit closed for queries."""
    fail_for(server, fault, *TEXTS[::6])
    states = set()

    async def run(embedder: OpenAIEmbedder) -> None:
        task = asyncio.ensure_future(embedder.embed(TEXTS, RequestContext("ingest")))
        while not task.done():
            states.add(embedder.client.get_state().state)
            await asyncio.sleep(0.0005)
        with pytest.raises(PartialEmbeddingError) as caught:
            task.result()
        assert sorted(caught.value.rejections) == list(range(0, 100, 6))

    with no_backoff():
        run_with_embedder(server, run, max_batch_inputs=10, concurrency=8)
    assert states == {"ok"}


def test_each_request_of_a_bisection_is_settled(server: EmbeddingServer) -> None:
    """This includes the probe and the halves; the tokens equal those that the server billed."""
    fail_for(server, "500", TEXTS[7])
    meter, context = RecordingMeter(), RequestContext("ingest")

    async def run() -> None:
        client = OpenAIClient(server.url, lambda: None, meter=meter)
        with pytest.raises(PartialEmbeddingError):
            await OpenAIEmbedder("m", client, NullEmbeddingCache()).embed(TEXTS, context)
        await client.aclose()

    asyncio.run(run())
    assert sorted(list(request.texts) for request in meter.requests) == sorted(server.requests)
    assert context.usage_counter.usage.embedding_tokens == server.billed


def test_unreachable_server_raises_unavailable() -> None:
    """No text is rejected."""
    with run_embedding_server() as server:
        pass
    with pytest.raises(UnavailableError):
        run_with_embedder(server, lambda embedder: embedder.embed(["a"], RequestContext("query"), query=True))


def test_text_is_paid_once(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """Another embedder of the same space reads vectors and dimension from the cache."""
    vectors = run_with_embedder(server, embed_passages(TEXTS), embedding_cache)
    server.reset()
    cached_vectors = run_with_embedder(server, embed_passages(TEXTS[::-1]), embedding_cache)
    assert np.array_equal(cached_vectors, vectors[::-1])
    assert server.requests == []
    assert run_with_embedder(server, lambda embedder: _plan_texts(embedder, TEXTS), embedding_cache) == []


async def _plan_texts(embedder: OpenAIEmbedder, texts: Sequence[str]) -> list[Sequence[str]]:
    return [request.texts for request in embedder.plan_requests(texts)]


def test_each_space_is_cached_separately(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """Other dimensions of the same model are another space."""
    run_with_embedder(server, embed_passages(["one"]), embedding_cache)
    assert run_with_embedder(server, embed_passages(["one"]), embedding_cache, dimensions=8).shape == (1, 8)
    assert len(server.requests) == 2


def test_query_is_not_cached(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """Queries are personal data: they are neither stored in the cache nor looked up."""
    run_with_embedder(
        server, lambda embedder: embedder.embed(["one"], RequestContext("query"), query=True), embedding_cache
    )
    assert not embedding_cache.path.exists()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_planned_requests_equal_sent_requests(module_server: EmbeddingServer, data: st.DataObject) -> None:
    """`plan_requests` returns the requests that `embed` then sends."""
    module_server.reset()
    words = st.sampled_from(["", " ", "a", "b", "c d", "e f g", "h", "i"])
    texts = data.draw(st.lists(words, max_size=12))
    max_inputs = data.draw(st.integers(1, 4))
    planned = run_with_embedder(
        module_server, lambda embedder: _plan_texts(embedder, texts), max_batch_inputs=max_inputs
    )
    run_with_embedder(module_server, embed_passages(texts), max_batch_inputs=max_inputs)
    assert sorted(module_server.requests) == sorted(map(list, planned))


def test_name_contains_model_dimensions_and_server() -> None:
    """Another model, dimension or server is another space."""
    client = make_client("https://api.openai.com/v1/")
    names = [OpenAIEmbedder("m", client, NullEmbeddingCache(), dimensions=size).name for size in (None, 256)]
    assert names == ["openai:m https://api.openai.com/v1", "openai:m@256 https://api.openai.com/v1"]


def test_dimension_of_a_known_model_needs_no_request() -> None:
    """Requested or known dimensions are available at once; otherwise the first reply gives them."""
    assert OpenAIEmbedder("text-embedding-3-large", make_client(), NullEmbeddingCache()).dim == 3072
    assert OpenAIEmbedder("any", make_client(), NullEmbeddingCache(), dimensions=256).dim == 256
    assert OpenAIEmbedder("any", make_client(), NullEmbeddingCache()).dim == 0


def test_requested_dimensions_are_sent(upstream: Upstream) -> None:
    """The server returns shorter vectors, which are normalized."""
    vectors = run_with_embedder(upstream, embed_passages(["one"]), dimensions=8)
    assert upstream.calls[0].body["dimensions"] == 8
    assert vectors.shape == (1, 8)
    assert np.isclose(np.linalg.norm(vectors), 1)


def test_vectors_of_another_dimension_are_rejected(upstream: Upstream, embedding_cache: SqliteEmbeddingCache) -> None:
    """Vectors of a server that ignores the dimensions, or has another model, are not cached."""
    upstream.scripted_replies = [ScriptedReply([b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}'])]
    with pytest.raises(UpstreamError, match=r"openai:m@8 .* returned vectors of 3 numbers instead of 8"):
        run_with_embedder(upstream, embed_passages(["one"]), embedding_cache, dimensions=8)
    assert not embedding_cache.path.exists()


def test_changed_dimension_is_rejected(server: EmbeddingServer, embedding_cache: SqliteEmbeddingCache) -> None:
    """The first vectors of a space fix its dimension, also those of an earlier run."""
    embedding_cache.put(f"openai:m {server.url}", {hash_text("one"): np.ones(7, np.float32)})
    with pytest.raises(UpstreamError, match="returned vectors of 32 numbers instead of 7"):
        run_with_embedder(server, embed_passages(["one", "two"]), embedding_cache)


@pytest.mark.parametrize("numbers", ["0, 0", "1e-46, 0"])
def test_zero_vector_is_rejected(upstream: Upstream, numbers: str) -> None:
    """It has no direction, so it is similar to nothing."""
    upstream.scripted_replies = [ScriptedReply([f'{{"data": [{{"index": 0, "embedding": [{numbers}]}}]}}'.encode()])]
    with pytest.raises(UpstreamError, match="zeros"):
        run_with_embedder(upstream, embed_passages(["one"]))


def test_large_numbers_are_normalized(upstream: Upstream) -> None:
    """Numbers whose squares overflow float32 still give a unit vector."""
    upstream.scripted_replies = [ScriptedReply([b'{"data": [{"index": 0, "embedding": [3e30, 4e30]}]}'])]
    assert np.allclose(run_with_embedder(upstream, embed_passages(["one"])), [[0.6, 0.8]])


def test_each_request_is_reserved_with_its_texts(server: EmbeddingServer) -> None:
    """The meter gets the inputs of every request and the tokens that the server counted."""
    meter, context = RecordingMeter(), RequestContext("ingest")

    async def run() -> None:
        client = OpenAIClient(server.url, lambda: None, meter=meter)
        await OpenAIEmbedder("m", client, NullEmbeddingCache(), max_batch_inputs=2).embed(["a b", "c", "d"], context)
        await client.aclose()

    asyncio.run(run())
    assert sorted(list(request.texts) for request in meter.requests) == sorted(server.requests)
    assert (context.usage_counter.requests, context.usage_counter.usage.embedding_tokens, server.billed) == (2, 4, 4)


def test_embedder_implements_the_port() -> None:
    """mypy accepts OpenAIEmbedder as an Embedder."""
    embedder: Embedder = OpenAIEmbedder("m", make_client(), NullEmbeddingCache())
    assert embedder.dense_weights["other"] > 0
