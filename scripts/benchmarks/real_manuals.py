"""Q9 to Q12: excerpts, refusals, text and hits over real manuals, by the scorer of the judged set `realdocs`.

The scorer talks to a service over HTTP. The service runs twice: with the default threshold, and with the threshold 0,
which gives the precision of the excerpts at every coverage.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from semsearch import Library
from semsearch.core.settings import DEFAULT_ANSWER_THRESHOLD, Settings

from . import machine
from .judged_collections import ingest_judged, load_judged
from .results import Bound, Figure, Result
from .scale import Scale
from .services import Semsearch, run_service

COLLECTION_FOLDERS = {
    "tts-handbook": "realdocs/files/tts-handbook",
    "fastapi": "realdocs/files/fastapi",
    "rust-book": "docs_tree/files/rust-book",
}
_COVERAGES = ("0.30", "0.45", "0.55", "0.70", "0.85")
_CURVE_STEPS = 20
_SHORT_QUESTIONS = 8

Summary = Mapping[str, float | None]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """The scorer's output with the default threshold and with the threshold 0."""

    default: Mapping[str, Any]
    everything: Mapping[str, Any]


def q9(scale: Scale) -> Result:
    """Precision of excerpts over real manuals, by coverage of the answerable questions (4 minutes)"""
    measurement = measure(scale)
    summary, everything = measurement.default["all"], measurement.everything["all"]
    figures = [
        _make_figure(f"precision at coverage {coverage}", everything, bound=_BOUND_AT.get(coverage))
        for coverage in _COVERAGES
    ]
    figures += [
        _make_figure("answerable: answered", summary, "coverage with the default threshold"),
        _make_figure("answered: useful (proxy)", summary, "precision with the default threshold"),
        _make_figure("mean words", summary, "mean words of an excerpt", Bound("<=", 60)),
        _make_figure("answers over 150 words", summary, "excerpts over 150 words", Bound("<=", 0)),
    ]
    curves = {"real manuals": _draw_curve(_rank_useful(measurement.everything)), "squad2_a": _measure_squad(scale)}
    notes = [
        "`real manuals`: useful by the scorer of the set; `squad2_a`: the excerpt contains the expected words."
        " Precision at a coverage: of that share of the answerable questions, those with the highest confidence",
        *_describe_calibration(measurement.everything),
    ]
    lines = {name: [(coverage, 1 - precision) for coverage, precision in curve] for name, curve in curves.items()}
    title = "Excerpts over real manuals: risk by coverage"
    axes = ("coverage: share of the answerable questions", "risk")
    return Result("Q9", title, machine.describe_machine(), figures, notes, lines, axes, short=scale.short)


def q10(scale: Scale) -> Result:
    """Unanswerable questions over real manuals that are shown an excerpt (4 minutes)"""
    summary = measure(scale).default["all"]
    figures = [
        _make_figure("near: answered (should be low)", summary, "excerpt shown, near the topic", Bound("<=", 0.05)),
        _make_figure("far: answered (should be low)", summary, "excerpt shown, far from it", Bound("<=", 0.01)),
        _make_figure(
            "not answered: a gold passage is shown",
            summary,
            "good passage among the closest, where no excerpt is shown",
            Bound(">=", 0.75),
        ),
    ]
    return Result("Q10", "Refusals over real manuals", machine.describe_machine(), figures, [], short=scale.short)


def q11(scale: Scale) -> Result:
    """Faults in the text of excerpts over real manuals (4 minutes)"""
    summary = measure(scale).default["all"]
    faults = {
        "answers with a sentence ending in ':'": "lead-in without what it introduces",
        "answers with a code line": "code line alone",
        "answers with a heading": "heading alone",
        "answers with a fragment (< 5 words)": "fragment",
        "answers with a duplicate": "the same sentence twice",
    }
    figures = [_make_figure(name, summary, what, Bound("<=", 0.02)) for name, what in faults.items()]
    figures.append(_make_figure("answers with altered text", summary, "altered text", Bound("<=", 0)))
    notes = ["shares of the questions that are shown an excerpt"]
    return Result("Q11", "Text of excerpts", machine.describe_machine(), figures, notes, short=scale.short)


def q12(scale: Scale) -> Result:
    """Hits over real manuals (4 minutes)"""
    summary = measure(scale).default["all"]
    figures = [
        _make_figure("document hit@1", summary, bound=Bound(">=", 0.83)),
        _make_figure("nDCG@10", summary, bound=Bound(">=", 0.91)),
        _make_figure("passage hit@5", summary, bound=Bound(">=", 0.91)),
    ]
    return Result("Q12", "Search over real manuals", machine.describe_machine(), figures, [], short=scale.short)


GOALS = {"Q9": q9, "Q10": q10, "Q11": q11, "Q12": q12}
_BOUND_AT = {"0.55": Bound(">=", 0.80)}


@lru_cache(1)
def measure(scale: Scale) -> Measurement:
    """Run the scorer with both thresholds; the goals of one command share the run."""
    with tempfile.TemporaryDirectory() as name:
        judged_set = _make_short_set(scale.data, Path(name)) if scale.short else scale.data
        return Measurement(
            _run_scorer(scale.data, judged_set, DEFAULT_ANSWER_THRESHOLD), _run_scorer(scale.data, judged_set, 0.0)
        )


def _run_scorer(data: Path, judged_set: Path, threshold: float) -> Mapping[str, Any]:
    """Return the scorer's output for a new service; `judged_set` has the folders of `COLLECTION_FOLDERS`."""
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "result.json")
        files = [f"{collection}={judged_set / folder}" for collection, folder in COLLECTION_FOLDERS.items()]
        with run_service(_Service(Path(name, "indexes"), threshold), core=None) as service:
            url = f"http://127.0.0.1:{service.port}"
            command = [sys.executable, str(data / "realdocs" / "score.py"), str(judged_set / "realdocs")]
            command += ["--url", url, "--out", str(output), "--files", *files]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result: Mapping[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        return result


class _Service(Semsearch):
    """semsearch without a chat model, with an empty data directory."""

    def __init__(self, folder: Path, threshold: float) -> None:
        super().__init__("hybrid")
        self._data_folder, self._threshold = folder, threshold

    def build_command(self, port: int) -> tuple[list[str], Mapping[str, str]]:
        """Return `semsearch serve`."""
        program = str(Path(sys.executable).with_name("semsearch"))
        command = [program, "serve", "--port", str(port), "--data-dir", str(self._data_folder)]
        chat = {name: "" for name in os.environ if name.startswith(("OPENAI_", "SEMSEARCH_CHAT"))}
        return command, {**chat, "SEMSEARCH_ANSWERS__THRESHOLD": str(self._threshold)}


def _make_short_set(data: Path, target: Path) -> Path:
    """Copy a few questions with the files that answer them."""
    lines = (data / "realdocs" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    kinds = {question["kind"]: question for question in questions if question["collection"] == "fastapi"}
    chosen = [*list(kinds.values())[:_SHORT_QUESTIONS]]
    for folder in COLLECTION_FOLDERS.values():
        (target / folder).mkdir(parents=True)
    for question in chosen:
        for relevant in question["relevant"]:
            path = target / COLLECTION_FOLDERS["fastapi"] / relevant["uri"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / COLLECTION_FOLDERS["fastapi"] / relevant["uri"], path)
    text = "\n".join(map(json.dumps, chosen))
    (target / "realdocs" / "questions.jsonl").write_text(text, encoding="utf-8")
    return target


def _make_figure(name: str, summary: Summary, what: str = "", bound: Bound | None = None) -> Figure:
    """Return a figure of the scorer's summary; a share of no questions counts as 0."""
    return Figure(what or name, "", summary[name] or 0.0, bound=bound)


def _rank_useful(result: Mapping[str, Any]) -> list[bool]:
    """Return whether the excerpt of each answerable question is useful, by falling confidence."""
    rows = [row["ask"] for row in result["rows"] if row["answerable"]]
    rows.sort(key=lambda ask: -ask["confidence"])
    return [bool(ask["useful"]) for ask in rows]


def _draw_curve(ranked: Sequence[bool]) -> list[Point]:
    """Return the precision at each coverage."""
    counts = sorted({max(1, round(len(ranked) * step / _CURVE_STEPS)) for step in range(2, _CURVE_STEPS + 1)})
    return [(count / len(ranked), sum(ranked[:count]) / count) for count in counts]


def _measure_squad(scale: Scale) -> list[Point]:
    """Return the curve of squad2_a."""
    folder, outcomes = scale.data / "squad2_a", list[tuple[float, bool]]()
    with tempfile.TemporaryDirectory() as name, Library(name, settings=Settings(answer_threshold=0.0)) as library:
        collection = ingest_judged(library, folder)
        for question in load_judged(folder, scale.limit).answerable_questions():
            answer = collection.ask(question["text"])
            is_right = any(words.casefold() in answer.text.casefold() for words in question["answers"])
            outcomes.append((answer.confidence, is_right))
    return _draw_curve([is_right for _, is_right in sorted(outcomes, key=lambda outcome: -outcome[0])])


def _describe_calibration(result: Mapping[str, Any]) -> list[str]:
    """Return the share of useful excerpts in ranges of the confidence, unanswerable questions included."""
    rows = [(row["ask"]["confidence"], bool(row["ask"].get("useful"))) for row in result["rows"]]
    ranges = [(low / 5, (low + 1) / 5) for low in range(5)]
    parts = []
    for low, high in ranges:
        useful = [is_useful for confidence, is_useful in rows if low <= confidence < high or confidence == high == 1]
        if useful:
            parts.append(f"{low:.1f} to {high:.1f}: {sum(useful) / len(useful):.2f} of {len(useful)}")
    return [f"useful by confidence, over all questions: {'; '.join(parts)}"]
