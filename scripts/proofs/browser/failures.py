"""What the page shows where a source, a session, a filter or a collection is not as it was: nothing else is lost."""

import json
import re
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, Request, Route, expect
from support.http_service import document_path
from support.pdf_files import make_pdf
from support.upstream import ReceivedCall, ScriptedReply, error_reply

from . import tasks
from .sample import COLLECTION, HARBOUR_URI, PUMPS_URI, Sample
from .session import open_page

_OUTSIDE_URI = "docs/beacon.pdf"
_OUTSIDE = make_pdf(
    [(-3000, -300, 10, "The beacon of the outer rock flashes every nine seconds in fog.")], title="Beacon"
)
_BEACON_QUESTION = "How often does the beacon flash in fog?"
_OTHER = "other-harbour"
_BROKEN_FILTER = '{"team":'


def prove_unplaced_words(browser: Browser, sample: Sample) -> None:
    """Cited words outside of their page are said to be so; a source whose code fails leaves the answer."""
    pdf = {"content-type": "application/pdf"}
    path = document_path(COLLECTION, _OUTSIDE_URI)
    sample.client.put(path, content=_OUTSIDE, headers=pdf).raise_for_status()
    with open_page(browser, sample.url) as (page, watch):
        page.goto("/ask")
        turn = tasks.ask(page, _BEACON_QUESTION)
        source = tasks.open_citation(page, turn, "Beacon")
        expect(source.get_by_role("img", name="Page 1 of the file as an image")).to_be_visible()
        expect(source.get_by_text("Where the words are on the page is not known")).to_be_visible()
        source.get_by_role("button", name="Close the source").click()
        page.route("**/blocks?*", lambda route: route.fulfill(json={"blocks": []}))
        turn.get_by_role("button", name=re.compile("^Citation 1: open")).first.click()
        expect(page.get_by_text("The source cannot be shown")).to_be_visible()
        expect(turn).to_be_visible()
        assert all("TypeError" in problem for problem in watch.problems), watch.problems
        watch.problems.clear()
    sample.client.delete(path).raise_for_status()


def prove_failed_image(browser: Browser, sample: Sample) -> None:
    """A page that was left is not waited for; one that cannot be rendered is requested once, and its reason shown."""
    problem = {"title": "Service Unavailable", "detail": "the page takes too long"}
    requests: list[str] = []
    held: list[Route] = []

    def hold_or_refuse(route: Route) -> None:
        requests.append(route.request.url)
        if "/1.png" in route.request.url:
            held.append(route)
        else:
            route.fulfill(status=503, json=problem)

    with open_page(browser, sample.url, ignores_network_errors=True) as (page, _):
        page.route("**/pages/*.png?*", hold_or_refuse)
        with page.expect_request("**/pages/1.png?*"):
            page.goto(f"/view/{COLLECTION}/docs%2Fwinch.pdf")
        with page.expect_event("requestfailed", lambda request: "/pages/1.png" in request.url):
            page.get_by_role("button", name="Next page").click()
        expect(page.get_by_text("the page takes too long")).to_be_visible()
        assert len(requests) == 2, requests
        held[0].abort()


def prove_change_of_collection(browser: Browser, sample: Sample) -> None:
    """Results of a collection disappear as soon as another one is chosen."""
    sample.client.put(f"/v1/collections/{_OTHER}").raise_for_status()
    held: list[Route] = []
    with open_page(browser, sample.url) as (page, _):
        page.route(f"**/collections/{_OTHER}/search", lambda route: held.append(route))
        page.goto("/?q=pump")
        expect(page.get_by_role("link", name="Pumps")).to_be_visible()
        page.get_by_label("Collection").select_option(_OTHER)
        expect(page.get_by_text("Searching")).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(0)
        while not held:
            page.wait_for_timeout(10)
        held[0].continue_()
        expect(page.get_by_text("Nothing was found")).to_be_visible()
    sample.client.delete(f"/v1/collections/{_OTHER}").raise_for_status()


def prove_lost_session(browser: Browser, sample: Sample) -> None:
    """A conversation whose session was deleted goes on in a new one; until then the address names the shown answer."""
    with open_page(browser, sample.url, ignores_network_errors=True) as (page, _):
        page.goto("/ask")
        tasks.ask(page, tasks.PUMP_QUESTION)
        page.wait_for_url(re.compile("answer="))
        session = re.search(r"session=([^&]+)", page.url)
        assert session, page.url
        sample.client.delete(f"/v1/sessions/{session[1]}").raise_for_status()
        field = page.get_by_label("Ask a follow-up question")
        field.fill("What does a berth cost?")
        field.press("Enter")
        expect(page.get_by_role("alert").get_by_text("This conversation cannot be continued")).to_be_visible()
        assert "answer=" in page.url, page.url
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_text("citations verified")).to_have_count(2)
        page.wait_for_url(re.compile("session="))
        assert session[1] not in page.url, page.url


def prove_failed_first_question(browser: Browser, sample: Sample) -> None:
    """The session of a first question that failed is deleted; one that others left can be deleted in the list."""

    def fail(call: ReceivedCall) -> ScriptedReply | None:
        return error_reply(400, "the model is not loaded") if call.path.endswith("/chat/completions") else None

    before = _list_sessions(sample)
    sample.upstream.reply_rule = fail
    try:
        with open_page(browser, sample.url, ignores_network_errors=True) as (page, _):
            page.goto("/ask")
            field = page.get_by_label("Your question")
            field.fill(tasks.PUMP_QUESTION)
            with page.expect_response(lambda response: response.request.method == "DELETE"):
                field.press("Enter")
            expect(page.get_by_role("button", name="Retry")).to_be_visible()
            assert "session=" not in page.url, page.url
            assert _list_sessions(sample) == before
            left = sample.client.post("/v1/sessions", json={"collection": COLLECTION}).json()["id"]
            page.get_by_text("Earlier conversations").first.click()
            page.get_by_role("button", name="Delete the conversation “Conversation without questions”").click()
            page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            expect(page.get_by_role("dialog")).to_be_hidden()
            assert left not in _list_sessions(sample)
    finally:
        sample.upstream.reply_rule = lambda call: None


def _list_sessions(sample: Sample) -> list[str]:
    return [session["id"] for session in sample.client.get("/v1/sessions").json()["sessions"]]


def prove_damaged_links(browser: Browser, sample: Sample) -> None:
    """A link with a broken filter sends nothing until the filter is removed; other damaged values are replaced."""
    with open_page(browser, sample.url) as (page, _):
        sent: list[str] = []
        page.on("request", lambda request: _record(request, sent))
        page.goto("/ask?" + urlencode({"q": tasks.PUMP_QUESTION, "filter": _BROKEN_FILTER}))
        expect(page.get_by_text("The filter of this link is not valid")).to_be_visible()
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_disabled()
        page.goto("/?" + urlencode({"q": "pump", "filter": _BROKEN_FILTER, "n": "-5", "explain": "0"}))
        expect(page.get_by_text("The filter of this link is not valid")).to_be_visible()
        expect(page.get_by_label("Explain the ranking")).not_to_be_checked()
        assert sent == [], sent
        page.get_by_role("button", name="Remove the filter").click()
        expect(page.get_by_role("article").first).to_be_visible()
        page.goto("/?q=pump&n=-5")
        expect(page.get_by_role("article")).to_have_count(1)


def _record(request: Request, sent: list[str]) -> None:
    if request.method == "POST":
        sent.append(request.url)


def prove_alternatives(browser: Browser, sample: Sample) -> None:
    """A field that a link filters by offers its other values, and choosing one adds its documents."""
    with open_page(browser, sample.url) as (page, _):
        chosen = {"team": "engine", "uri": {"$in": [PUMPS_URI, HARBOUR_URI]}}  # names are not counted
        page.goto("/?" + urlencode({"q": "pump", "filter": json.dumps(chosen)}))
        facets = page.get_by_role("complementary", name="Narrow the results")
        expect(facets.get_by_role("button", name=re.compile("^engine"), pressed=True)).to_be_visible()
        facets.get_by_role("button", name=re.compile("^harbour"), pressed=False).click()
        expect(page.get_by_role("button", name="Remove team: harbour")).to_be_visible()
        _expect_hits(page, PUMPS_URI, HARBOUR_URI)


def _expect_hits(page: Page, *uris: str) -> None:
    for uri in uris:
        expect(page.get_by_role("article").filter(has_text=uri).first).to_be_visible()
