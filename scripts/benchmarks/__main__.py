"""The `scripts/bench` command: measures what it is told to, or lists what there is."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

from . import engine, filtered, machine, page, processes, quality, results, serving, speed, support, texts, words
from .scale import Scale

REPORTS = {"quality": quality, "speed": speed, "support": support}
GOALS: dict[str, Callable[[Scale], results.Result]] = {
    **engine.GOALS,
    "G2": serving.g2,
    "G3": serving.g3,
    "G4": serving.g4,
    "G8": filtered.g8,
    **words.GOALS,
    **processes.GOALS,
}
SHARED = Path(os.environ.get("SEMSEARCH_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure semsearch, side by side with others.")
    parser.add_argument("name", nargs="?", choices=[*GOALS, *REPORTS, "all"], help="none lists them")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the judged collections (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures of a report in FILE")
    parser.add_argument("--limit", type=int, metavar="N", help="of a report: take only the first N questions")
    parser.add_argument("--short", action="store_true", help="of a goal: tiny, without peers, nothing kept")
    arguments = parser.parse_args()
    if arguments.name is None:
        _list()
    elif arguments.name in REPORTS:
        _report(parser, arguments)
    else:
        for goal in sorted(GOALS, key=_number) if arguments.name == "all" else [arguments.name]:
            measure(goal, Scale(arguments.data, texts.CACHE, arguments.short))


def measure(goal: str, scale: Scale) -> results.Result:
    """Measure one goal, print it, and keep it unless it was short."""
    result = GOALS[goal](scale)
    results.show(result)
    if not scale.short:
        results.keep(result)
        page.write()
    return result


def _number(goal: str) -> int:
    return int(goal[1:])


def _list() -> None:
    for name in sorted(GOALS, key=_number):
        print(f"{name:10}{GOALS[name].__doc__}")
    for name, report in REPORTS.items():
        print(f"{name:10}{report.__doc__}")


def _report(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if not arguments.data.is_dir():
        parser.error(f"there are no collections in {arguments.data}; say where with --data or SEMSEARCH_SHARED_DATA")
    print(machine.line())
    figures = REPORTS[arguments.name].measure(arguments.data, arguments.limit)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
