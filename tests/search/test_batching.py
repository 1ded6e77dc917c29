"""Searches that meet on an event loop: made together, and each comes to what it would come to alone."""

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
    """Sixty documents of which many say nearly the same."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        made = library.create("town")
        made.ingest([text_source(uri, text, metadata={"place": uri[:-9]}) for uri, text in TEXTS.items()])
        yield made


class Glances:
    """A store that counts how often it is looked at."""

    def __init__(self, store: LocalStore) -> None:
        self.snapshot = store.snapshot
        self.is_filter_cached = store.is_filter_cached
        self.count = 0
        self._store = store

    @contextmanager
    def try_snapshot(self) -> Iterator[ReadSnapshot | None]:
        """As the store does."""
        self.count += 1
        with self._store.try_snapshot() as snapshot:
            yield snapshot


@pytest.fixture
def glances(collection: Collection) -> Glances:
    """The store of the collection, its view at hand."""
    assert isinstance(collection.store, LocalStore)
    collection.search("lamps")
    return Glances(collection.store)


@pytest.fixture
def searches(glances: Glances) -> Iterator[SearchBatcher]:
    """Searches of that store by their words."""
    with ThreadPoolExecutor(1) as executor:
        yield SearchBatcher(glances, executor)  # type: ignore[arg-type]  # of a Store it asks no more


def wanted(text: str, k: int = 10) -> Search:
    """What a search by words looks for."""
    return Search([Query(text, None, None, "lexical", 0.0)], k)


async def ready(search: Search) -> Search:
    """A search by words needs no vector."""
    return search


async def at_once(*works: Awaitable[Any]) -> list[Any]:
    """What comes of all, begun in the same turn of the loop."""
    return await asyncio.gather(*works, return_exceptions=True)


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
def test_together_is_as_alone(collection: Collection, requests: list[dict[str, Any]]) -> None:
    """To the last digit, whatever else is looked for at the same moment."""

    async def ask() -> list[Any]:
        return await at_once(*(collection.asearch(**request) for request in requests))

    assert asyncio.run(ask()) == [collection.search(**request) for request in requests]


def test_what_meets_is_looked_for_together(searches: SearchBatcher, glances: Glances) -> None:
    """The first is alone and does not wait; all others of the same turn share one look at the store."""
    found = asyncio.run(at_once(*(searches.submit(wanted(place), ready) for place in PLACES)))
    assert glances.count == 2
    assert [hits[0].uri[: len(place)] for place, hits in zip(PLACES, found, strict=True)] == list(PLACES)


def test_what_comes_a_little_later_joins(searches: SearchBatcher, glances: Glances) -> None:
    """Where searches met of late, one waits until a turn of the loop brings no other."""

    async def late(turns: int) -> list[Hit]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await searches.submit(wanted("mill"), ready)

    async def ask() -> None:
        await at_once(late(0), late(0))
        before = glances.count
        await at_once(*(late(turns) for turns in range(6)))
        assert glances.count == before + 1

    asyncio.run(ask())


def test_one_alone_soon_waits_no_more(searches: SearchBatcher) -> None:
    """After some searches that met no other, the next is answered within its own turn of the loop."""

    async def turns() -> int:
        """How many turns of the loop a search takes."""
        search = asyncio.ensure_future(searches.submit(wanted("mill"), ready))
        count = 0
        while not search.done():
            count += 1
            await asyncio.sleep(0)
        return count

    async def ask() -> list[int]:
        await at_once(*(searches.submit(wanted("mill"), ready) for _ in range(3)))
        return [await turns() for _ in range(SKIP_BATCHING_AFTER + 2)]

    first, *_, last = asyncio.run(ask())
    assert last == 1 < first


@pytest.mark.parametrize("error", [UnavailableError("no model here"), ZeroDivisionError()], ids=["ours", "unforeseen"])
def test_who_fails_fails_alone(searches: SearchBatcher, error: Exception) -> None:
    """An error comes to the search that it belongs to, whatever it is; the others do not hear of it."""

    async def refused(search: Search) -> Search:
        raise error

    first, good, bad, also, worse = asyncio.run(
        at_once(
            searches.submit(wanted("chapel"), ready),
            searches.submit(wanted("mill"), ready),
            searches.submit(wanted("mill"), refused),
            searches.submit(wanted("bakery"), ready),
            searches.submit(wanted("mill"), refused),
        )
    )
    assert bad is worse is error
    assert [hits[0].uri[:4] for hits in (first, good, also)] == ["chap", "mill", "bake"]


class Slow(HashEmbedder):
    """An embedder that sends each question somewhere and waits for it; one of them cannot be answered."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """One for all."""
        return [ModelRequest("embedding", "", "slow", texts)]

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Vectors, when it may answer."""
        self.asked += texts
        await self.may_answer.wait()
        if "rain" in texts:
            raise UnavailableError("nobody answers that")
        return np.full((len(texts), self.dim), 0.1, np.float32)


def test_nobody_waits_for_the_vector_of_another(collection: Collection) -> None:
    """Vectors that come from elsewhere are asked for side by side, each once, also where one does not come."""
    slow = Slow(collection.embedder.dim)
    remote = replace(collection, embedder=slow, query_cache=QueryVectorCache())

    async def ask() -> list[Any]:
        waiting = [asyncio.ensure_future(remote.asearch(word)) for word in ("mill", "rain", "bakery")]
        by_words = await asyncio.wait_for(remote.asearch("chapel", mode="lexical"), 20)
        assert by_words[0].uri.startswith("chapel")
        assert slow.asked == ["mill", "rain", "bakery"]
        slow.may_answer.set()
        return await at_once(*waiting)

    mill, rain, bakery = asyncio.run(ask())
    assert isinstance(rain, UnavailableError)
    assert mill[0].uri.startswith("mill")
    assert bakery[0].uri.startswith("bakery")
    assert slow.asked == ["mill", "rain", "bakery"]


def test_an_error_in_a_search_is_its_own(collection: Collection) -> None:
    """What is wrong with a request is said to it alone."""

    async def ask() -> list[Any]:
        return await at_once(
            *(collection.asearch("mill", k) for k in (3, 0, 2)),
            collection.asearch(" "),
            collection.asearch("mill", filter={"place": {"$no": 1}}),
        )

    three, none, two, empty, operator = asyncio.run(ask())
    assert (len(three), len(two)) == (3, 2)
    assert all(isinstance(error, InvalidError) for error in (none, empty, operator))


def test_who_gives_up_takes_nobody_along(searches: SearchBatcher) -> None:
    """A search that is cancelled leaves the others as they are."""

    async def ask() -> tuple[bool, Any]:
        works = [asyncio.ensure_future(searches.submit(wanted(place), ready)) for place in PLACES]
        await asyncio.sleep(0)
        works[2].cancel()
        await asyncio.wait(works)
        return works[2].cancelled(), [work.result()[0].uri[:4] for at, work in enumerate(works) if at != 2]

    assert asyncio.run(ask()) == (True, [place[:4] for at, place in enumerate(PLACES) if at != 2])


def test_no_more_than_a_bound_at_once(searches: SearchBatcher, glances: Glances) -> None:
    """So many chunks in memory together, however few are wanted; a search that alone wants more is made alone."""

    async def ask() -> None:
        await at_once(searches.submit(wanted("mill"), ready), searches.submit(wanted("mill"), ready))
        before = glances.count
        await at_once(*(searches.submit(wanted("mill", MAX_BATCH_CHUNKS // 2), ready) for _ in range(4)))
        assert glances.count == before + 2
        await at_once(*(searches.submit(wanted("mill", MAX_BATCH_CHUNKS + 1), ready) for _ in range(2)))
        assert glances.count == before + 4
        await at_once(*(searches.submit(wanted("mill", 1), ready) for _ in range(2 * MAX_BATCH_CHUNKS // RERANK_DEPTH)))
        assert glances.count == before + 6

    asyncio.run(ask())


def test_new_writes_are_found_by_all(tmp_path: Path) -> None:
    """What was acknowledged before a search began is found, together as alone."""
    with Library(tmp_path, settings=Settings()) as library:
        made = library.create("notes")

        async def ask(word: str) -> list[Any]:
            return await at_once(*(made.asearch(word) for _ in range(5)))

        for word in ("anchor", "beacon", "compass"):
            made.upsert([text_source(f"{word}.txt", f"The {word} is of iron.")])
            assert {hits[0].uri for hits in asyncio.run(ask(word))} == {f"{word}.txt"}


def test_loops_do_not_wait_for_each_other(searches: SearchBatcher) -> None:
    """What meets on one loop is not joined on another, and comes to its end when its own loop goes on."""
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    with closing(one), closing(other):
        works = [one.create_task(searches.submit(wanted(place), ready)) for place in PLACES]
        one.call_soon(one.stop)
        one.run_forever()  # for a turn: they have met, and wait for more
        asked = at_once(*(searches.submit(wanted(place), ready) for place in PLACES))
        found = other.run_until_complete(asyncio.wait_for(asked, 20))
        one.run_until_complete(asyncio.wait(works))
    assert [work.result() for work in works] == found


def test_threads_do_not_disturb_each_other(collection: Collection) -> None:
    """The same collection, from event loops of several threads at once."""
    expected = collection.search("the lamps of the mill")
    found: list[Any] = []

    async def ask() -> None:
        for _ in range(10):
            found.extend(await at_once(*(collection.asearch("the lamps of the mill") for _ in range(4))))

    threads = [threading.Thread(target=partial(asyncio.run, ask())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 120


def test_nobody_waits_for_a_filter_that_is_new(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes it is looked up by the search thread, while all others are answered."""
    others_are_answered = threading.Event()
    allowed = LocalSnapshot.matching_ids

    def look_up(snapshot: LocalSnapshot, where: Filter) -> Ids:
        assert others_are_answered.wait(20)
        return allowed(snapshot, where)

    monkeypatch.setattr(LocalSnapshot, "matching_ids", look_up)

    async def ask() -> tuple[list[Hit], list[Hit]]:
        filtered = asyncio.ensure_future(collection.asearch("lamps", filter={"place": {"$in": ["mill", "quay"]}}))
        hits = await asyncio.wait_for(collection.asearch("chapel"), 20)
        others_are_answered.set()
        return await filtered, hits

    collection.search("lamps")
    filtered, hits = asyncio.run(ask())
    assert {hit.uri[:4] for hit in filtered} == {"mill"}
    assert hits[0].uri.startswith("chapel")
