"""Put attacks into everything that the page shows, and prove that nothing is run and nothing foreign is loaded."""

import html
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
from playwright.sync_api import Error, FilePayload, Page, expect
from support.http_service import document_path
from support.upstream import ReceivedCall, ScriptedReply, Upstream, error_reply

from .sample import make_model
from .session import Listener, Watch
from .tasks import ask, open_view

COLLECTION = "payloads"
MEDIA_TYPES = ("text/markdown", "text/plain", "text/html")
MIN_SHARE_SHOWN = 0.8
"""Share of the payloads that must be seen in each place; the server removes some characters from titles and texts."""
_IS_SETTLED = (
    "() => document.querySelector('main')?.innerText.trim() && !document.querySelector('.spinner, [aria-busy=true]')"
)


@cache
def _read_script() -> str:
    return Path(__file__).with_name("payload_checks.js").read_text()


@dataclass(slots=True)
class Attack:
    """The payloads, the page that shows them, and where each was seen."""

    page: Page
    watch: Watch
    upstream: Upstream
    listener: Listener
    payloads: Sequence[str]
    problems: list[str] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    visits: int = 0

    def visit(self, address: str) -> None:
        """Open an address and look for effects."""
        self.page.goto(address)
        self.look(address)

    def look(self, place: str, expected: Sequence[str] = ()) -> None:
        """Wait until the view is complete, and record effects and how many expected payloads it shows."""
        self.page.wait_for_function(_IS_SETTLED)
        self.visits += 1
        errors = self.page.evaluate(_read_script())
        if self.listener.connections:
            errors.append("the foreign server was called")
        self.problems += [f"{place[:200]}: {problem}" for problem in errors]
        if expected:
            text = _fold(
                self.page.evaluate(
                    "document.body.innerText + [...document.querySelectorAll('textarea')].map(a => a.value)"
                )
            )
            self.shown[place] += sum(_fold(payload) in text for payload in expected)


def _fold(text: str) -> str:
    return "".join(text.split())


def make_uri(number: int, payload: str) -> str:
    """Return the uri of the document with a payload; a uri has no control characters."""
    return f"{number:02}/{payload}".replace("\t", " ")


def fill_collection(client: httpx.Client, payloads: Sequence[str]) -> None:
    """Store a document for each payload, which is in its name, title, metadata and text."""
    client.put(f"/v1/collections/{COLLECTION}").raise_for_status()
    for number, payload in enumerate(payloads):
        media_type = MEDIA_TYPES[number % len(MEDIA_TYPES)]
        metadata = json.dumps({"team": payload, "tags": [payload, f"n{number}"]})
        client.put(
            document_path(COLLECTION, make_uri(number, payload)),
            content=_make_text(number, payload, media_type).encode(),
            params={"title": payload, "metadata": metadata},
            headers={"content-type": media_type},
        ).raise_for_status()


def _make_text(number: int, payload: str, media_type: str) -> str:
    sentence = f"Canary {number} sings {payload} at dawn."
    if media_type == "text/html":
        return f"<h1>Canary</h1>{payload}<p>{html.escape(sentence)}</p>"
    table = f"| a | b |\n|---|---|\n| {payload} | 2 |"
    return f"# Canary {payload}\n\n{sentence}\n\n```\n{payload}\n```\n\n{table}\n\n- {payload}\n"


def attack_views(attack: Attack) -> None:
    """Look at all documents in the search, in the list, in an answer and in the usage."""
    page, payloads = attack.page, attack.payloads
    attack.page.goto(f"/?{urlencode({'collection': COLLECTION, 'q': 'canary dawn', 'n': 100, 'explain': 1})}")
    attack.look("search", payloads)
    page.goto(f"/documents?collection={COLLECTION}")
    attack.page.wait_for_function(_IS_SETTLED)
    while (more := page.get_by_role("button", name="More documents")).is_visible():
        more.click()
        page.wait_for_function(_IS_SETTLED)
    attack.look("documents", payloads)
    attack_answer(attack, " ".join(payloads[:40]), payloads[:40])
    attack.visit(f"/usage?collection={COLLECTION}")


def attack_answer(attack: Attack, question: str, payloads: Sequence[str]) -> None:
    """Ask a question that is a payload; the model's reply has payloads too. Open the first citation."""
    model = make_model()

    def write_reply(messages: list[dict[str, str]]) -> str:
        return " ".join(f"{payload}." for payload in payloads) + " " + model.answer(messages)

    attack.upstream.answer = write_reply
    attack.upstream.reply_rule = lambda call: None
    attack.page.goto(f"/ask?collection={COLLECTION}&policy=off")
    turn = ask(attack.page, question.replace("\t", " ")[:4000])
    attack.look("answer", payloads)
    citation = turn.get_by_role("button", name="Citation 1: open")
    if citation.count():
        citation.first.click()
        expect(attack.page.get_by_role("button", name="Close the source")).to_be_visible()
        attack.look("source")
    turn.get_by_text("Closest passages (").first.click()
    attack.look("passages")


def attack_error(attack: Attack, payload: str) -> None:
    """Ask a question while the model server answers with an error that holds a payload."""

    def refuse(call: ReceivedCall) -> ScriptedReply | None:
        return error_reply(400, payload, code=payload) if call.path.endswith("/chat/completions") else None

    attack.upstream.reply_rule = refuse
    attack.page.goto(f"/ask?collection={COLLECTION}")
    field = attack.page.get_by_label("Your question")
    field.fill(payload.replace("\t", " "))
    field.press("Enter")
    expect(attack.page.get_by_role("alert")).to_be_visible()
    attack.look("error")
    attack.upstream.reply_rule = lambda call: None


def attack_uploads(attack: Attack) -> None:
    """Add files whose names are payloads; a name has no slash."""
    page = attack.page
    page.goto(f"/documents?collection={COLLECTION}")
    files = [
        FilePayload(name=f"{payload.replace('/', '∕')}.txt", mimeType="text/plain", buffer=f"Wren {payload}".encode())
        for payload in attack.payloads
    ]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add files").click()
    chooser.value.set_files(files)
    expect(page.get_by_text(f"{len(files)} of {len(files)} files done")).to_be_visible()
    attack.look("uploads")
    page.get_by_role("button", name="Select all that are shown").or_(
        page.get_by_label("Select all that are shown")
    ).click()
    page.get_by_role("button", name="Delete selected").click()
    attack.look("deletion")


def list_addresses(number: int, payload: str) -> Iterator[str]:
    """Yield addresses of the page with the payload in each part, as somebody may send them to a user."""
    uri = quote(make_uri(number, payload), safe="")
    value = quote(payload, safe="")
    choice = urlencode({"collection": COLLECTION, "q": payload, "filter": json.dumps({"team": payload})})
    yield f"/view/{COLLECTION}/{uri}?start=0&end=40"
    yield f"/?{choice}"
    yield f"/?collection={value}&q={value}&mode={value}&n={value}&filter={value}"
    yield f"/ask?collection={value}&q={value}&session={value}&answer={value}&profile={value}&k={value}"
    yield f"/view/{value}/{value}?start={value}&end={value}"
    yield f"/documents?collection={value}&name={value}"


def open_originals(attack: Attack, client: httpx.Client) -> None:
    """Open each stored file by itself, as "Open original" does: its scripts must not run at our address."""
    for number, payload in enumerate(attack.payloads):
        path = f"{document_path(COLLECTION, make_uri(number, payload))}/original"
        reply = client.get(path)
        if reply.status_code == 404:
            attack.problems.append(f"there is no original of {payload!r}")
            continue
        page = attack.page.context.new_page()
        attack.watch.attach(page)
        try:
            page.goto(path)
            attack.problems += [
                f"original: {problem}" for problem in page.evaluate("() => window.__hit ? ['a script ran'] : []")
            ]
        except Error as error:
            if "Download is starting" not in str(error):
                raise
        finally:
            page.close()


def attack_all(attack: Attack) -> None:
    """Try each payload by itself in every place."""
    attack_views(attack)
    attack_uploads(attack)
    for number, payload in enumerate(attack.payloads):
        attack_answer(attack, payload, [payload])
        attack_error(attack, payload)
        for address in list_addresses(number, payload):
            attack.visit(address)


def attack_briefly(attack: Attack) -> None:
    """Try all payloads at once, and each in one of the addresses."""
    attack_views(attack)
    for number, payload in enumerate(attack.payloads):
        addresses = list(list_addresses(number, payload))
        attack.visit(addresses[number % len(addresses)])


def check(attack: Attack) -> None:
    """Raise AssertionError if something was run or loaded, or if the payloads were not shown."""
    assert not attack.problems, "\n".join(attack.problems[:20])
    assert not attack.listener.connections, "the foreign server was called"
    for place in ("search", "documents"):
        assert attack.shown[place] >= MIN_SHARE_SHOWN * len(attack.payloads), f"few payloads were shown: {attack.shown}"
    open_view(attack.page, "Search")
