"""The view "Ask" of the page in a real browser: support of sentences, broken streams, and what the URL restores."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.upstream import CUT, HANG, Upstream, delta_event, raw_stream_reply, stream_reply

playwright = pytest.importorskip("playwright.sync_api", reason="install playwright to test the page in a browser")

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
QUESTION = "How many weeks of leave do parents take?"
SENTENCE = "Parents take up to 26 weeks of leave"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of this module."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, upstream: Upstream, service: httpx.Client) -> Iterator[Any]:
    """The view in a new tab on a phone, with a model server that was reset; errors of its scripts fail the test."""
    upstream.reset()
    page = browser.new_page(viewport={"width": 360, "height": 740})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.extend([message.text] * ("Content Security Policy" in message.text)))
    page.goto(f"{service.base_url}/ask?collection=hb")
    yield page
    page.close()
    assert not errors


def ask(page: Any, question: str = QUESTION) -> None:
    """Send a question by keyboard."""
    page.get_by_role("textbox", name="question").fill(question)
    page.keyboard.press("Enter")


def make_partial_reply(upstream: Upstream, end: str) -> Any:
    """Return a function that answers a call with one sentence and then this end."""

    def reply(call: Any) -> Any:
        text = upstream.answer(call.body["messages"]) + " The rest of the answer"
        event = stream_reply(delta_event(text), done=False).parts[0]
        return raw_stream_reply(event, end)

    return reply


def test_each_sentence_shows_its_support_in_words(page: Any, upstream: Upstream) -> None:
    """A sentence that no source says is marked, and counted beside the label; the citation links its words."""
    cite = upstream.answer
    upstream.answer = lambda messages: f"{cite(messages)} Every elephant must register at noon."
    ask(page)
    page.get_by_text("Answer by m, citations verified").wait_for()
    assert page.get_by_text("1 of 2 sentences not supported").is_visible()
    assert [text.split()[1:] for text in page.locator(".support").all_inner_texts()] in (
        [["copied"], ["not", "supported"]],
        [["supported"], ["not", "supported"]],
    )
    assert page.get_by_role("button", name="Citation 1: open Leave › Parents").is_visible()
    assert "/view/hb/docs%2Fleave.md?start=" in page.locator(".citations a").first.get_attribute("href")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_url_restores_the_conversation_with_the_citations_of_its_last_answer(page: Any) -> None:
    """After a reload nothing is asked again; a new conversation starts empty."""
    ask(page)
    page.get_by_role("button", name="Helpful", exact=True).wait_for()
    ask(page, "And for each parent?")
    page.get_by_role("button", name="Helpful", exact=True).nth(1).wait_for()
    answers: list[str] = []
    page.on("request", lambda request: answers.extend([request.url] * ("/v1/answers/" in request.url)))
    page.reload()
    page.get_by_text("Earlier answer").wait_for()
    assert page.locator("article h2").all_inner_texts() == [QUESTION, "And for each parent?"]
    assert len(answers) == 1  # that of the URL
    page.get_by_role("button", name=f"Show the citations of “{QUESTION}”").click()
    page.locator("article").first.get_by_role("button", name="Citation 1: open Leave › Parents").wait_for()
    assert len(answers) == 2
    assert page.evaluate("document.activeElement === document.querySelector('article')")
    page.get_by_role("button", name="New conversation").click()
    page.get_by_text("The answer names its sources").wait_for()
    assert "session" not in page.url


def test_broken_answer_keeps_its_text_and_is_asked_again(page: Any, upstream: Upstream) -> None:
    """What had arrived is marked as incomplete; Retry replaces it by the whole answer."""
    upstream.reply_rule = make_partial_reply(upstream, CUT)
    ask(page)
    page.get_by_role("alert").wait_for()
    assert SENTENCE in page.locator("p.answer").inner_text()
    assert page.get_by_text("Incomplete answer, not checked").is_visible()
    upstream.reply_rule = lambda call: None
    page.get_by_role("button", name="Retry").click()
    page.get_by_text("Answer by m, citations verified").wait_for()
    assert page.get_by_text("Incomplete").count() == 0


def test_stopped_answer_is_cancelled_at_the_model_server(page: Any, upstream: Upstream) -> None:
    """The text stays, marked as incomplete, and the field keeps the focus."""
    upstream.reply_rule = make_partial_reply(upstream, HANG)
    upstream.hung_up.clear()
    ask(page)
    page.get_by_text(SENTENCE).first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("You stopped this answer").wait_for()
    assert upstream.hung_up.wait(10)
    assert page.evaluate("document.activeElement.id") == "question"
