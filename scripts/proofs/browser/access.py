"""The page of a service with access keys: sign in and out, a key that is revoked, scopes, and the view of the keys."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from . import tasks, views
from .sample import COLLECTION, HARBOUR_URI, Sample, run_sample
from .session import Watch, open_page

READER = "reader"
WRONG_KEY = "sk_000000000000_" + 43 * "0"


@contextmanager
def run_keyed_sample(folder: Path) -> Iterator[Sample]:
    """Yield the sample service with a first key, of an administrator, which the client sends."""
    with run_sample(folder) as sample:
        sample.client.headers["authorization"] = f"Bearer {make_key(sample, 'operator', 'admin', 'search', 'write')}"
        yield sample


def make_key(sample: Sample, name: str, *scopes: str, owner: str | None = None) -> str:
    """Create a key for a collection; return its secret."""
    body = {"name": name, "owner": owner, "scopes": scopes or ("search", "ask"), "collections": [COLLECTION]}
    if "admin" in scopes:
        del body["collections"]
    response = sample.client.post("/v1/keys", json=body)
    response.raise_for_status()
    return str(response.json()["key"])


def revoke(sample: Sample, key: str) -> None:
    """Revoke a key."""
    sample.client.delete(f"/v1/keys/{key.split('_')[1]}").raise_for_status()


def sign_in(page: Page, key: str) -> None:
    """Give the page a key."""
    find_sign_in(page).get_by_label("Access key").fill(key)
    page.keyboard.press("Enter")


def find_sign_in(page: Page) -> Locator:
    """Return the view that asks for a key."""
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog).to_be_visible()
    return dialog


@contextmanager
def open_signed_in(browser: Browser, sample: Sample, key: str, address: str = "/") -> Iterator[tuple[Page, Watch]]:
    """Yield a page that is signed in with a key."""
    with open_page(browser, sample.url, ignores_network_errors=True) as (page, watch):
        page.goto(address)
        sign_in(page, key)
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        yield page, watch


def prove_sign_in(browser: Browser, sample: Sample) -> None:
    """A shared link leads to the sign-in and then to its place; the key is nowhere in the browser, and images load."""
    key = make_key(sample, READER)
    address = f"/view/{COLLECTION}/docs%2Fwinch.pdf"
    with open_page(browser, sample.url, ignores_network_errors=True) as (page, watch):
        page.goto(address)
        expect(find_sign_in(page).get_by_label("Access key")).to_be_focused()
        sign_in(page, WRONG_KEY)
        expect(page.get_by_role("alert").get_by_text("This key is not valid")).to_be_visible()
        expect(find_sign_in(page).get_by_label("Access key")).to_be_focused()
        expect(find_sign_in(page).get_by_label("Access key")).to_have_value("")
        watch.urls.clear()
        sign_in(page, "my password")
        expect(page.get_by_role("alert").get_by_text("This is not an access key")).to_be_visible()
        assert watch.urls == [], "a text that is no key was sent"
        sign_in(page, key)
        expect(page.get_by_role("img", name="Page 1 of the file as an image")).to_be_visible()
        expect(page.get_by_role("group", name="Access")).to_contain_text(f"Signed in as {READER}")
        assert page.url == sample.url + address
        _check_key_is_nowhere(page, watch, key)
        with page.expect_download():  # a refusal would be shown instead
            page.evaluate(f"location.assign('/v1/collections/{COLLECTION}/documents/docs%2Fpumps.md/original')")
        page.reload()
        page.get_by_role("button", name="Sign out").click()
        find_sign_in(page)
        assert page.context.cookies() == []
        expect(page.get_by_role("heading", name="Winch manual")).to_have_count(0)


def _check_key_is_nowhere(page: Page, watch: Watch, key: str) -> None:
    secret = key.split("_", 2)[2]
    assert not any(secret in url for url in watch.urls)
    assert secret not in _read_page(page)
    values: str = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])"
    )
    assert values == '[{},{},"",null]', values


def _read_page(page: Page) -> str:
    """Return the address, the markup and the values of the fields."""
    values: list[str] = page.evaluate("[...document.querySelectorAll('input, textarea')].map((field) => field.value)")
    return "\n".join([page.url, page.content(), *values])


def prove_revoked_key(browser: Browser, sample: Sample) -> None:
    """A question that is sent with a revoked key is answered after the next sign-in; another owner begins anew."""
    first, second, other = (
        make_key(sample, f"ann {number}", owner=owner) for number, owner in ((1, "ann"), (2, "ann"), (3, "ben"))
    )
    with open_signed_in(browser, sample, first, "/ask") as (page, _):
        tasks.ask(page, "What does a berth cost?")
        revoke(sample, first)
        field = page.get_by_label("Ask a follow-up question")
        field.fill(tasks.PUMP_QUESTION)
        field.press("Enter")
        expect(find_sign_in(page).get_by_text("no longer valid")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        sign_in(page, second)
        turn = page.get_by_role("article").filter(has=page.get_by_role("heading", name=tasks.PUMP_QUESTION)).last
        expect(turn.get_by_text("citations verified")).to_be_visible()
        expect(field).to_be_focused()
        revoke(sample, second)
        field.fill("Is the E-417 dangerous?")
        field.press("Enter")
        sign_in(page, other)
        expect(page.get_by_role("group", name="Access")).to_contain_text("ben")
        expect(page.get_by_label("Your question")).to_be_visible()
        assert "E-417" not in _read_page(page)


def prove_scopes(browser: Browser, sample: Sample) -> None:
    """What a key does not allow is left out, with the reason."""
    with open_signed_in(browser, sample, make_key(sample, "search only", "search"), "/ask") as (page, _):
        expect(page.get_by_text("Asking questions needs the scope ask")).to_be_visible()
        expect(page.get_by_label("Your question")).to_have_count(0)
        tasks.open_view(page, "Documents")
        expect(page.get_by_role("rowheader", name=HARBOUR_URI)).to_be_visible()
        expect(page.get_by_text("documents needs the scope write")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("Delete|Add|New collection"))).to_have_count(0)
        expect(page.get_by_role("checkbox")).to_have_count(0)
        for name in ("Gaps", "Keys"):
            expect(page.get_by_role("link", name=name)).to_have_count(0)
        page.goto("/gaps")
        expect(page.get_by_text("not answered needs the scope admin")).to_be_visible()
        page.goto("/keys")
        expect(page.get_by_text("access keys needs the scope admin")).to_be_visible()
        tasks.open_view(page, "Search")
        tasks.find_passage(page, "pump dry", "the pump is dry", "Pumps")
    with open_signed_in(browser, sample, make_key(sample, "ask only", "ask"), "/ask") as (page, _):
        tasks.ask(page, tasks.PUMP_QUESTION)
        tasks.open_view(page, "Search")
        expect(page.get_by_text("reading documents needs the scope search")).to_be_visible()
    with open_signed_in(browser, sample, make_key(sample, "write only", "write"), "/documents") as (page, _):
        expect(page.get_by_role("button", name="Add files")).to_be_visible()
        expect(page.get_by_text("reading documents needs the scope search")).to_be_visible()


def prove_keys_view(browser: Browser, sample: Sample) -> None:
    """An administrator creates a key that works, rotates and revokes it; its secret is shown once."""
    operator = str(sample.client.headers["authorization"]).removeprefix("Bearer ")
    with open_signed_in(browser, sample, operator) as (page, _):
        tasks.open_view(page, "Keys")
        secret = _create_key(page, "intranet")
        assert page.evaluate("navigator.clipboard.readText()") == secret
        assert sample.client.get("/v1/me", headers={"authorization": f"Bearer {secret}"}).json()["scopes"] == ["search"]
        page.get_by_role("button", name="Done").click()
        expect(page.get_by_role("heading", name="The key of intranet")).to_have_count(0)
        assert secret not in _read_page(page)
        page.get_by_role("button", name="Rotate intranet").click()
        page.get_by_label("The old secret stays valid").select_option("No longer")
        page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
        expect(page.get_by_role("heading", name="The key of intranet")).to_be_focused()
        rotated = page.get_by_label("Access key", exact=True).input_value()
        statuses = [_get_status(sample, key) for key in (secret, rotated)]
        assert statuses == [401, 200], statuses
        page.get_by_role("button", name="Revoke intranet").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke key").click()
        page.get_by_text("Revoked and expired keys").click()
        expect(page.get_by_role("list", name="Revoked").get_by_text("intranet").first).to_be_visible()
        assert _get_status(sample, rotated) == 401


def _create_key(page: Page, name: str) -> str:
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New access key")
    dialog.get_by_label("Name:").fill(name)
    dialog.get_by_label("Ask questions").uncheck()
    dialog.get_by_label(COLLECTION).check()
    dialog.get_by_label("It expires").select_option("In 90 days")
    dialog.get_by_text("Filter and limits").click()
    dialog.get_by_label("Only documents that match").fill('{"team": "engine"}')
    dialog.get_by_label("Requests per minute").fill("1000")
    dialog.get_by_role("button", name="Create key").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    return page.get_by_label("Access key", exact=True).input_value()


def _get_status(sample: Sample, key: str) -> int:
    return sample.client.get("/v1/me", headers={"authorization": f"Bearer {key}"}).status_code


def find_problems(browser: Browser, sample: Sample, variants: Sequence[views.Variant] = views.VARIANTS) -> list[str]:
    """Return the findings of axe and of the layout in the sign-in view and in the view of the keys."""
    operator = str(sample.client.headers["authorization"]).removeprefix("Bearer ")
    return [
        f"{size[0]} pixels, {'dark' if dark else 'light'}: {problem}"
        for size, dark in variants
        for problem in _check_views(browser, sample.url, operator, size, dark=dark)
    ]


def _check_views(browser: Browser, url: str, operator: str, size: tuple[int, int], *, dark: bool) -> list[str]:
    problems = list[str]()
    with open_page(browser, url, size=size, dark=dark, ignores_network_errors=True) as (page, _):
        page.goto("/keys")
        sign_in(page, WRONG_KEY)
        expect(page.get_by_role("alert")).to_be_visible()
        problems += views.check_view(page)
        sign_in(page, operator)
        expect(page.get_by_role("heading", name="Access keys")).to_be_visible()
        problems += views.check_view(page)
        _create_key(page, "a key for the test of the layout, with a long name")
        problems += views.check_view(page)
        page.get_by_role("button", name="New key").click()
        page.get_by_text("Filter and limits").click()
        problems += views.check_view(page)
    return problems


def prove_views(browser: Browser, sample: Sample, variants: Sequence[views.Variant] = views.VARIANTS) -> None:
    """The new views have no serious finding of axe, do not scroll sideways, and clip no text."""
    problems = find_problems(browser, sample, variants)
    assert not problems, "\n".join(problems)
