"""No operation of the service shows one key what another one may see: every route of the table, with several keys.

The short form of `scripts/prove key_probes`. A route that is added is probed too, or a test here fails.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from proofs.key_probes import find_damage, load_operations, run_probes, send_probe
from support.http_service import run_service
from support.probes import KINDS, Operation, Request, Values, make_request, normalize, send
from support.tenants import OPEN, TenantWorld, plant_world

from semsearch.access.secrets import format_key, make_cookie_value, make_key_id, make_secret
from semsearch.interfaces.http.auth import COOKIE
from semsearch.interfaces.http.route_scopes import is_listed

pytestmark = pytest.mark.slow

OPERATIONS = load_operations()
NAMES = [f"{operation.method} {operation.path}" for operation in OPERATIONS]
SEEDS = range(6)


@dataclass(frozen=True, slots=True)
class Service:
    """A service with the data of a victim, and keys that look for it."""

    client: httpx.Client
    world: TenantWorld


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of this module; at the end the victim still has everything."""
    folder = tmp_path_factory.mktemp("tenants") / "indexes"
    world = plant_world(folder)
    with run_service(folder) as client:
        yield Service(client, world)
        assert find_damage(client, world) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_every_route_is_known(operation: Operation) -> None:
    """It is listed with its scope, and the tests know what each of its values may name."""
    assert is_listed(operation.method, operation.make_example_path()), "list it in route_scopes.py"
    names = {*operation.path_names, *operation.query, *operation.body_fields}
    assert names <= KINDS.keys(), "say in KINDS of support/probes.py what these name"


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_every_operation_needs_a_valid_key(service: Service, operation: Operation) -> None:
    """Without a key, and with an unknown, wrong, malformed or revoked one, the reply is the same 401."""
    known = service.world.ids["key"][0]
    keys = [
        None,
        format_key(make_key_id(), make_secret()),
        format_key(known, make_secret()),
        "sk_short",
        service.world.revoked_key,
    ]
    request = make_request(operation, Values(service.world, service.world.probers[0], random.Random(1), absent=False))
    replies = [send(service.client, request, key) for key in keys]
    bodies = {normalize(Request("GET", "", {}), reply) for reply in replies}
    assert operation.is_public or ({reply.status_code for reply in replies} == {401} and len(bodies) == 1)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_every_operation_needs_its_scope(service: Service, operation: Operation) -> None:
    """A key with another scope gets 403, whatever the ids are; a key with the scope does not."""
    if operation.is_public or operation.scope is None:
        return
    values = [
        Values(service.world, service.world.probers[0], random.Random(1), absent=absent) for absent in (True, False)
    ]
    requests = [make_request(operation, value) for value in values]
    for scope, key in service.world.scope_keys.items():
        if scope != operation.scope:
            replies = [send(service.client, request, key) for request in requests]
            assert [reply.status_code for reply in replies] == [403, 403]
            assert len({normalize(*pair) for pair in zip(requests, replies, strict=True)}) == 1
    assert send(service.client, requests[0], service.world.scope_keys[operation.scope]).status_code != 401  # type: ignore[index]


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_hidden_data_is_the_same_as_absent_data(service: Service, operation: Operation) -> None:
    """For keys with a filter, of another owner, of another collection, and of the same owner with a filter."""
    for prober in service.world.probers:
        for seed in SEEDS:
            assert send_probe(service.client, service.world, prober, operation, seed)[1] == []


def test_random_requests_find_nothing(service: Service) -> None:
    """From several threads; all hits that a key may see are found, and nothing else is counted."""
    run = run_probes(str(service.client.base_url), service.world, OPERATIONS, 400, seed=7, threads=2)
    assert run.errors == []
    assert run.statuses[200]
    assert run.statuses[404]


def test_callers_that_alternate_with_one_query_get_their_own_results(service: Service) -> None:
    """Caches of queries, filters, facets and documents are not shared between filters."""
    world, client = service.world, service.client
    body = {"query": "How long may the lamp burn?", "k": 50, "facets": ["team"], "filter": {"team": {"$exists": True}}}
    request = Request("POST", f"/v1/collections/{OPEN}/search", {}, body)
    plain = Request("POST", f"/v1/collections/{OPEN}/search", {}, {"query": "How long may the lamp burn?", "k": 50})
    hidden = re.compile("hidden/|them|zq[0-9a-f]{10}")
    for _ in range(3):
        for searched in (request, plain):
            assert hidden.search(send(client, searched, world.victim_key).text)
            assert not hidden.search(send(client, searched, world.probers[0].key).text)


def test_model_servers_are_not_named_without_a_key(service: Service) -> None:
    """Once there are keys, the readiness check tells no more than whether the service is ready."""
    assert service.client.get("/readyz").json() == {"status": "ok", "upstreams": []}


def test_change_with_a_cookie_needs_the_origin(service: Service) -> None:
    """A browser sends it with every change; a form of another site would have another one."""
    cookie = {"cookie": f"{COOKIE}={make_cookie_value(service.world.probers[1].key)}"}
    origin = str(service.client.base_url).rstrip("/")
    replies = [
        service.client.post("/v1/sessions", json={"collection": OPEN}, headers={**cookie, **headers})
        for headers in ({}, {"origin": "https://elsewhere.example"}, {"origin": origin})
    ]
    assert [reply.status_code for reply in replies] == [403, 403, 201]
