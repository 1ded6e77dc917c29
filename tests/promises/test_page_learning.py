"""Similar documents, approved answers and content gaps in the page, in a real browser."""

from collections.abc import Iterator

import pytest
from conftest import REQUIRE_ALL
from playwright.sync_api import Browser
from proofs.browser import learning
from proofs.browser.sample import Sample, run_sample
from proofs.browser.session import find_browser, open_browser

pytestmark = pytest.mark.slow


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


def test_similar_documents_are_read_when_the_reader_comes_to_them(browser: Browser, sample: Sample) -> None:
    """Each leads to its document, whose list has not itself."""
    learning.prove_similar_documents(browser, sample)


def test_similar_documents_are_left_out_where_they_are_not_served(browser: Browser, sample: Sample) -> None:
    """The document is shown as before."""
    learning.prove_unserved_similar_documents(browser, sample)


def test_answer_is_approved_and_shows_when(browser: Browser, sample: Sample) -> None:
    """Its question can be changed; a broken approval says why, and is removed."""
    learning.prove_approval(browser, sample)


def test_gap_is_asked_again(browser: Browser, sample: Sample) -> None:
    """The view says whether it is answered now, and leads to the answer and to the nearest passages."""
    learning.prove_gaps(browser, sample)


def test_new_parts_are_accessible_and_show_all_text(browser: Browser, sample: Sample) -> None:
    """Wide and on a phone, light and dark."""
    learning.prove_views(browser, sample)
