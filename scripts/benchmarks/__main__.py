"""The `scripts/bench` command: measures what it is told to, or lists what there is."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from . import (
    answer_quality,
    claim_support,
    conversations,
    engine,
    filtered_search,
    hybrid_search,
    languages,
    machine,
    process_costs,
    ranking_quality,
    results,
    results_page,
    service_performance,
    texts,
)
from .scale import Scale

GOALS: dict[str, Callable[[Scale], results.Result]] = {
    **engine.GOALS,
    "G2": service_performance.g2,
    "G3": service_performance.g3,
    "G4": service_performance.g4,
    "G8": filtered_search.g8,
    **hybrid_search.GOALS,
    **process_costs.GOALS,
    "Q1": ranking_quality.q1,
    "Q1b": ranking_quality.q1b,
    "Q2": answer_quality.q2,
    "Q3": answer_quality.q3,
    "Q4": answer_quality.q4,
    "Q5": claim_support.q5,
    "Q6": languages.q6,
    "Q7": conversations.q7,
    "Q8": conversations.q8,
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
        results_page.write_page()
    return result


if __name__ == "__main__":
    main()
