"""Short runs of the measurements of `scripts/bench`, on little data and without peers; the page of their results."""

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
    claim_support,
    engine,
    extractive_answers,
    filtered_search,
    follow_ups,
    forbidden_topics,
    languages,
    load_client,
    long_documents,
    machine,
    missing_topics,
    processes,
    ranking_quality,
    real_manuals,
    recommendations,
    report,
    results,
    service_performance,
    services,
    texts,
    vector_finders,
)
from benchmarks.results import Bound, Figure, Result
from benchmarks.scale import Scale
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

WORDS = "one sees in such a text only words that stand in no order and mean little but they are many".split()


def random_texts(count: int) -> Iterator[str]:
    """Yield long texts of random words."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield " ".join(f"{WORDS[n % len(WORDS)]}{n}" for n in rng.integers(0, 3000, 2500))


@pytest.fixture(autouse=True)
def restored_affinity() -> Iterator[None]:
    """Restore the cores of this process for other tests."""
    with machine.restore_affinity():
        yield


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scale:
    """Return a short scale whose texts are random words and whose files are temporary."""
    monkeypatch.setattr(texts, "CACHE", tmp_path)
    corpus = texts.make(600, random_texts(45))
    stored, queries = texts.embed(corpus.stored), texts.embed(corpus.snippets[:20])
    for part, array in {"stored": stored, "snippets": queries, "chunks": queries, "windows": np.array([0])}.items():
        np.save(tmp_path / f"vectors-600-{part}.npy", array)
    return Scale(tmp_path, tmp_path, short=True)


def make_result(ours: float = 1.0, bound: Bound | None = None) -> Result:
    """Return a result with one figure."""
    figure = Figure("requests", "per CPU s", ours, {"peer": 2.0}, ours / 2.0, "of peer", bound)
    return Result("G2", "Requests", "a machine", [figure], ["a note"], {"a": [(1.0, 0.5), (2.0, 0.75)]}, ("x", "y"))


def test_texts_are_distinct_and_questions_are_not_stored() -> None:
    """Stored texts are distinct, and no question is a stored text."""
    corpus = texts.make(300, random_texts(40))
    assert len(set(corpus.stored)) == 300
    assert corpus.windows == 0
    assert not set(corpus.stored) & set(corpus.chunks)
    assert all(600 < len(text) < 1800 for text in corpus.stored)
    assert all(6 <= len(snippet.split()) <= 12 for snippet in corpus.snippets)


def test_windows_replace_missing_texts() -> None:
    """If there are too few texts, the others are windows, and `windows` counts them."""
    corpus = texts.make(500, random_texts(5))
    assert len(corpus.stored) == 500
    assert 0 < corpus.windows < 500


@given(st.integers(1, 40), st.integers(0, 3))
def test_exact_scan_has_recall_one(seed: int, allowed_count: int) -> None:
    """Recall is relative to an exact scan of all rows, or of the allowed rows."""
    rng = np.random.default_rng(seed)
    stored, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (200, 3))
    found_rows = [vector_finders.make_exact_finder(stored)(vector) for vector in queries]
    assert vector_finders.compute_recall(found_rows, stored, queries) == 1.0
    worst_rows = [np.argsort(stored @ vector)[: vector_finders.K] for vector in queries]
    assert vector_finders.compute_recall(worst_rows, stored, queries) == 0.0
    allowed = np.arange(allowed_count)
    rows = [allowed[np.argsort(-(stored[allowed] @ vector))] for vector in queries]
    assert vector_finders.compute_recall(rows, stored, queries, allowed) == 1.0


def test_engine_goals_run(scale: Scale) -> None:
    """The goals G1 and G7 return figures for a small collection, with a recall of 1."""
    recall = engine.g1(scale)
    assert recall.short
    assert {figure.ours for figure in recall.figures} == {1.0}
    assert set(recall.lines) == {"snippets", "chunks"}
    growth = engine.g7(scale)
    assert all(figure.ours > 0 for figure in growth.figures)


def test_goals_over_real_manuals_run(shared_data: Path, tmp_path: Path) -> None:
    """The scorer of the judged set reads the answers of a running service, with and without a threshold."""
    scale = Scale(shared_data, tmp_path, short=True)
    measured = {name: goal(scale) for name, goal in real_manuals.GOALS.items()}
    for name, result in measured.items():
        assert (result.goal, result.short) == (name, True)
        assert all(figure.ours >= 0 for figure in result.figures)
    assert all(0 <= risk <= 1 for line in measured["Q9"].lines.values() for _, risk in line)


def test_recommendation_goal_runs(shared_data: Path, tmp_path: Path) -> None:
    """On one collection, with one case of each article."""
    result = recommendations.q15(Scale(shared_data, tmp_path, short=True))
    assert [figure.what for figure in result.figures[:2]] == ["hit rate@10, all cases", "diversity, all cases"]
    assert all(0 <= value <= 1 for figure in result.figures for value in (figure.ours, *figure.peers.values()))


def test_nine_of_ten_missing_topics_of_real_manuals_are_found(shared_data: Path, tmp_path: Path) -> None:
    """Few other questions are asked in a short run."""
    result = missing_topics.q17(Scale(shared_data, tmp_path, short=True))
    assert result.figures[0].is_reached


def test_filtered_goal_runs(scale: Scale) -> None:
    """Every filter has a recall of 1."""
    result = filtered_search.g8(scale)
    recalls = [figure.ours for figure in result.figures if figure.what.startswith("recall")]
    assert len(recalls) == 2 * len(filtered_search.SHARES)
    assert set(recalls) == {1.0}


MIN_FIGURES: dict[Callable[[Scale], Result], dict[str, float]] = {
    ranking_quality.q1: {
        "nDCG@10, squad2_a": 0.85,
        "gain over the better leg, squad2_a": 0.02,
        "nDCG@10, cranfield": 0.42,
        "gain over the better leg, cranfield": -0.02,
    },
    extractive_answers.q3: {
        "ROC AUC, other topic, default embedder": 0.97,
        "refused at 5 %, other topic, default embedder": 0.95,
        "ROC AUC, unrelated, default embedder": 0.99,
        "refused at 5 %, unrelated, default embedder": 0.95,
        "refused by default, other topic, default embedder": 0.95,
        "refused by default, unrelated, default embedder": 0.95,
    },
    claim_support.q5: {
        f"{kind}, {half}": 1.0
        for kind in (
            "other article", "best-ranked wrong passage", "answer from elsewhere", "altered number", "altered name"
        )
        for half in ("tuning half", "held-out half")
    },
    follow_ups.q7: {"nDCG@10": 0.8},
    forbidden_topics.q18: {
        "refused wrongly": 0.0, "refused rightly, other words": 50.0, "CPU time for a question": 0.0
    },
    long_documents.q8: {"answer is in the passages": 1.0, "words in the passages": 1000},
}  # fmt: skip
MAX_FIGURES = {
    "refused wrongly": 1.0,
    "CPU time for a question": 1000.0,
    "refused by default, answerable, default embedder": 0.35,
    "true: question and answer, tuning half": 0.0,
    "true: question and answer, held-out half": 0.0,
    "words in the passages": 1500,
}
"""Bounds of the figures of short runs, a little below and above the values when they were measured."""


@pytest.mark.parametrize("goal", MIN_FIGURES, ids=lambda goal: goal.__name__)
def test_goal_on_judged_collections_reaches_its_figures(
    goal: Callable[[Scale], Result], shared_data: Path, tmp_path: Path
) -> None:
    """A short run on the real collections returns exactly the expected figures, within their bounds."""
    result = goal(Scale(shared_data, tmp_path, short=True))
    figures = {figure.what: figure.ours for figure in result.figures}
    minima = MIN_FIGURES[goal]
    maxima = {name: value for name, value in MAX_FIGURES.items() if name in figures}
    assert figures.keys() == minima.keys() | maxima.keys()
    assert {name: figures[name] for name, value in minima.items() if figures[name] < value} == {}
    assert {name: figures[name] for name, value in maxima.items() if figures[name] > value} == {}
    assert any(figure.bound for figure in result.figures)


def test_goal_without_its_model_or_data_says_what_it_needs(shared_data: Path, tmp_path: Path) -> None:
    """Such a goal has no figures but a note on what it needs, which is also on the page."""
    (tmp_path / "debian-handbook").mkdir()
    for goal, requirement in ((ranking_quality.q1b, "--model"), (languages.q6, "xquad")):
        result = goal(Scale(tmp_path, tmp_path, short=True))
        assert result.figures == []
        assert requirement in result.notes[0]
        results.save_result(result, tmp_path / "benchmarks")
    report.write_page(tmp_path)
    assert "not measured: needs" in (tmp_path / "benchmarks.md").read_text()


def test_embedding_of_the_client_counts_as_cpu_of_its_requests() -> None:
    """A service whose client embeds is charged for it; its rate without embedding is also shown."""
    server_embeds, client_embeds = service_performance.ServiceMeasurements(), service_performance.ServiceMeasurements()
    server_embeds.per_cpu_second.append(500.0)
    server_embeds.embedding.append(0.0)
    client_embeds.per_cpu_second.append(1000.0)
    client_embeds.embedding.append(0.001)
    assert service_performance._compute_rates({"server": server_embeds, "client": client_embeds}) == {
        "server": 500.0,
        "client": 500.0,
        "client, precomputed vectors": 1000.0,
    }


def test_xquad_files_are_measured_by_language(tmp_path: Path) -> None:
    """XQuAD files give a figure for each language, the mean and the worst."""
    texts_of = {"de": ["Der alte Turm steht am Hafen.", "Die Schafe weiden."], "ru": ["Старый замок стоит.", "Овцы."]}
    (tmp_path / "xquad").mkdir()
    for name, contexts in texts_of.items():
        paragraphs = [{"context": text, "qas": [{"question": text.split()[1]}]} for text in contexts[:1]]
        paragraphs += [{"context": text, "qas": []} for text in contexts[1:]]
        document = {"data": [{"paragraphs": paragraphs}]}
        (tmp_path / "xquad" / f"xquad.{name}.json").write_text(json.dumps(document))
    result = languages.q6(Scale(tmp_path, tmp_path, short=True))
    assert [figure.what for figure in result.figures] == ["mean", "worst", "nDCG@10, de", "nDCG@10, ru"]
    assert {figure.ours for figure in result.figures} == {1.0}
    assert [figure.peers for figure in result.figures[2:]] == [{"FTS5": 1.0}] * 2
    assert "en" in result.notes[0]


def test_handbook_is_measured_without_xquad(tmp_path: Path) -> None:
    """Sections are result by their headings, and a translation that is still in English is omitted."""
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
def test_roc_auc_is_the_share_of_ordered_pairs(good: list[float], bad: list[float]) -> None:
    """The area equals its definition: a higher good value counts 1, a tie 1/2."""
    pairs = [(a > b) + (a == b) / 2 for a in good for b in bad]
    assert extractive_answers.compute_roc_auc(good, bad) == pytest.approx(sum(pairs) / len(pairs))


def test_help_goal_runs(scale: Scale) -> None:
    """G15 measures the time of `--help` of the installed command."""
    assert 0 < processes.g15(scale).figures[0].ours < 30


class _EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Reply with the body of the request, with its length or in chunks."""
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
    """An HTTP server that does not wait for connections that a failed test left open."""

    daemon_threads = True
    block_on_close = False


@pytest.mark.parametrize("path", ["/length", "/chunks"])
def test_client_reads_every_reply(path: str) -> None:
    """Replies are in the order of the requests for both framings, and failures are counted."""
    server = _EchoServer(("127.0.0.1", 0), _EchoHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bodies = [f"body {number}".encode() for number in range(5)] + [b"fail"]
        requests = [load_client.build_request("POST", path, body) for body in bodies]
        result = load_client.run_requests(server.server_port, requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.replies == bodies
    assert result.failed == 1
    assert result.latency_ms(0.0) <= result.latency_ms(0.5) <= result.latency_ms(1.0)


def test_service_and_client_are_pinned_to_different_cores() -> None:
    """They are, even if this process is pinned before; afterwards it has all its cores again."""
    before = os.sched_getaffinity(0)
    with machine.pinned(services.CLIENT_CORE):
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        machine.pin(other.pid, services.SERVER_CORE)
        cores = os.sched_getaffinity(0), os.sched_getaffinity(other.pid)
        other.communicate()
    assert list(map(len, cores)) == [1, 1]
    assert cores[0] != cores[1] or len(before) == 1
    assert os.sched_getaffinity(0) == before


def test_cpu_and_memory_of_this_process_are_counted() -> None:
    """The process tree contains this process, and its CPU time and memory are positive."""
    assert machine.tree_cpu_seconds(os.getpid()) > 0
    assert machine.peak_bytes(os.getpid()) > machine.private_bytes(os.getpid()) / 2 > 0
    assert os.getpid() in machine.list_process_tree(os.getpid())


@pytest.mark.parametrize(("ours", "reached"), [(3.7, True), (3.5, False)])
def test_verdict_compares_the_ratio(ours: float, reached: bool) -> None:
    """A goal with a peer is judged by the ratio to it, and the page names the missed ones."""
    figure = make_result(ours, Bound(">=", 1.8)).figures[0]
    assert figure.is_reached is reached
    assert figure.verdict.endswith("goal ≥ 1.8: reached" if reached else "goal ≥ 1.8: not reached")


def test_saved_results_are_loaded_unchanged(tmp_path: Path) -> None:
    """A saved result equals the loaded one."""
    result = make_result(1.0, Bound("<=", 2.0))
    results.save_result(result, tmp_path)
    assert results.load_results(tmp_path) == [result]
    assert json.loads((tmp_path / "G2.json").read_text())["goal"] == "G2"


def test_page_names_missed_goals(tmp_path: Path) -> None:
    """The page contains each goal with its command, its peers and its chart, and names the missed goals."""
    results.save_result(make_result(1.0, Bound(">=", 1.8)), tmp_path / "benchmarks")
    report.write_page(tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "Not reached: G2." in page
    assert "`scripts/bench G2`" in page
    assert "peer 2 per CPU s" in page
    assert (tmp_path / "benchmarks" / "G2.svg").read_text().startswith("<svg")


def test_page_names_goals_without_verdict(tmp_path: Path) -> None:
    """A goal that was measured on other data has no verdict."""
    results.save_result(Result("Q6", "Languages", "a machine", [Figure("nDCG@10", "", 0.6)]), tmp_path / "benchmarks")
    report.write_page(tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "Without a verdict, because measured on other data than the goal's: Q6." in page


@pytest.mark.parametrize("figures", [[], [Figure("nDCG@10", "", 0.6)]])
def test_result_without_figures_does_not_replace_the_last(
    figures: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A goal without data keeps its last result."""
    saved: list[Result] = []
    monkeypatch.setattr(results, "save_result", saved.append)
    monkeypatch.setattr(report, "write_page", lambda: None)
    monkeypatch.setitem(command.GOALS, "Q6", lambda scale: Result("Q6", "Languages", "a machine", figures))
    command.measure("Q6", Scale(tmp_path, tmp_path))
    assert len(saved) == len(figures)


def test_page_compares_the_cost_of_services(tmp_path: Path) -> None:
    """If higher is better, half the figure is twice the cost; semsearch's cost is 1."""
    figure = Figure("requests", "per CPU s", 4.0, {"txtai": 2.0, "chroma": 8.0})
    results.save_result(Result("G2", "Requests", "a machine", [figure]), tmp_path / "benchmarks")
    report.write_page(tmp_path)
    svg = (tmp_path / "benchmarks" / "services.svg").read_text()
    assert [f">{value}<" in svg for value in ("1", "2", "0.5")] == [True] * 3
