"""Searches of a collection: validate the request, embed the query, rank the chunks.

`asearch` and `aembed_queries` are for an event loop: slow work runs on the search thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ..core.types.filters import RawFilter
from ..core.types.search import DEFAULT_K, Hit, SearchMode, SearchRequest, make_search_request
from ..search.requests import build_search
from ..search.retrieval import Search
from .access import CollectionAccess


class SearchOperations(CollectionAccess):
    """The searches of a collection."""

    __slots__ = ()

    def search(
        self,
        query: str | SearchRequest,
        k: int = DEFAULT_K,
        *,
        filter: RawFilter | None = None,  # the name that users of such an API expect
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> list[Hit]:
        """Return the k best chunks for a query, or for a SearchRequest with these fields, best first.

        `history` has the questions before this one, oldest first. `diversity` from 0 to 1 makes hits differ more from
        each other; `explain` adds to each how it was ranked.

        >>> [hit.uri for hit in handbook.search("parental leave", k=3, filter={"media_type": "text/markdown"})]
        ['docs/leave.md']
        """
        request = make_search_request(query, k, filter, mode, history, diversity, explain)
        embedding = self.backends.embed_search(self._build_search(request), self._request_context())
        (hits,) = self.backends.search_batcher.search([self.backends.loop.wait(embedding)])
        return hits

    async def asearch(
        self,
        query: str | SearchRequest,
        k: int = DEFAULT_K,
        *,
        filter: RawFilter | None = None,
        mode: SearchMode = "hybrid",
        history: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
        deadline: float | None = None,
        on_ranked: Callable[[], None] | None = None,
    ) -> list[Hit]:
        """`search` for an event loop; `deadline` is a time of `time.monotonic()`.

        `on_ranked` is called on the loop as soon as the hits are ranked, shortly before they are returned.

        >>> [hit.uri for hit in asyncio.run(handbook.asearch("parental leave", k=3))]
        ['docs/leave.md']
        """
        request = make_search_request(query, k, filter, mode, history, diversity, explain)
        search, context = self._build_search(request), self._request_context(deadline=deadline)
        # embedded before it joins a batch, so that no other search waits for this vector
        if self.backends.embedder.concurrency > 1 or not self.embeds_locally(request.query):
            search = await self.backends.embed_search(search, context)
        embed = partial(self.backends.embed_search, context=context)
        return await self.backends.search_batcher.submit(search, embed, on_ranked)

    async def aembed_queries(self, requests: Iterable[SearchRequest], *, deadline: float | None = None) -> None:
        """Embed the queries of several searches together; `asearch` then finds their vectors in the cache.

        InvalidError if one of the searches is not valid; then none is embedded.

        >>> asyncio.run(handbook.aembed_queries([semsearch.SearchRequest("parental leave")]))
        """
        queries = [query for request in requests for query in self._build_search(request).queries]
        await self.backends.embed_search(Search(queries, DEFAULT_K), self._request_context(deadline=deadline))

    def embeds_locally(self, query: str) -> bool:
        """Return whether a search for `query` needs no request to a model server.

        >>> handbook.embeds_locally("parental leave")
        True
        """
        return not self.backends.embedder.plan_requests([query])

    def _build_search(self, request: SearchRequest) -> Search:
        """Return the validated search of a request, without vectors."""
        backends = self.backends
        visible_filter = self._visible_filter(request.filter)
        return build_search(request, visible_filter, backends.embedder, backends.result_options, self._access_filter())
