"""The result of `semsearch eval` as a table for the terminal and as an HTML page."""

import html
from collections.abc import Mapping, Sequence

from ...evaluation.metrics import ConfidenceInterval
from ...evaluation.runner import EvaluationRun, pair_results
from ...evaluation.svg_charts import draw_bar_chart
from . import output
from .tables import format_table

MAX_WORST_QUESTIONS = 5
MAX_PAGE_QUESTIONS = 200

METRIC_LABELS = {
    "ndcg": "nDCG@{k}",
    "mrr": "MRR@{k}",
    "recall": "recall@{k}",
    "answer": "a right answer in the answer",
    "answer_first": "… in its main sentence",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "support": "sentences that are supported",
    "refusal_precision": "refusal precision",
    "refusal_recall": "refusal recall",
}


def format_report_table(
    current: EvaluationRun,
    other: EvaluationRun | None,
    titles: Sequence[str],
    differences: Mapping[str, ConfidenceInterval],
    regressed: Sequence[str],
) -> str:
    """Return the means, their differences from the other run, the latency, the cost and the worst questions."""
    means, other_means = current.compute_means(), other.compute_means() if other else {}
    rows = [
        (
            format_metric_label(name, current),
            format_mean(means.get(name)),
            *((format_mean(other_means.get(name)), *format_interval(differences.get(name))) if other else ()),
        )
        for name in {**means, **other_means}
    ]
    header = ("measure", *titles, *(("difference", "95 % interval", "p") if other else ()))
    latency = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in current.compute_latency().items())
    cost = "unknown" if current.cost_usd is None else f"${current.cost_usd:.4f}"
    parts = [
        format_table(header, rows),
        f"{output.format_count(len(current.outcomes), 'question')}; {latency}; cost {cost}",
    ]
    if other and (pair_count := len(pair_results(current, other))) < len(current.outcomes):
        parts.append(f"compared over the {pair_count} questions that both runs have")
    if worst := _find_worst_questions(current):
        parts.append("worst:\n" + "\n".join(f"  {score:.2f}  {query}" for score, query in worst))
    if regressed:
        labels = ", ".join(format_metric_label(name, current) for name in regressed)
        parts.append(f"significantly worse than the saved run: {labels}")
    return "\n\n".join(parts)


def format_html_page(
    current: EvaluationRun,
    other: EvaluationRun | None,
    titles: Sequence[str],
    differences: Mapping[str, ConfidenceInterval],
) -> str:
    """Return the result as one HTML page without external resources: charts, differences, the worst questions."""
    runs = [current, other] if other else [current]
    means = [run.compute_means() for run in runs]
    latency = {name: [run.compute_latency()[name] for run in runs] for name in current.compute_latency()}
    names = dict.fromkeys(name for run_means in means for name in run_means)
    values = {format_metric_label(name, current): [run_means.get(name) for run_means in means] for name in names}
    difference_rows = "".join(
        f"<tr><td>{format_metric_label(name, current)}<td>{d.mean:+.4f}<td>{d.low:+.4f} … {d.high:+.4f}<td>{d.p:.3f}"
        for name, d in differences.items()
    )
    bar_charts = draw_bar_chart("Measures, higher is better", values, titles, max_value=1.0)
    bar_charts += draw_bar_chart("Latency of a question", latency, titles)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>semsearch eval</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;"
        "text-align:left;vertical-align:top}svg{max-width:100%;height:auto}</style>"
        f"<h1>{html.escape(' against '.join(titles))}</h1>"
        f"<p>{output.format_count(len(current.outcomes), 'question')}.</p>{bar_charts}"
        + (
            f"<h2>Differences</h2><table><tr><th>measure<th>difference<th>95 %<th>p{difference_rows}</table>"
            if difference_rows
            else ""
        )
        + "<h2>Questions, the worst first</h2><table><tr><th>id<th>question<th>scores<th>retrieved"
        + f"{_format_question_rows(current)}</table></html>\n"
    )


def _format_question_rows(run: EvaluationRun) -> str:
    """Return the questions with the lowest scores as rows of an HTML table, the worst first."""
    worst_first = sorted(run.outcomes, key=lambda outcome: min(outcome.scores.values(), default=2.0))
    return "".join(
        f"<tr><td>{html.escape(outcome.id)}<td>{html.escape(outcome.query)}<td>"
        + ", ".join(
            f"{html.escape(format_metric_label(name, run))} {value:.3f}" for name, value in outcome.scores.items()
        )
        + f"<td>{html.escape(' · '.join(outcome.found[:3]))}"
        for outcome in worst_first[:MAX_PAGE_QUESTIONS]
    )


def format_metric_label(metric: str, run: EvaluationRun) -> str:
    """Return the words for a metric, with the length of the ranking."""
    return METRIC_LABELS[metric].format(k=run.settings["k"])


def format_mean(mean: float | None) -> str:
    """Return a mean with four digits; empty if the run has none."""
    return "" if mean is None else f"{mean:.4f}"


def format_interval(interval: ConfidenceInterval | None) -> tuple[str, str, str]:
    """Return the cells of a difference: mean, interval and p."""
    if interval is None:
        return "", "", ""
    return f"{interval.mean:+.4f}", f"{interval.low:+.4f} … {interval.high:+.4f}", f"{interval.p:.3f}"


def _find_worst_questions(run: EvaluationRun) -> list[tuple[float, str]]:
    scored = sorted((min(outcome.scores.values()), outcome.query) for outcome in run.outcomes if outcome.scores)
    return [(score, query) for score, query in scored[:MAX_WORST_QUESTIONS] if score < 1]
