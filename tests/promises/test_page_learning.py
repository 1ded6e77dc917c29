"""Similar documents, approved answers and content gaps in the page, in a real browser."""

import pytest
from playwright.sync_api import Browser
from proofs.browser import learning, views
from proofs.browser.sample import Sample

pytestmark = pytest.mark.slow


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
    """Wide and light, on a phone and dark."""
    learning.prove_views(browser, sample, views.SHORT_VARIANTS)
