"""The page of a service with access keys, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from proofs.browser import access, views
from proofs.browser.sample import Sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, shared_readers: None) -> Iterator[Sample]:
    """One service with documents, a chat model and access keys."""
    with access.run_keyed_sample(tmp_path_factory.mktemp("page") / "indexes") as running:
        yield running


def test_link_is_shown_after_the_sign_in_and_the_key_is_kept_nowhere(browser: Browser, sample: Sample) -> None:
    """A wrong key is said to be so, text that is no key is not sent, and signing out removes the cookie."""
    access.prove_sign_in(browser, sample)


def test_question_sent_with_a_revoked_key_is_answered_after_the_next_sign_in(browser: Browser, sample: Sample) -> None:
    """With a key of another owner, nothing of the one before is shown."""
    access.prove_revoked_key(browser, sample)


def test_what_a_key_does_not_allow_is_left_out_with_the_reason(browser: Browser, sample: Sample) -> None:
    """Keys with one scope each."""
    access.prove_scopes(browser, sample)


def test_administrator_creates_rotates_and_revokes_a_key(browser: Browser, sample: Sample) -> None:
    """Its secret is shown once, and each change takes effect at once."""
    access.prove_keys_view(browser, sample)


def test_sign_in_and_keys_are_accessible_and_show_all_text(browser: Browser, sample: Sample) -> None:
    """Wide and light, on a phone and dark, with dialogs and errors."""
    access.prove_views(browser, sample, views.SHORT_VARIANTS)
