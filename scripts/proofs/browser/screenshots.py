"""Make the pictures of the page for the README, from the sample handbook and a chat model that works.

Each view is taken wide and as on a phone, light and dark. Text that is clipped or overlaps other text is an error. The
views about access are taken last: from the first key on, every view asks for one.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from support.http_service import run_service
from support.small_chat_model import read_sentences
from support.upstream import KEY, Upstream, run_upstream

from semsearch import Library
from semsearch.core.endpoints import Endpoint, Secret
from semsearch.core.settings import Settings
from semsearch.core.types.usage import Budget, BudgetLimits, Price

from . import access, tasks
from .checks import find_layout_problems
from .past_usage import write_past_usage
from .session import open_browser, open_page

REPO = Path(__file__).parents[3]
PICTURES = REPO / "docs" / "screenshots"
HANDBOOK = REPO / "examples" / "handbook"
MODEL = "gpt-6-luna"
SIZES = {"wide": ((1280, 800), 1.0), "phone": ((390, 780), 1.5)}
QUALITY = 80
MAX_TOTAL_BYTES = 1_500_000
QUERY = "causeway closed for wind"
QUESTION = "How long is parental leave?"
PDF_QUESTION = "How many passengers may the launch carry?"
CITED_BEGINNINGS = {
    QUESTION: ("Parental leave is 26 weeks", "A further 13 weeks", "Tell the People Office at least ten weeks"),
    PDF_QUESTION: ("She carries at most ten people", "Cargo on deck is limited"),
    "What does a guest pay for lunch?": ("Guests pay", "A guest pays"),
    "How many hours is the working week?": ("The working week",),
}
"""Questions, and how the sentences begin with which the chat model answers each."""


def answer_with_sentences(messages: list[dict[str, str]]) -> str:
    """Return the sentences of the question in the prompt, cited."""
    prompt = messages[-1]["content"]
    beginnings = next(own for question, own in CITED_BEGINNINGS.items() if f"Question: {question}" in prompt)
    sentences = [item for text in beginnings for item in read_sentences(prompt) if item.text.startswith(text)]
    cited = {item.text: f"{item.text.rstrip('.')} [[{item.passage_id}.{item.number}]]." for item in sentences}
    return " ".join(cited.values()) or "NO_ANSWER"


@contextmanager
def run_handbook(folder: Path) -> Iterator[httpx.Client]:
    """Yield a client of a service with the handbook, whose chat model has answered some questions."""
    model = Upstream()
    model.answer = answer_with_sentences
    with Library(folder) as library:
        library.create("handbook").ingest(HANDBOOK)
    write_past_usage(folder)
    with run_upstream(model):
        settings = Settings(
            chat=Endpoint(model.url, Secret(KEY)),
            chat_model=MODEL,
            budget=Budget(BudgetLimits(day_usd=0.02, month_usd=0.15)),
            prices=(Price(MODEL, "2026-01-01", 0.10, 0.50),),
        )
        with run_service(folder, settings) as client:
            for question in CITED_BEGINNINGS:
                client.post("/v1/collections/handbook/ask", json={"question": question}).raise_for_status()
            yield client


def _search(page: Page, *, is_wide: bool) -> None:
    page.goto("/")
    tasks.search(page, QUERY)


def _ask(page: Page, *, is_wide: bool) -> None:
    page.goto("/ask")
    turn = tasks.ask(page, QUESTION)
    if is_wide:  # in a narrow window the source covers the answer
        turn.get_by_role("button", name="Citation 1: open").click()
        expect(page.get_by_role("button", name="Close the source")).to_be_visible()


def _open_pdf(page: Page, *, is_wide: bool) -> None:
    page.goto("/ask")
    turn = tasks.ask(page, PDF_QUESTION)
    turn.get_by_role("button", name="Citation 1: open").click()
    image = page.get_by_role("img", name="Page 1 of the file as an image")
    expect(image).to_be_visible()
    image.evaluate("image => image.decode()")


def _documents(page: Page, *, is_wide: bool) -> None:
    page.goto("/documents")
    expect(page.get_by_role("row").nth(1)).to_be_visible()


def _usage(page: Page, *, is_wide: bool) -> None:
    page.goto("/usage")
    expect(page.get_by_role("heading", name="Budgets")).to_be_visible()


def _sign_in(page: Page, *, is_wide: bool) -> None:
    page.goto("/")
    access.find_sign_in(page)


def _keys(page: Page, *, is_wide: bool, key: str) -> None:
    page.goto("/keys")
    access.sign_in(page, key)
    expect(page.get_by_role("heading", level=3).first).to_be_visible()


Show = Callable[..., None]
VIEWS: dict[str, Show] = {
    "search": _search,
    "ask": _ask,
    "pdf": _open_pdf,
    "documents": _documents,
    "usage": _usage,
    "sign-in": _sign_in,
    "keys": _keys,
}
ACCESS_VIEWS = ("sign-in", "keys")
KEYS = (
    {"name": "operator", "scopes": ["admin", "search", "ask", "write"]},
    {"name": "intranet search", "collections": ["handbook"], "requests_per_minute": 600, "day_usd": 2.5},
    {"name": "nightly import", "owner": "operator", "scopes": ["write"], "expires": "2031-12-31T12:00:00Z"},
)


def make_keys(client: httpx.Client) -> str:
    """Create the keys that are shown; return that of the operator."""
    secrets = list[str]()
    for body in KEYS:
        secrets.append(client.post("/v1/keys", json=body).raise_for_status().json()["key"])
        client.headers["authorization"] = f"Bearer {secrets[0]}"
    return secrets[0]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, and the problems of the layout that it shows."""

    name: str
    data: bytes
    problems: list[str]


def take_pictures(browser: Browser, client: httpx.Client, names: list[str]) -> Iterator[Picture]:
    """Yield the pictures of these views, those about access last."""
    for name in (name for name in VIEWS if name in names and name not in ACCESS_VIEWS):
        yield from _take_view(browser, client, name, VIEWS[name])
    if not set(names) & set(ACCESS_VIEWS):
        return
    key = make_keys(client)
    for name in (name for name in ACCESS_VIEWS if name in names):
        show = partial(_keys, key=key) if name == "keys" else VIEWS[name]
        yield from _take_view(browser, client, name, show)


def _take_view(browser: Browser, client: httpx.Client, name: str, show: Show) -> Iterator[Picture]:
    url = str(client.base_url).rstrip("/")
    needs_key = name in ACCESS_VIEWS
    for size, (pixels, scale) in SIZES.items():
        for theme in ("light", "dark"):
            dark = theme == "dark"
            with open_page(browser, url, size=pixels, scale=scale, dark=dark, ignores_network_errors=needs_key) as (
                page,
                _,
            ):
                yield _take(page, f"{name}-{size}-{theme}", show, is_wide=size == "wide")


def _take(page: Page, name: str, show: Show, *, is_wide: bool) -> Picture:
    show(page, is_wide=is_wide)
    page.wait_for_function("() => !document.querySelector('.spinner, [aria-busy=true]')")
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, 0)")
    return Picture(name, compress(page.screenshot()), find_layout_problems(page))


def compress(png: bytes) -> bytes:
    """Return a picture as WebP."""
    output = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(output, "WEBP", quality=QUALITY, method=6)
    return output.getvalue()


def main() -> None:
    """Write the pictures, print their sizes, and exit with 1 if one has a problem."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("views", nargs="*", choices=[[], *VIEWS], default=[], help="views to take (all)")
    parser.add_argument("--folder", type=Path, default=PICTURES)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    problems, total = list[str](), 0
    with (
        tempfile.TemporaryDirectory() as name,
        run_handbook(Path(name) / "indexes") as client,
        open_browser() as browser,
    ):
        for picture in take_pictures(browser, client, arguments.views or list(VIEWS)):
            (arguments.folder / f"{picture.name}.webp").write_bytes(picture.data)
            total += len(picture.data)
            print(f"{picture.name}.webp {len(picture.data):,} bytes")
            problems += [f"{picture.name}: {problem}" for problem in picture.problems]
    if total > MAX_TOTAL_BYTES:
        problems.append(f"the pictures have {total:,} bytes, more than {MAX_TOTAL_BYTES:,}")
    print("\n".join(problems) or f"{total:,} bytes; no text is clipped or overlaps")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
