"""Use the page by keyboard alone."""

from playwright.sync_api import Locator, Page, expect

from .tasks import PUMP_ANSWER, PUMP_QUESTION, find_marked, find_source

MAX_TABS = 60
_HAS_VISIBLE_FOCUS = """() => {
    const element = document.activeElement;
    const isRing = (node) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(node);
        return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    };
    const shape = element.closest("label") ?? element;
    return element === document.body || element.matches("main, h1, h2") || isRing(element) || isRing(shape);
}"""


def tab_to(page: Page, target: Locator, *, backwards: bool = False) -> None:
    """Press Tab until the target has the focus; raise AssertionError if it is not reached or a focus is invisible."""
    for _ in range(MAX_TABS):
        if target.count() and target.first.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        focused = "document.activeElement.outerHTML.slice(0, 200)"
        assert page.evaluate(_HAS_VISIBLE_FOCUS), f"the focus cannot be seen on {page.evaluate(focused)}"
    raise AssertionError(f"{MAX_TABS} times Tab do not reach {target}")


def ask_by_keyboard(page: Page) -> None:
    """Go from a loaded page to an opened citation, and back to the citation, by Tab, Enter and Escape."""
    page.goto("/")
    expect(page.get_by_label("Search the documents")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="Ask", exact=True), backwards=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Ask")).to_be_attached()
    tab_to(page, page.get_by_label("Your question"))
    page.keyboard.type(PUMP_QUESTION)
    page.keyboard.press("Enter")
    citation = page.get_by_role("button", name="Citation 1: open")
    expect(citation).to_be_visible()
    tab_to(page, citation, backwards=True)
    page.keyboard.press("Enter")
    source = find_source(page, "Pumps")
    expect(find_marked(source, PUMP_ANSWER)).to_be_in_viewport()
    inside = source.evaluate("panel => panel.contains(document.activeElement)")
    assert inside, "the focus did not move into the source"
    page.keyboard.press("Escape")
    expect(source).to_be_hidden()
    expect(citation).to_be_focused()


def skip_to_content(page: Page) -> None:
    """Use the link that skips the navigation, the first one of the page."""
    page.goto("/usage")
    expect(page.get_by_role("heading", level=1, name="Usage")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
