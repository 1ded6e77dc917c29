"""Longer ways through the page: options of a search, a conversation, links of replies, dropped files."""

import re

from playwright.sync_api import Browser, expect
from support.http_service import document_path

from . import tasks
from .sample import COLLECTION, WINCH_URI, Sample
from .session import open_page

FOLLOW_UP = "What does a berth cost a night in summer?"
_DROP = """() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["# Dropped\\n\\nThe fog bell rings twice a minute."], "dropped.md"));
    return transfer;
}"""


def prove_search_options(browser: Browser, sample: Sample) -> None:
    """Filters, mode and ranking change the results, and are in the address, which shows the same to others."""
    with open_page(browser, sample.url) as (page, _):
        page.goto("/")
        tasks.search(page, "pump")
        facets = page.get_by_role("complementary", name="Narrow the results")
        facets.get_by_role("button", name=re.compile("^engine")).click()
        remove = page.get_by_role("button", name="Remove team: engine")
        expect(remove).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(1)
        page.get_by_label("By words").check()
        page.get_by_label("Explain the ranking").check()
        expect(page.get_by_role("table").first.get_by_text("Best sentence")).to_be_visible()
        with open_page(browser, sample.url) as (other, _):
            other.goto(page.url)
            expect(other.get_by_role("article")).to_have_count(1)
            expect(other.get_by_label("By words")).to_be_checked()
            expect(other.get_by_role("table").first).to_be_visible()
        remove.click()
        expect(remove).to_be_hidden()
        page.go_back()
        expect(remove).to_be_visible()


def prove_conversation(browser: Browser, sample: Sample) -> None:
    """A follow-up belongs to the conversation; its answer can be copied, and the conversation opened and deleted."""
    with open_page(browser, sample.url) as (page, _):
        page.goto("/ask")
        tasks.ask(page, tasks.PUMP_QUESTION)
        turn = tasks.ask(page, FOLLOW_UP)
        expect(turn.get_by_text("citations verified")).to_be_visible()
        turn.get_by_role("button", name="Markdown").click()
        expect(turn.get_by_text("Copied as Markdown.")).to_be_visible()
        copied: str = page.evaluate("navigator.clipboard.readText()")
        assert f"**{FOLLOW_UP}**" in copied, copied
        assert f"{sample.url}/view/{COLLECTION}/" in copied, copied
        turn.get_by_role("button", name="Wrong citation 1").click()
        expect(turn.get_by_text("citation 1 is wrong")).to_be_visible()
        page.get_by_role("button", name="New conversation").click()
        page.get_by_text("Earlier conversations").first.click()
        page.get_by_role("link", name=tasks.PUMP_QUESTION).first.click()
        expect(page.get_by_role("heading", name=FOLLOW_UP)).to_be_visible()
        delete = page.get_by_role("button", name=f"Delete the conversation “{tasks.PUMP_QUESTION}”")
        count = delete.count()
        delete.first.click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(delete).to_have_count(count - 1)


def prove_links(browser: Browser, sample: Sample) -> None:
    """The link of a hit in a reply opens its document at the passage, and an unknown document is explained."""
    body = {"query": "winch brake tonnes", "k": 1}
    [hit] = sample.client.post(f"/v1/collections/{COLLECTION}/search", json=body).json()["hits"]
    assert hit["uri"] == WINCH_URI, hit
    with open_page(browser, sample.url, ignores_network_errors=True) as (page, _):
        page.goto(hit["url"])
        expect(page.get_by_role("heading", level=1, name="Winch manual")).to_be_visible()
        expect(page.get_by_role("img", name=tasks.MARKED_PAGE)).to_be_visible()
        page.goto(f"/view/{COLLECTION}/gone.md")
        alert = page.get_by_role("alert")
        expect(alert.get_by_text("The document cannot be found")).to_be_visible()
        expect(alert.get_by_text("/v1/")).to_have_count(0)
        page.get_by_role("link", name="search for it").click()
        expect(page.get_by_label("Search the documents")).to_be_visible()


def prove_drop(browser: Browser, sample: Sample) -> None:
    """A file that is dropped on the page is added."""
    with open_page(browser, sample.url) as (page, _):
        page.goto("/documents")
        expect(page.get_by_role("button", name="Add files")).to_be_visible()
        page.dispatch_event("body", "drop", {"dataTransfer": page.evaluate_handle(_DROP)})
        queue = page.get_by_role("region", name="Files to add")
        expect(
            queue.get_by_role("listitem").filter(has_text="dropped.md").get_by_text("added", exact=True)
        ).to_be_visible()
        tasks.delete_document(page, "dropped.md")
    assert sample.client.get(document_path(COLLECTION, "dropped.md")).status_code == 404
