"""Concurrent searches on an event loop: they run in batches, with the same results as alone."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fakes import HashEmbedder

from semsearch import Hit, Library, text_source
from semsearch.collection import Collection
from semsearch.core.errors import InvalidError, UnavailableError
from semsearch.core.ports import ReadSnapshot
from semsearch.core.settings import Settings
from semsearch.core.types.documents import Ids, Vectors
from semsearch.core.types.filters import Filter
from semsearch.core.types.usage import ModelRequest, RequestContext
from semsearch.search.batching import MAX_BATCH_CHUNKS, SKIP_BATCHING_AFTER, SearchBatcher
from semsearch.search.query_cache import QueryVectorCache
from semsearch.search.ranking import RERANK_DEPTH
from semsearch.search.retrieval import Query, Search
from semsearch.storage.collections.local.snapshot import LocalSnapshot
from semsearch.storage.collections.local.store import LocalStore

PLACES = ("harbour", "lighthouse", "chapel", "market", "bakery", "mill")
TEXTS = {
    f"{place}-{year}.txt": f"The {place} was rebuilt in {year}. Its keeper has {year % 7} lamps.\n\nNobody rows there."
    for place in PLACES
    for year in range(1890, 1900)
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection of sixty documents, many of them near-duplicates."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        collection = library.create("town")
        collection.ingest([text_source(uri, text, metadata={"place": uri[:-9]}) for uri, text in TEXTS.items()])
        yield collection


class CountingStore:
    """A store that counts its snapshots."""

    def __init__(self, store: LocalStore) -> None:
        self.snapshot = store.snapshot
        self.is_filter_cached = store.is_filter_cached
        self.count = 0
        self._store = store

    @contextmanager
    def try_snapshot(self) -> Iterator[ReadSnapshot | None]:
        """Open a snapshot of the store."""
        self.count += 1
        with self._store.try_snapshot() as snapshot:
            yield snapshot


@pytest.fixture
def counting_store(collection: Collection) -> CountingStore:
    """The store of the collection, with an open view."""
    assert isinstance(collection.backends.store, LocalStore)
    collection.search("lamps")
    return CountingStore(collection.backends.store)


@pytest.fixture
def batcher(counting_store: CountingStore) -> Iterator[SearchBatcher]:
    """A batcher for that store."""
    with ThreadPoolExecutor(1) as executor:
        yield SearchBatcher(counting_store, executor)  # type: ignore[arg-type]  # it needs no other method of a Store


def lexical_search(text: str, k: int = 10) -> Search:
    """Return a lexical search."""
    return Search([Query(text, None, None, "lexical", 0.0)], k)


async def embed_nothing(search: Search) -> Search:
    """Return the search: a lexical one needs no vector."""
    return search


async def run_concurrently(*awaitables: Awaitable[Any]) -> list[Any]:
    """Start all in the same iteration of the loop; return their results or errors."""
    return await asyncio.gather(*awaitables, return_exceptions=True)


_QUESTIONS = st.sampled_from(["Who keeps the lamps?", "the harbour in 1893", "rows", "mill 1899 lamps", "zzz", "the"])
_REQUESTS = st.fixed_dictionaries(
    {"query": _QUESTIONS},
    optional={
        "k": st.sampled_from([1, 3, 10, 40, 400]),
        "mode": st.sampled_from(["hybrid", "dense", "lexical"]),
        "filter": st.sampled_from([{"place": "mill"}, {"place": "nowhere"}, None]),
        "history": st.lists(_QUESTIONS, max_size=2),
        "diversity": st.sampled_from([0.0, 0.5]),
        "explain": st.booleans(),
    },
)


@pytest.mark.slow
@given(st.lists(_REQUESTS, min_size=2, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_concurrent_searches_equal_single_ones(collection: Collection, requests: list[dict[str, Any]]) -> None:
    """Scores are equal to the last digit, for any mix of searches."""

    async def search_all() -> list[Any]:
        return await run_concurrently(*(collection.asearch(**request) for request in requests))

    assert asyncio.run(search_all()) == [collection.search(**request) for request in requests]


def test_concurrent_searches_share_a_snapshot(batcher: SearchBatcher, counting_store: CountingStore) -> None:
    """The first search is alone and does not wait; all others of the same iteration share one snapshot."""
    results = asyncio.run(run_concurrently(*(batcher.submit(lexical_search(place), embed_nothing) for place in PLACES)))
    assert counting_store.count == 2
    assert [hits[0].uri[: len(place)] for place, hits in zip(PLACES, results, strict=True)] == list(PLACES)


def test_slightly_later_searches_join_the_batch(batcher: SearchBatcher, counting_store: CountingStore) -> None:
    """After a recent batch, a search waits until an iteration of the loop adds no other search."""

    async def search_after(iterations: int) -> list[Hit]:
        for _ in range(iterations):
            await asyncio.sleep(0)
        return await batcher.submit(lexical_search("mill"), embed_nothing)

    async def search_all() -> None:
        await run_concurrently(search_after(0), search_after(0))
        before = counting_store.count
        await run_concurrently(*(search_after(iterations) for iterations in range(6)))
        assert counting_store.count == before + 1

    asyncio.run(search_all())


def test_solo_searches_stop_waiting(batcher: SearchBatcher) -> None:
    """After some searches without company, the next one takes only one iteration of the loop."""

    async def count_iterations() -> int:
        """Return how many iterations of the loop a search takes."""
        search = asyncio.ensure_future(batcher.submit(lexical_search("mill"), embed_nothing))
        count = 0
        while not search.done():
            count += 1
            await asyncio.sleep(0)
        return count

    async def search_repeatedly() -> list[int]:
        await run_concurrently(*(batcher.submit(lexical_search("mill"), embed_nothing) for _ in range(3)))
        return [await count_iterations() for _ in range(SKIP_BATCHING_AFTER + 2)]

    first, *_, last = asyncio.run(search_repeatedly())
    assert last == 1 < first


@pytest.mark.parametrize(
    "error", [UnavailableError("no model here"), ZeroDivisionError()], ids=["expected", "unexpected"]
)
def test_error_of_a_search_affects_no_other(batcher: SearchBatcher, error: Exception) -> None:
    """Any error is raised by the search that caused it; the others return their hits."""

    async def fail(search: Search) -> Search:
        raise error

    first, second, failed, third, failed_too = asyncio.run(
        run_concurrently(
            batcher.submit(lexical_search("chapel"), embed_nothing),
            batcher.submit(lexical_search("mill"), embed_nothing),
            batcher.submit(lexical_search("mill"), fail),
            batcher.submit(lexical_search("bakery"), embed_nothing),
            batcher.submit(lexical_search("mill"), fail),
        )
    )
    assert failed is failed_too is error
    assert [hits[0].uri[:4] for hits in (first, second, third)] == ["chap", "mill", "bake"]


class SlowEmbedder(HashEmbedder):
    """An embedder that waits for an event, as for a server, and fails for one query."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.texts: list[str] = []
        self.may_answer = asyncio.Event()

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return one request for all texts."""
        return [ModelRequest("embedding", "", "slow", texts)]

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return vectors once the event is set."""
        self.texts += texts
        await self.may_answer.wait()
        if "rain" in texts:
            raise UnavailableError("no server")
        return np.full((len(texts), self.dim), 0.1, np.float32)


def test_searches_do_not_wait_for_vectors_of_others(collection: Collection) -> None:
    """Queries are embedded concurrently, each once, even if one fails."""
    slow = SlowEmbedder(collection.backends.embedder.dim)
    backends = replace(collection.backends, embedder=slow, query_cache=QueryVectorCache())
    remote = replace(collection, backends=backends)

    async def search_all() -> list[Any]:
        pending = [asyncio.ensure_future(remote.asearch(word)) for word in ("mill", "rain", "bakery")]
        lexical_hits = await asyncio.wait_for(remote.asearch("chapel", mode="lexical"), 20)
        assert lexical_hits[0].uri.startswith("chapel")
        assert slow.texts == ["mill", "rain", "bakery"]
        slow.may_answer.set()
        return await run_concurrently(*pending)

    mill, rain, bakery = asyncio.run(search_all())
    assert isinstance(rain, UnavailableError)
    assert mill[0].uri.startswith("mill")
    assert bakery[0].uri.startswith("bakery")
    assert slow.texts == ["mill", "rain", "bakery"]


def test_invalid_request_affects_no_other(collection: Collection) -> None:
    """Each invalid request gets its own InvalidError; the others return their hits."""

    async def search_all() -> list[Any]:
        return await run_concurrently(
            *(collection.asearch("mill", k) for k in (3, 0, 2)),
            collection.asearch(" "),
            collection.asearch("mill", filter={"place": {"$no": 1}}),
        )

    three_hits, k_error, two_hits, query_error, filter_error = asyncio.run(search_all())
    assert (len(three_hits), len(two_hits)) == (3, 2)
    assert all(isinstance(error, InvalidError) for error in (k_error, query_error, filter_error))


def test_cancelled_search_affects_no_other(batcher: SearchBatcher) -> None:
    """The other searches of the batch return their hits."""

    async def cancel_one() -> tuple[bool, Any]:
        tasks = [asyncio.ensure_future(batcher.submit(lexical_search(place), embed_nothing)) for place in PLACES]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.wait(tasks)
        return tasks[2].cancelled(), [task.result()[0].uri[:4] for index, task in enumerate(tasks) if index != 2]

    assert asyncio.run(cancel_one()) == (True, [place[:4] for index, place in enumerate(PLACES) if index != 2])


@pytest.mark.parametrize(("count", "expected"), [(1, [(1, 1)]), (5, [(1, 1), (5, 1)])])
def test_ranked_searches_are_reported_before_the_loop_reads_again(
    batcher: SearchBatcher,
    counting_store: CountingStore,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    expected: list[tuple[int, int]],
) -> None:
    """Requests that came in while a batch ran find the places of its searches free, before these are answered.

    The first search runs alone, the others in one batch.
    """
    ranked, seen, tasks = list[int](), list[tuple[int, int]](), list[asyncio.Task[list[Hit]]]()
    try_snapshot = counting_store.try_snapshot

    @contextmanager
    def notice_next_iteration() -> Iterator[ReadSnapshot | None]:
        with try_snapshot() as snapshot:
            yield snapshot
        # what the loop calls first in its next iteration
        asyncio.get_running_loop().call_soon(lambda: seen.append((len(ranked), sum(task.done() for task in tasks))))

    monkeypatch.setattr(counting_store, "try_snapshot", notice_next_iteration)

    async def search_all() -> None:
        for index in range(count):
            submission = batcher.submit(lexical_search("mill"), embed_nothing, partial(ranked.append, index))
            tasks.append(asyncio.ensure_future(submission))
        await asyncio.wait(tasks)

    asyncio.run(search_all())
    assert sorted(ranked) == list(range(count))
    assert seen == expected


def test_a_failed_search_is_not_reported_as_ranked(batcher: SearchBatcher, counting_store: CountingStore) -> None:
    """Its place stays taken until its error is returned."""
    ranked = list[int]()
    counting_store.try_snapshot = None  # type: ignore[assignment,method-assign]
    with pytest.raises(TypeError):
        asyncio.run(batcher.submit(lexical_search("mill"), embed_nothing, partial(ranked.append, 1)))
    assert ranked == []


def test_batch_size_is_bounded(batcher: SearchBatcher, counting_store: CountingStore) -> None:
    """A batch has at most `MAX_BATCH_CHUNKS`; a search that needs more runs alone."""

    async def search_all() -> None:
        await run_concurrently(
            batcher.submit(lexical_search("mill"), embed_nothing), batcher.submit(lexical_search("mill"), embed_nothing)
        )
        before = counting_store.count
        await run_concurrently(
            *(batcher.submit(lexical_search("mill", MAX_BATCH_CHUNKS // 2), embed_nothing) for _ in range(4))
        )
        assert counting_store.count == before + 2
        await run_concurrently(
            *(batcher.submit(lexical_search("mill", MAX_BATCH_CHUNKS + 1), embed_nothing) for _ in range(2))
        )
        assert counting_store.count == before + 4
        await run_concurrently(
            *(
                batcher.submit(lexical_search("mill", 1), embed_nothing)
                for _ in range(2 * MAX_BATCH_CHUNKS // RERANK_DEPTH)
            )
        )
        assert counting_store.count == before + 6

    asyncio.run(search_all())


def test_concurrent_searches_see_new_writes(tmp_path: Path) -> None:
    """Every search finds documents whose write returned before it began."""
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("notes")

        async def search_all(word: str) -> list[Any]:
            return await run_concurrently(*(collection.asearch(word) for _ in range(5)))

        for word in ("anchor", "beacon", "compass"):
            collection.upsert([text_source(f"{word}.txt", f"The {word} is of iron.")])
            assert {hits[0].uri for hits in asyncio.run(search_all(word))} == {f"{word}.txt"}


def test_event_loops_have_separate_batches(batcher: SearchBatcher) -> None:
    """Searches of one loop do not join a batch of another; a stopped loop finishes its batch when it runs again."""
    first_loop, second_loop = asyncio.new_event_loop(), asyncio.new_event_loop()
    with closing(first_loop), closing(second_loop):
        tasks = [first_loop.create_task(batcher.submit(lexical_search(place), embed_nothing)) for place in PLACES]
        first_loop.call_soon(first_loop.stop)
        first_loop.run_forever()  # one iteration: the searches are in a batch that is still open
        searches = run_concurrently(*(batcher.submit(lexical_search(place), embed_nothing) for place in PLACES))
        results = second_loop.run_until_complete(asyncio.wait_for(searches, 20))
        first_loop.run_until_complete(asyncio.wait(tasks))
    assert [task.result() for task in tasks] == results


def test_batching_is_thread_safe(collection: Collection) -> None:
    """Event loops of several threads search the same collection concurrently."""
    expected = collection.search("the lamps of the mill")
    results: list[Any] = []

    async def search_repeatedly() -> None:
        for _ in range(10):
            results.extend(await run_concurrently(*(collection.asearch("the lamps of the mill") for _ in range(4))))

    threads = [threading.Thread(target=partial(asyncio.run, search_repeatedly())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 120


def test_searches_do_not_wait_for_a_new_filter(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search thread evaluates it, while other searches return."""
    other_search_returned = threading.Event()
    matching_ids = LocalSnapshot.matching_ids

    def wait_for_other_search(snapshot: LocalSnapshot, filter: Filter) -> Ids:
        assert other_search_returned.wait(20)
        return matching_ids(snapshot, filter)

    monkeypatch.setattr(LocalSnapshot, "matching_ids", wait_for_other_search)

    async def search_both() -> tuple[list[Hit], list[Hit]]:
        filtered = asyncio.ensure_future(collection.asearch("lamps", filter={"place": {"$in": ["mill", "quay"]}}))
        hits = await asyncio.wait_for(collection.asearch("chapel"), 20)
        other_search_returned.set()
        return await filtered, hits

    collection.search("lamps")
    filtered, hits = asyncio.run(search_both())
    assert {hit.uri[:4] for hit in filtered} == {"mill"}
    assert hits[0].uri.startswith("chapel")
