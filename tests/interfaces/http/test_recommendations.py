"""Recommendations over HTTP, through a real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import HANDBOOK, check_problem, document_path, fill_collection, run_service

from semsearch import KeyGrants, Library
from semsearch.core.settings import Settings

LEAVE = "docs/leave.md"
PATH = "/v1/collections/hb/recommend"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory."""
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """One service with a filled collection `hb`."""
    with run_service(folder) as client:
        fill_collection(client, "hb")
        yield client


def test_recommendations_are_hits_with_addresses(client: httpx.Client) -> None:
    """Without what was seen; `similar` is the same for one document."""
    hits = client.post(PATH, json={"positive": [{"uri": LEAVE}, {"text": "a late train"}], "k": 5}).json()["hits"]
    assert [hit["uri"] for hit in hits] == ["docs/travel.md", "it/alarms.md"]
    assert all(HANDBOOK[hit["uri"]].endswith(hit["text"]) and "/view/hb/" in hit["url"] for hit in hits)
    by_chunk = client.post(PATH, json={"positive": [{"chunk_id": hits[0]["chunk_id"]}], "exclude": [LEAVE]}).json()
    assert [hit["uri"] for hit in by_chunk["hits"]] == ["it/alarms.md"]
    similar = client.get(f"{document_path('hb', LEAVE)}/similar", params={"k": 1}).json()
    assert set(similar) == {"hits"}
    assert len(similar["hits"]) == 1
    filtered = client.post(PATH, json={"query": "trains", "filter": {"folder": "it"}}).json()
    assert [hit["uri"] for hit in filtered["hits"]] == ["it/alarms.md"]


def test_session_is_one_of_the_caller(client: httpx.Client) -> None:
    """Its questions are examples."""
    session = client.post("/v1/sessions", json={"collection": "hb"}).json()["id"]
    question = {"question": "What does the alarm E-417 of the pump mean?", "session_id": session}
    assert client.post("/v1/collections/hb/ask", json=question).status_code == 200
    assert client.post(PATH, json={"session_id": session}).json()["hits"][0]["uri"] == "it/alarms.md"
    check_problem(client.post(PATH, json={"session_id": "ses_nothing"}), "not_found", 404)


def test_invalid_and_unknown_examples_are_problems(client: httpx.Client) -> None:
    """The message names the field."""
    for body, word in (
        ({}, "positive examples"),
        ({"positive": [{}]}, "exactly one"),
        ({"positive": [{"uri": LEAVE, "text": "x"}]}, "exactly one"),
        ({"positive": [{"uri": LEAVE}], "strategy": "mean"}, "strategy"),
        ({"positive": [{"uri": LEAVE}], "k": 101}, "100"),
        ({"positive": [{"uri": LEAVE}], "positve": []}, "did you mean"),
    ):
        assert word in check_problem(client.post(PATH, json=body), "invalid", 422)
    check_problem(client.post(PATH, json={"positive": [{"uri": "docs/no.md"}]}), "not_found", 404)
    check_problem(client.get(f"{document_path('hb', 'docs/no.md')}/similar"), "not_found", 404)


def test_key_with_a_filter_gets_only_what_it_may_see(client: httpx.Client, folder: Path) -> None:
    """A hidden example is as one that does not exist. Runs last: from then on the service needs a key."""
    with Library(folder, settings=Settings()) as library:
        _, key = library.create_key(KeyGrants("docs", "me", frozenset(["search"]), filter={"folder": "docs"}))
    headers = {"authorization": f"Bearer {key}"}
    hits = client.post(PATH, json={"positive": [{"uri": LEAVE}]}, headers=headers).json()["hits"]
    assert [hit["uri"] for hit in hits] == ["docs/travel.md"]
    for example in ({"uri": "it/alarms.md"}, {"uri": "it/no.md"}):
        check_problem(client.post(PATH, json={"positive": [example]}, headers=headers), "not_found", 404)
    check_problem(client.get(f"{document_path('hb', 'it/alarms.md')}/similar", headers=headers), "not_found", 404)
    check_problem(client.post(PATH, json={"session_id": "ses_1"}, headers=headers), "forbidden", 403)
