"""The `scripts/bench` command: run the named measurements, or list all of them."""

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
    """Parse the arguments, measure, and print the results."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure semsearch and compare it with its peers."
    )
    parser.add_argument("goals", nargs="*", metavar="GOAL", help="such as G2 or Q1, or all; without a goal: list them")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the judged collections (%(default)s)")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="ONNX model folder, for Q1b, Q2 and Q3")
    parser.add_argument("--short", action="store_true", help="measure on little data, without peers; save nothing")
    arguments = parser.parse_args()
    all_goals = sorted(GOALS, key=results.goal_sort_key)
    goals = all_goals if arguments.goals == ["all"] else arguments.goals
    if unknown := [goal for goal in goals if goal not in GOALS]:
        parser.error(f"there is no goal {unknown[0]}; use one of {', '.join(all_goals)}")
    if goals and not arguments.data.is_dir():
        parser.error(f"there is no folder {arguments.data}; name the judged collections with --data or SHARED_DATA")
    for goal in goals:
        measure(goal, Scale(arguments.data, texts.CACHE, arguments.short, arguments.model))
    if not goals:
        print("\n".join(f"{goal:6}{GOALS[goal].__doc__}" for goal in all_goals))


def measure(goal: str, scale: Scale) -> results.Result:
    """Measure one goal and print it; save it unless the run is short or has no figures."""
    with machine.restore_affinity():
        result = GOALS[goal](scale)
    results.print_result(result)
    if result.figures and not scale.short:
        results.save_result(result)
        results_page.write_page()
    return result


if __name__ == "__main__":
    main()
