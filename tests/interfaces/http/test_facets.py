"""Facets of searches over HTTP, through a real server."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.http_service import check_problem, run_service

SEARCH = "/v1/collections/hb/search"
DOCUMENTS = [
    {"uri": f"{number}", "text": f"The lamp of tower {number}.", "metadata": metadata}
    for number, metadata in enumerate(
        [
            {"team": "hr", "year": 2024, "tags": ["a", "b", "b"], "draft": True},
            {"team": "hr", "year": 2025, "tags": ["b"], "draft": False},
            {"team": "it", "year": 2025, "tags": "c"},
            {},
        ]
        + [{"team": "it", "serial": serial} for serial in range(60)]
    )
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb`."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        client.put("/v1/collections/hb")
        assert client.post("/v1/collections/hb/documents", json={"documents": DOCUMENTS}).status_code == 200
        yield client


def search(client: httpx.Client, **fields: Any) -> Any:
    """Return the body of a search for a lamp."""
    response = client.post(SEARCH, json={"query": "lamp", **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_facets_are_counted_over_all_documents_that_match(client: httpx.Client) -> None:
    """Not over the hits; without `facets` the response has none."""
    body = search(client, k=1, facets=["team", "tags", "draft", "nothing"])
    assert len(body["hits"]) == 1
    assert body["facets"] == {
        "team": [{"value": "it", "count": 61}, {"value": "hr", "count": 2}],
        "tags": [{"value": "b", "count": 2}, {"value": "a", "count": 1}, {"value": "c", "count": 1}],
        "draft": [{"value": False, "count": 1}, {"value": True, "count": 1}],
        "nothing": [],
    }
    body = search(client, filter={"year": 2025}, facets=["team"])
    assert body["facets"] == {"team": [{"value": "hr", "count": 1}, {"value": "it", "count": 1}]}
    assert "facets" not in search(client)
    assert "facets" not in search(client, explain=True)


def test_at_most_fifty_values_are_returned(client: httpx.Client) -> None:
    """Those that come first, of equally frequent ones."""
    values = search(client, facets=["serial"])["facets"]["serial"]
    assert values == [{"value": serial, "count": 1} for serial in range(50)]


def test_empty_list_counts_the_fields_of_most_documents(client: httpx.Client) -> None:
    """A field with more than 50 values is left out; the fields are those of the documents that match."""
    assert list(search(client, facets=[])["facets"]) == ["team", "tags", "year", "draft", "media_type"]
    facets = search(client, facets=[], filter={"year": {"$exists": False}})["facets"]
    assert facets == {
        "team": [{"value": "it", "count": 60}],
        "media_type": [{"value": "text/plain", "count": 61}],
    }


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"queries": ["lamp"], "facets": ["team"]}, "facets are the same for all queries"),
        ({"query": "lamp", "facets": ["uri"]}, "uri has a value of its own"),
        ({"query": "lamp", "facets": [f"f{number}" for number in range(11)]}, "at most 10 metadata fields"),
        ({"query": "lamp", "facets": ["a"] * 12}, "facets"),
        ({"query": "lamp", "facets": ["$and"]}, "'$and'"),
        ({"query": "lamp", "facets": [""]}, "facets"),
        ({"query": "lamp", "facets": "team"}, "facets"),
        ({"query": "lamp", "facets": ["team"], "filter": {"$no": 1}}, "$no"),
    ],
)
def test_invalid_facets_are_refused(client: httpx.Client, fields: dict[str, Any], part: str) -> None:
    """The detail names the cause."""
    assert part in check_problem(client.post(SEARCH, json=fields), "invalid", 422)
