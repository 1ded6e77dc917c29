"""The history of `semsearch eval`: record runs, show earlier ones, draw a measure over them."""

from collections.abc import Callable, Sequence
from typing import Any

from ...core.errors import NotFoundError, StorageError
from ...evaluation.datasets import JudgedQuery, read_dataset
from ...evaluation.run_history import append_history, describe_dataset, draw_history, make_history_lines, read_history
from ...evaluation.runner import EvaluationRun
from ...library import Library
from . import output
from .eval_options import EvalOptions, write_file
from .eval_report import METRIC_LABELS, format_mean
from .tables import format_table

MAX_SHOWN_RUNS = 30


def record_runs(
    library: Library, runs: Sequence[EvaluationRun], judged: Sequence[JudgedQuery], options: EvalOptions
) -> None:
    """Append the runs to the history; a failure is a warning, because the runs may have cost money."""
    dataset = describe_dataset(options.queries, judged)
    try:
        for run in runs:
            name = run.name if "configuration" in run.settings else f"{run.name}, {run.settings['mode']}"
            (line,) = make_history_lines([run], options.collection, dataset)
            append_history(library.folder, [{**line, "name": name}])
    except StorageError as exc:
        output.print_err(f"semsearch: {exc}")


def draw_chart(library: Library, judged: Sequence[JudgedQuery], options: EvalOptions) -> None:
    """Write the chart of a measure over all runs of these questions, if one is asked for."""
    if options.chart_path is not None:
        dataset = describe_dataset(options.queries, judged)
        lines = read_history(library.folder, dataset, options.collection)
        write_file(options.chart_path, draw_history(lines, options.measure, _make_labels(options.k)))


def show_history(
    library: Library, options: EvalOptions, print_result: Callable[[dict[str, Any], Callable[[], str]], None]
) -> int:
    """Print the earlier runs of these questions, and draw them if a chart is asked for."""
    judged = read_dataset(options.queries, options.qrels)[: options.limit]
    lines = read_history(library.folder, describe_dataset(options.queries, judged), options.collection)
    if not lines:
        raise NotFoundError(
            f"there is no earlier run of {options.queries} with {options.collection}; leave out --history to run it"
        )
    draw_chart(library, judged, options)
    print_result({"runs": lines}, lambda: _format_history(lines[-MAX_SHOWN_RUNS:], options.k))
    return 0


def _format_history(lines: Sequence[dict[str, Any]], k: int) -> str:
    names = [name for name in METRIC_LABELS if any(name in line["measures"] for line in lines)]
    header = ("date", "configuration", *(_make_labels(k)[name] for name in names), "cost", "questions")
    rows = [
        (
            line["date"],
            line["name"],
            *(format_mean(line["measures"].get(name)) for name in names),
            "unknown" if line.get("cost_usd") is None else f"${line['cost_usd']:.4f}",
            f"{line['questions']}{'' if line['complete'] else ', stopped'}",
        )
        for line in lines
    ]
    return format_table(header, rows)


def _make_labels(k: int) -> dict[str, str]:
    return {name: label.format(k=k) for name, label in METRIC_LABELS.items()}
