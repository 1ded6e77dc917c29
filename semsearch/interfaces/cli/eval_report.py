"""The result of `semsearch eval` as a table for the terminal and as an HTML page."""

import html
from collections.abc import Mapping, Sequence

from ...evaluation.metrics import Interval
from ...evaluation.runner import Run, pairs
from ...evaluation.svg_charts import bars
from . import output as printing

WORST = 5

_NAMES = {
    "ndcg": "nDCG@{k}",
    "mrr": "MRR@{k}",
    "recall": "recall@{k}",
    "answer": "a right answer in the answer",
    "answer_first": "… in its first sentence",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "refusal_precision": "refusal precision",
    "refusal_recall": "refusal recall",
}


def table(
    found: Run, other: Run | None, titles: Sequence[str], differences: Mapping[str, Interval], fallen: Sequence[str]
) -> str:
    """The means, what changed against the other run, and where to look first."""
    means, theirs = found.means(), other.means() if other else {}
    rows = [
        (
            _name(name, found),
            _cell(means.get(name)),
            *((_cell(theirs.get(name)), *_difference(differences.get(name))) if other else ()),
        )
        for name in {**means, **theirs}
    ]
    head = ("measure", *titles, *(("difference", "95 % interval", "p") if other else ()))
    latency = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in found.latency().items())
    cost = "unknown" if found.cost_usd is None else f"${found.cost_usd:.4f}"
    parts = [printing.table(head, rows), f"{printing.counted(len(found.outcomes), 'question')}; {latency}; cost {cost}"]
    if other and (both := len(pairs(found, other))) < len(found.outcomes):
        parts.append(f"compared over the {both} questions that both runs have")
    if worst := _worst(found):
        parts.append("worst:\n" + "\n".join(f"  {score:.2f}  {query}" for score, query in worst))
    if fallen:
        parts.append(f"worse than the saved run, and not by chance: {', '.join(_name(name, found) for name in fallen)}")
    return "\n\n".join(parts)


def page(found: Run, other: Run | None, titles: Sequence[str], differences: Mapping[str, Interval]) -> str:
    """All of it as one HTML page that needs nothing from elsewhere."""
    runs = [found, other] if other else [found]
    means = [run.means() for run in runs]
    names = dict.fromkeys(name for each in means for name in each)
    values = {_name(name, found): [each.get(name) for each in means] for name in names}
    changed = "".join(
        f"<tr><td>{_name(name, found)}<td>{d.mean:+.4f}<td>{d.low:+.4f} … {d.high:+.4f}<td>{d.p:.3f}"
        for name, d in differences.items()
    )
    rows = "".join(
        f"<tr><td>{html.escape(one.id)}<td>{html.escape(one.query)}<td>"
        + ", ".join(f"{html.escape(_name(name, found))} {value:.3f}" for name, value in one.scores.items())
        + f"<td>{html.escape(' · '.join(one.found[:3]))}"
        for one in sorted(found.outcomes, key=lambda one: min(one.scores.values(), default=2.0))[:200]
    )
    latency = {name: [run.latency()[name] for run in runs] for name in found.latency()}
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>semsearch eval</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;"
        "text-align:left;vertical-align:top}svg{max-width:100%;height:auto}</style>"
        f"<h1>{html.escape(' against '.join(titles))}</h1><p>{printing.counted(len(found.outcomes), 'question')}.</p>"
        f"{bars('Measures, higher is better', values, titles, most=1.0)}{bars('Time of a question', latency, titles)}"
        + (f"<h2>Differences</h2><table><tr><th>measure<th>difference<th>95 %<th>p{changed}</table>" if changed else "")
        + f"<h2>Questions, the worst first</h2><table><tr><th>id<th>question<th>scores<th>found{rows}</table></html>\n"
    )


def _name(measure: str, run: Run) -> str:
    return _NAMES[measure].format(k=run.settings["k"])


def _cell(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.4f}"


def _difference(found: Interval | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    return f"{found.mean:+.4f}", f"{found.low:+.4f} … {found.high:+.4f}", f"{found.p:.3f}"


def _worst(run: Run) -> list[tuple[float, str]]:
    scored = [(min(one.scores.values()), one.query) for one in run.outcomes if one.scores]
    return [one for one in sorted(scored)[:WORST] if one[0] < 1]
