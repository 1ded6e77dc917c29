"""The browser, and a service with documents and a chat model, for the tests of the page."""

from collections.abc import Iterator

import pytest
from conftest import REQUIRE_ALL
from playwright.sync_api import Browser
from proofs.browser.sample import Sample, run_sample
from proofs.browser.session import find_browser, open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; without it the tests are skipped, or fail with REQUIRE_ALL=1."""
    if find_browser() is None:
        reason = "there is no chromium; install it: apt-get install chromium"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, shared_readers: None) -> Iterator[Sample]:
    """One service with documents and a chat model."""
    with run_sample(tmp_path_factory.mktemp("page") / "indexes") as running:
        yield running
