"""Addresses of hits, citations and passages in responses, through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from support.http_service import document_path, run_service

from semsearch.core.settings import Settings

URI = "docs/lamps & oil?/ä #1.md"
TEXT = "# Lamps\n\nThe lamp of the tower burns two litres of oil a night.\n"
QUESTION = {"question": "How much oil does the lamp of the tower burn?"}


def put_lamps(client: httpx.Client) -> None:
    """Store one document with a name that a URL cannot have as it is."""
    client.put("/v1/collections/hb")
    response = client.put(document_path("hb", URI), content=TEXT.encode(), headers={"content-type": "text/markdown"})
    assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service without a public URL."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        put_lamps(client)
        yield client


def check_url(item: dict[str, Any], base: str) -> None:
    """Check that the url of a hit, citation or passage names its document and its span."""
    url = urlsplit(item["url"])
    prefix = f"{base}/view/hb/"
    assert item["url"].startswith(prefix)
    assert "/" not in url.path.removeprefix(urlsplit(prefix).path)
    assert unquote(url.path.removeprefix(urlsplit(prefix).path)) == item["uri"] == URI
    assert parse_qs(url.query) == {"start": [str(item["start"])], "end": [str(item["end"])]}


def collect_items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all hits, citations and passages of an answer; there is one of each."""
    kinds = [answer["hits"], answer["citations"], answer["passages"]]
    assert all(kinds)
    return [item for items in kinds for item in items]


def test_every_search_has_links(client: httpx.Client) -> None:
    """On the fast path and on the route, with one query and with several."""
    base, path = str(client.base_url).rstrip("/"), "/v1/collections/hb/search"
    responses = [
        client.get(path, params={"q": "oil"}),
        client.get(path, params={"q": "oil"}, headers={"content-type": "text/plain"}),
        client.post(path, json={"query": "oil"}),
        client.post(path, json={"query": "oil", "explain": True}),
        client.post(path, json={"query": "oil", "facets": ["team"]}),
    ]
    results = [response.json() for response in responses]
    results += client.post(path, json={"queries": ["oil", "lamp"]}).json()["results"]
    for result in results:
        assert result["hits"]
        for hit in result["hits"]:
            check_url(hit, base)


def test_every_answer_has_links(client: httpx.Client) -> None:
    """Also the events of a stream, and the recorded answer, which gets those of the request that reads it."""
    base = str(client.base_url).rstrip("/")
    answer = client.post("/v1/collections/hb/ask", json=QUESTION).json()
    for item in collect_items(answer):
        check_url(item, base)
    stream = client.post("/v1/collections/hb/ask", json={**QUESTION, "stream": True}).text
    events = dict(block.split("\n", 1) for block in stream.strip().split("\n\n"))
    data = {name: json.loads(text.removeprefix("data: ")) for name, text in events.items()}
    for item in (
        data["event: sources"]["hits"] + data["event: passages"]["passages"] + collect_items(data["event: answer"])
    ):
        check_url(item, base)
    host = {"host": f"localhost:{client.base_url.port}"}
    recorded = client.get(f"/v1/answers/{answer['id']}", headers=host).json()["answer"]
    for item in collect_items(recorded):
        check_url(item, f"http://{host['host']}")


def test_public_url_is_the_base_of_every_link(tmp_path: Path) -> None:
    """It may have a path, and the Host of the request does not matter."""
    base = "https://intranet.example/search"
    with run_service(tmp_path, Settings(public_url=base)) as client:
        put_lamps(client)
        hits = client.post("/v1/collections/hb/search", json={"query": "oil"}).json()["hits"]
        for item in hits + collect_items(client.post("/v1/collections/hb/ask", json=QUESTION).json()):
            check_url(item, base)


def test_strange_host_stays_inside_the_address(tmp_path: Path) -> None:
    """Where every host is allowed, a request may name one that is none."""
    with run_service(tmp_path, Settings(allowed_hosts=("*",))) as client:
        put_lamps(client)
        response = client.post("/v1/collections/hb/search", json={"query": "oil"}, headers={"host": 'a/b?"<x>#@c'})
        assert response.json()["hits"][0]["url"].startswith("http://a%2Fb%3F%22%3Cx%3E%23%40c/view/hb/docs%2F")
