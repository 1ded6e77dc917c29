"""The `scripts/bench` command: run the measurements that are named, or list all of them."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from semsearch.core.errors import SemsearchError

from . import (
    claim_checks,
    claim_support,
    engine,
    extractive_answers,
    filtered_search,
    follow_ups,
    forbidden_topics,
    hybrid_search,
    languages,
    long_documents,
    machine,
    missing_topics,
    openai_answers,
    processes,
    ranking_quality,
    real_manuals,
    recommendations,
    report,
    results,
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
    **processes.GOALS,
    "Q1": ranking_quality.q1,
    "Q1b": ranking_quality.q1b,
    "Q2": extractive_answers.q2,
    "Q3": extractive_answers.q3,
    "Q4": extractive_answers.q4,
    "Q5": claim_support.q5,
    "Q6": languages.q6,
    "Q7": follow_ups.q7,
    "Q8": long_documents.q8,
    **real_manuals.GOALS,
    "Q14": claim_checks.q14,
    "Q15": recommendations.q15,
    "Q17": missing_topics.q17,
    "Q18": forbidden_topics.q18,
}
ALIASES = {"recommend": "Q15", "gaps": "Q17"}
SERVER_GOAL = "openai"
SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def main() -> None:
    """Parse the arguments, run the measurements and print their results."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure semsearch and its peers in the same run."
    )
    parser.add_argument(
        "goals",
        nargs="*",
        metavar="GOAL",
        help="such as G2 or Q1, recommend (Q15), or all; without a goal: list the goals",
    )
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the judged collections (%(default)s)")
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="contextual model for Q1b, Q2 and Q3, as in onnx:FOLDER"
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=openai_answers.DEFAULT_BUDGET_USD,
        metavar="USD",
        help="what `openai` may spend with the chat model and the key of the settings (%(default)s)",
    )
    parser.add_argument("--short", action="store_true", help="few texts, no peers; save no results")
    arguments = parser.parse_args()
    goal_names = sorted(GOALS, key=results.goal_sort_key)
    if arguments.goals == [SERVER_GOAL]:
        measure_server(parser, arguments.data, arguments.budget)
        return
    named_goals = [ALIASES.get(goal, goal) for goal in arguments.goals]
    goals = goal_names if named_goals == ["all"] else named_goals
    if unknown_goals := [goal for goal in goals if goal not in GOALS]:
        parser.error(f"unknown goal {unknown_goals[0]!r}; choose from {', '.join(goal_names)}")
    if goals and not arguments.data.is_dir():
        parser.error(f"folder {arguments.data} does not exist; set --data or SHARED_DATA")
    for goal in goals:
        measure(goal, Scale(arguments.data, texts.CACHE, arguments.short, arguments.model))
    if not goals:
        print("\n".join(f"{goal:6}{GOALS[goal].__doc__}" for goal in goal_names))
        print(f"{SERVER_GOAL:6} Answers of a real model server, with your key (alone; see --budget)")


def measure_server(parser: argparse.ArgumentParser, data: Path, budget: float) -> None:
    """Measure the answers of the configured model server and print where the result is."""
    if not data.is_dir():
        parser.error(f"folder {data} does not exist; set --data or SHARED_DATA")
    try:
        path = openai_answers.measure_server(data, budget=budget)
    except (openai_answers.NoModelError, SemsearchError) as exc:
        parser.error(str(exc))
    print(path.read_text(encoding="utf-8"))
    print(f"written to {path}")


def measure(goal: str, scale: Scale) -> results.Result:
    """Measure one goal and print the result; save it unless the run was short or has no figures."""
    with machine.restore_affinity():
        result = GOALS[goal](scale)
    results.print_result(result)
    if result.figures and not scale.short:
        results.save_result(result)
        report.write_page()
    return result


if __name__ == "__main__":
    main()
