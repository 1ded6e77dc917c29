"""A service behind a proxy that names users: who they are, what they see, and who cannot pretend to be one."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.access import KeyGrants
from semsearch.core.types.identities import GroupGrants, IdentitySettings
from semsearch.core.types.usage import Budget, BudgetLimits
from semsearch.interfaces.http.asgi import Application
from semsearch.library import Library
from semsearch.library.keys import may_be_exposed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

SEARCH = "/v1/collections/hb/search"
QUERY = {"query": "alarm train leave", "k": 10}
GROUPS = (
    GroupGrants("admins", frozenset(("search", "ask", "write", "admin"))),
    GroupGrants("it", filter={"folder": "it"}),
)


def make_settings(*addresses: str) -> Settings:
    """Return the settings of a service with these trusted proxies."""
    identities = IdentitySettings("remote-user", "remote-groups", GROUPS)
    budget = Budget(BudgetLimits(day_usd=5.0), BudgetLimits(day_usd=1.0))
    return Settings(access_proxies=addresses, identities=identities, budget=budget)


@dataclass(frozen=True, slots=True)
class Proxied:
    """A service, and what a proxy on the loopback sends for its users."""

    client: httpx.Client
    key: str
    """Of the owner `robot`, with the scope `search`."""

    @property
    def origin(self) -> dict[str, str]:
        """The Origin of the service's own page."""
        return {"origin": str(self.client.base_url).rstrip("/")}


ANN = {"remote-user": "ann", "remote-groups": "admins"}
BOB = {"remote-user": "bob", "remote-groups": "sales, it"}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A service whose proxy is on the loopback, with a collection of two folders."""
    folder = tmp_path_factory.mktemp("indexes")
    with Library(folder, settings=Settings()) as library:
        _, key = library.create_key(KeyGrants("robot", "robot", frozenset(("search",))))
    with run_service(folder, make_settings("127.0.0.1", "::1")) as client:
        service = Proxied(client, key)
        client.headers.update({**ANN, **service.origin})
        fill_collection(client, "hb")
        for name in (*ANN, "origin"):
            del client.headers[name]
        yield service


def collect_uris(response: httpx.Response) -> set[str]:
    """Return the uris of the hits."""
    assert response.status_code == 200, response.text
    return {hit["uri"] for hit in response.json()["hits"]}


def test_group_decides_what_a_user_sees(proxied: Proxied) -> None:
    """The filter of the group bounds each search; the user owns what they do."""
    headers = {**proxied.origin, **BOB}
    assert collect_uris(proxied.client.post(SEARCH, json=QUERY, headers=headers)) == {"it/alarms.md"}
    assert len(collect_uris(proxied.client.post(SEARCH, json=QUERY, headers={**proxied.origin, **ANN}))) == 3
    me = proxied.client.get("/v1/me", headers=BOB).json()
    assert (me["owner"], me["key"], me["scopes"], me["signed_in"]) == ("bob", None, ["ask", "search"], False)
    check_problem(proxied.client.delete("/v1/collections/hb", headers=headers), "forbidden", 403)


def test_budget_of_all_is_for_administrators(proxied: Proxied) -> None:
    """It tells what others have spent; the user's own budget is shown."""
    for user, names in ((ANN, ["budget.day_usd", "budget.per_owner.day_usd"]), (BOB, ["budget.per_owner.day_usd"])):
        usage = proxied.client.get("/v1/usage", headers=user).json()
        assert [status["name"] for status in usage["budget"]] == names


def test_loopback_alone_is_nobody(tmp_path: Path) -> None:
    """The proxy itself connects over the loopback, so a request without a user needs a key, even if there is none."""
    with run_service(tmp_path, make_settings("127.0.0.1", "::1")) as client:
        check_problem(client.get("/v1/collections"), "unauthorized", 401)
        two_users = [("remote-user", "ann"), ("remote-user", "ann"), ("remote-groups", "admins")]
        check_problem(client.get("/v1/collections", headers=two_users), "unauthorized", 401)
        assert client.get("/v1/collections", headers=ANN).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_user_without_a_group_is_refused(proxied: Proxied) -> None:
    """Being signed in to the proxy is not enough."""
    detail = check_problem(proxied.client.get("/v1/me", headers={"remote-user": "eve"}), "forbidden", 403)
    assert "access.groups" in detail


def test_key_wins_over_the_user(proxied: Proxied) -> None:
    """A wrong key is not replaced by the user; other authorization, such as that of the proxy, is not a key."""
    bearer = {"authorization": f"Bearer {proxied.key}"}
    assert proxied.client.get("/v1/me", headers={**BOB, **bearer}).json()["owner"] == "robot"
    wrong = {"authorization": f"Bearer {proxied.key[:-4]}AAAA"}
    check_problem(proxied.client.get("/v1/me", headers={**BOB, **wrong}), "unauthorized", 401)
    basic = {"authorization": "Basic Ym9iOmJvYg=="}
    assert proxied.client.get("/v1/me", headers={**BOB, **basic}).json()["owner"] == "bob"


def test_page_of_another_site_changes_nothing(proxied: Proxied) -> None:
    """A browser sends the proxy's cookie with requests of every page, so a change needs the service's own Origin."""
    for origin in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {}):
        response = proxied.client.post(SEARCH, json=QUERY, headers={**BOB, **origin})
        check_problem(response, "forbidden", 403)
    cross_site = {**BOB, "sec-fetch-site": "cross-site"}
    check_problem(proxied.client.get(SEARCH, params={"q": "alarm"}, headers=cross_site), "forbidden", 403)


def test_headers_from_anybody_else_are_ignored(tmp_path: Path) -> None:
    """The proxy has another address, so the same headers name nobody, not even the local user; keys still work."""
    with run_service(tmp_path, make_settings("192.0.2.1")) as client:
        for headers in (ANN, {**ANN, "x-forwarded-for": "192.0.2.1"}):
            check_problem(client.get("/v1/me", headers=headers), "unauthorized", 401)
        with Library(tmp_path, settings=Settings()) as library:
            _, key = library.create_key(KeyGrants("robot", "robot"))
        assert client.get("/v1/me", headers={**ANN, "authorization": f"Bearer {key}"}).json()["owner"] == "robot"


def test_exposed_service_needs_the_names_of_its_hosts(tmp_path: Path) -> None:
    """A page whose name resolves to the loopback could else name a user itself, in a browser beside the proxy."""

    async def get_me(application: Application, host: str) -> httpx.Response:
        transport = httpx.ASGITransport(application, client=("127.0.0.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get("/v1/me", headers=ANN)

    settings = replace(make_settings("127.0.0.1"), allowed_hosts=("search.example.org",))
    with Library(tmp_path, settings=make_settings("127.0.0.1")) as library:
        response = asyncio.run(get_me(Application(library, "0.0.0.0", is_exposed=True), "evil.example"))
        check_problem(response, "forbidden", 403)
    with Library(tmp_path, settings=settings) as library:
        application = Application(library, "0.0.0.0", is_exposed=True)
        assert asyncio.run(get_me(application, "search.example.org")).json()["owner"] == "ann"


def test_service_with_identities_may_be_exposed(tmp_path: Path) -> None:
    """Its users can prove who they are; without keys it was for the loopback only."""
    assert may_be_exposed(tmp_path, make_settings("192.0.2.1"))
    assert not may_be_exposed(tmp_path, Settings())
    with Library(tmp_path, settings=make_settings("192.0.2.1")) as library:
        assert library.may_be_exposed()


def test_filter_of_a_group_is_checked_at_the_start(tmp_path: Path) -> None:
    """A filter that cannot be parsed would fail at each request."""
    identities = IdentitySettings("remote-user", None, (GroupGrants("hr", filter={"$oops": 1}),))
    with pytest.raises(InvalidError, match=r"access\.groups\.hr\.filter: "):
        Library(tmp_path, settings=Settings(access_proxies=("192.0.2.1",), identities=identities))
