"""Questions that were asked before are embedded once, within a bound, and each embedder for itself."""

import asyncio
from collections.abc import Sequence

import numpy as np
from support.fakes import HashEmbedder

from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.search.query_cache import QueryVectorCache

QUERY = RequestContext("query")


class Counting(HashEmbedder):
    """Notes what it is asked for."""

    def __init__(self, name: str = HashEmbedder.name) -> None:
        super().__init__()
        self.name = name
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """As its model, for questions only."""
        assert query
        self.asked += texts
        return await super().embed(texts, context, query=query)


def test_a_question_is_embedded_once() -> None:
    """Known ones come back as they were, in the order that was asked for, repeated ones included."""
    embedder, questions = Counting(), QueryVectorCache()
    first = asyncio.run(questions.embed(embedder, ["lamp", "bell"], QUERY))
    again = asyncio.run(questions.embed(embedder, ["bell", "fog", "bell", "lamp"], QUERY))
    assert embedder.asked == ["lamp", "bell", "fog"]
    assert np.array_equal([again[3], again[0]], first)
    assert np.array_equal(again[0], again[2])


def test_embedders_do_not_share_vectors() -> None:
    """The same question has another vector in another space."""
    one, other, questions = Counting("one"), Counting("other"), QueryVectorCache()
    for embedder in (one, other):
        asyncio.run(questions.embed(embedder, ["lamp"], QUERY))
    assert one.asked == other.asked == ["lamp"]


def test_owners_do_not_share_vectors() -> None:
    """How fast an answer comes tells nobody what others have asked; whose key was changed is still the same."""
    embedder, questions = Counting(), QueryVectorCache()
    for owner, key in (("ann", "k1"), ("bob", "k2"), ("ann", "k3")):
        asyncio.run(questions.embed(embedder, ["lamp"], RequestContext("query", owner, key)))
    assert embedder.asked == ["lamp", "lamp"]


def test_what_is_kept_is_bounded() -> None:
    """The ones that were not asked for the longest go first."""
    embedder, questions = Counting(), QueryVectorCache(max_bytes=10 * (4 * HashEmbedder.dim + 200))
    for number in [*range(10), 0, 10]:
        asyncio.run(questions.embed(embedder, [f"lamp {number}"], QUERY))
    embedder.asked.clear()
    asyncio.run(questions.embed(embedder, ["lamp 0", "lamp 10", "lamp 1"], QUERY))
    assert embedder.asked == ["lamp 1"]
