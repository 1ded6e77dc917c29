"""What is promised of embeddings from an OpenAI-compatible server."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.batch_server import EmbeddingServer, Refusal, corrupt_texts, refuse_texts, run_embedding_server
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

T = TypeVar("T")
HUNDRED = [f"text number {number}" for number in range(100)]


@pytest.fixture(scope="module")
def scripted() -> Iterator[Upstream]:
    """One server with scripts for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    """The server with scripts as if it were new."""
    scripted.reset()
    return scripted


@pytest.fixture(scope="module")
def minding() -> Iterator[EmbeddingServer]:
    """One server with books for all tests of this file."""
    with run_embedding_server() as server:
        yield server


@pytest.fixture
def server(minding: EmbeddingServer) -> EmbeddingServer:
    """The server with books as if it were new."""
    minding.reset()
    return minding


@pytest.fixture
def paid(tmp_path: Path) -> Iterator[SqliteEmbeddingCache]:
    """Nothing is paid for yet."""
    made = SqliteEmbeddingCache(tmp_path)
    yield made
    made.close()


def with_embedder(
    server: Upstream | EmbeddingServer,
    deed: Callable[[OpenAIEmbedder], Awaitable[T]],
    paid: EmbeddingCache | None = None,
    model: str = "m",
    dimensions: int | None = None,
    max_batch_inputs: int = 2048,
    concurrency: int = 4,
) -> T:
    """What `deed` returns, done with an embedder of its own."""

    async def run() -> T:
        client = OpenAIClient(server.url, lambda: "sk-test-5ecret", meter=RecordingMeter(), timeout=5)
        try:
            return await deed(
                OpenAIEmbedder(
                    model,
                    client,
                    paid or NullEmbeddingCache(),
                    dimensions=dimensions,
                    max_batch_inputs=max_batch_inputs,
                    concurrency=concurrency,
                )
            )
        finally:
            await client.aclose()

    return asyncio.run(run())


def passages(texts: Sequence[str]) -> Callable[[OpenAIEmbedder], Awaitable[Vectors]]:
    """Embed these as passages."""
    return lambda embedder: embedder.embed(texts, RequestContext("ingest"))


def client(url: str = "http://h") -> OpenAIClient:
    """A client that is never used."""
    return OpenAIClient(url, lambda: None, meter=RecordingMeter())


def expected(*texts: str) -> Vectors:
    """The unit vectors that the server's embeddings become."""
    rows = np.array([embed_text(text) for text in texts])
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_vectors_have_unit_length_and_the_order_of_the_texts(upstream: Upstream) -> None:
    """Whatever length the server gives, and in whatever order."""
    texts = ["one two", "three", "four five six"]
    assert np.allclose(with_embedder(upstream, passages(texts)), expected(*texts), atol=1e-6)


def test_texts_go_in_batches_and_come_back_in_order(server: EmbeddingServer) -> None:
    """A server that takes two inputs gets two at a time."""
    texts = HUNDRED[:5]
    vectors = with_embedder(server, passages(texts), max_batch_inputs=2)
    assert sorted(server.requests) == [texts[:2], texts[2:4], texts[4:]]
    assert np.allclose(vectors, expected(*texts), atol=1e-6)


def test_blank_texts_cost_nothing_and_are_zeros(server: EmbeddingServer) -> None:
    """Servers refuse empty inputs, so they are not sent."""
    vectors = with_embedder(server, passages(["", "one", " \n"]))
    assert server.requests == [["one"]]
    assert np.linalg.norm(vectors, axis=1).round(5).tolist() == [0, 1, 0]


def test_nothing_is_sent_for_nothing(server: EmbeddingServer) -> None:
    """No text, no call, and a shape that fits all the same."""
    assert with_embedder(server, passages([]), model="text-embedding-3-small").shape == (0, 1536)
    assert not server.requests


def test_a_repeated_text_is_sent_once(server: EmbeddingServer) -> None:
    """Every place where a text stands gets its one vector."""
    texts = ["a b", "c", "a b", "c", "a b"]
    assert np.allclose(with_embedder(server, passages(texts), max_batch_inputs=2), expected(*texts), atol=1e-6)
    assert server.sent_texts == ["a b", "c"]


@settings(max_examples=60)
@example([200_000] * 8, 8)
@example([599_990, 9, 600_000, 5], 2048)
@given(st.lists(st.integers(0, 700_000), max_size=20), st.integers(1, 8))
def test_no_request_is_over_a_bound(sizes: list[int], most: int) -> None:
    """Requests stay within the bounds on inputs and on tokens of two bytes, one oversized text alone; none is lost."""
    texts = [f"{number} {'x' * size}" for number, size in enumerate(sizes)]
    filled = split_into_requests([*texts, " ", *texts], most)
    assert [text for batch in filled for text in batch] == texts
    assert all(0 < len(batch) <= most for batch in filled)
    assert all(len(batch) == 1 or sum(map(len, batch)) / 2 <= MAX_REQUEST_TOKENS for batch in filled)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=40), st.integers(1, 5))
def test_requests_are_as_full_as_they_may_be(texts: list[str], most: int) -> None:
    """Only the last request has room for another input; each text goes once, in its first place."""
    filled = split_into_requests(texts, most)
    assert [text for batch in filled for text in batch] == [text for text in dict.fromkeys(texts) if text.strip()]
    assert all(len(batch) == most for batch in filled[:-1])


def test_only_so_many_requests_are_under_way(server: EmbeddingServer) -> None:
    """A long list uses all the requests that are allowed at once, and never one more."""
    server.delay_seconds = lambda inputs: 0.02
    with_embedder(server, passages(HUNDRED[:24]), max_batch_inputs=2, concurrency=3)
    assert len(server.requests) == 12
    assert server.max_concurrent == 3


def test_two_lists_share_what_may_be_under_way(server: EmbeddingServer) -> None:
    """The bound is the embedder's, whoever asks."""
    server.delay_seconds = lambda inputs: 0.01

    async def both(embedder: OpenAIEmbedder) -> object:
        halves = HUNDRED[:8], HUNDRED[8:16]
        return await asyncio.gather(*(embedder.embed(half, RequestContext("ingest")) for half in halves))

    with_embedder(server, both, max_batch_inputs=1, concurrency=2)
    assert len(server.requests) == 16
    assert server.max_concurrent == 2


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, 49, 50, 98, 99])
def test_a_poisoned_text_is_found(server: EmbeddingServer, place: int) -> None:
    """One of a hundred that the server minds is named after 16 requests at most; the others have their vectors."""
    server.refuse = refuse_texts(HUNDRED[place])
    with pytest.raises(PartialEmbeddingError) as caught:
        with_embedder(server, passages(HUNDRED))
    assert list(caught.value.rejections) == [place]
    assert "content is not allowed" in caught.value.rejections[place]
    others = [row for row in range(100) if row != place]
    assert np.allclose(caught.value.vectors[others], expected(*(HUNDRED[row] for row in others)), atol=1e-6)
    assert not caught.value.vectors[place].any()
    assert len(server.requests) <= 16


ODD = {
    "zeros": [0.0] * 32,
    "numbers that are not finite": [float("nan"), float("-inf")] * 16,
    "nulls": [None] * 32,
    "base64 of such numbers": base64.b64encode(np.full(32, np.nan, "<f4").tobytes()).decode(),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_text_that_gets_no_vector_is_named(server: EmbeddingServer, paid: SqliteEmbeddingCache, kind: str) -> None:
    """The others of its request are paid for and kept; the next run asks for it alone."""
    server.odd_embeddings = {HUNDRED[3]: ODD[kind]}
    for _ in range(2):
        with pytest.raises(PartialEmbeddingError) as caught:
            with_embedder(server, passages(HUNDRED), paid)
        assert list(caught.value.rejections) == [3]
        assert "zeros" in caught.value.rejections[3]
        assert np.count_nonzero(caught.value.vectors.any(axis=1)) == 99
    assert server.requests == [HUNDRED, [HUNDRED[3]], ["text"]]


def test_a_server_that_gives_no_vectors_at_all_is_wrong_itself(server: EmbeddingServer) -> None:
    """No text is blamed, and it is not asked for all of them."""
    server.odd_embeddings = dict.fromkeys([*HUNDRED, "text"], [0.0] * 32)
    with pytest.raises(UpstreamError, match="zeros") as caught:
        with_embedder(server, passages(HUNDRED), max_batch_inputs=5)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert len(server.requests) <= 8


def test_a_question_that_gets_no_vector_is_an_error(server: EmbeddingServer) -> None:
    """It costs one request: somebody waits for it."""
    server.odd_embeddings = {"odd": [0.0] * 32}
    with pytest.raises(UpstreamError, match="zeros"):
        with_embedder(server, lambda embedder: embedder.embed(["odd"], RequestContext("query"), query=True))
    assert server.requests == [["odd"]]


def test_what_poison_stood_beside_is_paid_once(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """A second run asks for the refused text alone, and finds it refused again."""
    server.refuse = refuse_texts(HUNDRED[0])
    for _ in range(2):
        server.requests.clear()
        with pytest.raises(PartialEmbeddingError) as caught:
            with_embedder(server, passages(HUNDRED), paid)
        assert list(caught.value.rejections) == [0]
    assert set(server.sent_texts) & set(HUNDRED) == {HUNDRED[0]}
    assert server.billed <= 3 * 99 + 2


def test_a_text_alone_is_told_from_a_request_that_is_wrong(server: EmbeddingServer) -> None:
    """A list of one poisoned text is refused by its row, so that a document can be named for it."""
    server.refuse = refuse_texts("bad")
    with pytest.raises(PartialEmbeddingError) as caught:
        with_embedder(server, passages(["bad"]))
    assert list(caught.value.rejections) == [0]
    assert len(server.requests) <= 2


@pytest.mark.parametrize("inputs", [1, 2048])
def test_a_request_that_is_wrong_ends_soon(server: EmbeddingServer, inputs: int) -> None:
    """Where the server refuses whatever it is sent, that is an error after a few requests, and no text is blamed."""
    server.refuse = lambda inputs: Refusal(400, "this model does not support the parameter dimensions")
    with pytest.raises(UpstreamError, match="parameter dimensions") as caught:
        with_embedder(server, passages(HUNDRED), max_batch_inputs=inputs)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert len(server.requests) <= 8


@pytest.mark.parametrize("code", ["unsupported_parameter", "model_not_found"])
def test_a_refusal_that_speaks_of_no_text_is_not_searched(server: EmbeddingServer, code: str) -> None:
    """Some codes say that it is the request."""
    server.refuse = lambda inputs: Refusal(400, "no", code)
    with pytest.raises(UpstreamError, match="answered 400"):
        with_embedder(server, passages(HUNDRED))
    assert len(server.requests) == 1


def test_a_question_that_is_refused_costs_one_request(server: EmbeddingServer) -> None:
    """Somebody waits for it."""
    server.refuse = refuse_texts("bad")
    with pytest.raises(UpstreamError, match="content is not allowed"):
        with_embedder(server, lambda embedder: embedder.embed(["bad"], RequestContext("query"), query=True))
    assert server.requests == [["bad"]]


@pytest.mark.slow
def test_much_poison_ends_bounded(server: EmbeddingServer) -> None:
    """Every third of 600 texts is minded: the search ends, every text has its vector or its reason."""
    texts = [f"text number {number}" for number in range(600)]
    server.refuse = refuse_texts(*texts[::3])
    with pytest.raises(PartialEmbeddingError) as caught:
        with_embedder(server, passages(texts))
    assert len(server.requests) <= 2 + MAX_EXTRA_REQUESTS + 2
    refused = caught.value.rejections
    assert set(range(0, 600, 3)) <= set(refused)
    assert [row for row in range(600) if row not in refused] == np.flatnonzero(
        caught.value.vectors.any(axis=1)
    ).tolist()


@pytest.mark.parametrize(
    "refusal", [Refusal(400, "Requested 453357 tokens", "max_tokens_per_request"), Refusal(413, "too large")]
)
def test_what_is_too_large_goes_in_halves(server: EmbeddingServer, refusal: Refusal) -> None:
    """A server with a smaller bound than the known one gets less at once, and every text gets through."""
    server.refuse = lambda inputs: refusal if len(inputs) > 30 else None
    vectors = with_embedder(server, passages(HUNDRED))
    assert np.allclose(vectors, expected(*HUNDRED), atol=1e-6)
    assert [len(inputs) for inputs in server.requests if len(inputs) != 1] == [100, 50, 25, 25, 50, 25, 25]


def test_an_outage_keeps_what_was_paid(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """What came before a server was gone is not asked for again when it is back."""
    texts = HUNDRED[:40]
    server.refuse = lambda inputs: Refusal(401, "out") if len(server.requests) > 5 else None
    with pytest.raises(UpstreamError):
        with_embedder(server, passages(texts), paid, max_batch_inputs=4, concurrency=1)
    bought = [text for inputs in server.requests[:5] for text in inputs]
    assert len(server.requests) == 6
    server.reset()
    vectors = with_embedder(server, passages(texts), paid, max_batch_inputs=4)
    assert sorted(server.sent_texts) == sorted(set(texts) - set(bought))
    assert np.allclose(vectors, expected(*texts), atol=1e-6)


def test_what_is_under_way_beside_a_failure_is_kept(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """A request that ends after another has failed was paid for too; those that wait for their turn are not sent."""
    server.delay_seconds = lambda inputs: 0.01 if "text number 0" in inputs else 0.05
    server.refuse = lambda inputs: Refusal(401, "no") if "text number 0" in inputs else None
    with pytest.raises(UpstreamError):
        with_embedder(server, passages(HUNDRED), paid, max_batch_inputs=10, concurrency=4)
    assert len(server.requests) == 4
    kept = paid.find(f"openai:m {server.url}", [hash_text(text) for text in HUNDRED])
    assert len(kept) == 30


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
}
"""What a server does for a request with a bad text in it."""


def fail(server: EmbeddingServer, fault: str, *bad: str) -> None:
    """Let the server do so for these texts."""
    does = FAULTS[fault]
    if isinstance(does, Refusal):
        server.refuse = refuse_texts(*bad, refusal=does)
    else:
        server.corrupt = corrupt_texts(does, *bad)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@example(64, {0}, 64, "500")
@example(64, {63}, 64, "500")
@example(300, {17}, 2048, "another dimension")
@example(40, set(range(40)), 2048, "not JSON")
@example(40, {0, 1, 2, 3, 39}, 7, "503")
@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59), min_size=1, max_size=12),
    st.sampled_from([1, 2, 7, 2048]),
    st.sampled_from(sorted(FAULTS)),
)
def test_texts_that_a_server_fails_for_are_found(
    minding: EmbeddingServer, n: int, places: set[int], most: int, fault: str
) -> None:
    """Exactly the bad texts are named, the others have vectors; each bad text costs 2 ceil(log2 n) requests at most.

    The second try of a request and the probe are not counted in that.
    """
    minding.reset()
    texts = [f"text number {number}" for number in range(n)]
    bad = sorted(place for place in places if place < n) or [n - 1]
    fail(minding, fault, *(texts[place] for place in bad))
    with pytest.raises(PartialEmbeddingError) as caught:
        with_embedder(minding, passages(texts), dimensions=32, max_batch_inputs=most)
    assert sorted(caught.value.rejections) == bad
    good = [row for row in range(n) if row not in bad]
    if good:
        assert np.allclose(caught.value.vectors[good], expected(*(texts[row] for row in good)), atol=1e-6)
    allowed = 0
    for start in range(0, n, most):
        size = min(most, n - start)
        found = sum(start <= place < start + size for place in bad)
        allowed += 1 + found * 2 * (size - 1).bit_length() + (2 if found else 0)
    assert len(minding.requests) <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_fault_stood_beside_is_paid_once(
    server: EmbeddingServer, paid: SqliteEmbeddingCache, fault: str
) -> None:
    """The next run asks for the bad text alone, and names it again."""
    fail(server, fault, HUNDRED[7])
    for _ in range(2):
        sent = len(server.requests)
        with pytest.raises(PartialEmbeddingError) as caught:
            with_embedder(server, passages(HUNDRED), paid, dimensions=32)
        assert list(caught.value.rejections) == [7]
    assert set(text for inputs in server.requests[sent:] for text in inputs) == {HUNDRED[7], "text"}
    assert len(server.requests[sent:]) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [5, 2048])
def test_an_outage_is_not_searched(server: EmbeddingServer, inputs: int) -> None:
    """Where the server fails for a harmless text as well, the error is its own, and no request is halved."""
    server.refuse = lambda inputs: Refusal(500, "down")
    meter = RecordingMeter()

    async def run() -> None:
        openai = OpenAIClient(server.url, lambda: None, meter=meter)
        try:
            embedder = OpenAIEmbedder("m", openai, NullEmbeddingCache(), max_batch_inputs=inputs)
            await embedder.embed(HUNDRED, RequestContext("ingest", deadline=time.monotonic() + 3))
        finally:
            await openai.aclose()

    with pytest.raises((UpstreamError, UnavailableError)) as caught:
        asyncio.run(run())
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert {len(sent) for sent in server.requests} <= {1, min(inputs, 100)}
    assert len(server.requests) <= (8 if inputs == 2048 else 4 * 8)
    assert len(meter.outcomes) == len(server.requests)


@pytest.mark.parametrize("fault", ["not JSON", "another dimension"])
def test_a_server_whose_replies_cannot_be_used_is_wrong_itself(server: EmbeddingServer, fault: str) -> None:
    """No text is blamed where a harmless one gets the same reply."""
    fail(server, fault, *HUNDRED, "text")
    with pytest.raises(UpstreamError) as caught:
        with_embedder(server, passages(HUNDRED), dimensions=32)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert server.requests == [HUNDRED, ["text"]]


def test_an_outage_in_the_middle_of_a_search_blames_no_text(
    server: EmbeddingServer, paid: SqliteEmbeddingCache
) -> None:
    """After ceil(log2 n) + 1 faults in a row the server is probed again; what it gave before is kept."""
    bad = refuse_texts(HUNDRED[99], refusal=Refusal(500, "it broke"))
    server.refuse = lambda inputs: Refusal(500, "down") if len(server.requests) > 6 else bad(inputs)
    with pytest.raises(UpstreamError, match="answered 500") as caught:
        with_embedder(server, passages(HUNDRED), paid)
    assert not isinstance(caught.value, PartialEmbeddingError)
    assert [len(inputs) for inputs in server.requests[:6]] == [100, 100, 1, 50, 50, 25]
    assert len(server.requests) <= 6 + 8 + 1
    assert len(paid.find(f"openai:m {server.url}", [hash_text(text) for text in HUNDRED])) == 75


def test_a_fault_that_passes_blames_no_text(server: EmbeddingServer) -> None:
    """Two failures in a row, and then the halves get their vectors."""
    server.refuse = lambda inputs: Refusal(500, "for a moment") if len(server.requests) <= 2 else None
    assert np.allclose(with_embedder(server, passages(HUNDRED)), expected(*HUNDRED), atol=1e-6)
    assert [len(inputs) for inputs in server.requests] == [100, 100, 1, 50, 50]


def test_bad_texts_do_not_open_the_circuit(server: EmbeddingServer) -> None:
    """Not even where several requests at once hold one: searches by the same server go on."""
    server.refuse = refuse_texts(*HUNDRED[::6], refusal=Refusal(500, "it broke"))
    states = set()

    async def run(embedder: OpenAIEmbedder) -> None:
        task = asyncio.ensure_future(embedder.embed(HUNDRED, RequestContext("ingest")))
        while not task.done():
            states.add(embedder.client.get_state().state)
            await asyncio.sleep(0.0005)
        with pytest.raises(PartialEmbeddingError) as caught:
            task.result()
        assert sorted(caught.value.rejections) == list(range(0, 100, 6))

    with_embedder(server, run, max_batch_inputs=10, concurrency=8)
    assert states == {"ok"}


def test_each_request_of_a_search_is_booked(server: EmbeddingServer) -> None:
    """Probe and halves too; the tokens are those that the server billed."""
    fail(server, "500", HUNDRED[7])
    meter, errand = RecordingMeter(), RequestContext("ingest")

    async def run() -> None:
        openai = OpenAIClient(server.url, lambda: None, meter=meter)
        with pytest.raises(PartialEmbeddingError):
            await OpenAIEmbedder("m", openai, NullEmbeddingCache()).embed(HUNDRED, errand)
        await openai.aclose()

    asyncio.run(run())
    assert sorted(list(order.texts) for order in meter.requests) == sorted(server.requests)
    assert errand.usage_counter.usage.embedding_tokens == server.billed


def test_a_server_that_is_gone_is_unavailable() -> None:
    """No text is blamed for it."""
    with run_embedding_server() as server:
        pass
    with pytest.raises(UnavailableError):
        with_embedder(server, lambda embedder: embedder.embed(["a"], RequestContext("query"), query=True))


def test_a_text_is_paid_once(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """Also by another embedder of the same space, which needs no request to know the length of its vectors."""
    first = with_embedder(server, passages(HUNDRED), paid)
    server.reset()
    again = with_embedder(server, passages(HUNDRED[::-1]), paid)
    assert np.array_equal(again, first[::-1])
    assert server.requests == []
    assert with_embedder(server, lambda embedder: _orders(embedder, HUNDRED), paid) == []


async def _orders(embedder: OpenAIEmbedder, texts: Sequence[str]) -> list[Sequence[str]]:
    return [order.texts for order in embedder.plan_requests(texts)]


def test_another_space_is_paid_apart(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """Shorter vectors of the same model are others."""
    with_embedder(server, passages(["one"]), paid)
    assert with_embedder(server, passages(["one"]), paid, dimensions=8).shape == (1, 8)
    assert len(server.requests) == 2


def test_a_question_is_not_kept(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """Questions come from people: they are not stored beside the texts, nor looked up there."""
    with_embedder(server, lambda embedder: embedder.embed(["one"], RequestContext("query"), query=True), paid)
    assert not paid.path.exists()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_orders_are_what_is_sent(minding: EmbeddingServer, data: st.DataObject) -> None:
    """A plan names the very requests that are then made."""
    minding.reset()
    words = st.sampled_from(["", " ", "a", "b", "c d", "e f g", "h", "i"])
    texts = data.draw(st.lists(words, max_size=12))
    most = data.draw(st.integers(1, 4))
    planned = with_embedder(minding, lambda embedder: _orders(embedder, texts), max_batch_inputs=most)
    with_embedder(minding, passages(texts), max_batch_inputs=most)
    assert sorted(minding.requests) == sorted(map(list, planned))


def test_the_name_tells_model_dimensions_and_server() -> None:
    """Another model, length or server is another space."""
    openai = client("https://api.openai.com/v1/")
    names = [OpenAIEmbedder("m", openai, NullEmbeddingCache(), dimensions=size).name for size in (None, 256)]
    assert names == ["openai:m https://api.openai.com/v1", "openai:m@256 https://api.openai.com/v1"]


def test_the_dimension_of_a_known_model_costs_no_call() -> None:
    """Asked for, or in the table: no server is needed to make a collection; else the first reply tells it."""
    assert OpenAIEmbedder("text-embedding-3-large", client(), NullEmbeddingCache()).dim == 3072
    assert OpenAIEmbedder("any", client(), NullEmbeddingCache(), dimensions=256).dim == 256
    assert OpenAIEmbedder("any", client(), NullEmbeddingCache()).dim == 0


def test_the_dimensions_asked_for_are_sent(upstream: Upstream) -> None:
    """A server that cuts vectors gives shorter ones, and they have unit length again."""
    vectors = with_embedder(upstream, passages(["one"]), dimensions=8)
    assert upstream.calls[0].body["dimensions"] == 8
    assert vectors.shape == (1, 8)
    assert np.isclose(np.linalg.norm(vectors), 1)


def test_vectors_of_another_length_are_refused(upstream: Upstream, paid: SqliteEmbeddingCache) -> None:
    """A server that ignores the dimensions, or serves another model, fills no space with them."""
    upstream.scripted_replies = [ScriptedReply([b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}'])]
    with pytest.raises(UpstreamError, match=r"openai:m@8 .* gave vectors of 3 numbers where 8 belong"):
        with_embedder(upstream, passages(["one"]), paid, dimensions=8)
    assert not paid.path.exists()


def test_a_length_that_changes_is_refused(server: EmbeddingServer, paid: SqliteEmbeddingCache) -> None:
    """The first vectors of a space settle its length, also those of an earlier run."""
    paid.put(f"openai:m {server.url}", {hash_text("one"): np.ones(7, np.float32)})
    with pytest.raises(UpstreamError, match="gave vectors of 32 numbers where 7 belong"):
        with_embedder(server, passages(["one", "two"]), paid)


@pytest.mark.parametrize("numbers", ["0, 0", "1e-46, 0"])
def test_a_vector_of_zeros_is_refused(upstream: Upstream, numbers: str) -> None:
    """It has no direction, so nothing could ever be near it."""
    upstream.scripted_replies = [ScriptedReply([f'{{"data": [{{"index": 0, "embedding": [{numbers}]}}]}}'.encode()])]
    with pytest.raises(UpstreamError, match="zeros"):
        with_embedder(upstream, passages(["one"]))


def test_large_numbers_keep_their_direction(upstream: Upstream) -> None:
    """Numbers whose squares do not fit into float32 still give a unit vector."""
    upstream.scripted_replies = [ScriptedReply([b'{"data": [{"index": 0, "embedding": [3e30, 4e30]}]}'])]
    assert np.allclose(with_embedder(upstream, passages(["one"])), [[0.6, 0.8]])


def test_each_request_is_reserved_with_its_texts(server: EmbeddingServer) -> None:
    """The meter sees the inputs of every request, and what the server counted for it."""
    meter, errand = RecordingMeter(), RequestContext("ingest")

    async def run() -> None:
        openai = OpenAIClient(server.url, lambda: None, meter=meter)
        await OpenAIEmbedder("m", openai, NullEmbeddingCache(), max_batch_inputs=2).embed(["a b", "c", "d"], errand)
        await openai.aclose()

    asyncio.run(run())
    assert sorted(list(order.texts) for order in meter.requests) == sorted(server.requests)
    assert (errand.usage_counter.requests, errand.usage_counter.usage.embedding_tokens, server.billed) == (2, 4, 4)


def test_it_fills_the_port() -> None:
    """Whoever takes an embedder can take this one."""
    embedder: Embedder = OpenAIEmbedder("m", client(), NullEmbeddingCache())
    assert embedder.dense_weights["other"] > 0
