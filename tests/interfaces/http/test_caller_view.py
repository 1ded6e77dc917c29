"""Who the caller is, as the page reads it: with the list of collections, in one request."""

from collections.abc import Iterator

import httpx
import pytest
from support.http_service import run_service

pytestmark = pytest.mark.slow


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a client of a service without keys."""
    with run_service(tmp_path_factory.mktemp("indexes")) as client:
        yield client


def test_list_of_collections_names_the_caller(client: httpx.Client) -> None:
    """It is the local caller without keys, then that of the cookie, and the same as GET /v1/me returns."""
    local = client.get("/v1/collections").json()["caller"]
    assert local == client.get("/v1/me").json()
    assert (local["owner"], local["key"], local["signed_in"]) == ("local", None, False)
    key = client.post("/v1/keys", json={"name": "reader", "collections": ["hb"]}).json()["key"]
    assert client.get("/v1/collections").status_code == 401
    signed_in = client.post("/v1/sign-in", headers={"authorization": f"Bearer {key}"})
    assert signed_in.status_code == 204
    expected = {
        "owner": "reader",
        "key": key.split("_")[1],
        "scopes": ["ask", "search"],
        "collections": ["hb"],
        "signed_in": True,
    }
    assert client.get("/v1/collections").json() == {"collections": [], "caller": expected}
    assert client.get("/v1/me").json() == expected


def test_documents_of_the_page_need_no_key(client: httpx.Client) -> None:
    """The addresses and files of the page are served to everybody, so that it can ask for a key."""
    client.post("/v1/keys", json={"name": "reader"}).raise_for_status()
    for path in ("/", "/ask", "/keys", "/view/hb/a.md", "/static/app.js", "/static/sign_in.js"):
        assert client.get(path).status_code == 200, path
    assert client.get("/v1/keys").status_code == 401
