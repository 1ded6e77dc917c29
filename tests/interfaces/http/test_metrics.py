"""/metrics: the series, their labels, what they count, and that dashboard and alert rules name no others."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from proofs.metrics import DASHBOARD, RULES, read_dashboard_expressions, read_rule_expressions
from support.http_service import check_problem, fill_collection, run_service, send_raw
from support.metrics import Series, get_value, read_series
from support.upstream import Upstream, error_reply

from semsearch.core.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metric
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.access import KeyGrants
from semsearch.core.types.usage import Budget, BudgetLimits
from semsearch.interfaces.http.prometheus_metrics import PREFIX
from semsearch.interfaces.http.request_metrics import OTHER
from semsearch.library import Library

pytestmark = pytest.mark.slow

SEARCH, ASK = "/v1/collections/{name}/search", "/v1/collections/{name}/ask"


def list_samples(name: str, metric: Metric, kind: str) -> list[str]:
    """Return the names of the samples of a metric."""
    if kind == "histogram":
        return [f"{PREFIX}{name}_{suffix}" for suffix in ("bucket", "count", "sum")]
    return [f"{PREFIX}{name}{'_total' if kind == 'counter' else ''}"]


TABLES: dict[str, Mapping[Any, Metric]] = {"counter": COUNTERS, "histogram": HISTOGRAMS, "gauge": GAUGES}
SAMPLES: dict[str, Metric] = {
    sample: metric
    for kind, table in TABLES.items()
    for name, metric in table.items()
    for sample in list_samples(name, metric, kind)
}


def check_labels(series: Series) -> None:
    """Check that each sample is in the table, with its labels and one of their combinations."""
    for sample, labels in series:
        metric, values = SAMPLES[sample], dict(labels)
        values.pop("le", None)
        assert set(values) == set(metric.labels), sample
        if metric.series is not None:
            assert tuple(values[label] for label in metric.labels) in metric.series, (sample, values)


def test_requests_stages_and_model_requests_are_counted(client: httpx.Client, upstream: Upstream) -> None:
    """Refused and failed requests have no latency, and an unknown path no label of its own."""
    before = read_series(client)
    for _ in range(3):
        assert client.get("/v1/collections/hb/search", params={"q": "trains"}).status_code == 200
    assert client.post("/v1/collections/hb/search", json={"query": "leave", "k": 0}).status_code == 422
    assert client.post("/v1/collections/hb/ask", json={"question": "How long is leave?"}).status_code == 200
    upstream.scripted_replies = [error_reply(400, "no")]
    assert client.post("/v1/collections/hb/ask", json={"question": "How long is leave?"}).status_code == 502
    assert client.request("PROPFIND", "/secret/galaxy").status_code == 404
    assert client.request("BREW", "/secret/galaxy").status_code == 400
    after = read_series(client)

    def added(name: str, **labels: str) -> float:
        return get_value(after, name, **labels) - get_value(before, name, **labels)

    assert added("http_requests_total", route=SEARCH, method="GET", status="2xx") == 3
    assert added("http_requests_total", route=SEARCH, method="POST", status="4xx") == 1
    assert added("http_requests_total", route=ASK, method="POST", status="2xx") == 1
    assert added("http_requests_total", route=ASK, method="POST", status="5xx") == 1
    assert added("http_requests_total", route=OTHER, method=OTHER, status="4xx") == 2
    for stage in ("total", "retrieve", "embed"):
        assert added("stage_seconds_count", operation="search", stage=stage) == 3
    for stage, count in (("total", 1), ("embed", 2), ("retrieve", 2), ("rerank", 2), ("generate", 1)):
        assert added("stage_seconds_count", operation="ask", stage=stage) == count, stage
    assert added("upstream_requests_total", kind="chat", outcome="ok") == 1
    assert added("upstream_requests_total", kind="chat", outcome="client_error") == 1
    assert added("upstream_seconds_count", kind="chat") == 2
    assert added("upstream_tokens_total", kind="prompt") > 0
    assert added("query_cache_lookups_total", result="hit") >= 2
    assert get_value(after, "http_open_connections") >= 1
    assert get_value(after, "index_pending_chunks") > 0
    check_labels(after)


def test_names_of_dashboard_and_rules_exist(client: httpx.Client) -> None:
    """Each series that they select by its labels exists too, before anything has happened."""
    series = read_series(client)
    expressions = [*read_dashboard_expressions(), *read_rule_expressions()]
    assert len(expressions) > 30
    assert len(re.findall(r"- alert:", RULES.read_text())) == len(read_rule_expressions())
    for expression in expressions:
        for name, selector in re.findall(r"(semsearch_\w+)(?:\{([^}]*)\})?", expression):
            wanted = dict(re.findall(r'(\w+)="([^"]*)"', selector))
            assert set(re.findall(r"(\w+)(?:=|!~)", selector)) <= set(SAMPLES[name].labels), expression
            if name != "semsearch_http_requests_total":
                assert any(sample == name and wanted.items() <= dict(labels).items() for sample, labels in series), name
    assert set(re.findall(r"semsearch_\w+", DASHBOARD.read_text())) <= set(SAMPLES)


def test_refusals_are_counted_by_their_reason(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue, a full table of connections, and a budget that is used up."""
    upstream.reset()
    chat = Endpoint(upstream.url, Secret("sk-none"))
    settings = Settings(chat=chat, chat_model="m", budget=Budget(BudgetLimits(day_tokens=1)))
    with run_service(tmp_path, settings) as client:
        fill_collection(client, "hb")
        response = client.post("/v1/collections/hb/ask", json={"question": "How long is leave?"})
        check_problem(response, "budget", 429)
        monkeypatch.setattr("semsearch.interfaces.http.admission.WorkQueue.is_full", lambda *_: True)
        check_problem(client.get("/v1/collections/hb/search?q=leave"), "unavailable", 503)
        check_problem(client.get("/v1/usage"), "unavailable", 503)
        monkeypatch.undo()
        monkeypatch.setattr("semsearch.interfaces.http.connections.ConnectionTable._fits", lambda *_: False)
        assert send_raw(client).startswith(b"HTTP/1.1 503 ")
        monkeypatch.undo()
        series = read_series(client)
    assert get_value(series, "http_rate_limited_total", reason="budget") == 1
    assert get_value(series, "http_shed_total", kind="search") == 1
    assert get_value(series, "http_shed_total", kind="read") == 1
    assert get_value(series, "http_shed_total", kind="connection") >= 1
    check_labels(series)


def test_metrics_need_the_scope_admin(tmp_path: Path) -> None:
    """Once there is a key; without one the loopback may scrape."""
    with Library(tmp_path) as library:
        (_, admin), (_, search) = (
            library.create_key(KeyGrants(name, name, frozenset([name]))) for name in ("admin", "search")
        )
    with run_service(tmp_path) as client:
        check_problem(client.get("/metrics"), "unauthorized", 401)
        check_problem(client.get("/metrics", headers={"Authorization": f"Bearer {search}"}), "forbidden", 403)
        scrape = client.get("/metrics", headers={"Authorization": f"Bearer {admin}"})
        assert scrape.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        check_problem(client.post("/metrics", headers={"Authorization": f"Bearer {admin}"}), "not_found", 404)


def test_workers_are_summed_and_leave_nothing(tmp_path: Path) -> None:
    """A scrape of one worker counts the requests of all, also of one that was killed; no file is left."""
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--workers", "2", "--no-access-log"]
    environ = {"PATH": os.defpath, "SEMSEARCH_DATA_DIR": str(tmp_path / "indexes"), "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = process.stderr.readline().split()[2].rstrip(",")
        with httpx.Client(base_url=url, headers={"Connection": "close"}, timeout=30) as client:
            fill_collection(client, "hb")
            send_searches(client, 15)
            [folder] = (tmp_path / "tmp").iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            pids = wait_for_files(folder, 2)
            os.kill(pids.pop(), signal.SIGKILL)
            assert "is replaced" in process.stderr.readline()
            assert {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_*.db")} == pids
            send_searches(client, 5)
            deadline = time.monotonic() + 10  # the other worker may count a request after its client has the response
            while count_searches(client) != 20 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert {count_searches(client) for _ in range(4)} == {20}
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert list((tmp_path / "tmp").iterdir()) == []


def count_searches(client: httpx.Client) -> float:
    """Return the number of searches that a scrape of one worker counts."""
    return get_value(read_series(client), "http_requests_total", route=SEARCH, method="GET", status="2xx")


def send_searches(client: httpx.Client, count: int) -> None:
    """Send searches, each over a connection of its own, so that either worker may get it."""
    for _ in range(count):
        client.get("/v1/collections/hb/search", params={"q": "trains"}).raise_for_status()


def wait_for_files(folder: Path, count: int) -> set[int]:
    """Wait until so many workers share their metrics, and return their process ids."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livemax_*.db")}
        if len(pids) == count:
            time.sleep(0.5)  # what was kept before is passed on right after the files are made
            return pids
        time.sleep(0.05)
    raise AssertionError(f"{list(folder.iterdir())}")
