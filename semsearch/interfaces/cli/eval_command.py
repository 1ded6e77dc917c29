"""The `eval` command: its options. `eval` has the work, and loads only when the command runs."""

from pathlib import Path
from typing import Any

import click

from .context import CliContext, accept_global_options
from .options import collection_option

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
@click.option("--baseline", type=_file_path, help="Exit with 1 if a measure is worse than in this saved run.")
@click.option("--tolerance", type=float, help="Largest accepted drop of a measure, from 0 to 1 (default: 0.01).")
@click.option("--save", type=_file_path, help="Write the run as JSON.")
@click.option("--html", "html_path", type=_file_path, help="Write an HTML page with charts.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@accept_global_options
def evaluate(
    context: CliContext,
    queries: Path | None,
    collection: str,
    qrels: Path | None,
    k: int,
    mode: Any,
    against: str | None,
    against_mode: Any,
    ask: bool,
    recommend: Path | None,
    limit: int | None,
    baseline: Path | None,
    tolerance: float | None,
    save: Path | None,
    html_path: Path | None,
    quiet: bool,
) -> int:
    """Measure rankings and answers on judged QUERIES: JSON Lines, TREC or BEIR files."""
    if (queries is None) == (recommend is None):
        raise click.UsageError("Give either QUERIES, or --recommend FILE.")
    if queries is None:
        assert recommend is not None
        if any((qrels, against, against_mode, ask, baseline, tolerance is not None, html_path)):
            raise click.UsageError("--recommend takes -k, --limit, --save and --quiet only.")
        return _evaluate_recommendations(context, recommend, collection, k, limit, save, quiet)
    from .eval import EvalOptions, run_evaluation

    eval_options = EvalOptions(
        queries,
        qrels,
        collection,
        against,
        k,
        mode,
        against_mode,
        ask,
        limit,
        baseline,
        tolerance,
        save,
        html_path,
        quiet,
    )
    with context.open_library() as library:
        return run_evaluation(library, eval_options, context.print_result)


def _evaluate_recommendations(
    context: CliContext, cases: Path, collection: str, k: int, limit: int | None, save: Path | None, quiet: bool
) -> int:
    from .eval_recommendations import RecommendationOptions, run_recommendation_evaluation

    options = RecommendationOptions(cases, collection, k, limit, save, quiet)
    with context.open_library() as library:
        run_recommendation_evaluation(library, options, context.print_result)
    return 0
