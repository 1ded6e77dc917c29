"""Pages of hits, several queries in one request, and searches without a body, through a real server."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import support.upstream as fake_upstream
from support.http_service import HANDBOOK, check_problem, fill_collection, run_service

from semsearch.collection import Collection
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.search import SearchRequest
from semsearch.interfaces.http import fast_search, limits
from semsearch.interfaces.http.responses import SearchResponse
from semsearch.interfaces.http.search import run_search
from semsearch.interfaces.links import PageLinks

SEARCH = "/v1/collections/lamps/search"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with `hb`, and with `lamps`: 40 texts, each also as a near-duplicate."""
    lamps = {
        f"{copy}/{number:02}.txt": f"The lamp of tower {number} burns {number + 3} litres of oil{mark}"
        for number in range(40)
        for copy, mark in (("a", "."), ("b", " ."))
    }
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "lamps", lamps)
        fill_collection(client, "hb")
        yield client


def post(client: httpx.Client, body: dict[str, Any], path: str = SEARCH) -> Any:
    """Return the JSON of a search that succeeds."""
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("options", [{}, {"mode": "lexical"}, {"diversity": 0.5}, {"filter": {"folder": "b"}}])
def test_pages_are_parts_of_one_ranking(client: httpx.Client, options: dict[str, Any]) -> None:
    """The hits of offset 10 and k 10 are the last ten of k 20; near-duplicates are left out of both."""
    query = {"query": "How much oil does the lamp of tower 7 burn?", **options}
    hits = post(client, {**query, "k": 20})["hits"]
    assert len({hit["text"].rstrip(" .") for hit in hits}) == len(hits) == 20
    assert post(client, {**query, "k": 10, "offset": 10})["hits"] == hits[10:]
    assert post(client, {**query, "k": 3, "offset": 17})["hits"] == hits[17:]
    assert post(client, {**query, "k": 5, "offset": 900})["hits"] == []


def test_several_queries_have_the_hits_of_single_ones(client: httpx.Client) -> None:
    """Each result stands at the index of its query; all other fields are those of each search."""
    queries, options = ["tower 3", "tower 4", "oil", "tower 3"], {"k": 4, "offset": 1, "filter": {"folder": "a"}}
    results = post(client, {"queries": queries, **options})["results"]
    assert [result["hits"] for result in results] == [
        post(client, {"query": query, **options})["hits"] for query in queries
    ]
    assert all(result["took_ms"] > 0 for result in results)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"queries": ["oil", "lamp", " "]}, "queries.2: the text is empty"),
        ({"queries": ["oil", 3]}, "queries.1: "),
        ({"queries": ["oil", "\u0958" * 3600]}, "queries.1: the text has 7,200 characters; the limit is 4,000"),
        ({"queries": []}, "queries: "),
        ({"queries": ["oil"] * (limits.MAX_QUERIES + 1)}, "at most 32"),
        ({"query": "oil", "queries": ["oil"]}, "either query"),
        ({}, "either query"),
        ({"queries": ["oil"], "history": ["lamp"]}, "history belongs to one query"),
        ({"query": "oil", "k": 101}, "k: from 1 to 100 over HTTP, not 101"),
        ({"query": "oil", "k": 100, "offset": 901}, "offset + k is at most 1,000, not 1,001"),
        ({"query": "oil", "offset": -1}, "offset: "),
        ({"querry": "oil"}, "unknown field 'querry'; did you mean 'query'?"),
        ({"query": "oil", "zzz": 1}, "unknown field 'zzz'; the fields are query, queries, k, offset,"),
    ],
)
def test_an_invalid_search_is_explained(client: httpx.Client, body: dict[str, Any], part: str) -> None:
    """Nothing is searched; the detail names the field or the index of the query, and the limit."""
    assert part in check_problem(client.post(SEARCH, json=body), "invalid", 422)


def test_queries_of_one_request_are_embedded_together(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server of embeddings gets one request for all of them, and none for an invalid one."""
    with fake_upstream.run_upstream() as upstream:
        settings = Settings(embeddings=Endpoint(upstream.url, Secret(fake_upstream.KEY)))
        with run_service(tmp_path_factory.mktemp("remote"), settings) as client:
            client.put("/v1/collections/hb", json={"embedder": f"openai:any@{fake_upstream.DIM}"})
            documents = [{"uri": uri, "text": text} for uri, text in HANDBOOK.items()]
            client.post("/v1/collections/hb/documents", json={"documents": documents})
            upstream.calls.clear()
            post(client, {"queries": ["leave", "train", "pump", "leave"]}, "/v1/collections/hb/search")
            assert [len(call.body["input"]) for call in upstream.calls] == [3]
            body = {"queries": ["one", "two"], "filter": {"$no": 1}}
            check_problem(client.post("/v1/collections/hb/search", json=body), "invalid", 422)
            assert len(upstream.calls) == 1


@pytest.mark.parametrize("params", [{}, {"k": "3"}, {"mode": "lexical"}, {"k": "2", "mode": "dense"}])
def test_a_search_without_a_body_has_the_hits_of_one_with_it(client: httpx.Client, params: dict[str, str]) -> None:
    """The query is in `q`."""
    body = {"query": "tower 7 & é", **params, "k": int(params.get("k", 10))}
    response = client.get(SEARCH, params={"q": "tower 7 & é", **params})
    assert response.json()["hits"] == post(client, body)["hits"] != []


@pytest.mark.parametrize(
    ("query_string", "part"),
    [
        ("", "q: "),
        ("q=", "q: "),
        ("q=oil&k=101", "k: from 1 to 100 over HTTP, not 101"),
        ("q=oil&k=x", "k: "),
        ("q=oil&mode=fuzzy", "mode: "),
        ("q=oil&filter={}", "the query string: unknown field 'filter'"),
        ("query=oil", "unknown field 'query'"),
        ("q=oil&qq=oil", "unknown field 'qq'; did you mean 'q'?"),
    ],
)
def test_an_invalid_search_without_a_body_is_explained(client: httpx.Client, query_string: str, part: str) -> None:
    """The detail names the parameter."""
    assert part in check_problem(client.get(f"{SEARCH}?{query_string}"), "invalid", 422)


def test_a_simple_search_without_a_body_does_not_need_the_route(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered where simple searches with a body are; a collection that does not exist is not found."""
    searched = list[SearchRequest]()

    async def record_search(
        collection: Collection, request: SearchRequest, links: PageLinks, **options: Any
    ) -> SearchResponse:
        searched.append(request)
        return await run_search(collection, request, links, **options)

    monkeypatch.setattr(fast_search, "run_search", record_search)
    assert client.get(SEARCH, params={"q": "oil", "k": 7}).status_code == 200
    assert [(request.query, request.k) for request in searched] == [("oil", 7)]
    check_problem(client.get("/v1/collections/nothing/search", params={"q": "oil"}), "not_found", 404)
