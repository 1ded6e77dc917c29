"""The page in a real browser, in short; `scripts/prove page` runs all of it.

All tests share one browser and one service. They find what they use by visible labels and roles.
"""

import pytest
from playwright.sync_api import Browser
from proofs import page as proof
from proofs.browser import budgets, failures, keyboard, payloads, views
from proofs.browser.payload_list import choose_payloads, make_payloads
from proofs.browser.sample import Sample
from proofs.browser.session import PHONE, WIDE, listen, open_page

pytestmark = pytest.mark.slow

PAYLOAD_COUNT = 12
_INSERT_AS_MARKUP = """texts => texts.forEach((text) => {
    const box = document.body.appendChild(document.createElement("div"));
    box.innerHTML = text;
})"""


def test_first_view_takes_five_requests_and_little_data(browser: Browser, sample: Sample) -> None:
    """A new user loads at most five files and 100 KB."""
    view = budgets.measure_first_view(browser, sample.url)
    assert view.requests <= budgets.MAX_REQUESTS
    assert view.bytes < budgets.MAX_BYTES


def test_passage_is_found_and_question_answered_with_its_source(browser: Browser, sample: Sample) -> None:
    """A search shows the marked words, and the citation of an answer opens its document at the cited words."""
    proof.prove_first_visit(browser, sample)


def test_rectangles_lie_over_the_cited_words_of_a_page(browser: Browser, sample: Sample) -> None:
    """The rectangles cover the words where the file has them, within two points."""
    proof.prove_pdf_rectangles(browser, sample)


def test_uploaded_file_is_found_and_deleted(browser: Browser, sample: Sample) -> None:
    """A file that a user adds is found by the next search, and is gone after its deletion."""
    proof.prove_upload(browser, sample)


def test_source_that_cannot_be_placed_or_shown_leaves_the_answer(browser: Browser, sample: Sample) -> None:
    """Words outside of their page are said to be so, and an error of the source's code ends only the panel."""
    failures.prove_unplaced_words(browser, sample)


def test_failed_image_of_a_page_is_requested_once(browser: Browser, sample: Sample) -> None:
    """The reason comes from the one request."""
    failures.prove_failed_image(browser, sample)


def test_results_of_the_former_collection_are_not_shown(browser: Browser, sample: Sample) -> None:
    """They disappear when another collection is chosen, before its results arrive."""
    failures.prove_change_of_collection(browser, sample)


def test_conversation_goes_on_after_its_session_was_deleted(browser: Browser, sample: Sample) -> None:
    """Retry begins a new session; the address names the shown answer until there is another one."""
    failures.prove_lost_session(browser, sample)


def test_failed_first_question_leaves_no_session(browser: Browser, sample: Sample) -> None:
    """Its session is deleted, and sessions without questions of others can be deleted in the list."""
    failures.prove_failed_first_question(browser, sample)


def test_damaged_link_sends_nothing_that_it_does_not_say(browser: Browser, sample: Sample) -> None:
    """A broken filter is named and can be removed; a wrong number of results and `explain=0` are harmless."""
    failures.prove_damaged_links(browser, sample)


def test_filtered_field_offers_its_other_values(browser: Browser, sample: Sample) -> None:
    """Also where a link, not a click, has set the filter."""
    failures.prove_alternatives(browser, sample)


def test_citation_is_opened_by_keyboard(browser: Browser, sample: Sample) -> None:
    """Tab, Enter and Escape lead from the loaded page to a citation and back; the focus is always visible."""
    with open_page(browser, sample.url) as (page, _):
        keyboard.ask_by_keyboard(page)


@pytest.mark.parametrize(
    ("view", "size"), [("ask with the source", PHONE), ("source of a PDF file", WIDE), ("documents", PHONE)]
)
def test_view_is_accessible_and_shows_all_text(
    browser: Browser, sample: Sample, view: str, size: tuple[int, int]
) -> None:
    """Axe has no serious finding, and no text is clipped or needs scrolling sideways."""
    state = dict(views.list_states(sample))[view]
    with open_page(browser, sample.url, size=size, dark=size == PHONE) as (page, _):
        state(page)
        assert views.check_view(page) == []


def test_payloads_run_and_load_nothing(browser: Browser, sample: Sample) -> None:
    """Markup, scripts and links in names, titles, metadata, texts, questions and replies are only text."""
    with listen() as listener, open_page(browser, sample.url, ignores_network_errors=True) as (page, watch):
        chosen = choose_payloads(listener.url, PAYLOAD_COUNT)
        payloads.fill_collection(sample.client, chosen)
        attack = payloads.Attack(page, watch, sample.upstream, listener, chosen)
        payloads.attack_briefly(attack)
        payloads.check(attack)


def test_payload_that_is_put_into_the_page_is_noticed(browser: Browser, sample: Sample) -> None:
    """The check of the payloads fails where they are put into the page as markup, which the policy then blocks."""
    with listen() as listener:
        attacks = [payload for payload in make_payloads(listener.url) if "<img" in payload]
        with open_page(browser, sample.url) as (page, watch):
            attack = payloads.Attack(page, watch, sample.upstream, listener, attacks)
            page.goto("/")
            page.evaluate(_INSERT_AS_MARKUP, attacks)
            attack.look("footer")
            assert any("Content Security Policy" in problem for problem in watch.problems)
            watch.problems.clear()
        assert attack.problems
        assert not listener.connections
