"""Prove that the page works in a real browser: tasks, keyboard, phones, accessibility, attacks, a restart, and costs.

A real server with a chat model that works is driven through every task of a user, by visible labels and roles. The
first run with --typing builds a collection of 100,000 chunks, which takes some minutes.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, FilePayload, expect
from support.http_service import document_path

from .browser import access, budgets, failures, journeys, keyboard, learning, payloads, restart, tasks, views
from .browser.large_collection import build_large_collection
from .browser.payload_list import make_payloads
from .browser.sample import COLLECTION, MODEL, Sample, run_sample, run_server_process
from .browser.sample_pdf import find_cited_words
from .browser.session import PHONE, WIDE, listen, open_browser, open_page

TOLERANCE_POINTS = 2.0
NOTES = FilePayload(
    name="notes.md", mimeType="text/markdown", buffer=b"# Notes\n\nThe capstan was painted green in May.\n"
)


def prove_first_visit(browser: Browser, sample: Sample) -> None:
    """A new user finds a passage, asks, and reads the cited words; the answer's feedback is stored."""
    with open_page(browser, sample.url) as (page, _):
        page.goto("/")
        tasks.find_passage(page, "pump dry", "the pump is dry", "Pumps")
        tasks.open_view(page, "Ask")
        turn = tasks.ask_and_open_citation(page)
        with page.expect_response(lambda response: "/feedback" in response.url) as stored:
            tasks.give_feedback(turn)
    answer_id = stored.value.url.split("/")[-2]
    assert sample.client.get(f"/v1/answers/{answer_id}").json()["feedback"]["helpful"] is True


def prove_pdf_rectangles(browser: Browser, sample: Sample, size: tuple[int, int] = WIDE) -> None:
    """The rectangles over the cited page lie over the cited words, and over nothing else."""
    with open_page(browser, sample.url, size=size) as (page, _):
        page.goto("/ask")
        rectangles = tasks.open_cited_page(page)
    check_rectangles(rectangles)


def check_rectangles(rectangles: list[tasks.Rectangle]) -> None:
    """Raise AssertionError unless each cited word is in a rectangle, and each rectangle ends with its words."""
    words, slack = find_cited_words(), TOLERANCE_POINTS
    assert rectangles, "no rectangle is drawn"
    for word in words:
        assert any(
            box.left - slack <= word.left and box.right + slack >= word.right
            and box.top - slack <= word.top and box.bottom + slack >= word.baseline
            for box in rectangles
        ), f"no rectangle covers {word}: {rectangles}"  # fmt: skip
    for box in rectangles:
        inside = [word for word in words if box.top < word.baseline - 1 < box.bottom]
        assert inside, f"{box} covers no cited word"
        assert abs(box.left - min(word.left for word in inside)) <= slack + 1, f"{box} begins elsewhere"
        assert abs(box.right - max(word.right for word in inside)) <= slack + 1, f"{box} ends elsewhere"
        assert box.bottom - box.top <= 16, f"{box} is higher than a line"


def prove_upload(browser: Browser, sample: Sample) -> None:
    """A user adds a file, finds it by the search, and deletes it again."""
    with open_page(browser, sample.url) as (page, _):
        page.goto("/")
        tasks.open_view(page, "Documents")
        tasks.upload(page, NOTES, "notes.md")
        tasks.open_view(page, "Search")
        tasks.find_passage(page, "capstan green", "The capstan was painted green", "Notes")
        tasks.open_view(page, "Documents")
        tasks.delete_document(page, "notes.md")
    assert sample.client.get(document_path(COLLECTION, "notes.md")).status_code == 404


def prove_usage(browser: Browser, sample: Sample) -> None:
    """The usage of the model, the budgets and the state of the model server are shown."""
    question = {"question": tasks.PUMP_QUESTION}
    sample.client.post(f"/v1/collections/{COLLECTION}/ask", json=question).raise_for_status()
    with open_page(browser, sample.url) as (page, _):
        page.goto("/")
        tasks.open_view(page, "Usage")
        expect(page.get_by_role("rowheader", name=MODEL, exact=True).first).to_be_visible()
        expect(page.get_by_role("heading", name=sample.upstream.url)).to_be_visible()
        expect(page.get_by_role("heading", name="Budgets")).to_be_visible()
        expect(page.get_by_role("heading", name="Model servers")).to_be_visible()
        expect(page.get_by_role("heading", name="Collections")).to_be_visible()


def prove_keyboard(browser: Browser, sample: Sample) -> None:
    """A citation is opened and closed without a mouse, also in a narrow window."""
    for size in (WIDE, PHONE):
        with open_page(browser, sample.url, size=size) as (page, _):
            keyboard.ask_by_keyboard(page)
            keyboard.skip_to_content(page)


def prove_views(browser: Browser, sample: Sample) -> None:
    """No view has a serious finding of axe, scrolls sideways, or clips text: wide and phone, light and dark."""
    problems = views.find_problems(browser, sample)
    assert not problems, "\n".join(problems)


def prove_first_view(browser: Browser, sample: Sample) -> None:
    """The first view takes few requests and bytes."""
    view = budgets.measure_first_view(browser, sample.url)
    print(f"  {view.requests} requests, {view.bytes:,} bytes")
    assert view.requests <= budgets.MAX_REQUESTS, view
    assert view.bytes < budgets.MAX_BYTES, view


def prove_payloads(browser: Browser, sample: Sample) -> None:
    """No payload in names, titles, metadata, texts, questions, addresses and replies runs or loads anything."""
    with listen() as listener:
        attacks = make_payloads(listener.url)
        payloads.fill_collection(sample.client, attacks)
        with open_page(browser, sample.url, ignores_network_errors=True) as (page, watch):
            attack = payloads.Attack(page, watch, sample.upstream, listener, attacks)
            payloads.attack_all(attack)
            payloads.open_originals(attack, sample.client)
            payloads.check(attack)
            print(f"  {len(attacks)} payloads, {attack.visits} looks; shown: {dict(attack.shown)}")
        sample.client.delete(f"/v1/collections/{payloads.COLLECTION}").raise_for_status()


def prove_typing(browser: Browser, data: Path, count: int) -> None:
    """Typing costs the server little CPU, with a large collection."""
    folder, queries = build_large_collection(data, COLLECTION, count)
    with run_server_process(folder) as server:
        budgets.measure_typing(browser, server.url, server.pid, queries[:1])  # the first search loads the index
        times = budgets.measure_typing(browser, server.url, server.pid, queries)
    p50, p95 = budgets.find_percentile(times, 0.5), budgets.find_percentile(times, 0.95)
    print(f"  {len(times)} searches in {count:,} chunks: {p50:.1f} ms of CPU at p50, {p95:.1f} at p95")
    assert p95 < budgets.MAX_TYPING_MS, p95


def prove_access(browser: Browser, folder: Path) -> None:
    """The page of a service with access keys signs in, shows what a key allows, and manages the keys."""
    with access.run_keyed_sample(folder) as sample:
        access.prove_sign_in(browser, sample)
        access.prove_revoked_key(browser, sample)
        access.prove_scopes(browser, sample)
        access.prove_keys_view(browser, sample)
        access.prove_views(browser, sample)


def run_all(browser: Browser, folder: Path, data: Path | None, count: int, only: str) -> list[str]:
    """Run the proofs whose name contains `only`; return the names of those that failed."""
    failed = list[str]()
    with run_sample(folder / "sample") as sample:
        proofs: dict[str, Callable[[], None]] = {
            name: partial(proof, browser, sample)
            for name, proof in (
                ("first visit to a cited answer", prove_first_visit),
                ("rectangles over the cited words of a PDF page", prove_pdf_rectangles),
                ("rectangles in a narrow window", partial(prove_pdf_rectangles, size=PHONE)),
                ("upload, search, delete", prove_upload),
                ("files dropped on the page", journeys.prove_drop),
                ("options of a search", journeys.prove_search_options),
                ("conversation", journeys.prove_conversation),
                ("links of replies", journeys.prove_links),
                ("words outside of their page", failures.prove_unplaced_words),
                ("image that fails", failures.prove_failed_image),
                ("change of the collection", failures.prove_change_of_collection),
                ("deleted session", failures.prove_lost_session),
                ("failed first question", failures.prove_failed_first_question),
                ("damaged links", failures.prove_damaged_links),
                ("other values of a filtered field", failures.prove_alternatives),
                ("usage", prove_usage),
                ("similar documents", learning.prove_similar_documents),
                ("similar documents that are not served", learning.prove_unserved_similar_documents),
                ("approved answers", learning.prove_approval),
                ("content gaps", learning.prove_gaps),
                ("accessibility of gaps, approvals and similar documents", learning.prove_views),
                ("keyboard alone", prove_keyboard),
                ("accessibility, phones, clipped text", prove_views),
                ("cost of the first view", prove_first_view),
                ("payloads", prove_payloads),
            )
        }
        proofs["access keys"] = partial(prove_access, browser, folder / "access")
        proofs["restart in the middle of an answer"] = partial(restart.prove_restart, browser, folder / "restart")
        if data is not None:
            proofs["CPU while typing"] = partial(prove_typing, browser, data, count)
        for name, proof in proofs.items():
            if only in name and not _succeeds(name, proof):
                failed.append(name)
    return failed


def _succeeds(name: str, proof: Callable[[], None]) -> bool:
    began = time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        proof()
    except Exception:  # the other proofs go on
        traceback.print_exc()
        return False
    print(f"  holds ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def main() -> None:
    """Run the proofs, print the results, and exit with 1 if one fails."""
    parser = argparse.ArgumentParser(prog="scripts/prove page", description=__doc__)
    shared = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    parser.add_argument("--only", default="", help="run the proofs whose name contains this text")
    parser.add_argument("--no-typing", action="store_true", help="leave out the measurement with a large collection")
    parser.add_argument("--chunks", type=int, default=100_000, help="size of the large collection")
    parser.add_argument("--data", type=Path, default=shared, help="folder of texts for the large collection")
    arguments = parser.parse_args()
    data = None if arguments.no_typing else arguments.data
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        failed = run_all(browser, Path(name), data, arguments.chunks, arguments.only)
    print("\n".join(f"failed: {name}" for name in failed) or "the page holds what it promises")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
