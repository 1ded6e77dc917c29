"""The straight way of ordinary searches: what takes it means the same as on the way of all others."""

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
from semsearch.interfaces.http import fast_search as shortcut
from semsearch.interfaces.http.requests import SearchBody
from semsearch.text.cleaning import clean

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
def test_what_is_ordinary_passes_the_models_too(body: dict[str, Any]) -> None:
    """And with the same meaning; but for an empty question, which the search itself refuses."""
    wanted = shortcut.parse_simple_search(body)
    if wanted is not None and clean(wanted.query).strip():
        said = SearchBody.model_validate(body).to_params()
        assert said.query == clean(wanted.query).strip()
        assert (said.k, said.mode, said.filter) == (wanted.k, wanted.mode, wanted.filter)
        assert not said.history
        assert not said.explain


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
def test_both_ways_find_the_same(client: httpx.Client, body: dict[str, Any]) -> None:
    """A header that says a little more leads past the straight way."""
    found = [
        client.post("/v1/collections/hb/search", content=json.dumps(body), headers={"content-type": kind}).json()[
            "hits"
        ]
        for kind in ("application/json", "application/json; charset=utf-8")
    ]
    assert found[0] == found[1] != []


@pytest.mark.parametrize("body", [{"query": " \u200b "}, {"query": "x", "k": 0}, {"query": "x", "filter": {"$no": 1}}])
def test_what_is_amiss_is_told_by_the_other_way(client: httpx.Client, body: dict[str, Any]) -> None:
    """As a problem with a detail, as for every other request."""
    assert check_problem(client.post("/v1/collections/hb/search", json=body), "invalid", 422)


@pytest.mark.parametrize(("name", "query"), [("nothing", "x"), ("hb", " \u200b ")])
def test_an_error_is_the_same_on_both_ways(client: httpx.Client, name: str, query: str) -> None:
    """Whichever meets it."""
    told = [
        client.post(
            f"/v1/collections/{name}/search", content=json.dumps({"query": query}), headers={"content-type": kind}
        ).json()
        for kind in ("application/json", "application/json; charset=utf-8")
    ]
    for one in told:
        assert one.pop("request_id")
    assert told[0] == told[1]


def test_a_search_that_fails_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take as long once more, and end the same way."""
    tries = []

    async def fails(*_: object) -> None:
        tries.append(1)
        raise DeadlineError("this took longer than the 10 seconds allowed")

    monkeypatch.setattr(shortcut, "run_search", fails)
    with run_service(tmp_path) as client:
        fill_collection(client, "hb")
        told = check_problem(client.post("/v1/collections/hb/search", json={"query": "x"}), "deadline", 504)
    assert "10 seconds" in told
    assert tries == [1]


def test_each_of_many_at_once_is_answered_with_its_own(client: httpx.Client) -> None:
    """Over twenty-four connections, each with another question, whatever way it takes; some of them are amiss."""
    words = ("leave", "parents", "train", "taxi", "reason", "pump", "alarm", "cooled", "people", "late", "dry", " ")
    bodies = [{"query": word, "k": k} for word in words for k in (1, 3)]
    url = "/v1/collections/hb/search"
    alone = [_told(client.post(url, json=body)) for body in bodies]

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as other:
            return await asyncio.gather(*(other.post(url, json=body) for body in bodies))

    for _ in range(5):
        assert list(map(_told, asyncio.run(ask()))) == alone
    assert {status for status, _ in alone} == {200, 422}


def _told(response: httpx.Response) -> tuple[int, Any]:
    """Status and hits, or what is wrong."""
    told = response.json()
    return response.status_code, told.get("hits", told.get("detail"))
