"""The `eval` command: evaluate, compare with a saved run or another collection, print and save the result."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ...answers.answerers import UNUSED_KEY_WARNING, has_unused_key
from ...collection import Collection
from ...core.errors import BudgetError, InvalidError, NotFoundError, StorageError
from ...core.types.access import LOCAL_CALLER
from ...core.types.search import SearchMode
from ...core.version import get_version
from ...evaluation.datasets import JudgedQuery
from ...evaluation.run_budget import explain_refusal, make_budget_caller
from ...evaluation.runner import (
    EvaluationRun,
    compare_runs,
    evaluate,
    find_regressions,
    pair_results,
    run_from_json,
    run_to_json,
)
from ...library import Library
from . import output
from .eval_history import draw_chart, record_runs
from .eval_options import EvalOptions, match_documents, read_judged_queries, validate_writable, write_file, write_json
from .eval_report import format_html_page, format_report_table
from .exit_codes import EXIT, SOME_FAILED
from .progress import show_progress

DEFAULT_TOLERANCE = 0.01
"""Accepted drop of a measure against a saved run, without --tolerance."""


def run_evaluation(
    library: Library, options: EvalOptions, print_result: Callable[[dict[str, Any], Callable[[], str]], None]
) -> int:
    """Evaluate, compare, print and save; return the exit code, 1 if a measure is worse than in the saved run."""
    if options.baseline_path and (options.against or options.against_mode):
        raise InvalidError("--baseline and --against are two comparisons; use one at a time")
    tolerance = _validate_tolerance(options)
    for path in (options.save_path, options.html_path, options.chart_path):
        if path:
            validate_writable(path)
    judged = read_judged_queries(options)
    if options.ask and has_unused_key(library.settings):
        output.print_err(f"semsearch: {UNUSED_KEY_WARNING}")
    other = _load_baseline(options.baseline_path, options, judged) if options.baseline_path else None
    caller = LOCAL_CALLER if options.budget is None else make_budget_caller(options.budget)
    current = _evaluate_collection(library.open(options.collection, caller=caller), judged, options, options.mode)
    if options.against or options.against_mode:
        other_collection = library.open(options.against or options.collection, caller=caller)
        other = _evaluate_collection(other_collection, judged, options, options.against_mode or options.mode)
    titles = _make_titles(current, other, options.baseline_path)
    differences = compare_runs(current, other) if other else {}
    regressed = find_regressions(differences, tolerance) if options.baseline_path else []
    recorded = [current, other] if other and not options.baseline_path else [current]
    record_runs(library, recorded, judged, options)
    result = {"semsearch": get_version(), **run_to_json(current)}
    if other:
        result |= {"against": {"name": other.name, "settings": other.settings, "means": other.compute_means()}}
        result |= {"compared": len(pair_results(current, other)), "differences": differences, "regressed": regressed}
    try:
        if options.save_path:
            write_json(options.save_path, result)
        if options.html_path:
            write_file(options.html_path, format_html_page(current, other, titles, differences))
        draw_chart(library, judged, options)
    finally:  # the run may have cost money: print the result even if a file cannot be written
        print_result(result, lambda: format_report_table(current, other, titles, differences, regressed))
        if current.refused:
            output.print_err(f"semsearch: {explain_refusal(current.refused, options.budget)}")
    return EXIT[BudgetError.name] if current.refused else SOME_FAILED if regressed else 0


def _validate_tolerance(options: EvalOptions) -> float:
    """Return the accepted drop of a measure; refuse NaN, with which no drop would be reported."""
    if options.tolerance is None:
        return DEFAULT_TOLERANCE
    if not options.baseline_path:
        raise InvalidError("--tolerance needs --baseline; give both or neither")
    if not 0 <= options.tolerance <= 1:
        raise InvalidError(f"--tolerance must be between 0 and 1, not {options.tolerance:g}")
    return options.tolerance


def _load_baseline(path: Path, options: EvalOptions, judged: Sequence[JudgedQuery]) -> EvaluationRun:
    """Read the saved run; InvalidError if its k differs, or if it has none of these questions."""
    baseline, k = _read_run(path), options.k
    if (baseline_k := baseline.settings["k"]) != k:
        raise InvalidError(
            f"{path} was measured with -k {baseline_k}, not {k}: use -k {baseline_k}, or save a run with -k {k}"
        )
    if not {(query.id, query.query) for query in judged} & {(query.id, query.query) for query in baseline.outcomes}:
        raise InvalidError(
            f"{path} and {options.queries} have no question in common, by id and text: save a run of {options.queries}"
        )
    return baseline


def _evaluate_collection(
    collection: Collection, judged: Sequence[JudgedQuery], options: EvalOptions, mode: SearchMode
) -> EvaluationRun:
    judged = match_documents(collection, judged)
    with show_progress("evaluating", len(judged), is_quiet=options.quiet) as display:
        return evaluate(
            collection, judged, k=options.k, mode=mode, ask=options.ask, on_progress=lambda done: display.advance()
        )


def _read_run(path: Path) -> EvaluationRun:
    try:
        return run_from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no saved run {path}; create one with --save") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
    except InvalidError as exc:
        raise InvalidError(f"{path}: {exc}") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InvalidError(f"{path} is not a saved run; create one with --save") from exc


def _make_titles(current: EvaluationRun, other: EvaluationRun | None, baseline: Path | None) -> list[str]:
    """Return a distinct title for each run."""
    titles = [f"{run.name}, {run.settings['mode']}" for run in (current, other) if run]
    if baseline:
        titles[1] += f", {click.format_filename(baseline, shorten=True)}"
    return titles if len(set(titles)) == len(titles) else [titles[0], f"{titles[1]}, again"]
