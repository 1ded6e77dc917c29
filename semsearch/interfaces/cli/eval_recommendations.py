"""The `eval --recommend` command: measure recommendations, print and save the result."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...evaluation.datasets import read_recommendation_cases
from ...evaluation.recommendation import RecommendationRun, evaluate_recommendations
from ...library import Library
from . import output
from .eval_options import validate_writable, write_file
from .progress import show_progress
from .tables import format_table


@dataclass(frozen=True, slots=True)
class RecommendationOptions:
    """The options of the command."""

    cases: Path
    collection: str
    k: int
    limit: int | None
    save_path: Path | None
    is_quiet: bool


def run_recommendation_evaluation(
    library: Library,
    options: RecommendationOptions,
    print_result: Callable[[dict[str, Any], Callable[[], str]], None],
) -> None:
    """Evaluate, print and save."""
    if options.save_path:
        validate_writable(options.save_path)
    cases = read_recommendation_cases(options.cases)[: options.limit]
    collection = library.open(options.collection)
    with show_progress("evaluating", len(cases), is_quiet=options.is_quiet) as display:
        run = evaluate_recommendations(collection, cases, k=options.k, on_progress=lambda done: display.advance())
    result = {"semsearch": version("semsearch"), **asdict(run)}
    if options.save_path:
        write_file(options.save_path, json.dumps(result, ensure_ascii=False, indent=1))
    print_result(result, lambda: format_recommendation_table(run))


def format_recommendation_table(run: RecommendationRun) -> str:
    """Return the measures of each method, and the gain over the nearest neighbours."""
    header = ("method", f"hit rate@{run.k}", f"MRR@{run.k}", "diversity", "coverage")
    rows = [
        (name, *(f"{value:.3f}" for value in (scores.hit_rate, scores.mrr, scores.diversity, scores.coverage)))
        for name, scores in run.methods.items()
    ]
    gain = run.hit_rate_gains["nearest to mean"]
    return "\n\n".join(
        [
            format_table(header, rows),
            f"{output.format_count(run.cases, 'case')}; hit rate of average over nearest to mean {gain.mean:+.3f},"
            f" 95 % interval {gain.low:+.3f} … {gain.high:+.3f}",
        ]
    )
