"""A service with a model server, for the tests of a module that ask it."""

from collections.abc import Iterator

import httpx
import pytest
from support.http_service import fill_collection, run_service
from support.upstream import Upstream, run_upstream

from semsearch.core.settings import Endpoint, Secret, Settings


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """One model server for all tests of this module."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def service(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service that asks this model server."""
    settings = Settings(chat=Endpoint(upstream.url, Secret("sk-none")), chat_model="m")
    with run_service(tmp_path_factory.mktemp("indexes"), settings) as client:
        fill_collection(client, "hb")
        yield client


@pytest.fixture
def client(upstream: Upstream, service: httpx.Client) -> httpx.Client:
    """The service, with a model server that was reset."""
    upstream.reset()
    return service
