"""The page `docs/benchmarks.md` and its charts, made from the results that were kept. Does not measure."""

from collections.abc import Sequence
from pathlib import Path

from semsearch.evaluation import svg_charts as charts

from . import results
from .results import Figure, Result

DOCS = results.FOLDER.parent
_LOG_AXES = {goal: (True, True) for goal in ("G1", "G2", "G6", "G7", "G8")}

_SERVICE_GOALS = {"G2": True, "G3": False, "G4": False, "G11": True, "G12": False, "G13": False}
"""Goals that compare services, and whether more is better."""
_SERVICES = ("txtai", "chroma")

_INTRODUCTION = """# Benchmarks

Every figure in a table was printed by `scripts/bench GOAL`, semsearch and its peers in the same run on the same texts,
with semsearch's own embedded model given to each through its external hook. `scripts/bench` alone lists the goals; each
result is kept in [`benchmarks/`](benchmarks). CPU seconds are those of the whole process tree, as the kernel counts
them, and depend on the machine; compare the ratios. A peer that is ahead is shown as it is.
"""


def write_page(folder: Path = DOCS) -> None:
    """Write the page and the charts from all results in `folder`, and what people wrote about them (`about.md`)."""
    kept_results = results.load_results(folder / "benchmarks")
    about = folder / "benchmarks" / "about.md"
    parts = [_INTRODUCTION, _format_summary(kept_results), *_draw_services(kept_results, folder)]
    parts += [about.read_text(encoding="utf-8")] if about.exists() else []
    parts += [_format_section(result, folder) for result in kept_results]
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def _format_summary(kept_results: Sequence[Result]) -> str:
    rows = ["| goal | what | semsearch | peers | verdict |", "|---|---|---|---|---|"]
    for result in kept_results:
        rows += [
            f"| [{result.goal}](#{result.goal.lower()}) | {figure.what} | {_format_value(figure.ours, figure.unit)} |"
            f" {_format_peers(figure)} | {figure.verdict} |"
            for figure in result.figures
            if figure.bound
        ]
    missed = [result.goal for result in kept_results if any(figure.is_reached is False for figure in result.figures)]
    summary = f"Not reached: {', '.join(missed)}." if missed else "Every goal that was measured is reached."
    unjudged = [result.goal for result in kept_results if not any(figure.bound for figure in result.figures)]
    summary += (
        f" Measured on other data than the goal's, and so without a verdict: {', '.join(unjudged)}." if unjudged else ""
    )
    return "\n".join(["## All goals", "", summary, "", *rows, ""])


def _draw_services(kept_results: Sequence[Result], folder: Path) -> list[str]:
    """Draw what the services cost side by side, ours being 1."""
    rows = {}
    for result in kept_results:
        if result.goal in _SERVICE_GOALS and result.figures[0].peers:
            first, power = result.figures[0], -1 if _SERVICE_GOALS[result.goal] else 1
            theirs = [first.peers.get(peer) for peer in _SERVICES]
            shares = [None if value is None else (value / first.ours) ** power for value in theirs]
            rows[f"{result.goal} {first.what}"] = [1.0, *shares]
    if not rows:
        return []
    drawn = charts.draw_bar_chart("Cost beside semsearch's: less is better", rows, ["semsearch", *_SERVICES])
    (folder / "benchmarks" / "services.svg").write_text(drawn, encoding="utf-8")
    return ["![What each service costs beside semsearch](benchmarks/services.svg)\n"]


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
    """Say which goals are missed, and by how much."""
    return [
        f"- **Not reached**: {figure.what}: {figure.verdict.removesuffix(': not reached')}."
        for figure in figures
        if figure.is_reached is False
    ]


def _draw_chart(result: Result, folder: Path) -> list[str]:
    """Draw what has points as lines, and what has peers as bars."""
    name = f"benchmarks/{result.goal}.svg"
    if result.lines:
        wide = _LOG_AXES.get(result.goal, (False, False))
        drawn = charts.draw_line_chart(result.title, result.lines, result.axes, log_axes=wide)
    elif result.figures and result.figures[0].peers:
        first = result.figures[0]
        values = {"semsearch": [first.ours], **{peer: [value] for peer, value in first.peers.items()}}
        drawn = charts.draw_bar_chart(f"{first.what}, {first.unit}", values, [""])
    else:
        return []
    (folder / name).write_text(drawn, encoding="utf-8")
    return [f"![{result.title}]({name})", ""]


def _format_peers(figure: Figure) -> str:
    return " · ".join(f"{name} {_format_value(value, figure.unit)}" for name, value in figure.peers.items())


def _format_value(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".strip()
