"""The tasks of a user of the page, done by visible labels and roles alone. Each begins at the page that is shown."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload, Locator, Page, expect

PUMP_QUESTION = "What does the alarm E-417 mean?"
PUMP_ANSWER = "The alarm E-417 means that the pump is dry"
WINCH_QUESTION = "How many tonnes does the winch brake hold?"
MARKED_PAGE = re.compile(r"Page 2 of the file as an image, with the words of the passage marked")
_CITATION = re.compile(r"^Citation 1: open")
_END_OF_ANSWER = re.compile(r"^(Answer by .*|Best excerpt|Closest passages; .*)$")


def open_view(page: Page, name: str) -> None:
    """Open a view by the navigation."""
    page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_attached()


def search(page: Page, query: str) -> Locator:
    """Type a query without sending it; return the results as soon as there is one."""
    page.get_by_label("Search the documents").fill(query)
    results = page.get_by_role("article")
    expect(page.get_by_text(re.compile(r"^\d+ results?, best first"))).to_be_visible()
    return results


def find_passage(page: Page, query: str, words: str, title: str) -> None:
    """Search, see the words marked in the first result, and open its document at the passage."""
    first = search(page, query).first
    expect(find_marked(first, words)).to_be_visible()
    first.get_by_role("link", name=title).click()
    source = find_source(page, title)
    expect(find_marked(source, words)).to_be_in_viewport()


def find_marked(place: Locator, words: str) -> Locator:
    """Return the first marked text with these words."""
    mark: Any = "mark"  # a role that the types of playwright lack
    return place.get_by_role(mark).filter(has_text=words).first


def find_source(page: Page, title: str) -> Locator:
    """Return the panel of a document, which is a dialog in a narrow window."""
    panel = page.get_by_role("complementary", name=title).or_(page.get_by_role("dialog", name=title))
    expect(panel).to_be_visible()
    return panel


def ask(page: Page, question: str) -> Locator:
    """Ask a question and wait for the end of its answer; return the turn."""
    field = page.get_by_label("Your question").or_(page.get_by_label("Ask a follow-up question"))
    field.fill(question)
    field.press("Enter")
    turn = page.get_by_role("article").filter(has=page.get_by_role("heading", name=question, exact=True)).last
    expect(turn.get_by_text(_END_OF_ANSWER).first).to_be_visible()
    return turn


def open_citation(page: Page, turn: Locator, title: str) -> Locator:
    """Open the first citation of an answer; return the panel of its document."""
    turn.get_by_role("button", name=_CITATION).first.click()
    return find_source(page, title)


def ask_and_open_citation(page: Page) -> Locator:
    """Ask about the pump, see that the answer is verified, and open the cited words; return the turn."""
    turn = ask(page, PUMP_QUESTION)
    expect(turn.get_by_text("citations verified")).to_be_visible()
    expect(turn.get_by_text(PUMP_ANSWER).first).to_be_visible()
    expect(turn.get_by_text(re.compile("copied|supported")).first).to_be_visible()
    source = open_citation(page, turn, "Pumps")
    expect(find_marked(source, PUMP_ANSWER)).to_be_in_viewport()
    return turn


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box on a page of a file, in points from its left upper corner."""

    left: float
    top: float
    right: float
    bottom: float


def open_cited_page(page: Page) -> list[Rectangle]:
    """Ask about the winch and open the cited page of the PDF file; return the rectangles that are drawn over it."""
    turn = ask(page, WINCH_QUESTION)
    source = open_citation(page, turn, "Winch manual")
    return read_rectangles(source)


def read_rectangles(source: Locator) -> list[Rectangle]:
    """Return the rectangles that are drawn over the image of a page, as they are seen, in points of a page of 800."""
    image = source.get_by_role("img", name=MARKED_PAGE)
    expect(image).to_be_visible()
    image.evaluate("image => image.decode()")
    boxes: list[list[float]] = image.evaluate(
        """image => {
            const page = image.getBoundingClientRect();
            return [...image.parentElement.querySelectorAll("svg rect")].map((item) => {
                const { left, top, right, bottom } = item.getBoundingClientRect();
                const [x, y] = [800 / page.width, 800 / page.height];
                return [(left - page.left) * x, (top - page.top) * y, (right - page.left) * x, (bottom - page.top) * y];
            });
        }"""
    )
    return [Rectangle(*box) for box in boxes]


def upload(page: Page, file: Path | FilePayload, name: str) -> None:
    """Add a file in the view of documents and wait until it is stored."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").click()
    chooser.value.set_files(file)
    queue = page.get_by_role("region", name="Files to add")
    expect(queue.get_by_role("listitem").filter(has_text=name).get_by_text("added", exact=True)).to_be_visible()


def delete_document(page: Page, uri: str) -> None:
    """Delete a document and confirm it; first keep it once."""
    button = page.get_by_role("button", name=f"Delete {uri}", exact=True)
    button.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(button).to_be_visible()
    button.click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1 document").click()
    expect(button).to_be_hidden()


def give_feedback(turn: Locator) -> None:
    """Say that an answer helped, and wait until it is stored."""
    turn.get_by_role("button", name="Helpful", exact=True).click()
    expect(turn.get_by_text("Thank you.")).to_be_visible()
