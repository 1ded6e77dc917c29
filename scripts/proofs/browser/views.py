"""Every view of the page in its states, for checks that hold for all of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote, urlencode

from playwright.sync_api import Browser, Page, expect

from . import tasks
from .checks import find_accessibility_problems, find_layout_problems
from .sample import COLLECTION, PUMPS_URI, STORES_URI, WINCH_URI, Sample, make_model
from .sample_pdf import CITED
from .session import PHONE, WIDE, open_page

State = Callable[[Page], None]
"""Brings a page into a state in which it is checked."""

Variant = tuple[tuple[int, int], bool]
"""The size of the window, and whether the colours are dark."""


def _goto(address: str, heading: str) -> State:
    def open_address(page: Page) -> None:
        page.goto(address)
        expect(page.get_by_role("heading", level=1, name=heading)).to_be_attached()

    return open_address


def _view(uri: str, start: int = 0, end: int = 0) -> str:
    return f"/view/{COLLECTION}/{quote(uri, safe='')}?start={start}&end={end}"


def _filter(team: str) -> str:
    return "/?" + urlencode({"q": "pump", "filter": json.dumps({"team": team})})


def _open_panel(page: Page) -> None:
    page.goto("/?q=pump")
    page.get_by_role("article").first.get_by_role("link", name="Pumps").click()
    expect(page.get_by_text("Do not restart it").first).to_be_visible()


def _answer(page: Page) -> None:
    page.goto("/ask")
    turn = tasks.ask(page, tasks.PUMP_QUESTION)
    tasks.give_feedback(turn)
    turn.get_by_text("Closest passages (").first.click()
    page.get_by_text("Earlier conversations").first.click()
    page.get_by_text("Options").first.click()


def _open_citation(page: Page) -> None:
    page.goto("/ask")
    tasks.ask_and_open_citation(page)


def _open_pdf_citation(page: Page) -> None:
    page.goto("/ask")
    tasks.open_cited_page(page)


def _unanswered(page: Page) -> None:
    page.goto("/ask")
    tasks.ask(page, "Who won the regatta of the lighthouse keepers?")


def _delete(page: Page) -> None:
    page.goto("/documents")
    page.get_by_role("button", name=f"Delete {PUMPS_URI}").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def list_states(sample: Sample) -> Iterator[tuple[str, State]]:
    """Yield the name and the state of each view that is checked."""
    winch = sample.client.get(f"/v1/collections/{COLLECTION}/documents/{quote(WINCH_URI, safe='')}").json()["text"]
    start = winch.index(CITED.split()[0] + " winch")
    table_row = sample.client.get(f"/v1/collections/{COLLECTION}/documents/{quote(STORES_URI, safe='')}").json()["text"]
    row = table_row.index("seal")
    yield "search, empty", _goto("/", "Search")
    yield "search with results and ranking", _goto("/?q=pump&explain=1", "Search")
    yield "search with a filter", _goto(_filter("engine"), "Search")
    yield "search without results", _goto(_filter("none"), "Search")
    yield "search with the source", _open_panel
    yield "ask, empty", _goto("/ask", "Ask")
    yield "ask with an answer", _answer
    yield "ask with the source", _open_citation
    yield "ask with a page of a file", _open_pdf_citation
    yield "ask without an answer", _unanswered
    yield "source of a text", _goto(_view(PUMPS_URI, 0, 40), "Pumps")
    yield "source of a table", _goto(_view(STORES_URI, row, row + 10), "stores")
    yield "source of a PDF file", _goto(_view(WINCH_URI, start, start + 80), "Winch manual")
    yield "source that is missing", _goto(_view("docs/gone.md"), "docs/gone.md")
    yield "documents", _goto("/documents", "Documents")
    yield "documents, deletion", _delete
    yield "usage", _goto("/usage", "Usage")


def find_problems(
    browser: Browser, sample: Sample, names: str = "", sizes: tuple[tuple[int, int], ...] = (WIDE, PHONE)
) -> list[str]:
    """Return the problems of the views whose name contains `names`, in these sizes, light and dark."""
    problems = list[str]()
    sample.upstream.answer = make_model().answer
    for name, state in list_states(sample):
        if names not in name:
            continue
        for size in sizes:
            for dark in (False, True):
                label = f"{name}, {size[0]} pixels, {'dark' if dark else 'light'}"
                with open_page(browser, sample.url, size=size, dark=dark, ignores_network_errors="missing" in name) as (
                    page,
                    _,
                ):
                    state(page)
                    problems += [f"{label}: {problem}" for problem in check_view(page, dark=dark)]
    return problems


VARIANTS: Sequence[Variant] = tuple((size, dark) for size in (WIDE, PHONE) for dark in (False, True))
"""All windows and colours in which the views are checked: two sizes, light and dark."""
SHORT_VARIANTS: Sequence[Variant] = ((WIDE, False), (PHONE, True))
"""Each size and each colour once: the layout depends on the size alone, contrast mostly on the colours."""


def check_view(page: Page, *, dark: bool = False) -> list[str]:
    """Return the findings of axe, and those of the layout, which does not depend on colours, once all is loaded."""
    page.wait_for_function("() => !document.querySelector('.spinner, [aria-busy=true]')")
    return [*find_accessibility_problems(page), *([] if dark else find_layout_problems(page))]
