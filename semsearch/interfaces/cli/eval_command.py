"""The `eval` command: its options. `eval`, `eval_compare` and `eval_history` have the work, and load when it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .context import CliContext, accept_global_options
from .options import collection_option

if TYPE_CHECKING:
    from ...library import Library
    from .eval_options import EvalOptions

_mode_choice = click.Choice(["hybrid", "dense", "lexical"])
_file_path = click.Path(dir_okay=False, path_type=Path)


@click.command("eval")
@click.argument("queries", type=click.Path(path_type=Path), required=False)
@collection_option
@click.option("--qrels", type=_file_path, help="Relevance judgements in the format of TREC or BEIR, or in our own.")
@click.option("-k", default=10, show_default=True, help="Number of documents of a ranking that count, at most 100.")
@click.option("--mode", type=_mode_choice, default="hybrid", show_default=True)
@click.option("--against", metavar="NAME", help="Compare with this collection.")
@click.option("--against-mode", type=_mode_choice, help="Compare with this mode.")
@click.option("--ask", is_flag=True, help="Also answer each question, with its history; a chat model costs money.")
@click.option("--recommend", type=_file_path, metavar="FILE", help="Measure recommendations on FILE, without QUERIES.")
@click.option("--limit", type=click.IntRange(1), help="Use the first LIMIT questions only.")
@click.option(
    "--baseline", "baseline_path", type=_file_path, help="Exit with 1 if a measure is worse than in this saved run."
)
@click.option("--tolerance", type=float, help="Largest accepted drop of a measure, from 0 to 1 (default: 0.01).")
@click.option("--save", "save_path", type=_file_path, help="Write the run as JSON.")
@click.option("--html", "html_path", type=_file_path, help="Write an HTML page with charts.")
@click.option(
    "--compare",
    multiple=True,
    metavar="CONFIGURATION",
    help="Compare configurations in one run: `default`, a NAME of --configurations, or pairs such as k=5,mode=dense.",
)
@click.option("--configurations", "configurations_path", type=_file_path, help="TOML file with a table for each NAME.")
@click.option("--budget", type=float, metavar="USD", help="Stop before a request that could exceed this cost.")
@click.option("--history", is_flag=True, help="Print the earlier runs of these questions, and run nothing.")
@click.option("--chart", "chart_path", type=_file_path, help="Draw a measure over all runs of these questions as SVG.")
@click.option("--measure", help="What --chart draws: a measure as in --json, such as ndcg or answer_usd.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@accept_global_options
def evaluate(context: CliContext, queries: Path | None, recommend: Path | None, **options: Any) -> int:
    """Measure rankings and answers on judged QUERIES: JSON Lines, TREC or BEIR files."""
    if (queries is None) == (recommend is None):
        raise click.UsageError("Give either QUERIES, or --recommend FILE.")
    if queries is None:
        assert recommend is not None
        return _evaluate_recommendations(context, recommend, options)
    from .eval_options import EvalOptions

    with context.open_library() as library:
        return _run(library, EvalOptions(queries, **options), context)


def _evaluate_recommendations(context: CliContext, cases: Path, options: dict[str, Any]) -> int:
    from .eval_recommendations import RecommendationOptions, run_recommendation_evaluation

    used = ("collection", "k", "mode", "limit", "save_path", "quiet")
    if any(value not in (None, False, ()) for name, value in options.items() if name not in used):
        raise click.UsageError("--recommend takes -k, --limit, --save and --quiet only.")
    chosen = RecommendationOptions(
        cases, options["collection"], options["k"], options["limit"], options["save_path"], options["quiet"]
    )
    with context.open_library() as library:
        run_recommendation_evaluation(library, chosen, context.print_result)
    return 0


def _run(library: "Library", options: "EvalOptions", context: CliContext) -> int:
    """Show earlier runs, compare configurations or evaluate a collection, as the options say."""
    if options.history:
        from .eval_history import show_history

        return show_history(library, options, context.print_result)
    if options.compare or options.configurations_path:
        from .eval_compare import run_comparison

        return run_comparison(library, options, context.print_result)
    from .eval import run_evaluation

    return run_evaluation(library, options, context.print_result)
