"""Content gaps over HTTP: for keys with the scope `admin` only."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch import KeyGrants, Library
from semsearch.core.settings import Settings
from semsearch.core.types.access import Scope

PATH = "/v1/gaps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the service."""
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """One service in which two owners asked about CORS, and one about something else."""
    with run_service(folder) as client:
        fill_collection(client, "hb")
        for owner in ("ann", "bob"):
            headers = create_key(folder, owner, "ask")
            for question in ("How do I enable CORS?", *(["Where is the secret of bob?"] if owner == "bob" else [])):
                client.post("/v1/collections/hb/ask", json={"question": question}, headers=headers).raise_for_status()
        yield client


def create_key(folder: Path, owner: str, *scopes: Scope, collections: frozenset[str] | None = None) -> dict[str, str]:
    """Return the header of a new key."""
    with Library(folder, settings=Settings()) as library:
        secret = library.create_key(KeyGrants(owner, owner, frozenset(scopes), collections))[1]
    return {"Authorization": f"Bearer {secret}"}


def test_administrator_sees_gaps_of_two_owners(client: httpx.Client, folder: Path) -> None:
    """With passages and their addresses if the key has the scope `search` too."""
    headers = create_key(folder, "boss", "admin", "search")
    (gap,) = client.get(PATH, params={"collection": "hb"}, headers=headers).json()["gaps"]
    assert (gap["question"], gap["count"], gap["owners"], gap["reason"]) == ("How do I enable CORS?", 2, 2, "low_score")
    assert gap["first"].endswith("Z")
    assert "/view/hb/" in gap["nearest"][0]["url"]
    only_admin = create_key(folder, "boss", "admin")
    assert client.get(PATH, params={"collection": "hb"}, headers=only_admin).json()["gaps"][0]["nearest"] == []
    later = client.get(PATH, params={"collection": "hb", "since": "2999-01-01"}, headers=headers)
    assert later.json() == {"gaps": []}


def test_other_keys_and_invalid_parameters_are_refused(client: httpx.Client, folder: Path) -> None:
    """Another collection is absent."""
    params = {"collection": "hb"}
    check_problem(client.get(PATH, params=params, headers=create_key(folder, "ann", "ask", "search")), "forbidden", 403)
    elsewhere = create_key(folder, "boss", "admin", collections=frozenset({"other"}))
    check_problem(client.get(PATH, params=params, headers=elsewhere), "not_found", 404)
    admin = create_key(folder, "boss", "admin")
    for wrong in ({}, {**params, "since": "soon"}, {**params, "limit": "0"}, {**params, "verify": "true"}):
        check_problem(client.get(PATH, params=wrong, headers=admin), "invalid", 422)
