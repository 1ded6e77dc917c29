"""Check any view of the page: accessibility, horizontal scrolling, clipped and overlapping text."""

from functools import cache
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


@cache
def _read_script() -> str:
    return Path(__file__).with_name("layout_checks.js").read_text()


def find_accessibility_problems(page: Page) -> list[str]:
    """Return the serious and critical findings of axe, one line for each element."""
    results: dict[str, Any] = Axe().run(page).response
    return [
        f"{finding['id']} ({finding['impact']}): {node['html'][:200]}; {node.get('failureSummary', '')[:300]}"
        for finding in results["violations"]
        if finding["impact"] in SERIOUS
        for node in finding["nodes"]
    ]


def find_layout_problems(page: Page) -> list[str]:
    """Return text that is clipped, overlaps other text or leaves the window, and horizontal scrolling of the page."""
    problems: list[str] = page.evaluate(_read_script())
    return problems


def scrolls_sideways(page: Page) -> bool:
    """Return whether the page is wider than the window."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    return wide
