"""What an evaluation found: as a table for people, and as one page with charts. Measures nothing."""

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from ...answers.answerers import UNUSED_KEY, has_unused_key
from ...collection import Collection
from ...core.errors import Invalid, NotFound, Storage
from ...core.types.search import Mode
from ...evaluation.datasets import Judged, matched, read
from ...evaluation.runner import Run, compare, evaluate, loaded, pairs, regressions, saved
from ...library import Library
from . import output as printing
from .eval_report import page, table
from .exit_codes import SOME_FAILED

TOLERANCE = 0.01
"""By how much a measure may be worse than in a saved run, where nothing else is said."""


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


def _titles(found: Run, other: Run | None, baseline: Path | None) -> list[str]:
    """What each run is called; no two the same."""
    titles = [f"{run.name}, {run.settings['mode']}" for run in (found, other) if run]
    if baseline:
        titles[1] += f", {click.format_filename(baseline, shorten=True)}"
    return titles if len(set(titles)) == len(titles) else [titles[0], f"{titles[1]}, again"]
