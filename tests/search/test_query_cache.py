"""The query cache: hits, separation of embedders and owners, and eviction."""

import asyncio
from collections.abc import Sequence

import numpy as np
from support.fakes import HashEmbedder

from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.search.query_cache import QueryVectorCache

CONTEXT = RequestContext("query")


class RecordingEmbedder(HashEmbedder):
    """Records the texts that it embeds."""

    def __init__(self, name: str = HashEmbedder.name) -> None:
        super().__init__()
        self.name = name
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return the vectors of queries."""
        assert query
        self.texts += texts
        return await super().embed(texts, context, query=query)


def test_repeated_query_is_embedded_once() -> None:
    """Vectors come in the order of the queries, from the cache or not, and repeated queries are allowed."""
    embedder, cache = RecordingEmbedder(), QueryVectorCache()
    first = asyncio.run(cache.embed(embedder, ["lamp", "bell"], CONTEXT))
    again = asyncio.run(cache.embed(embedder, ["bell", "fog", "bell", "lamp"], CONTEXT))
    assert embedder.texts == ["lamp", "bell", "fog"]
    assert np.array_equal([again[3], again[0]], first)
    assert np.array_equal(again[0], again[2])


def test_embedders_do_not_share_vectors() -> None:
    """A query has different vectors in different spaces."""
    first, second, cache = RecordingEmbedder("first"), RecordingEmbedder("second"), QueryVectorCache()
    for embedder in (first, second):
        asyncio.run(cache.embed(embedder, ["lamp"], CONTEXT))
    assert first.texts == second.texts == ["lamp"]


def test_owners_do_not_share_vectors() -> None:
    """Response times must not reveal the queries of others; all keys of one owner share their entries."""
    embedder, cache = RecordingEmbedder(), QueryVectorCache()
    for owner, key in (("ann", "k1"), ("bob", "k2"), ("ann", "k3")):
        asyncio.run(cache.embed(embedder, ["lamp"], RequestContext("query", owner, key)))
    assert embedder.texts == ["lamp", "lamp"]


def test_cache_size_is_bounded() -> None:
    """The least recently used vectors are evicted."""
    embedder, cache = RecordingEmbedder(), QueryVectorCache(max_bytes=10 * (4 * HashEmbedder.dim + 200))
    for number in [*range(10), 0, 10]:
        asyncio.run(cache.embed(embedder, [f"lamp {number}"], CONTEXT))
    embedder.texts.clear()
    asyncio.run(cache.embed(embedder, ["lamp 0", "lamp 10", "lamp 1"], CONTEXT))
    assert embedder.texts == ["lamp 1"]
