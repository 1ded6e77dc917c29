"""Write `docs/benchmarks.md` and its charts from the saved results. Does not measure.

After a change of `about.md` or of a saved result: PYTHONPATH=scripts .venv/bin/python -m benchmarks.report
"""

from collections.abc import Sequence
from pathlib import Path

from semsearch.evaluation import svg_charts

from . import results
from .results import Figure, Result

DOCS = results.FOLDER.parent
_LOG_AXES = {goal: (True, True) for goal in ("G1", "G2", "G6", "G7", "G8")}

_SERVICE_GOALS = {"G2": True, "G3": False, "G4": False, "G11": True, "G12": False, "G13": False}
"""Goals that compare services, and whether a higher figure is better."""
_SERVICES = ("txtai", "chroma")

_INTRODUCTION = """# Benchmarks

`scripts/bench GOAL` prints the figures of a table. It measures semsearch and its peers in the same run, on the same
texts and with the same embedding model: each peer calls semsearch's model through its hook for external embeddings.
`scripts/bench` without a goal lists the goals. The results are in [`benchmarks/`](benchmarks). CPU seconds are those of
the whole process tree, as the kernel counts them. They depend on the machine, so compare the ratios. The tables also
show where a peer is better.
"""


def write_page(folder: Path = DOCS) -> None:
    """Write the page and the charts from all saved results in `folder` and the text of `about.md`."""
    saved_results = results.load_results(folder / "benchmarks")
    about = folder / "benchmarks" / "about.md"
    parts = [_INTRODUCTION, _format_summary(saved_results), *_draw_services(saved_results, folder)]
    parts += [about.read_text(encoding="utf-8")] if about.exists() else []
    parts += [_format_section(result, folder) for result in saved_results]
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def _format_summary(saved_results: Sequence[Result]) -> str:
    rows = ["| goal | what | semsearch | peers | verdict |", "|---|---|---|---|---|"]
    for result in saved_results:
        rows += [
            f"| [{result.goal}](#{result.goal.lower()}) | {figure.what} | {_format_value(figure.ours, figure.unit)} |"
            f" {_format_peers(figure)} | {figure.verdict} |"
            for figure in result.figures
            if figure.bound
        ]
    missed = [result.goal for result in saved_results if any(figure.is_reached is False for figure in result.figures)]
    summary = f"Not reached: {', '.join(missed)}." if missed else "All measured goals are reached."
    unjudged = [result.goal for result in saved_results if not any(figure.bound for figure in result.figures)]
    summary += (
        f" Without a verdict, because measured on other data than the goal's: {', '.join(unjudged)}."
        if unjudged
        else ""
    )
    return "\n".join(["## All goals", "", summary, "", *rows, ""])


def _draw_services(saved_results: Sequence[Result], folder: Path) -> list[str]:
    """Draw the cost of each service relative to semsearch, whose cost is 1."""
    rows = {}
    for result in saved_results:
        if result.goal in _SERVICE_GOALS and result.figures[0].peers:
            figure, power = result.figures[0], -1 if _SERVICE_GOALS[result.goal] else 1
            peer_values = [figure.peers.get(peer) for peer in _SERVICES]
            costs = [None if value is None else (value / figure.ours) ** power for value in peer_values]
            rows[f"{result.goal} {figure.what}"] = [1.0, *costs]
    if not rows:
        return []
    title = "Cost relative to semsearch: lower is better"
    svg = svg_charts.draw_bar_chart(title, rows, ["semsearch", *_SERVICES])
    (folder / "benchmarks" / "services.svg").write_text(svg, encoding="utf-8")
    return [f"![{title}](benchmarks/services.svg)\n"]


def _format_section(result: Result, folder: Path) -> str:
    rows = ["| what | semsearch | peers | verdict |", "|---|---|---|---|"]
    rows += [
        f"| {figure.what} | {_format_value(figure.ours, figure.unit)} | {_format_peers(figure)} | {figure.verdict} |"
        for figure in result.figures
    ]
    lines = [f'<a id="{result.goal.lower()}"></a>', "", f"## {result.goal}: {result.title}", ""]
    lines += [f"`scripts/bench {result.goal}` · {result.machine}", "", *rows, ""]
    lines += [
        *_draw_chart(result, folder),
        *(f"- {note}" for note in result.notes),
        *_list_missed_goals(result.figures),
        "",
    ]
    return "\n".join(lines)


def _list_missed_goals(figures: Sequence[Figure]) -> list[str]:
    """Return a line for each missed goal with its figure."""
    return [
        f"- **Not reached**: {figure.what}: {figure.verdict.removesuffix(': not reached')}."
        for figure in figures
        if figure.is_reached is False
    ]


def _draw_chart(result: Result, folder: Path) -> list[str]:
    """Draw a line chart if there are points, else a bar chart if there are peers; return the Markdown."""
    name = f"benchmarks/{result.goal}.svg"
    if result.lines:
        log_axes = _LOG_AXES.get(result.goal, (False, False))
        svg = svg_charts.draw_line_chart(result.title, result.lines, result.axes, log_axes=log_axes)
    elif result.figures and result.figures[0].peers:
        figure = result.figures[0]
        values = {"semsearch": [figure.ours], **{peer: [value] for peer, value in figure.peers.items()}}
        svg = svg_charts.draw_bar_chart(f"{figure.what}, {figure.unit}", values, [""])
    else:
        return []
    (folder / name).write_text(svg, encoding="utf-8")
    return [f"![{result.title}]({name})", ""]


def _format_peers(figure: Figure) -> str:
    return " · ".join(f"{name} {_format_value(value, figure.unit)}" for name, value in figure.peers.items())


def _format_value(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".strip()


if __name__ == "__main__":
    write_page()
