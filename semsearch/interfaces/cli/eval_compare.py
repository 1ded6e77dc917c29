"""`semsearch eval --compare`: run configurations interleaved over the same questions, print and save the result."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import BudgetError, InvalidError
from ...core.types.access import Caller
from ...core.version import get_version
from ...evaluation.configurations import choose_configurations, make_variant
from ...evaluation.metrics import BOOTSTRAP_RESAMPLES, ConfidenceInterval
from ...evaluation.run_budget import explain_refusal, find_cost, make_budget_caller
from ...evaluation.runner import EvaluationRun, compare_costs, compare_runs, evaluate_variants, run_to_json
from ...library import Library
from . import output
from .eval_history import draw_chart, record_runs
from .eval_options import EvalOptions, match_documents, read_judged_queries, validate_writable, write_json
from .eval_report import format_interval, format_mean, format_metric_label
from .exit_codes import EXIT
from .progress import show_progress
from .tables import format_table

_COST_LABELS = {
    "p50_ms": "search, median ms",
    "p95_ms": "search, 95th percentile ms",
    "answer_p50_ms": "answer, median ms",
    "answer_p95_ms": "answer, 95th percentile ms",
    "answer_ms": "answer, ms",
    "answer_tokens": "tokens of an answer",
    "answer_usd": "cost of an answer, USD",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs of all configurations, and the differences of each from the first."""

    runs: Sequence[EvaluationRun]
    differences: Mapping[str, Mapping[str, ConfidenceInterval]]
    spent_usd: float | None
    """Cost of the whole run, with the searches and with questions that were not completed; None if unknown."""
    budget: float | None


def run_comparison(
    library: Library, options: EvalOptions, print_result: Callable[[dict[str, Any], Callable[[], str]], None]
) -> int:
    """Run the configurations, print and save the result; return the exit code."""
    _reject_other_comparisons(options)
    for path in (options.save_path, options.chart_path):
        if path:
            validate_writable(path)
    configurations = choose_configurations(options.compare, options.configurations_path)
    judged = read_judged_queries(options)
    caller = make_budget_caller(options.budget)
    collection = library.open(options.collection, caller=caller)
    variants = [make_variant(collection, each, mode=options.mode, ask=options.ask) for each in configurations]
    matched = match_documents(collection, judged)
    with show_progress("evaluating", len(matched), is_quiet=options.quiet) as display:
        runs = evaluate_variants(
            variants, matched, k=options.k, ask=options.ask, on_progress=lambda done: display.advance()
        )
    comparison = _compare(runs, caller, library, options)
    record_runs(library, runs, judged, options)
    result = _to_json(comparison)
    try:
        if options.save_path:
            write_json(options.save_path, result)
        draw_chart(library, judged, options)
    finally:  # the run may have cost money: print the result even if a file cannot be written
        print_result(result, lambda: _format_comparison(comparison))
    return EXIT[BudgetError.name] if runs[0].refused else 0


def _reject_other_comparisons(options: EvalOptions) -> None:
    others = {
        "--against": options.against,
        "--against-mode": options.against_mode,
        "--baseline": options.baseline_path,
        "--html": options.html_path,
    }
    if given := [name for name, value in others.items() if value]:
        raise InvalidError(f"{given[0]} and --compare exclude each other; use one at a time")


def _compare(runs: Sequence[EvaluationRun], caller: Caller, library: Library, options: EvalOptions) -> Comparison:
    first, *others = runs
    differences = {other.name: {**compare_runs(other, first), **compare_costs(other, first)} for other in others}
    return Comparison(runs, differences, find_cost(library.usage(by="key").rows, caller), options.budget)


def _to_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "semsearch": get_version(),
        "runs": [run_to_json(run) | {"answer_costs": run.compute_answer_costs()} for run in comparison.runs],
        "differences": {name: dict(values) for name, values in comparison.differences.items()},
        "significance": f"paired bootstrap of {BOOTSTRAP_RESAMPLES} resamples, 95 % percentile interval",
        "spent_usd": comparison.spent_usd,
        "budget_usd": comparison.budget,
        "complete": not comparison.runs[0].refused,
    }


def _format_comparison(comparison: Comparison) -> str:
    """Return the measures of all configurations, the differences from the first, and what was run."""
    runs = comparison.runs
    parts = [_format_measures(runs)]
    for name, differences in comparison.differences.items():
        rows = [
            (_label(measure, runs[0]), *_format_difference(measure, interval), _mark_significant(interval))
            for measure, interval in differences.items()
        ]
        parts.append(format_table((f"{name} minus {runs[0].name}", "difference", "95 % interval", "p", ""), rows))
    parts += [
        f"differences: paired bootstrap, {BOOTSTRAP_RESAMPLES:,} resamples; * marks an interval without 0",
        "\n".join(_describe(run) for run in runs),
        _format_spending(comparison),
    ]
    if refused := runs[0].refused:
        parts.append(explain_refusal(refused, comparison.budget))
    return "\n\n".join(part for part in parts if part)


def _format_measures(runs: Sequence[EvaluationRun]) -> str:
    means, costs = [run.compute_means() for run in runs], [_list_costs(run) for run in runs]
    rows = [
        (format_metric_label(name, runs[0]), *(format_mean(run_means.get(name)) for run_means in means))
        for name in dict.fromkeys(name for run_means in means for name in run_means)
    ]
    rows += [
        (_COST_LABELS[name], *(_format_number(run_costs.get(name)) for run_costs in costs))
        for name in dict.fromkeys(name for run_costs in costs for name in run_costs)
    ]
    return format_table(("measure", *(run.name for run in runs)), rows)


def _list_costs(run: EvaluationRun) -> dict[str, float]:
    costs = {**run.compute_latency(), **run.compute_answer_costs()}
    return {name: value for name, value in costs.items() if name in _COST_LABELS}


def _label(measure: str, run: EvaluationRun) -> str:
    return _COST_LABELS[measure] if measure in _COST_LABELS else format_metric_label(measure, run)


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _format_difference(measure: str, interval: ConfidenceInterval) -> tuple[str, str, str]:
    """Return the cells of a difference; costs have other magnitudes than shares."""
    if measure not in _COST_LABELS:
        return format_interval(interval)
    low, high = (f"{bound:+,.4g}" for bound in (interval.low, interval.high))
    return f"{interval.mean:+,.4g}", f"{low} … {high}", f"{interval.p:.3f}"


def _mark_significant(interval: ConfidenceInterval) -> str:
    return "*" if interval.low > 0 or interval.high < 0 else ""


def _describe(run: EvaluationRun) -> str:
    """Return a configuration with the model and prompt that it used."""
    settings = run.settings
    changed = [
        f"{name}={json.dumps(value) if isinstance(value, bool) else value}"
        for name, value in settings["configuration"].items()
    ]
    used = [f"{name} {settings[name]}" for name in ("model", "prompt") if settings.get(name)]
    return f"{run.name}: {', '.join([*(changed or ['the settings as they are']), *used])}"


def _format_spending(comparison: Comparison) -> str:
    spent = "unknown" if comparison.spent_usd is None else f"${comparison.spent_usd:.4f}"
    limit = "" if comparison.budget is None else f" of --budget ${comparison.budget:g}"
    questions = output.format_count(len(comparison.runs[0].outcomes), "question")
    return f"{questions}, each with every configuration; cost in all {spent}{limit}"
