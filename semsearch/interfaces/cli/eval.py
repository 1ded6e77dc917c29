"""The `eval` command: evaluate, compare with a saved run or another collection, print and save the result."""

import errno
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...answers.answerers import UNUSED_KEY_WARNING, has_unused_key
from ...collection import Collection
from ...core.errors import InvalidError, NotFoundError, StorageError
from ...core.types.search import SearchMode
from ...core.version import get_version
from ...evaluation.datasets import JudgedQuery, match_uris, read_dataset
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
from .eval_report import format_html_page, format_report_table
from .exit_codes import SOME_FAILED
from .progress import show_progress

DEFAULT_TOLERANCE = 0.01
"""Accepted drop of a measure against a saved run, without --tolerance."""


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """The options of the command."""

    queries: Path
    qrels: Path | None
    collection: str
    against: str | None
    k: int
    mode: SearchMode
    against_mode: SearchMode | None
    ask: bool
    limit: int | None
    baseline_path: Path | None
    tolerance: float | None
    save_path: Path | None
    html_path: Path | None
    is_quiet: bool = False
    """Whether no progress is shown."""


def run_evaluation(
    library: Library, options: EvalOptions, print_result: Callable[[dict[str, Any], Callable[[], str]], None]
) -> int:
    """Evaluate, compare, print and save; return the exit code, 1 if a measure is worse than in the saved run."""
    if options.baseline_path and (options.against or options.against_mode):
        raise InvalidError("--baseline and --against are two comparisons; use one at a time")
    tolerance = _validate_tolerance(options)
    for path in (options.save_path, options.html_path):
        if path:
            validate_writable(path)
    judged = _read_judged_queries(options)
    if options.ask and has_unused_key(library.settings):
        output.print_err(f"semsearch: {UNUSED_KEY_WARNING}")
    other = _load_baseline(options.baseline_path, options, judged) if options.baseline_path else None
    current = _evaluate_collection(library.open(options.collection), judged, options, options.mode)
    if options.against or options.against_mode:
        other_collection = library.open(options.against or options.collection)
        other = _evaluate_collection(other_collection, judged, options, options.against_mode or options.mode)
    titles = _make_titles(current, other, options.baseline_path)
    differences = compare_runs(current, other) if other else {}
    regressed = find_regressions(differences, tolerance) if options.baseline_path else []
    result = {"semsearch": get_version(), **run_to_json(current)}
    if other:
        result |= {"against": {"name": other.name, "settings": other.settings, "means": other.compute_means()}}
        result |= {"compared": len(pair_results(current, other)), "differences": differences, "regressed": regressed}
    try:
        if options.save_path:
            write_file(options.save_path, json.dumps(result, ensure_ascii=False, default=_slots_to_dict, indent=1))
        if options.html_path:
            write_file(options.html_path, format_html_page(current, other, titles, differences))
    finally:  # the run may have cost money: print the result even if a file cannot be written
        print_result(result, lambda: format_report_table(current, other, titles, differences, regressed))
    return SOME_FAILED if regressed else 0


def _validate_tolerance(options: EvalOptions) -> float:
    """Return the accepted drop of a measure; refuse NaN, with which no drop would be reported."""
    if options.tolerance is None:
        return DEFAULT_TOLERANCE
    if not options.baseline_path:
        raise InvalidError("--tolerance needs --baseline; give both or neither")
    if not 0 <= options.tolerance <= 1:
        raise InvalidError(f"--tolerance must be between 0 and 1, not {options.tolerance:g}")
    return options.tolerance


def _read_judged_queries(options: EvalOptions) -> list[JudgedQuery]:
    queries = read_dataset(options.queries, options.qrels)[: options.limit]
    if not any(query.grades or query.answers or query.answerable is not None for query in queries):
        raise InvalidError(
            f"{options.queries}: no question has a judgement; give --qrels, or add `relevant` to the questions"
        )
    if not (options.ask or any(query.grades for query in queries)):
        raise InvalidError(
            f"{options.queries}: answers and refusals are measured with --ask only; rankings need --qrels or `relevant`"
        )
    return queries


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
    uris = [document.uri for document in collection.documents()]
    judged, missing = match_uris(judged, uris)
    if missing:
        examples, name = ", ".join(missing[:3]), collection.name
        remedy = f"they count as not retrieved; semsearch documents -c {name} lists the names"
        output.print_err(f"{len(missing)} judged documents are not in {name}, such as {examples}: {remedy}")
    with show_progress("evaluating", len(judged), is_quiet=options.is_quiet) as display:
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


def validate_writable(path: Path) -> None:
    """Raise StorageError if the file cannot be written; checked before the run, which may cost money."""
    target = path if path.exists() else path.absolute().parent
    if not target.exists():
        raise StorageError(f"{path} cannot be written: there is no folder {target}")
    if not os.access(target, os.W_OK):
        raise StorageError(f"{path} cannot be written: {os.strerror(errno.EACCES)}")


def write_file(path: Path, text: str) -> None:
    """Write a text file; StorageError if that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}") from exc


def _slots_to_dict(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__slots__}


def _make_titles(current: EvaluationRun, other: EvaluationRun | None, baseline: Path | None) -> list[str]:
    """Return a distinct title for each run."""
    titles = [f"{run.name}, {run.settings['mode']}" for run in (current, other) if run]
    if baseline:
        titles[1] += f", {click.format_filename(baseline, shorten=True)}"
    return titles if len(set(titles)) == len(titles) else [titles[0], f"{titles[1]}, again"]
