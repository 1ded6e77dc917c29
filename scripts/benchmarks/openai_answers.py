"""`scripts/bench openai`: measure the answers of a real model server, with your key, and write a dated page."""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path

from semsearch import Library
from semsearch.core.settings import Settings
from semsearch.core.version import get_version
from semsearch.evaluation.configurations import Configuration, make_variant
from semsearch.evaluation.datasets import JudgedQuery
from semsearch.evaluation.run_budget import explain_refusal, find_cost, make_budget_caller
from semsearch.evaluation.runner import EvaluationRun, evaluate_variants

from . import results
from .judged_collections import ingest_judged, load_judged, read_json_lines

COLLECTION = "squad2_a"
DEFAULT_BUDGET_USD = 1.0
DEFAULT_QUESTIONS = 200

_LABELS = {
    "answer": "answers with a right answer in them",
    "answer_first": "… in their first sentence",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "support": "sentences that are supported",
    "refusal_precision": "refusal precision",
    "refusal_recall": "refusal recall",
    "answer_p50_ms": "an answer, median ms",
    "answer_p95_ms": "an answer, 95th percentile ms",
    "answer_tokens": "tokens of an answer",
    "answer_usd": "cost of an answer, USD",
}


class NoModelError(Exception):
    """No chat model is set, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class ServerRun:
    """What was measured with one model of one server."""

    run: EvaluationRun
    server: str
    question_count: int
    """Number of questions that there were."""
    spent_usd: float | None
    budget: float


def measure_server(
    data: Path,
    *,
    budget: float = DEFAULT_BUDGET_USD,
    questions: int = DEFAULT_QUESTIONS,
    settings: Settings | None = None,
    folder: Path = results.FOLDER,
) -> Path:
    """Ask the configured chat model, write the result and return its path; NoModelError if no model is set.

    Half of the questions have no answer in the documents. The run stops before a request that could exceed the budget.
    """
    settings = settings or Settings.load()
    if settings.chat_model is None:
        raise NoModelError("set a chat model and its key, such as SEMSEARCH_CHAT__MODEL=... OPENAI_API_KEY=...")
    judged = list(read_questions(data / COLLECTION, questions))
    caller = make_budget_caller(budget)
    with tempfile.TemporaryDirectory() as name, Library(name, settings=settings) as library:
        ingest_judged(library, data / COLLECTION)
        collection = library.open(COLLECTION, caller=caller)
        variant = make_variant(collection, Configuration(settings.chat_model), mode="hybrid", ask=True)
        (run,) = evaluate_variants([variant], judged, ask=True)
        spent = find_cost(library.usage(by="key").rows, caller)
    return _write_page(ServerRun(run, settings.chat.base_url, len(judged), spent, budget), folder)


def read_questions(folder: Path, count: int) -> Iterator[JudgedQuery]:
    """Yield answerable and unanswerable questions in turn, evenly spaced, so that a part of them has both."""
    answerable = load_judged(folder, -(-count // 2)).answerable_questions()
    others = read_json_lines(folder / "unanswerable.jsonl")
    others = others[:: max(1, -(-len(others) // max(1, count // 2)))]
    pairs = zip_longest(
        (JudgedQuery(each["id"], each["text"], answers=tuple(each["answers"])) for each in answerable),
        (JudgedQuery(each["id"], each["text"], answerable=False) for each in others),
    )
    yield from [query for query in chain.from_iterable(pairs) if query is not None][:count]


def _write_page(measured: ServerRun, folder: Path) -> Path:
    day, model = datetime.now(UTC).date().isoformat(), str(measured.run.settings["model"])
    path = folder / f"openai-{day}-{re.sub(r'[^A-Za-z0-9.-]+', '-', model)}.md"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(_format_page(measured, day), encoding="utf-8")
    return path


def _format_page(measured: ServerRun, day: str) -> str:
    run = measured.run
    values = {**run.compute_means(), **run.compute_answer_costs()}
    rows = [f"| {label} | {values[name]:.4g} |" for name, label in _LABELS.items() if name in values]
    spent = "unknown" if measured.spent_usd is None else f"${measured.spent_usd:.4f}"
    facts = [
        f"- model {run.settings['model']} of {measured.server}, prompt {run.settings['prompt']}",
        f"- {len(run.outcomes)} of {measured.question_count} questions of {COLLECTION}, half of them without an answer",
        f"- cost {spent} of a budget of ${measured.budget:g}; semsearch {get_version()}",
        *([f"- {explain_refusal(run.refused, measured.budget)}"] if run.refused else []),
    ]
    summary = json.dumps({"date": day, "measures": values, "settings": run.settings}, default=dict)
    title = f"# Answers of {run.settings['model']}, {day}"
    command = (
        f"Measured with `scripts/bench openai --budget {measured.budget:g}`. Higher is better but for latency and cost."
    )
    table = ["| measure | |", "|---|---|", *rows]
    return "\n".join([title, "", command, "", *facts, "", *table, "", "```json", summary, "```", ""])
