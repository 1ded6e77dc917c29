"""The history of evaluations of a data directory: one line of JSON for each run, and a chart of one measure."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.errors import InvalidError, StorageError
from ..core.private_files import open_private
from ..core.version import get_version
from .datasets import JudgedQuery
from .runner import EvaluationRun
from .svg_charts import draw_run_chart

HISTORY_FILE = "eval_runs.jsonl"
LINE_FORMAT = 1

DEFAULT_MEASURES = ("ndcg", "answer", "citation_recall", "refusal_recall")
"""The first that the runs have is drawn."""

MAX_DRAWN_RUNS = 50


@dataclass(frozen=True, slots=True)
class Dataset:
    """The judged questions of a run."""

    name: str
    sha256: str
    """Hash of the questions with their judgements: equal files have equal hashes, whatever they are called."""
    questions: int


def describe_dataset(path: Path, judged: Sequence[JudgedQuery]) -> Dataset:
    """Return name, hash and size of judged questions."""
    text = json.dumps([{**asdict(query), "grades": dict(query.grades)} for query in judged], sort_keys=True)
    return Dataset(path.name, hashlib.sha256(text.encode()).hexdigest()[:16], len(judged))


def make_history_lines(
    runs: Iterable[EvaluationRun], collection: str, dataset: Dataset, *, now: datetime | None = None
) -> list[dict[str, Any]]:
    """Return the line of each run; those of one comparison have the same date. No question is in it."""
    date = (now or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z")
    return [
        {
            "format": LINE_FORMAT,
            "date": date,
            "semsearch": get_version(),
            "collection": collection,
            "name": run.name,
            "dataset": asdict(dataset),
            "settings": dict(run.settings),
            "questions": len(run.outcomes),
            "complete": not run.refused,
            "measures": {**run.compute_means(), **run.compute_latency(), **run.compute_answer_costs()},
            "cost_usd": run.cost_usd,
        }
        for run in runs
    ]


def append_history(folder: Path, lines: Iterable[dict[str, Any]]) -> Path:
    """Append the lines to the history of a data directory; StorageError if that cannot be written."""
    path = folder / HISTORY_FILE
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    try:
        descriptor = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with open(descriptor, "ab", buffering=0) as file:
            if file.tell() and not _ends_with_newline(path):
                data = b"\n" + data  # the end of a line that was cut off stays alone
            file.write(data)  # in one piece, so that two processes do not mix their lines
    except OSError as exc:
        raise StorageError(f"{path} cannot be written, so this run is not in the history: {exc.strerror}") from exc
    return path


def read_history(folder: Path, dataset: Dataset, collection: str) -> list[dict[str, Any]]:
    """Return the runs of these questions with this collection, oldest first; lines that are cut off are left out."""
    path = folder / HISTORY_FILE
    try:
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
    lines = [line for text in texts if (line := _parse_line(text)) is not None]
    return [line for line in lines if line["dataset"]["sha256"] == dataset.sha256 and line["collection"] == collection]


def draw_history(lines: Sequence[dict[str, Any]], measure: str | None, labels: dict[str, str]) -> str:
    """Return a chart of one measure over the runs as SVG, with a line for each name; InvalidError if none has it."""
    names = list(dict.fromkeys(name for line in lines for name in line["measures"]))
    chosen = measure or next((name for name in DEFAULT_MEASURES if name in names), None)
    drawn = [line for line in lines if line["complete"] and isinstance(line["measures"].get(chosen), int | float)]
    if chosen is None or not drawn:
        raise InvalidError(
            f"no complete run has the measure {chosen or 'of a ranking or an answer'}; the runs have {', '.join(names)}"
        )
    dates = list(dict.fromkeys(line["date"] for line in drawn))[-MAX_DRAWN_RUNS:]
    series: dict[str, list[tuple[float, float]]] = {}
    for line in drawn:
        if line["date"] in dates:
            series.setdefault(line["name"], []).append((dates.index(line["date"]), line["measures"][chosen]))
    dataset = drawn[-1]["dataset"]
    title = f"{labels.get(chosen, chosen.replace('_', ' '))}: {drawn[-1]['collection']}, {dataset['name']}"
    return draw_run_chart(title, series, [f"{date[5:10]} {date[11:16]}" for date in dates])


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _parse_line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
        is_known = line["format"] == LINE_FORMAT and isinstance(line["measures"], dict)
        known = {name: line[name] for name in ("date", "collection", "name", "complete", "dataset")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return line if is_known and isinstance(known["dataset"], dict) and "sha256" in known["dataset"] else None
