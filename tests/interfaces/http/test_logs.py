"""The logs of the service as text and as JSON, and that no secret is in them or in the metrics."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.http_service import check_problem, document_path, run_service
from support.upstream import Upstream

from semsearch import Collection
from semsearch.core.settings import Endpoint, LogFormat, Secret, Settings
from semsearch.core.tracing import begin_trace
from semsearch.core.types.access import ALL_SCOPES, KeyGrants
from semsearch.interfaces.http.access_log import format_json_line, format_line
from semsearch.interfaces.http.application_log import JsonFormatter, TextFormatter, install_log_handler
from semsearch.library import Library

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
QUESTION, TEXT = "Where is the galaxy-question?", "The nebula-text is on the left."


@pytest.fixture
def root_handlers() -> Iterator[None]:
    """Remove the handlers that a test installs."""
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers


def fail(text: str) -> None:
    """Raise an exception that another caused, both with this text."""
    try:
        raise KeyError(text)
    except KeyError as exc:
        raise RuntimeError(f"{text} twice") from exc


def make_record(text: str) -> logging.LogRecord:
    """Return the record of an exception with this text."""
    try:
        fail(text)
    except RuntimeError as exc:
        return logging.LogRecord(
            "semsearch.http", logging.ERROR, "", 0, "request %s failed", ("r1",), (type(exc), exc, None)
        )
    raise AssertionError


def test_texts_of_exceptions_are_not_logged() -> None:
    """Types and frames are, those of the cause first."""
    text = TextFormatter().format(make_record("galaxy"))
    begin_trace([TRACEPARENT.encode()], "r1")
    entry = json.loads(JsonFormatter().format(make_record("galaxy")))
    assert "galaxy" not in text + json.dumps(entry)
    assert text.splitlines()[0] == "request r1 failed"
    assert text.splitlines()[-1] == "builtins.RuntimeError"
    assert "builtins.KeyError" in text
    assert ", in fail" in text
    assert (entry["level"], entry["message"], entry["logger"]) == ("error", "request r1 failed", "semsearch.http")
    assert (entry["request_id"], entry["trace_id"]) == ("r1", TRACE_ID)
    assert entry["exception"] == text.splitlines()[1:]


def test_lines_hold_the_same_in_both_formats() -> None:
    """The client is the address that a proxy reports, else the peer; a request without a response has no status."""
    state = {"request_id": "5f0c9a7be1d24c38", "trace_id": TRACE_ID}
    scope = {"method": "GET", "raw_path": b"/x%0Ay", "client": ("192.0.2.7", 5), "state": state}
    entry = json.loads(format_json_line(scope, None, 0.0123))
    assert list(entry)[:3] == ["time", "level", "message"]
    assert (entry["client"], entry["status"], entry["ms"], entry["key"]) == ("192.0.2.7", None, 12.3, None)
    assert format_line(scope, None, 0.0123).endswith("Z GET /x%0Ay - 12.3 ms 5f0c9a7be1d24c38")
    state["client_address"] = "198.51.100.9"
    assert json.loads(format_json_line(scope, 200, 1.0))["client"] == "198.51.100.9"


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.usefixtures("root_handlers")
def test_no_secret_is_in_logs_or_metrics(
    tmp_path: Path,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    log_format: LogFormat,
) -> None:
    """Keys, cookies, questions and texts are in neither, even where an unexpected error holds them; the key's id is."""
    with Library(tmp_path) as library:
        key, secret = library.create_key(KeyGrants("all", "ann", ALL_SCOPES))
    install_log_handler(log_format)
    settings = Settings(chat=Endpoint(upstream.url, Secret("sk-upstream")), chat_model="m", log_format=log_format)
    headers = {"Authorization": f"Bearer {secret}", "traceparent": TRACEPARENT}
    with (
        run_service(tmp_path, settings, has_access_log=True) as anonymous,
        httpx.Client(base_url=anonymous.base_url, headers=headers, timeout=30) as client,
    ):
        cookie = use_service(client)
        assert anonymous.get("/v1/me", headers={"Cookie": f"semsearch_key={cookie}"}).status_code == 200
        wrong = anonymous.get("/v1/me", headers={"Authorization": "Bearer sk_wrong_galaxy"})
        check_problem(wrong, "unauthorized", 401)
        monkeypatch.setattr(Collection, "info", lambda self: fail(f"{QUESTION} {TEXT} {secret}"))
        check_problem(client.get("/v1/collections/hb"), "internal", 500)
        metrics = client.get("/metrics").text
    log = capfd.readouterr().err
    for planted in (secret, secret.rpartition("_")[2], cookie, "sk-upstream", "galaxy", "nebula", "Bearer"):
        assert planted not in log
        assert planted not in metrics
    assert key.id in log
    assert key.id not in metrics
    assert "RuntimeError" in log
    if log_format == "json":
        entries = [json.loads(line) for line in log.splitlines()]
        ask_entries = [entry for entry in entries if str(entry.get("path")).endswith("/ask")]
        assert [(entry["key"], entry["trace_id"], entry["status"]) for entry in ask_entries] == [
            (key.id, TRACE_ID, 200)
        ]
        [failed] = [entry for entry in entries if entry["level"] == "error"]
        assert (failed["trace_id"], failed["message"]) == (
            TRACE_ID,
            f"request {failed['request_id']} failed: RuntimeError",
        )


def use_service(client: httpx.Client) -> str:
    """Store, search, ask and sign in; return the cookie."""
    client.put("/v1/collections/hb").raise_for_status()
    client.put(document_path("hb", "a.txt"), content=TEXT.encode()).raise_for_status()
    client.get("/v1/collections/hb/search", params={"q": QUESTION}).raise_for_status()
    client.post("/v1/collections/hb/ask", json={"question": QUESTION}).raise_for_status()
    client.post("/v1/collections/hb/search", json={"query": QUESTION, "k": "nebula"})
    signed_in = client.post("/v1/sign-in", headers={"Origin": str(client.base_url).rstrip("/")})
    [cookie] = signed_in.cookies.values()
    return cookie
