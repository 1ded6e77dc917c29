"""Similar documents, approved answers and content gaps in the page; the routes of the last two are fakes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Route, expect
from support.http_service import document_path

from . import tasks, views
from .sample import COLLECTION, HARBOUR_URI, Sample
from .session import open_page

APPROVED_AT = "2026-11-24T16:05:00Z"
LONG_URI = "docs/long.md"
STALE_REASON = "docs/pumps.md has lost: is dry"
GAP_QUESTION = "Who won the regatta of the lighthouse keepers?"
_VIEW = f"/view/{COLLECTION}/docs%2Fpumps.md"


def prove_similar_documents(browser: Browser, sample: Sample) -> None:
    """The documents are read when their place comes into the window, and lead to each other."""
    path = document_path(COLLECTION, LONG_URI)
    sample.client.put(path, content=b"The pump is served.\n\n" * 300).raise_for_status()
    with open_page(browser, sample.url) as (page, watch):
        page.goto(f"/view/{COLLECTION}/docs%2Flong.md", wait_until="networkidle")
        expect(page.get_by_text("The pump is served.").first).to_be_visible()
        assert not any("/similar?" in url for url in watch.urls), "read before the reader was there"
        similar = _find_similar(page)
        similar.scroll_into_view_if_needed()
        expect(similar.get_by_role("listitem")).to_have_count(4)
        similar.get_by_role("link", name="Pumps").click()
        expect(page.get_by_role("heading", level=1, name="Pumps")).to_be_visible()
        expect(_find_similar(page).get_by_role("link", name="Pumps")).to_have_count(0)
        assert f"/view/{COLLECTION}/docs%2Fpumps.md?start=" in page.url
    sample.client.delete(path).raise_for_status()


def prove_unserved_similar_documents(browser: Browser, sample: Sample) -> None:
    """A server without the route shows no place for them."""
    with open_page(browser, sample.url, ignores_network_errors=True) as (page, _):
        page.route("**/similar?*", lambda route: route.fulfill(status=404, json={}))
        with page.expect_response("**/similar?*"):
            page.goto(_VIEW)
        expect(_find_similar(page)).to_have_count(0)
        expect(page.get_by_text("Do not restart it").first).to_be_visible()


def _find_similar(page: Page) -> Locator:
    return page.get_by_role("region", name="Similar documents")


class ApprovalReplies:
    """Replies of the routes of approved answers, and the field that they set in an answer."""

    def __init__(self) -> None:
        self.approved: list[dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.returned: dict[str, str] | None = None
        """The field `approved` of the next answers."""

    def attach(self, page: Page) -> None:
        """Answer the requests of a page."""
        page.route("**/v1/collections/*/ask", self._add_field)
        page.route("**/v1/collections/*/approved", lambda route: route.fulfill(json={"approved": self.approved}))
        page.route("**/v1/answers/*/approve", self._change)

    def _add_field(self, route: Route) -> None:
        response = route.fetch()
        *events, data = response.text().rstrip().split("data: ")
        data = json.dumps({**json.loads(data), "approved": self.returned})
        route.fulfill(response=response, body="data: ".join([*events, data]) + "\n\n")

    def _change(self, route: Route) -> None:
        if route.request.method == "DELETE":
            self.approved.clear()
            return route.fulfill(status=204)
        body: dict[str, Any] = route.request.post_data_json or {}
        self.bodies.append(body)
        state = {"owner": "local", "approved": APPROVED_AT, "stale": False, "reason": None}
        self.approved = [{"id": route.request.url.split("/")[-2], **body, **state}]
        return route.fulfill(status=201, json=self.approved[0])


def prove_approval(browser: Browser, sample: Sample) -> None:
    """An answer is approved with its question, shows when, and its approval can go out of date and be removed."""
    with _open_ask(browser, sample) as (page, replies):
        turn = tasks.ask(page, tasks.PUMP_QUESTION)
        turn.get_by_role("button", name="Approve this answer").click()
        dialog = page.get_by_role("dialog", name="Approve this answer?")
        expect(dialog.get_by_label("Question")).to_have_value(tasks.PUMP_QUESTION)
        dialog.get_by_label("Question").fill("What does E-417 mean?")
        dialog.get_by_role("button", name="Approve").click()
        expect(turn.get_by_text("Approved on Nov 24, 2026")).to_be_visible()
        expect(turn.get_by_role("button", name="Remove approval")).to_be_focused()
        assert replies.bodies == [{"question": "What does E-417 mean?"}]
        replies.approved[0] |= {"stale": True, "reason": STALE_REASON}
        replies.returned = {"id": replies.approved[0]["id"], "date": "2026-11-24"}
        later = tasks.ask(page, "What does E-417 mean?")
        expect(later.get_by_text("Approved on Nov 24, 2026")).to_be_visible()
        expect(turn.get_by_text("Approval out of date")).to_be_visible()
        expect(turn.get_by_text(STALE_REASON)).to_be_visible()
        later.get_by_role("button", name="Remove approval").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove approval").click()
        expect(turn.get_by_role("button", name="Approve this answer")).to_be_visible()
        unanswered = tasks.ask(page, GAP_QUESTION)
        expect(unanswered.get_by_role("group", name="Approval")).to_have_count(0)


@contextmanager
def _open_ask(browser: Browser, sample: Sample) -> Iterator[tuple[Page, ApprovalReplies]]:
    with open_page(browser, sample.url) as (page, _):
        replies = ApprovalReplies()
        replies.attach(page)
        page.goto("/ask")
        yield page, replies


def make_gaps(sample: Sample) -> list[dict[str, Any]]:
    """Return two gaps as the service reports them: one without an answer, one whose answer was not accepted."""
    search = sample.client.post(f"/v1/collections/{COLLECTION}/search", json={"query": "visitors", "k": 2}).json()
    shared = {"first": "2026-11-02T08:15:00Z", "last": "2026-11-27T16:40:12Z", "nearest": search["hits"]}
    low = {"reason": "low_score", "reasons": {"low_score": 3, "not_helpful": 1}}
    wrong = {"reason": "wrong_citation", "reasons": {"wrong_citation": 2}}
    return [
        {"question": GAP_QUESTION, "count": 7, "owners": 3, **low, **shared},
        {"question": tasks.PUMP_QUESTION, "count": 2, "owners": 2, **wrong, **shared},
    ]


def _open_gaps(page: Page, sample: Sample) -> None:
    gaps = make_gaps(sample)
    page.route("**/v1/gaps?*", lambda route: route.fulfill(json={"gaps": gaps}))
    page.goto("/")
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Gaps").click()
    expect(page.get_by_role("heading", level=1, name="Content gaps")).to_be_visible()


def _ask_again(page: Page) -> tuple[Locator, Locator]:
    cards = page.get_by_role("article")
    open_gap, wrong_gap = cards.filter(has_text=GAP_QUESTION), cards.filter(has_text=tasks.PUMP_QUESTION)
    for card in (open_gap, wrong_gap):
        card.get_by_role("button", name="Ask again").click()
    expect(open_gap.get_by_text("Still not answered")).to_be_visible()
    expect(wrong_gap.get_by_text("Answered now")).to_be_visible()
    return open_gap, wrong_gap


def prove_gaps(browser: Browser, sample: Sample) -> None:
    """A gap says how often, by how many and why; asking again says whether it is closed, and leads to the answer."""
    with open_page(browser, sample.url) as (page, _):
        _open_gaps(page, sample)
        open_gap, wrong_gap = _ask_again(page)
        expect(open_gap).to_contain_text("Asked 7 times by 3 owners")
        expect(open_gap).to_contain_text("did not clearly answer it")
        expect(open_gap).to_contain_text("said not to help. (1 owner)")
        expect(wrong_gap).to_contain_text("A citation was said to be wrong")
        wrong_gap.get_by_role("link", name="Open the answer").click()
        expect(page.get_by_text(tasks.PUMP_ANSWER).first).to_be_visible()
        page.go_back()
        open_gap.get_by_text("Nearest passages").click()
        open_gap.get_by_role("link", name="Harbour").click()
        expect(page.get_by_role("heading", level=1, name="Harbour")).to_be_visible()
        assert HARBOUR_URI.rsplit("/", 1)[1] in page.url


def prove_views(browser: Browser, sample: Sample, variants: Sequence[views.Variant] = views.VARIANTS) -> None:
    """The new parts have no serious finding of axe, do not scroll sideways, and clip no text."""
    problems = [
        f"{size[0]} pixels, {'dark' if dark else 'light'}: {problem}"
        for size, dark in variants
        for problem in _check_views(browser, sample, size, dark=dark)
    ]
    assert not problems, "\n".join(problems)


def _check_views(browser: Browser, sample: Sample, size: tuple[int, int], *, dark: bool) -> list[str]:
    with open_page(browser, sample.url, size=size, dark=dark) as (page, _):
        _open_gaps(page, sample)
        _ask_again(page)
        page.get_by_text("Nearest passages").first.click()
        problems = views.check_view(page)
        page.goto(_VIEW)
        expect(_find_similar(page).get_by_role("listitem").first).to_be_visible()
        problems += views.check_view(page)
        ApprovalReplies().attach(page)
        page.goto("/ask")
        turn = tasks.ask(page, tasks.PUMP_QUESTION)
        turn.get_by_role("button", name="Approve this answer").click()
        problems += views.check_view(page)
        page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        expect(turn.get_by_text("Approved on")).to_be_visible()
        return [*problems, *views.check_view(page)]
