"""The `scripts/bench` command: measures what it is told to, or lists what there is."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from . import (
    answered,
    conversed,
    engine,
    filtered,
    languages,
    machine,
    page,
    processes,
    ranked,
    results,
    serving,
    support,
    texts,
    words,
)
from .scale import Scale

GOALS: dict[str, Callable[[Scale], results.Result]] = {
    **engine.GOALS,
    "G2": serving.g2,
    "G3": serving.g3,
    "G4": serving.g4,
    "G8": filtered.g8,
    **words.GOALS,
    **processes.GOALS,
    "Q1": ranked.q1,
    "Q1b": ranked.q1b,
    "Q2": answered.q2,
    "Q3": answered.q3,
    "Q4": answered.q4,
    "Q5": support.q5,
    "Q6": languages.q6,
    "Q7": conversed.q7,
    "Q8": conversed.q8,
}
SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure semsearch, side by side with others.")
    parser.add_argument("goals", nargs="*", metavar="GOAL", help="such as G2 or Q1, or all; none lists them")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the judged collections (%(default)s)")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a model as onnx:FOLDER takes it, for Q1b, Q2, Q3")
    parser.add_argument("--short", action="store_true", help="tiny, without peers, nothing kept")
    arguments = parser.parse_args()
    known = sorted(GOALS, key=results.goal_sort_key)
    goals = known if arguments.goals == ["all"] else arguments.goals
    if unknown := [goal for goal in goals if goal not in GOALS]:
        parser.error(f"there is no goal {unknown[0]}; there are {', '.join(known)}")
    if goals and not arguments.data.is_dir():
        parser.error(f"there are no collections in {arguments.data}; say where with --data or SHARED_DATA")
    for goal in goals:
        measure(goal, Scale(arguments.data, texts.CACHE, arguments.short, arguments.model))
    if not goals:
        print("\n".join(f"{goal:6}{GOALS[goal].__doc__}" for goal in known))


def measure(goal: str, scale: Scale) -> results.Result:
    """Measure one goal, print it, and keep it unless it was short, or found nothing to measure."""
    with machine.restore_affinity():
        result = GOALS[goal](scale)
    results.print_result(result)
    if result.figures and not scale.short:
        results.save_result(result)
        page.write_page()
    return result


if __name__ == "__main__":
    main()
