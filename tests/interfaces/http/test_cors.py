"""Pages of other origins: those of the settings may call the API with a key, all others may not."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from support.http_service import check_problem, fill_collection, run_service

from semsearch.access.secrets import make_cookie_value
from semsearch.core.settings import Settings
from semsearch.core.types.access import ALL_SCOPES, KeyGrants
from semsearch.core.types.identities import GroupGrants, IdentitySettings
from semsearch.interfaces.http.auth import COOKIE
from semsearch.library import Library

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_readers")]

APP = {"origin": "https://app.example.org"}
SEARCH = "/v1/collections/hb/search"
USER = {"remote-user": "ann"}


@dataclass(frozen=True, slots=True)
class Shared:
    """A service that one other origin may call, behind a proxy that names users."""

    client: httpx.Client
    key: str

    @property
    def bearer(self) -> dict[str, str]:
        """The key as it is sent."""
        return {"authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One service for all tests of this module."""
    folder = tmp_path_factory.mktemp("indexes")
    settings = Settings(
        cors_origins=(APP["origin"],),
        access_proxies=("127.0.0.1",),
        identities=IdentitySettings("remote-user", None, (GroupGrants("*"),)),
    )
    with Library(folder, settings=Settings()) as library:
        _, key = library.create_key(KeyGrants("app", "app", ALL_SCOPES))
    with run_service(folder, settings) as client:
        service = Shared(client, key)
        client.headers.update(service.bearer)
        fill_collection(client, "hb", {"a.txt": "The lamp is lit."})
        del client.headers["authorization"]
        yield service


def test_preflight_is_answered_without_a_key(shared: Shared) -> None:
    """A browser sends none with it."""
    headers = {**APP, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    response = shared.client.options(SEARCH, headers=headers)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == APP["origin"]
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["x-request-id"]


def test_allowed_origin_reads_responses_and_errors(shared: Shared) -> None:
    """A script must be able to read why its request was refused, and when to send it again."""
    cross_site = {**APP, "sec-fetch-site": "cross-site"}
    response = shared.client.post(SEARCH, json={"query": "lamp"}, headers={**cross_site, **shared.bearer})
    assert response.status_code == 200
    refused = shared.client.post(SEARCH, json={"query": "lamp"}, headers=cross_site)
    check_problem(refused, "unauthorized", 401)
    for reply in (response, refused):
        assert reply.headers["access-control-allow-origin"] == APP["origin"]
        assert {"x-request-id", "retry-after", "x-ratelimit-reset-tokens"} <= set(
            reply.headers["access-control-expose-headers"].split(", ")
        )
        assert reply.headers["vary"] == "Origin"


def test_other_origins_are_refused(shared: Shared) -> None:
    """Also those that differ in scheme, port or case only, and the allowed one outside of the API."""
    ask = {"access-control-request-method": "POST"}
    for origin in ("https://evil.example", "http://app.example.org", "https://app.example.org:8443", "null"):
        for response in (
            shared.client.options(SEARCH, headers={"origin": origin, **ask}),
            shared.client.post(SEARCH, json={"query": "lamp"}, headers={"origin": origin, **shared.bearer}),
        ):
            check_problem(response, "forbidden", 403)
            assert "access-control-allow-origin" not in response.headers
    check_problem(shared.client.get("/", headers=APP), "forbidden", 403)


def test_cookies_do_not_count_for_other_origins(shared: Shared) -> None:
    """Neither that of the page nor that by which a proxy knows a user: the page did not get them from its user."""
    cookie = {"cookie": f"{COOKIE}={make_cookie_value(shared.key)}"}
    for headers in (cookie, {**cookie, **shared.bearer}):
        check_problem(shared.client.get("/v1/me", headers={**APP, **headers}), "forbidden", 403)
    check_problem(shared.client.delete("/v1/sign-in", headers={**APP, **cookie}), "forbidden", 403)
    assert shared.client.get("/v1/me", headers=USER).json()["owner"] == "ann"
    check_problem(shared.client.get("/v1/me", headers={**APP, **USER}), "unauthorized", 401)


def test_own_page_keeps_its_cookie(shared: Shared) -> None:
    """The origin of the service itself is no other one, and its responses have no headers for others."""
    own = {"origin": str(shared.client.base_url).rstrip("/"), "cookie": f"{COOKIE}={make_cookie_value(shared.key)}"}
    response = shared.client.post(SEARCH, json={"query": "lamp"}, headers=own)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
