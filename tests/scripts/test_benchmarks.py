"""The code behind `scripts/bench`: the same measurements on little data, without peers, and the page made from them."""

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


def sources(count: int) -> Iterator[str]:
    """Long texts of random words."""
    luck = np.random.default_rng(1)
    for _ in range(count):
        yield " ".join(f"{WORDS[n % len(WORDS)]}{n}" for n in luck.integers(0, 3000, 2500))


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Other tests have all cores again."""
    with machine.restore_affinity():
        yield


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scale:
    """A tiny run whose texts are random words and whose files go away."""
    monkeypatch.setattr(texts, "CACHE", tmp_path)
    made = texts.make(600, sources(45))
    stored, asked = texts.embed(made.stored), texts.embed(made.snippets[:20])
    for part, array in {"stored": stored, "snippets": asked, "chunks": asked, "windows": np.array([0])}.items():
        np.save(tmp_path / f"vectors-600-{part}.npy", array)
    return Scale(tmp_path, tmp_path, short=True)


def result(ours: float = 1.0, bound: Bound | None = None) -> Result:
    """A result with one figure."""
    figure = Figure("requests", "per CPU s", ours, {"peer": 2.0}, ours / 2.0, "of peer", bound)
    return Result("G2", "Requests", "a machine", [figure], ["a note"], {"a": [(1.0, 0.5), (2.0, 0.75)]}, ("x", "y"))


def test_texts_are_distinct_and_questions_are_not_stored() -> None:
    """No stored text comes twice, and none is one of the questions."""
    made = texts.make(300, sources(40))
    assert len(set(made.stored)) == 300
    assert made.windows == 0
    assert not set(made.stored) & set(made.chunks)
    assert all(600 < len(text) < 1800 for text in made.stored)
    assert all(6 <= len(snippet.split()) <= 12 for snippet in made.snippets)


def test_windows_make_up_for_missing_texts() -> None:
    """Where there are fewer texts than asked for, the rest are windows, and are counted."""
    made = texts.make(500, sources(5))
    assert len(made.stored) == 500
    assert 0 < made.windows < 500


@given(st.integers(1, 40), st.integers(0, 3))
def test_the_exact_scan_has_recall_one(seed: int, few: int) -> None:
    """Recall compares with an exact scan, of the allowed rows alone where some are not."""
    luck = np.random.default_rng(seed)
    stored, asked = (luck.normal(size=(n, 8)).astype(np.float32) for n in (200, 3))
    found = [vector_searchers.make_exact_finder(stored)(vector) for vector in asked]
    assert vector_searchers.compute_recall(found, stored, asked) == 1.0
    worst = [np.argsort(stored @ vector)[: vector_searchers.K] for vector in asked]
    assert vector_searchers.compute_recall(worst, stored, asked) == 0.0
    allowed = np.arange(few)
    rows = [allowed[np.argsort(-(stored[allowed] @ vector))] for vector in asked]
    assert vector_searchers.compute_recall(rows, stored, asked, allowed) == 1.0


def test_engine_goals_run(scale: Scale) -> None:
    """The engine's goals give figures for a small collection, in which everything is found."""
    found = engine.g1(scale)
    assert found.short
    assert {figure.ours for figure in found.figures} == {1.0}
    assert set(found.lines) == {"snippets", "chunks"}
    grown = engine.g7(scale)
    assert all(figure.ours > 0 for figure in grown.figures)


def test_filtered_goal_runs(scale: Scale) -> None:
    """Behind every filter all is found that there is, which the measurement itself sees to as well."""
    found = filtered_search.g8(scale)
    recalls = [figure.ours for figure in found.figures if figure.what.startswith("recall")]
    assert len(recalls) == 2 * len(filtered_search.SHARES)
    assert set(recalls) == {1.0}


FLOORS: dict[Callable[[Scale], Result], dict[str, float]] = {
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
CEILINGS = {
    "refused by default, own, nothing set": 0.06,
    "true: question and answer, chosen on": 0.0,
    "true: question and answer, held out": 0.0,
    "words handed over": 1500,
}
"""What each figure of a short run is at least, and at most: a step below what it was when this was written."""


@pytest.mark.parametrize("goal", FLOORS, ids=lambda goal: goal.__name__)
def test_goals_on_judged_collections_run(goal: Callable[[Scale], Result], shared_data: Path, tmp_path: Path) -> None:
    """Some questions of the real collections are measured; each figure is what so few give, and no other is there."""
    found = goal(Scale(shared_data, tmp_path, short=True))
    figures = {figure.what: figure.ours for figure in found.figures}
    floors, ceilings = FLOORS[goal], {what: most for what, most in CEILINGS.items() if what in figures}
    assert figures.keys() == floors.keys() | ceilings.keys()
    assert {what: figures[what] for what, least in floors.items() if figures[what] < least} == {}
    assert {what: figures[what] for what, most in ceilings.items() if figures[what] > most} == {}
    assert any(figure.bound for figure in found.figures)


def test_what_needs_a_model_or_files_says_so(shared_data: Path, tmp_path: Path) -> None:
    """Without them a goal has no figures, and a note on what it needs; the page shows it."""
    (tmp_path / "debian-handbook").mkdir()
    for goal, needed in ((ranking_quality.q1b, "--model"), (languages.q6, "xquad")):
        found = goal(Scale(tmp_path, tmp_path, short=True))
        assert found.figures == []
        assert needed in found.notes[0]
        results.save_result(found, tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    assert "not measured: needs" in (tmp_path / "benchmarks.md").read_text()


def test_what_a_client_embeds_counts_with_its_requests() -> None:
    """A service that is sent ready vectors is not ahead for that; without them it is shown too."""
    embeds, ready = service_performance.ServiceMeasurements(), service_performance.ServiceMeasurements()
    embeds.per_cpu_second.append(500.0)
    embeds.embedding.append(0.0)
    ready.per_cpu_second.append(1000.0)
    ready.embedding.append(0.001)
    assert service_performance._compute_rates({"one": embeds, "other": ready}) == {
        "one": 500.0,
        "other": 500.0,
        "other, ready vectors": 1000.0,
    }


def test_languages_are_measured_where_there_are_files(tmp_path: Path) -> None:
    """Files in the layout of XQuAD give a figure for each language, the mean and the worst."""
    texts_of = {"de": ["Der alte Turm steht am Hafen.", "Die Schafe weiden."], "ru": ["Старый замок стоит.", "Овцы."]}
    (tmp_path / "xquad").mkdir()
    for name, contexts in texts_of.items():
        paragraphs = [{"context": text, "qas": [{"question": text.split()[1]}]} for text in contexts[:1]]
        paragraphs += [{"context": text, "qas": []} for text in contexts[1:]]
        made = {"data": [{"paragraphs": paragraphs}]}
        (tmp_path / "xquad" / f"xquad.{name}.json").write_text(json.dumps(made))
    found = languages.q6(Scale(tmp_path, tmp_path, short=True))
    assert [figure.what for figure in found.figures] == ["mean", "worst", "nDCG@10, de", "nDCG@10, ru"]
    assert {figure.ours for figure in found.figures} == {1.0}
    assert [figure.peers for figure in found.figures[2:]] == [{"FTS5": 1.0}] * 2
    assert "en" in found.notes[0]


def test_translations_stand_in_for_them(tmp_path: Path) -> None:
    """Sections are found by their headings; what a translation repeats in English is not counted for it."""
    pages = {
        "en-US": [(f"Harbour {n}", f"The harbour of number {n} is old. " * 12) for n in range(100)],
        "de-DE": [(f"Hafen {n}", f"Der Hafen mit der Nummer {n} ist alt. " * 12) for n in range(100)],
    }
    pages["hr-HR"] = pages["en-US"]
    for name, sections in pages.items():
        folder = tmp_path / "debian-handbook" / name
        folder.mkdir(parents=True)
        written = "".join(
            f"<div class='section'><h2 class='title'>1. {heading}</h2><div class='para'>{text}</div></div>"
            for heading, text in sections
        )
        (folder / "book.html").write_text(f"<html><body>{written}</body></html>")
    found = languages.q6(Scale(tmp_path, tmp_path, short=True))
    assert [figure.what for figure in found.figures] == ["nDCG@10, de-DE", "nDCG@10, en-US"]
    assert {figure.ours for figure in found.figures} == {1.0}
    assert not any(figure.bound for figure in found.figures)
    assert "handbook" in found.notes[1]


@given(st.lists(st.floats(0, 1), min_size=1), st.lists(st.floats(0, 1), min_size=1))
def test_the_area_is_the_share_of_pairs_in_order(good: list[float], bad: list[float]) -> None:
    """The area under the curve, by its definition."""
    pairs = [(one > other) + (one == other) / 2 for one in good for other in bad]
    assert answer_quality.compute_roc_auc(good, bad) == pytest.approx(sum(pairs) / len(pairs))


def test_command_goal_runs(scale: Scale) -> None:
    """The time of `--help` is measured on the installed command."""
    assert 0 < process_costs.g15(scale).figures[0].ours < 30


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Send the body back, with its length or in chunks."""
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
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Does not wait for a connection that a failed test left open."""

    daemon_threads = True
    block_on_close = False


@pytest.mark.parametrize("path", ["/length", "/chunks"])
def test_client_reads_every_reply(path: str) -> None:
    """Replies come back in the order of the requests, whatever way they are framed; failures are counted."""
    server = _Server(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bodies = [f"body {number}".encode() for number in range(5)] + [b"fail"]
        found = load_client.run_requests(
            server.server_port, [load_client.build_request("POST", path, body) for body in bodies]
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found.replies == bodies
    assert found.failed == 1
    assert found.latency_ms(0.0) <= found.latency_ms(0.5) <= found.latency_ms(1.0)


def test_a_service_and_its_clients_have_cores_of_their_own() -> None:
    """Also when this process is kept on one already; afterwards it has all of them again."""
    before = os.sched_getaffinity(0)
    with machine.pinned(services.CLIENT_CORE):
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        machine.pin(other.pid, services.SERVER_CORE)
        cores = os.sched_getaffinity(0), os.sched_getaffinity(other.pid)
        other.communicate()
    assert list(map(len, cores)) == [1, 1]
    assert cores[0] != cores[1] or len(before) == 1
    assert os.sched_getaffinity(0) == before


def test_cpu_of_this_process_grows() -> None:
    """The kernel's count of a process tree holds this process, and its memory is not nothing."""
    assert machine.tree_cpu_seconds(os.getpid()) > 0
    assert machine.peak_bytes(os.getpid()) > machine.private_bytes(os.getpid()) / 2 > 0
    assert os.getpid() in machine.list_process_tree(os.getpid())


@pytest.mark.parametrize(("ours", "reached"), [(3.7, True), (3.5, False)])
def test_verdicts_compare_the_ratio(ours: float, reached: bool) -> None:
    """A goal about a peer is judged by the ratio to it, and the page says which are missed."""
    figure = result(ours, Bound(">=", 1.8)).figures[0]
    assert figure.is_reached is reached
    assert figure.verdict.endswith("goal ≥ 1.8: reached" if reached else "goal ≥ 1.8: not reached")


def test_results_survive_being_kept(tmp_path: Path) -> None:
    """What is kept is read back the same."""
    kept = result(1.0, Bound("<=", 2.0))
    results.save_result(kept, tmp_path)
    assert results.load_results(tmp_path) == [kept]
    assert json.loads((tmp_path / "G2.json").read_text())["goal"] == "G2"


def test_the_page_says_what_is_missed(tmp_path: Path) -> None:
    """The page names each goal, its command, its peers, its chart, and that it was missed."""
    results.save_result(result(1.0, Bound(">=", 1.8)), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    written = (tmp_path / "benchmarks.md").read_text()
    assert "Not reached: G2." in written
    assert "`scripts/bench G2`" in written
    assert "peer 2 per CPU s" in written
    assert (tmp_path / "benchmarks" / "G2.svg").read_text().startswith("<svg")


def test_the_page_says_what_has_no_verdict(tmp_path: Path) -> None:
    """Measured on something else than the goal is about."""
    results.save_result(Result("Q6", "Languages", "a machine", [Figure("nDCG@10", "", 0.6)]), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    assert "without a verdict: Q6." in (tmp_path / "benchmarks.md").read_text()


@pytest.mark.parametrize("figures", [[], [Figure("nDCG@10", "", 0.6)]])
def test_what_measured_nothing_takes_nothing_away(
    figures: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the data of a goal is missing, its last result stays."""
    kept: list[Result] = []
    monkeypatch.setattr(results, "save_result", kept.append)
    monkeypatch.setattr(results_page, "write_page", lambda: None)
    monkeypatch.setitem(command.GOALS, "Q6", lambda scale: Result("Q6", "Languages", "a machine", figures))
    command.measure("Q6", Scale(tmp_path, tmp_path))
    assert len(kept) == len(figures)


def test_the_page_sets_the_services_side_by_side(tmp_path: Path) -> None:
    """Where more is better, half of it costs twice as much; ours is 1."""
    figure = Figure("requests", "per CPU s", 4.0, {"txtai": 2.0, "chroma": 8.0})
    results.save_result(Result("G2", "Requests", "a machine", [figure]), tmp_path / "benchmarks")
    results_page.write_page(tmp_path)
    drawn = (tmp_path / "benchmarks" / "services.svg").read_text()
    assert [f">{value}<" in drawn for value in ("1", "2", "0.5")] == [True] * 3
