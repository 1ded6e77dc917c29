"""The fast path of simple searches: a request means the same there as on the route."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_service import check_problem, fill_collection, run_service

from semsearch.core.errors import DeadlineError
from semsearch.interfaces.http import fast_search
from semsearch.interfaces.http.requests import SearchBody
from semsearch.text.cleaning import clean

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

CONTENT_TYPES = ("application/json", "application/json; charset=utf-8")
"""The first takes the fast path, the second the route."""

_SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 120) | st.floats(-1, 3) | st.sampled_from(["dense", "a\u200bb", ""])
)
_FILTERS = st.dictionaries(
    st.sampled_from(["uri", "team", "$and"]), _SCALARS | st.lists(_SCALARS, max_size=2), max_size=2
)
_BODIES = st.fixed_dictionaries(
    {"query": st.text(max_size=8) | _SCALARS},
    optional={
        "k": _SCALARS,
        "filter": _FILTERS | _SCALARS,
        "mode": st.sampled_from(["dense", "lexical", "hybrid"]) | _SCALARS,
        "explain": st.booleans(),
        "other": _SCALARS,
    },
)


@given(_BODIES)
def test_a_simple_search_is_valid_for_the_route(body: dict[str, Any]) -> None:
    """The request model accepts it and reads the same request. Only an empty query is left to the search itself."""
    fast_request = fast_search.parse_simple_search(body)
    if fast_request is not None and clean(fast_request.query).strip():
        route_request = SearchBody.model_validate(body).to_requests()[0]
        assert route_request.query == clean(fast_request.query).strip()
        assert (route_request.k, route_request.mode, route_request.filter) == (
            fast_request.k,
            fast_request.mode,
            fast_request.filter,
        )
        assert not route_request.history
        assert not route_request.explain


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb`."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        fill_collection(client, "hb")
        yield client


@pytest.mark.parametrize(
    "body",
    [
        {"query": "leave for parents"},
        {"query": " e-417 ", "k": 2, "mode": "lexical"},
        {"query": "a dry pump", "mode": "dense", "filter": {"folder": "it"}},
    ],
)
def test_both_paths_return_the_same_hits(client: httpx.Client, body: dict[str, Any]) -> None:
    """A content type with a charset takes the route."""
    fast_hits, route_hits = (
        client.post(
            "/v1/collections/hb/search", content=json.dumps(body), headers={"content-type": content_type}
        ).json()["hits"]
        for content_type in CONTENT_TYPES
    )
    assert fast_hits == route_hits != []


@pytest.mark.parametrize("body", [{"query": " \u200b "}, {"query": "x", "k": 0}, {"query": "x", "filter": {"$no": 1}}])
def test_the_route_answers_invalid_searches(client: httpx.Client, body: dict[str, Any]) -> None:
    """The response is a problem with a detail."""
    assert check_problem(client.post("/v1/collections/hb/search", json=body), "invalid", 422)


@pytest.mark.parametrize(("name", "query"), [("nothing", "x"), ("hb", " \u200b ")])
def test_an_error_is_the_same_on_both_paths(client: httpx.Client, name: str, query: str) -> None:
    """Both responses are equal, except for the request id."""
    body = json.dumps({"query": query})
    problems = [
        client.post(f"/v1/collections/{name}/search", content=body, headers={"content-type": content_type}).json()
        for content_type in CONTENT_TYPES
    ]
    for problem in problems:
        assert problem.pop("request_id")
    assert problems[0] == problems[1]


def test_a_failed_search_is_not_repeated_on_the_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline error of the fast path is the response: the route would take the same time again."""
    attempts = []

    async def fail(*_: object, **__: object) -> None:
        attempts.append(1)
        raise DeadlineError("this took longer than the 10 seconds allowed")

    monkeypatch.setattr(fast_search, "run_search", fail)
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        detail = check_problem(client.post("/v1/collections/hb/search", json={"query": "x"}), "deadline", 504)
    assert "10 seconds" in detail
    assert attempts == [1]


def test_concurrent_searches_get_their_own_responses(client: httpx.Client) -> None:
    """Twenty-four connections, each with another query, some of them invalid."""
    words = ("leave", "parents", "train", "taxi", "reason", "pump", "alarm", "cooled", "people", "late", "dry", " ")
    bodies = [{"query": word, "k": k} for word in words for k in (1, 3)]
    url = "/v1/collections/hb/search"
    expected = [_get_outcome(client.post(url, json=body)) for body in bodies]

    async def search_concurrently() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as async_client:
            return await asyncio.gather(*(async_client.post(url, json=body) for body in bodies))

    for _ in range(5):
        assert list(map(_get_outcome, asyncio.run(search_concurrently()))) == expected
    assert {status for status, _ in expected} == {200, 422}


def _get_outcome(response: httpx.Response) -> tuple[int, Any]:
    """Return the status, and the hits or the detail of the problem."""
    body = response.json()
    return response.status_code, body.get("hits", body.get("detail"))
