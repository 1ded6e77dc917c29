"""The measurements of `scripts/bench` on little data and without peers, and the page of their results."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import (
    answer_quality,
    claim_support,
    conversations,
    engine,
    filtered_search,
    languages,
    load_client,
    machine,
    process_costs,
    ranking_quality,
    results,
    results_page,
    service_performance,
    services,
    texts,
    vector_searchers,
)
from benchmarks.results import Bound, Figure, Result
from benchmarks.scale import Scale
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

WORDS = "one sees in such a text only words that stand in no order and mean little but they are many".split()


def make_sources(count: int) -> Iterator[str]:
    """Yield long texts of random words."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield " ".join(f"{WORDS[n % len(WORDS)]}{n}" for n in rng.integers(0, 3000, 2500))


@pytest.fixture(autouse=True)
def restore_affinity() -> Iterator[None]:
    """Restore the cores of the process after each test."""
    with machine.restore_affinity():
        yield


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scale:
    """Return the scale of a short run on random words, with its files in a temporary folder."""
    monkeypatch.setattr(texts, "CACHE", tmp_path)
    random_texts = texts.make(600, make_sources(45))
    stored, queries = texts.embed(random_texts.stored), texts.embed(random_texts.snippets[:20])
    for part, array in {"stored": stored, "snippets": queries, "chunks": queries, "windows": np.array([0])}.items():
        np.save(tmp_path / f"vectors-600-{part}.npy", array)
    return Scale(tmp_path, tmp_path, short=True)


def make_result(ours: float = 1.0, bound: Bound | None = None) -> Result:
    """Return a result with one figure."""
    figure = Figure("requests", "per CPU s", ours, {"peer": 2.0}, ours / 2.0, "of peer", bound)
    return Result("G2", "Requests", "a machine", [figure], ["a note"], {"a": [(1.0, 0.5), (2.0, 0.75)]}, ("x", "y"))


def test_texts_are_distinct_and_questions_are_not_stored() -> None:
    """No stored text occurs twice or is one of the questions."""
    random_texts = texts.make(300, make_sources(40))
    assert len(set(random_texts.stored)) == 300
    assert random_texts.windows == 0
    assert not set(random_texts.stored) & set(random_texts.chunks)
    assert all(600 < len(text) < 1800 for text in random_texts.stored)
    assert all(6 <= len(snippet.split()) <= 12 for snippet in random_texts.snippets)


def test_windows_replace_missing_texts() -> None:
    """If the sources give too few texts, the others are windows, and `windows` counts them."""
    random_texts = texts.make(500, make_sources(5))
    assert len(random_texts.stored) == 500
    assert 0 < random_texts.windows < 500


@given(st.integers(1, 40), st.integers(0, 3))
def test_the_exact_scan_has_recall_one(seed: int, allowed_count: int) -> None:
    """Recall compares with an exact scan of all rows, or of the allowed rows."""
    rng = np.random.default_rng(seed)
    stored, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (200, 3))
    best = [vector_searchers.make_exact_finder(stored)(query) for query in queries]
    assert vector_searchers.compute_recall(best, stored, queries) == 1.0
    worst = [np.argsort(stored @ query)[: vector_searchers.K] for query in queries]
    assert vector_searchers.compute_recall(worst, stored, queries) == 0.0
    allowed = np.arange(allowed_count)
    best_allowed = [allowed[np.argsort(-(stored[allowed] @ query))] for query in queries]
    assert vector_searchers.compute_recall(best_allowed, stored, queries, allowed) == 1.0


def test_engine_goals_run(scale: Scale) -> None:
    """G1 and G7 have figures for a small collection; recall is 1."""
    recall = engine.g1(scale)
    assert recall.short
    assert {figure.ours for figure in recall.figures} == {1.0}
    assert set(recall.lines) == {"snippets", "chunks"}
    growth = engine.g7(scale)
    assert all(figure.ours > 0 for figure in growth.figures)


def test_the_filtered_search_goal_runs(scale: Scale) -> None:
    """G8 has recall 1 with every filter on a small collection."""
    result = filtered_search.g8(scale)
    recalls = [figure.ours for figure in result.figures if figure.what.startswith("recall")]
    assert len(recalls) == 2 * len(filtered_search.SHARES)
    assert set(recalls) == {1.0}


MIN_FIGURES: dict[Callable[[Scale], Result], dict[str, float]] = {
    ranking_quality.q1: {
        "nDCG@10, squad2_a": 0.85,
        "more than the better leg, squad2_a": 0.02,
        "nDCG@10, cranfield": 0.42,
        "more than the better leg, cranfield": -0.02,
    },
    answer_quality.q3: {
        "area, other topic, nothing set": 0.97,
        "refused at 5 %, other topic, nothing set": 0.95,
        "area, unrelated, nothing set": 0.99,
        "refused at 5 %, unrelated, nothing set": 0.95,
        "refused by default, other topic, nothing set": 0.95,
        "refused by default, unrelated, nothing set": 0.95,
    },
    claim_support.q5: {
        f"{kind}, {half}": 1.0
        for kind in (
            "other article", "best-ranked wrong passage", "answer from elsewhere", "altered number", "altered name"
        )
        for half in ("chosen on", "held out")
    },
    conversations.q7: {"nDCG@10": 0.8},
    conversations.q8: {"the answer's place is handed over": 1.0, "words handed over": 1000},
}  # fmt: skip
MAX_FIGURES = {
    "refused by default, own, nothing set": 0.06,
    "true: question and answer, chosen on": 0.0,
    "true: question and answer, held out": 0.0,
    "words handed over": 1500,
}
"""Bounds of the figures of a short run, a little below or above those of the run for which this was written."""


@pytest.mark.parametrize("goal", MIN_FIGURES, ids=lambda goal: goal.__name__)
def test_goals_on_judged_collections_run(goal: Callable[[Scale], Result], shared_data: Path, tmp_path: Path) -> None:
    """On a few questions of the real collections each goal has exactly the expected figures, within their bounds."""
    result = goal(Scale(shared_data, tmp_path, short=True))
    figures = {figure.what: figure.ours for figure in result.figures}
    minima = MIN_FIGURES[goal]
    maxima = {what: maximum for what, maximum in MAX_FIGURES.items() if what in figures}
    assert figures.keys() == minima.keys() | maxima.keys()
    assert {what: figures[what] for what, minimum in minima.items() if figures[what] < minimum} == {}
    assert {what: figures[what] for what, maximum in maxima.items() if figures[what] > maximum} == {}
    assert any(figure.bound for figure in result.figures)


def test_a_goal_without_its_model_or_data_has_a_note(shared_data: Path, tmp_path: Path) -> None:
    """It has no figures; the note, which the page shows, states what it needs."""
    (tmp_path / "debian-handbook").mkdir()
    for goal, requirement in ((ranking_quality.q1b, "--model"), (languages.q6, "xquad")):
        result = goal(Scale(tmp_path, tmp_path, short=True))
        assert result.figures == []
        assert requirement in result.notes[0]
        results.save_result(result, tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    assert "not measured: needs" in (tmp_path / "benchmarks.md").read_text()


def test_the_rate_of_a_service_includes_the_embedding_by_its_client() -> None:
    """A service whose client embeds has two rates: with the embedding, and without it under its own name."""
    embedding_server, embedding_client = (service_performance.ServiceMeasurements() for _ in range(2))
    embedding_server.per_cpu_second.append(500.0)
    embedding_server.embedding.append(0.0)
    embedding_client.per_cpu_second.append(1000.0)
    embedding_client.embedding.append(0.001)
    assert service_performance._compute_rates({"one": embedding_server, "other": embedding_client}) == {
        "one": 500.0,
        "other": 500.0,
        "other, ready vectors": 1000.0,
    }


def test_languages_are_measured_on_xquad(tmp_path: Path) -> None:
    """With files in the format of XQuAD, Q6 has a figure for each language, the mean and the worst."""
    contexts_by_language = {
        "de": ["Der alte Turm steht am Hafen.", "Die Schafe weiden."],
        "ru": ["Старый замок стоит.", "Овцы."],
    }
    (tmp_path / "xquad").mkdir()
    for name, contexts in contexts_by_language.items():
        paragraphs = [{"context": text, "qas": [{"question": text.split()[1]}]} for text in contexts[:1]]
        paragraphs += [{"context": text, "qas": []} for text in contexts[1:]]
        dataset = {"data": [{"paragraphs": paragraphs}]}
        (tmp_path / "xquad" / f"xquad.{name}.json").write_text(json.dumps(dataset))
    result = languages.q6(Scale(tmp_path, tmp_path, short=True))
    assert [figure.what for figure in result.figures] == ["mean", "worst", "nDCG@10, de", "nDCG@10, ru"]
    assert {figure.ours for figure in result.figures} == {1.0}
    assert [figure.peers for figure in result.figures[2:]] == [{"FTS5": 1.0}] * 2
    assert "en" in result.notes[0]


def test_languages_are_measured_on_the_handbook_without_xquad(tmp_path: Path) -> None:
    """The headings are the queries for the sections; untranslated English text of a translation does not count."""
    pages = {
        "en-US": [(f"Harbour {n}", f"The harbour of number {n} is old. " * 12) for n in range(100)],
        "de-DE": [(f"Hafen {n}", f"Der Hafen mit der Nummer {n} ist alt. " * 12) for n in range(100)],
    }
    pages["hr-HR"] = pages["en-US"]
    for name, sections in pages.items():
        folder = tmp_path / "debian-handbook" / name
        folder.mkdir(parents=True)
        body = "".join(
            f"<div class='section'><h2 class='title'>1. {heading}</h2><div class='para'>{text}</div></div>"
            for heading, text in sections
        )
        (folder / "book.html").write_text(f"<html><body>{body}</body></html>")
    result = languages.q6(Scale(tmp_path, tmp_path, short=True))
    assert [figure.what for figure in result.figures] == ["nDCG@10, de-DE", "nDCG@10, en-US"]
    assert {figure.ours for figure in result.figures} == {1.0}
    assert not any(figure.bound for figure in result.figures)
    assert "handbook" in result.notes[1]


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1))
def test_the_roc_area_is_the_share_of_ordered_pairs(good: list[float], bad: list[float]) -> None:
    """The area is the share of pairs in which the good value is higher; a tie counts half."""
    pairs = [(high > low) + (high == low) / 2 for high in good for low in bad]
    assert answer_quality.compute_roc_auc(good, bad) == pytest.approx(sum(pairs) / len(pairs))


def test_the_help_goal_runs(scale: Scale) -> None:
    """G15 measures `--help` of the installed command."""
    assert 0 < process_costs.g15(scale).figures[0].ours < 30


class _EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Send the request body back, with Content-Length or chunked."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500 if body == b"fail" else 200)
        if self.path == "/chunks":
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class _EchoServer(ThreadingHTTPServer):
    """A server that does not wait for connections that a failed test leaves open."""

    daemon_threads = True
    block_on_close = False


@pytest.mark.parametrize("path", ["/length", "/chunks"])
def test_the_load_client_reads_every_reply(path: str) -> None:
    """Replies are in the order of the requests, with a length or chunked; failures are counted."""
    server = _EchoServer(("127.0.0.1", 0), _EchoHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bodies = [f"body {number}".encode() for number in range(5)] + [b"fail"]
        result = load_client.run_requests(
            server.server_port, [load_client.build_request("POST", path, body) for body in bodies]
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.replies == bodies
    assert result.failed == 1
    assert result.latency_ms(0.0) <= result.latency_ms(0.5) <= result.latency_ms(1.0)


def test_server_and_client_are_pinned_to_different_cores() -> None:
    """Pinning a child works from a process that is pinned itself; afterwards that process has all its cores."""
    all_cores = os.sched_getaffinity(0)
    with machine.pinned(services.CLIENT_CORE):
        server = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        machine.pin(server.pid, services.SERVER_CORE)
        client_cores, server_cores = os.sched_getaffinity(0), os.sched_getaffinity(server.pid)
        server.communicate()
    assert (len(client_cores), len(server_cores)) == (1, 1)
    assert client_cores != server_cores or len(all_cores) == 1
    assert os.sched_getaffinity(0) == all_cores


def test_cpu_and_memory_of_a_process_tree_are_measured() -> None:
    """The tree of this process includes the process; its CPU seconds and bytes are positive."""
    assert machine.tree_cpu_seconds(os.getpid()) > 0
    assert machine.peak_bytes(os.getpid()) > machine.private_bytes(os.getpid()) / 2 > 0
    assert os.getpid() in machine.list_process_tree(os.getpid())


@pytest.mark.parametrize(("ours", "is_reached"), [(3.7, True), (3.5, False)])
def test_a_goal_about_a_peer_is_judged_by_the_ratio(ours: float, is_reached: bool) -> None:
    """The verdict compares the ratio to the peer, not the figure, with the bound."""
    figure = make_result(ours, Bound(">=", 1.8)).figures[0]
    assert figure.is_reached is is_reached
    assert figure.verdict.endswith("goal ≥ 1.8: reached" if is_reached else "goal ≥ 1.8: not reached")


def test_a_saved_result_is_loaded_unchanged(tmp_path: Path) -> None:
    """The file has the name of the goal, and loading returns an equal result."""
    result = make_result(1.0, Bound("<=", 2.0))
    results.save_result(result, tmp_path)
    assert results.load_results(tmp_path) == [result]
    assert json.loads((tmp_path / "G2.json").read_text())["goal"] == "G2"


def test_the_page_names_missed_goals(tmp_path: Path) -> None:
    """The page has goal, command, peers, chart and verdict."""
    results.save_result(make_result(1.0, Bound(">=", 1.8)), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "Not reached: G2." in page
    assert "`scripts/bench G2`" in page
    assert "peer 2 per CPU s" in page
    assert (tmp_path / "benchmarks" / "G2.svg").read_text().startswith("<svg")


def test_the_page_names_goals_without_a_verdict(tmp_path: Path) -> None:
    """A goal whose figures have no bounds was measured on other data."""
    results.save_result(Result("Q6", "Languages", "a machine", [Figure("nDCG@10", "", 0.6)]), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    assert "without a verdict: Q6." in (tmp_path / "benchmarks.md").read_text()


@pytest.mark.parametrize("figures", [[], [Figure("nDCG@10", "", 0.6)]])
def test_a_result_without_figures_is_not_saved(
    figures: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the data of a goal are missing, its last result stays."""
    saved: list[Result] = []
    monkeypatch.setattr(results, "save_result", saved.append)
    monkeypatch.setattr(results_page, "write_page", lambda: None)
    monkeypatch.setitem(command.GOALS, "Q6", lambda scale: Result("Q6", "Languages", "a machine", figures))
    command.measure("Q6", Scale(tmp_path, tmp_path))
    assert len(saved) == len(figures)


def test_the_page_compares_the_costs_of_the_services(tmp_path: Path) -> None:
    """The cost of semsearch is 1; with half the requests per CPU second a service costs 2."""
    figure = Figure("requests", "per CPU s", 4.0, {"txtai": 2.0, "chroma": 8.0})
    results.save_result(Result("G2", "Requests", "a machine", [figure]), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    svg = (tmp_path / "benchmarks" / "services.svg").read_text()
    assert [f">{value}<" in svg for value in ("1", "2", "0.5")] == [True] * 3
