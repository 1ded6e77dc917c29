"""Authentication over HTTP: who needs a key, what each scope allows, and the cookie of the page."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service, send_raw

from semsearch import KeyGrants, Library
from semsearch.core.settings import Settings
from semsearch.core.types.access import ALL_SCOPES, Scope
from semsearch.interfaces.http.app import create_app
from semsearch.interfaces.http.asgi import Application
from semsearch.interfaces.http.route_scopes import find_scope, is_listed, is_public
from semsearch.interfaces.http.service import make_service

SEARCH = "/v1/collections/hb/search"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory."""
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Yield a client without a key of a service that needs one."""
    with run_service(folder) as client:
        fill_collection(client, "hb")
        create_key(folder, ALL_SCOPES)
        yield client


def create_key(folder: Path, scopes: frozenset[Scope], **grants: object) -> dict[str, str]:
    """Create a key on the data directory, as the command line does; return its header."""
    with Library(folder, settings=Settings()) as library:
        _, key = library.create_key(KeyGrants("test", "tester", scopes, **grants))  # type: ignore[arg-type]
    return {"authorization": f"Bearer {key}"}


def test_every_route_is_listed(tmp_path: Path) -> None:
    """With its scope or as public; a new route fails here until it is listed."""
    with Library(tmp_path, settings=Settings()) as library:
        app = create_app(make_service(library))
    for route in app.routes:
        for method in getattr(route, "methods", None) or {"GET"}:
            path = getattr(route, "path", "").replace("{path:path}", "x").replace("{", "").replace("}", "")
            path = f"{path}/x" if path == "/static-offline-docs" else path
            assert is_listed(method, path), (method, path)
    assert find_scope("GET", "/v1/new-route") == "admin"


def test_only_health_and_page_are_public(client: httpx.Client) -> None:
    """The page holds no documents; the documentation and the API description need a key."""
    for path in ("/healthz", "/readyz", "/", "/documents", "/view/hb/docs%2Fleave.md", "/static/app.js"):
        assert client.get(path).status_code == 200, path
    for path in ("/docs", "/openapi.json", "/v1/collections", f"{SEARCH}?q=leave", "/v1/me", "/v1/nothing", "/nothing"):
        detail = check_problem(client.get(path), "unauthorized", 401)
        assert "Authorization: Bearer" in detail
    assert client.get("/v1/collections").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Basic eDp5", f"Bearer sk_{'0' * 12}_{'0' * 43}", f"bearer sc_{'0' * 12}_{'0' * 43}"],
)
def test_wrong_keys_get_the_same_answer(client: httpx.Client, header: str) -> None:
    """As a request without one."""
    bodies = [
        client.get(SEARCH, params={"q": "a"}, headers=headers).json() for headers in ({}, {"authorization": header})
    ]
    for body in bodies:
        body.pop("request_id")
    assert bodies[0] == bodies[1]


def test_two_authorization_headers_are_refused(client: httpx.Client, folder: Path) -> None:
    """Also if the first one is right: a proxy may have checked the other."""
    key = create_key(folder, ALL_SCOPES)["authorization"]
    headers = [("authorization", key), ("authorization", "Bearer x")]
    check_problem(client.get(SEARCH, params={"q": "a"}, headers=headers), "unauthorized", 401)


REQUESTS: dict[Scope, tuple[tuple[str, str], ...]] = {
    "search": (
        ("GET", f"{SEARCH}?q=leave"),
        ("POST", "/v1/collections/hb/recommend"),
        ("GET", "/v1/collections/hb/documents/docs%2Fleave.md/similar"),
        ("GET", "/v1/collections"),
        ("GET", "/v1/collections/hb"),
        ("GET", "/v1/collections/hb/documents"),
        ("GET", "/v1/collections/hb/documents/docs%2Fleave.md"),
        ("GET", "/v1/collections/hb/documents/docs%2Fleave.md/original"),
    ),
    "ask": (
        ("POST", "/v1/collections/hb/ask"),
        ("GET", "/v1/sessions"),
        ("POST", "/v1/sessions"),
        ("GET", "/v1/answers/ans_1"),
        ("POST", "/v1/answers/ans_1/feedback"),
    ),
    "write": (
        ("PUT", "/v1/collections/hb/documents/new.txt"),
        ("DELETE", "/v1/collections/hb/documents/absent.txt"),
        ("POST", "/v1/collections/hb/documents"),
        ("POST", "/v1/collections/hb/documents/delete"),
    ),
    "admin": (
        ("PUT", "/v1/collections/hb"),
        ("DELETE", "/v1/collections/absent"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/gaps?collection=hb"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/000000000000"),
    ),
}


@pytest.mark.parametrize("scope", REQUESTS)
def test_scope_allows_its_requests_only(client: httpx.Client, folder: Path, scope: Scope) -> None:
    """No scope includes another."""
    headers = create_key(folder, frozenset([scope]))
    for needed, requests in REQUESTS.items():
        for method, path in requests:
            reply = client.request(method, path, headers=headers)
            if needed == scope:
                assert reply.status_code not in (401, 403), (method, path, reply.text)
            else:
                assert needed in check_problem(reply, "forbidden", 403)
                assert find_scope(method, path.partition("?")[0]) == needed
    assert client.get("/v1/me", headers=headers).json()["scopes"] == [scope]
    check_problem(client.get("/v1/nothing", headers=headers), "not_found", 404)


def test_body_of_a_request_without_a_key_is_not_read(client: httpx.Client) -> None:
    """The answer comes before the body, and the connection is closed."""
    head = b"PUT /v1/collections/hb/documents/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n"
    assert send_raw(client, head).startswith(b"HTTP/1.1 401 ")


def test_key_filter_and_collections_bound_every_read(client: httpx.Client, folder: Path) -> None:
    """Of documents, hits and lists; another collection is absent."""
    it_only = create_key(folder, frozenset(["search", "ask"]), filter={"folder": "it"})
    hits = client.get(SEARCH, params={"q": "leave", "k": 10}, headers=it_only).json()["hits"]
    assert {hit["uri"] for hit in hits} == {"it/alarms.md"}
    listed = client.get("/v1/collections/hb/documents", headers=it_only).json()
    assert ([row["uri"] for row in listed["documents"]], listed["total"]) == (["it/alarms.md"], 1)
    elsewhere = create_key(folder, frozenset(["search"]), collections=frozenset(["other"]))
    assert client.get("/v1/collections", headers=elsewhere).json()["collections"] == []
    check_problem(client.get(SEARCH, params={"q": "leave"}, headers=elsewhere), "not_found", 404)


def test_keys_are_managed_over_http(client: httpx.Client, folder: Path) -> None:
    """Created, listed without secrets, rotated and revoked; each counts from the next request on."""
    admin = create_key(folder, frozenset(["admin"]))
    created = client.post("/v1/keys", json={"name": "box", "filter": {"folder": "it"}}, headers=admin)
    assert created.status_code == 201
    key = created.json()
    assert key["owner"] == "box"
    assert key["scopes"] == ["ask", "search"]

    def search_status(secret: str) -> int:
        return client.get(SEARCH, params={"q": "pump"}, headers={"authorization": f"Bearer {secret}"}).status_code

    assert search_status(key["key"]) == 200
    rotated = client.post(f"/v1/keys/{key['id']}/rotate", json={"overlap_seconds": 0}, headers=admin).json()
    assert (search_status(key["key"]), search_status(rotated["key"])) == (401, 200)
    listed = client.get("/v1/keys", headers=admin)
    assert key["id"] in [row["id"] for row in listed.json()["keys"]]
    assert key["key"] not in listed.text
    assert rotated["key"] not in listed.text
    assert client.delete(f"/v1/keys/{key['id']}", headers=admin).json()["revoked"] is not None
    assert search_status(rotated["key"]) == 401
    refused = client.post("/v1/keys", json={"name": "x", "filter": {"a": 1}, "scopes": ["write"]}, headers=admin)
    check_problem(refused, "invalid", 422)


def test_page_signs_in_with_a_cookie(client: httpx.Client, folder: Path) -> None:
    """Scripts cannot read it, other sites cannot send it, and changes need the page's own Origin."""
    key = create_key(folder, ALL_SCOPES)
    reply = client.post("/v1/sign-in", headers=key)
    assert reply.status_code == 204
    attributes = reply.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert "secure" not in attributes
    cookie = {"cookie": reply.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    assert client.get("/v1/me", headers=cookie).json()["signed_in"] is True
    assert client.get("/v1/collections/hb/documents/docs%2Fleave.md/original", headers=cookie).status_code == 200
    origin = str(client.base_url).rstrip("/")
    ask = {"question": "How long is parental leave?"}
    assert client.post("/v1/collections/hb/ask", json=ask, headers={**cookie, "origin": origin}).status_code == 200
    check_problem(client.post("/v1/collections/hb/ask", json=ask, headers=cookie), "forbidden", 403)
    foreign = {**cookie, "origin": "https://elsewhere.example"}
    check_problem(client.post("/v1/collections/hb/ask", json=ask, headers=foreign), "forbidden", 403)
    foreign = {**cookie, "sec-fetch-site": "cross-site"}
    check_problem(client.get("/v1/collections", headers=foreign), "forbidden", 403)
    signed_out = client.delete("/v1/sign-in", headers={**cookie, "origin": origin})
    assert signed_out.status_code == 204
    assert "max-age=0" in signed_out.headers["set-cookie"].lower()
    over_tls = client.post("/v1/sign-in", headers={**key, "origin": f"https://{client.base_url.netloc.decode()}"})
    assert "secure" in over_tls.headers["set-cookie"].lower()


@pytest.mark.parametrize("others", ['a={"x": 1}; ', "a[b]=1; ", "flag; ", "a=b c; ", 'a="b; ', "a@b=1; "])
def test_cookies_of_other_services_do_not_hide_that_of_the_page(
    client: httpx.Client, folder: Path, others: str
) -> None:
    """All services of a host share its cookies, and not all of them follow the standard."""
    reply = client.post("/v1/sign-in", headers=create_key(folder, ALL_SCOPES))
    client.cookies.clear()
    cookie = reply.headers["set-cookie"].partition(";")[0]
    assert client.get("/v1/me", headers={"cookie": f"{others}{cookie}"}).json()["signed_in"] is True
    twice = {"cookie": f"{cookie}; {cookie}"}
    assert client.get("/v1/me", headers=twice).status_code == 200


def test_two_different_cookies_of_the_page_sign_nobody_in(client: httpx.Client, folder: Path) -> None:
    """Another site of the domain may have set one of them."""
    replies = [client.post("/v1/sign-in", headers=create_key(folder, ALL_SCOPES)) for _ in range(2)]
    client.cookies.clear()
    cookies = [reply.headers["set-cookie"].partition(";")[0] for reply in replies]
    check_problem(client.get("/v1/me", headers={"cookie": "; ".join(cookies)}), "unauthorized", 401)
    check_problem(client.get("/v1/me", headers=[("cookie", cookie) for cookie in cookies]), "unauthorized", 401)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_forwarded_request_needs_a_key_even_while_there_is_none(tmp_path: Path, header: str) -> None:
    """A proxy on this machine may serve the whole network, whose requests are not those of the local user."""
    with run_service(tmp_path) as client:
        assert client.get("/v1/collections").status_code == 200
        forwarded = client.get("/v1/collections", headers={header: "192.0.2.1"})
        assert "keys create" in check_problem(forwarded, "forbidden", 403)
        assert client.get("/healthz", headers={header: "192.0.2.1"}).status_code == 200


def test_exposed_service_without_keys_answers_nobody(tmp_path: Path) -> None:
    """Also if its last key disappeared since the start."""
    with Library(tmp_path, settings=Settings()) as library:
        application = Application(library, "0.0.0.0", is_exposed=True)
        transport = httpx.ASGITransport(application)

        async def get_statuses() -> list[int]:
            async with httpx.AsyncClient(transport=transport, base_url="http://anything") as client:
                return [(await client.get(path)).status_code for path in ("/healthz", "/v1/collections")]

        import asyncio

        assert asyncio.run(get_statuses()) == [200, 401]


def test_public_routes_are_few() -> None:
    """None of them is below /v1, except the end of a sign-in."""
    assert is_public("DELETE", "/v1/sign-in")
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("/v1/sign-in", "/v1/", "/v1/collections", "/metrics", "/docs", "/openapi.json", "/view/a/b/c"):
            assert not is_public(method, path) or (method, path) == ("DELETE", "/v1/sign-in")
