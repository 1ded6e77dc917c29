"""What is promised of embeddings from an OpenAI-compatible server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from upstream import Script, Upstream, serving, use, vector

from semsearch.embedders.openai import MAX_REQUEST_TOKENS, OpenAIEmbedder
from semsearch.errors import Upstream as UpstreamError
from semsearch.openai_api import OpenAIClient
from semsearch.openai_replies import EmbeddingReply, tokens_about
from semsearch.ports import Embedder
from semsearch.types import Vectors

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """One server for all tests of this file."""
    with serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """The server as if it were new."""
    server.reset()
    return server


def with_embedder(
    upstream: Upstream,
    deed: Callable[[OpenAIEmbedder], Awaitable[T]],
    model: str = "m",
    dimensions: int | None = None,
    max_batch_inputs: int = 2048,
) -> T:
    """What `deed` returns, done with an embedder of its own."""
    return use(
        upstream,
        lambda client: deed(OpenAIEmbedder(model, client, dimensions=dimensions, max_batch_inputs=max_batch_inputs)),
    )


def expected(*texts: str) -> Vectors:
    """The unit vectors that the server's embeddings become."""
    rows = np.array([vector(text) for text in texts])
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_vectors_have_unit_length_and_the_order_of_the_texts(upstream: Upstream) -> None:
    """Whatever length the server gives, and in whatever order."""
    texts = ["one two", "three", "four five six"]
    assert np.allclose(with_embedder(upstream, lambda it: it.embed(texts)), expected(*texts), atol=1e-6)


def test_texts_go_in_batches_and_come_back_in_order(upstream: Upstream) -> None:
    """A server that takes two inputs gets two at a time."""
    texts = [f"text {number}" for number in range(5)]
    vectors = with_embedder(upstream, lambda it: it.embed(texts), max_batch_inputs=2)
    assert [len(call.body["input"]) for call in upstream.calls] == [2, 2, 1]
    assert np.allclose(vectors, expected(*texts), atol=1e-6)


def test_blank_texts_cost_nothing_and_are_zeros(upstream: Upstream) -> None:
    """Servers refuse empty inputs, so they are not sent."""
    vectors = with_embedder(upstream, lambda it: it.embed(["", "one", " \n"]))
    assert [call.body["input"] for call in upstream.calls] == [["one"]]
    assert np.linalg.norm(vectors, axis=1).round(5).tolist() == [0, 1, 0]


def test_nothing_is_sent_for_nothing(upstream: Upstream) -> None:
    """No text, no call, and a shape that fits all the same."""
    assert with_embedder(upstream, lambda it: it.embed([]), model="text-embedding-3-small").shape == (0, 1536)
    assert not upstream.calls


@settings(max_examples=40)
@example([200_000] * 8, 8)
@given(
    st.lists(st.integers(0, 200_000), max_size=30),
    st.integers(1, 8),
)
def test_no_request_is_over_a_bound(sizes: list[int], most: int) -> None:
    """Requests stay within the bounds on inputs and tokens, one oversized text alone, and none is lost."""
    embedder = OpenAIEmbedder("m", OpenAIClient("http://h", lambda: None), max_batch_inputs=most)
    texts = [f"{number} {'x' * size}" for number, size in enumerate(sizes)]
    batches = list(embedder._batches(texts))
    assert [text for batch in batches for text in batch] == texts
    assert all(0 < len(batch) <= most for batch in batches)
    assert all(len(batch) == 1 or sum(map(tokens_about, batch)) <= MAX_REQUEST_TOKENS for batch in batches)


def test_the_name_tells_model_dimensions_and_server(upstream: Upstream) -> None:
    """Another model, length or server is another space."""
    client = OpenAIClient("https://api.openai.com/v1/", lambda: None)
    names = [OpenAIEmbedder("m", client).name, OpenAIEmbedder("m", client, dimensions=256).name]
    assert names == ["openai:m https://api.openai.com/v1", "openai:m@256 https://api.openai.com/v1"]


def test_the_dimension_of_a_known_model_costs_no_call() -> None:
    """Asked for, or in the table: no server is needed to make a collection; else the first reply tells it."""
    client = OpenAIClient("https://api.openai.com/v1/", lambda: None)
    assert OpenAIEmbedder("text-embedding-3-large", client).dim == 3072
    assert OpenAIEmbedder("any", client, dimensions=256).dim == 256
    assert OpenAIEmbedder("any", client).dim == 0


def test_the_dimensions_asked_for_are_sent(upstream: Upstream) -> None:
    """A server that cuts vectors gives shorter ones, and they have unit length again."""
    vectors = with_embedder(upstream, lambda it: it.embed(["one"]), dimensions=8)
    assert upstream.calls[0].body["dimensions"] == 8
    assert vectors.shape == (1, 8)
    assert np.isclose(np.linalg.norm(vectors), 1)


def test_vectors_of_another_length_are_refused(upstream: Upstream) -> None:
    """A server that ignores the dimensions, or serves another model, fills no space with them."""
    upstream.scripts = [Script([b'{"data": [{"index": 0, "embedding": [1, 2, 3]}]}'])]
    with pytest.raises(UpstreamError, match=r"openai:m@8 .* gave vectors of 3 numbers where 8 belong"):
        with_embedder(upstream, lambda it: it.embed(["one"]), dimensions=8)


@pytest.mark.parametrize("numbers", ["0, 0", "1e-46, 0"])
def test_a_vector_of_zeros_is_refused(upstream: Upstream, numbers: str) -> None:
    """It has no direction, so nothing could ever be near it."""
    upstream.scripts = [Script([f'{{"data": [{{"index": 0, "embedding": [{numbers}]}}]}}'.encode()])]
    with pytest.raises(UpstreamError, match="zeros"):
        with_embedder(upstream, lambda it: it.embed(["one"]))


def test_large_numbers_keep_their_direction(upstream: Upstream) -> None:
    """Numbers whose squares do not fit into float32 still give a unit vector."""
    upstream.scripts = [Script([b'{"data": [{"index": 0, "embedding": [3e30, 4e30]}]}'])]
    assert np.allclose(with_embedder(upstream, lambda it: it.embed(["one"])), [[0.6, 0.8]])


class Uncounted(OpenAIClient):
    """A server that counts the tokens of its first reply only."""

    replies = 0

    async def embeddings(
        self, model: str, inputs: object, *, dimensions: int | None = None, deadline: float | None = None
    ) -> EmbeddingReply:
        """One vector, counted or not."""
        self.replies += 1
        return EmbeddingReply(np.ones((1, 2), np.float32), 5 if self.replies == 1 else None)


def test_tokens_are_summed_and_estimates_are_marked() -> None:
    """What was spent is known after each call, and whether it was counted by the server."""
    embedder = OpenAIEmbedder("m", Uncounted("http://h", lambda: None))
    asyncio.run(embedder.embed(["abc"]))
    assert (embedder.billed_tokens, embedder.estimated) == (5, False)
    asyncio.run(embedder.embed(["abc"]))
    assert (embedder.billed_tokens, embedder.estimated) == (5 + tokens_about("abc"), True)


def test_it_fills_the_port() -> None:
    """Whoever takes an embedder can take this one."""
    embedder: Embedder = OpenAIEmbedder("m", OpenAIClient("http://h", lambda: None))
    assert embedder.weights["other"] > 0
