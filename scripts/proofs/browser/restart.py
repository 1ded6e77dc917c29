"""End the server in the middle of an answer: the page says so, and Retry works as soon as the server is back."""

import json
import re
from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect
from support.upstream import HANG, ReceivedCall, ScriptedReply, delta_event, raw_stream_reply, run_upstream

from .sample import add_documents, make_model, run_server_process
from .session import open_page
from .tasks import PUMP_ANSWER, PUMP_QUESTION, ask

_BROKEN = re.compile("The connection ended before the answer was complete")
_UNREACHABLE = re.compile("The server cannot be reached")


def prove_restart(browser: Browser, folder: Path) -> None:
    """Kill the server while it streams, retry while it is away, start it again, and retry."""
    model = make_model()

    def stop_in_the_middle(call: ReceivedCall) -> ScriptedReply | None:
        if not call.path.endswith("/chat/completions"):
            return None
        text = model.answer(call.body["messages"])
        events = [f"data: {line}\n\n".encode() for line in _encode(text, " The pump is")]
        return raw_stream_reply(*events, HANG)

    with run_upstream(model), run_server_process(folder, model.url) as server:
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            add_documents(client)
        model.reply_rule = stop_in_the_middle
        with open_page(browser, server.url, ignores_network_errors=True) as (page, _):
            page.goto("/ask")
            field = page.get_by_label("Your question")
            field.fill(PUMP_QUESTION)
            field.press("Enter")
            expect(page.get_by_text("Writing; sentences are checked")).to_be_visible()
            expect(page.get_by_role("button", name="Stop")).to_be_visible()
            server.kill()
            alert = page.get_by_role("alert")
            expect(alert.get_by_text(_BROKEN)).to_be_visible()
            expect(page.get_by_text("Incomplete answer, not checked")).to_be_visible()
            expect(page.get_by_role("paragraph").filter(has_text=PUMP_ANSWER).first).to_be_visible()
            page.get_by_role("button", name="Retry").click()
            expect(alert.get_by_text(_UNREACHABLE)).to_be_visible()
            model.reply_rule = lambda call: None
            server.start()
            page.get_by_role("button", name="Retry").click()
            expect(page.get_by_text("citations verified")).to_be_visible()
            expect(alert).to_be_hidden()
            ask(page, "How much does a berth cost a night?")


def _encode(*pieces: str) -> list[str]:
    return [json.dumps(delta_event(piece)) for piece in pieces]
