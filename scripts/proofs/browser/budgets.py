"""What the page costs: bytes and requests of the first view, and CPU seconds of the server while somebody types."""

import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, Response, expect

from .session import open_page

MAX_REQUESTS, MAX_BYTES = 5, 100_000
MAX_TYPING_MS = 60.0


@dataclass(frozen=True, slots=True)
class FirstView:
    """Requests of the first view and the bytes that they transferred, headers included."""

    requests: int
    bytes: int


def measure_first_view(browser: Browser, url: str) -> FirstView:
    """Open the page with an empty cache, as a new user does, and count until the network is idle."""
    sizes: dict[str, int] = {}
    with open_page(browser, url) as (page, _):
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]})
        )
        page.goto("/", wait_until="networkidle")
        expect(page.get_by_label("Search the documents")).to_be_focused()
        expect(page.get_by_label("Collection")).to_be_visible()
    return FirstView(len(sizes), sum(int(size) for size in sizes.values()))


def measure_typing(browser: Browser, url: str, pid: int, queries: list[str]) -> list[float]:
    """Type queries a letter at a time; return the CPU milliseconds of the server for each search, ascending."""
    milliseconds: list[float] = []
    with open_page(browser, url) as (page, _):
        page.goto("/")
        field = page.get_by_label("Search the documents")
        for query in queries:
            field.fill("")
            milliseconds += [_type_letter(page, pid, letter) for letter in query if letter.strip()]
    return sorted(milliseconds)


def _type_letter(page: Page, pid: int, letter: str) -> float:
    """Type a letter and wait for its results; return the CPU milliseconds of the server."""
    before = read_cpu_seconds(pid)
    with page.expect_response(_is_search) as response:
        page.keyboard.type(letter)
    response.value.finished()
    time.sleep(0.02)  # what the server does behind the reply
    return (read_cpu_seconds(pid) - before) * 1000


def _is_search(response: Response) -> bool:
    return response.url.endswith("/search") and response.ok


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, to the nanosecond."""
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(file.read_text().split()[0])
        except OSError:  # the thread has ended
            continue
    return total / 1e9


def find_percentile(ascending: list[float], share: float) -> float:
    """Return the value that a share of the values does not exceed."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
