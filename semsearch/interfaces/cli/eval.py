"""What an evaluation found: as a table for people, and as one page with charts. Measures nothing."""

import errno
import html
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ...answers.answerers import UNUSED_KEY, has_unused_key
from ...collection import Collection
from ...core.errors import Invalid, NotFound, Storage
from ...core.types.documents import Mode
from ...evaluation.datasets import Judged, matched, read
from ...evaluation.metrics import Interval
from ...evaluation.runner import Run, compare, evaluate, loaded, pairs, regressions, saved
from ...evaluation.svg_charts import bars
from ...library import Library
from . import output as printing
from .exit_codes import SOME_FAILED

WORST = 5
TOLERANCE = 0.01
"""By how much a measure may be worse than in a saved run, where nothing else is said."""
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


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be evaluated, and what becomes of the result."""

    queries: Path
    qrels: Path | None
    collection: str
    against: str | None
    k: int
    mode: Mode
    against_mode: Mode | None
    ask: bool
    limit: int | None
    baseline: Path | None
    tolerance: float | None
    save: Path | None
    page: Path | None


def run(library: Library, order: Order, show: Callable[[dict[str, Any], Callable[[], str]], None]) -> int:
    """Evaluate, compare, print, write; the exit code is 1 where a saved run was better."""
    if order.baseline and (order.against or order.against_mode):
        raise Invalid("--baseline and --against are two comparisons; take one at a time")
    tolerance = _tolerance(order)
    for path in (order.save, order.page):
        if path:
            _check_writable(path)
    judged = _judged(order)
    if order.ask and has_unused_key(library.settings):
        printing.note(f"semsearch: {UNUSED_KEY}")
    other = _baseline(order.baseline, order, judged) if order.baseline else None
    found = _evaluated(library.open(order.collection), judged, order, order.mode)
    if order.against or order.against_mode:
        rival = library.open(order.against or order.collection)
        other = _evaluated(rival, judged, order, order.against_mode or order.mode)
    titles = _titles(found, other, order.baseline)
    differences = compare(found, other) if other else {}
    fallen = regressions(differences, tolerance) if order.baseline else []
    result = {"semsearch": version("semsearch"), **saved(found)}
    if other:
        result |= {"against": {"name": other.name, "settings": other.settings, "means": other.means()}}
        result |= {"compared": len(pairs(found, other)), "differences": differences, "fallen": fallen}
    try:
        if order.save:
            _write(order.save, json.dumps(result, ensure_ascii=False, default=_plain, indent=1))
        if order.page:
            _write(order.page, page(found, other, titles, differences))
    finally:  # it may have cost money: what was found is shown also where it cannot be kept
        show(result, lambda: table(found, other, titles, differences, fallen))
    return SOME_FAILED if fallen else 0


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


def _tolerance(order: Order) -> float:
    """By how much a measure may be worse; not a number is no limit, and would catch nothing."""
    if order.tolerance is None:
        return TOLERANCE
    if not order.baseline:
        raise Invalid("--tolerance says what --baseline catches; give both, or leave it out")
    if not 0 <= order.tolerance <= 1:
        raise Invalid(f"--tolerance is between 0 and 1, not {order.tolerance:g}")
    return order.tolerance


def _judged(order: Order) -> list[Judged]:
    judged = read(order.queries, order.qrels)[: order.limit]
    if not any(one.grades or one.answers or one.answerable is not None for one in judged):
        raise Invalid(f"{order.queries}: nothing is known to be right about any question; give --qrels, or relevant")
    if not (order.ask or any(one.grades for one in judged)):
        raise Invalid(
            f"{order.queries}: answers and refusals are measured with --ask; rankings need --qrels, or relevant"
        )
    return judged


def _baseline(path: Path, order: Order, judged: Sequence[Judged]) -> Run:
    """The saved run, if what is to be measured can be compared with it."""
    found, k = _read(path), order.k
    if (theirs := found.settings["k"]) != k:
        raise Invalid(f"{path} was measured with -k {theirs}, not {k}: take the same, or save a run with -k {k}")
    if not {(one.id, one.query) for one in judged} & {(one.id, one.query) for one in found.outcomes}:
        raise Invalid(
            f"{path} and {order.queries} have no question in common, by id and text: save a run of {order.queries}"
        )
    return found


def _evaluated(collection: Collection, judged: Sequence[Judged], order: Order, mode: Mode) -> Run:
    uris = [info.uri for info in _documents(collection)]
    judged, missing = matched(judged, uris)
    if missing:
        some, name = ", ".join(missing[:3]), collection.name
        way = f"they count as not found; semsearch documents -c {name} has the names"
        printing.note(f"{len(missing)} judged documents are not in {name}, such as {some}: {way}")
    show = sys.stderr.isatty()
    said = (lambda done: printing.note(f"\r{done} of {len(judged)}", nl=done == len(judged))) if show else _silent
    return evaluate(collection, judged, k=order.k, mode=mode, ask=order.ask, said=said)


def _silent(done: int) -> None:
    """Nobody looks."""


def _documents(collection: Collection) -> Any:
    after = ""
    while some := collection.documents(1000, after):
        yield from some
        after = some[-1].uri


def _read(path: Path) -> Run:
    try:
        return loaded(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as exc:
        raise NotFound(f"there is no saved run {path}; make one with --save") from exc
    except OSError as exc:
        raise Storage(f"{path} cannot be read: {exc.strerror}") from exc
    except Invalid as exc:
        raise Invalid(f"{path}: {exc}") from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise Invalid(f"{path} is no saved run; make one with --save") from exc


def _check_writable(path: Path) -> None:
    """Before anything is asked, which may cost money."""
    place = path if path.exists() else path.absolute().parent
    if not place.exists():
        raise Storage(f"{path} cannot be written: there is no folder {place}")
    if not os.access(place, os.W_OK):
        raise Storage(f"{path} cannot be written: {os.strerror(errno.EACCES)}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise Storage(f"{path} cannot be written: {exc.strerror}") from exc


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__slots__}


def _name(measure: str, run: Run) -> str:
    return _NAMES[measure].format(k=run.settings["k"])


def _titles(found: Run, other: Run | None, baseline: Path | None) -> list[str]:
    """What each run is called; no two the same."""
    titles = [f"{run.name}, {run.settings['mode']}" for run in (found, other) if run]
    if baseline:
        titles[1] += f", {click.format_filename(baseline, shorten=True)}"
    return titles if len(set(titles)) == len(titles) else [titles[0], f"{titles[1]}, again"]


def _cell(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.4f}"


def _difference(found: Interval | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    return f"{found.mean:+.4f}", f"{found.low:+.4f} … {found.high:+.4f}", f"{found.p:.3f}"


def _worst(run: Run) -> list[tuple[float, str]]:
    scored = [(min(one.scores.values()), one.query) for one in run.outcomes if one.scores]
    return [one for one in sorted(scored)[:WORST] if one[0] < 1]
