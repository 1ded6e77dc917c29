"""The verbs of the command line: each parses, calls and prints."""

import gc
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click

from ...answers.profiles import DEFAULT_ANSWER_K
from ...core.types.answers import GenerationOptions
from ...core.types.documents import Failure
from ...core.types.usage import UsageGroupBy
from . import arguments
from . import exit_codes as exits
from . import output as printing
from .context import CliContext, global_options
from .context import common as _common

_EMBEDDER_HELP = "local (default), openai:MODEL[@DIMENSIONS], onnx:FOLDER[@int8], static:FOLDER"

_collection_option = click.option("-c", "--collection", default="default", show_default=True, help="Which collection.")
_filter_option = click.option(
    "--filter", "where", multiple=True, metavar="JSON|K=V", help='Like team=hr, or {"year": {"$gte": 2024}}.'
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="semsearch")
@global_options
@click.pass_context
def cli(context: click.Context, data_dir: str | None, config: str | None, as_json: bool) -> None:
    """Search your documents by meaning, and get answers whose citations were checked.

    \b
    semsearch ingest docs/
    semsearch ask "How long is parental leave?"
    """
    context.obj = CliContext(data_dir, config, as_json)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_collection_option
@click.option("--embedder", metavar="SPEC", help=f"For a new collection: {_EMBEDDER_HELP}.")
@click.option("--prune", is_flag=True, help="Remove documents whose files are gone from the ingested folders.")
@click.option("--yes", is_flag=True, help="Let --prune remove most of a collection.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--batch", is_flag=True, help="Embed through the server's Batch API: half the price, within a day.")
@click.option("--metadata", multiple=True, metavar="K=V", help="Attach to each document; may be repeated.")
@click.option("--root", metavar="NAME", help="Name for the folder, in front of its files' names.")
@click.option("--uri", metavar="NAME", help="Name for a single file or for stdin (-).")
@_common
def ingest(
    context: CliContext,
    paths: tuple[str, ...],
    collection: str,
    embedder: str | None,
    prune: bool,
    yes: bool,
    dry_run: bool,
    batch: bool,
    metadata: tuple[str, ...],
    root: str | None,
    uri: str | None,
) -> int:
    """Take files and folders into a collection, which is made if it is new (- reads one document from stdin)."""
    from .ingest import IngestOptions
    from .ingest import run_ingest as run

    ingest_options = IngestOptions(
        paths, collection, embedder, prune, yes, dry_run, batch, arguments.parse_pairs(metadata), root, uri
    )
    with context.open_library() as library:
        return run(
            library,
            ingest_options,
            lambda done: context.print_result(done, lambda: printing.format_report(done, dry_run=dry_run)),
        )


@cli.command()
@click.argument("query")
@_collection_option
@click.option("-k", default=10, show_default=True, help="How many hits.")
@_filter_option
@click.option("--mode", type=click.Choice(["hybrid", "dense", "lexical"]), default="hybrid", show_default=True)
@click.option("--diversity", default=0.0, metavar="0..1", help="How different from each other the hits should be.")
@click.option("--explain", is_flag=True, help="Say of each hit how it was ranked.")
@_common
def search(
    context: CliContext,
    query: str,
    collection: str,
    k: int,
    where: tuple[str, ...],
    mode: Any,
    diversity: float,
    explain: bool,
) -> None:
    """Find the passages that fit QUERY best (- reads it from stdin)."""
    import time

    text, raw_filter = arguments.read_text(query), arguments.parse_filters(where)
    with context.open_collection(collection) as opened:
        began = time.perf_counter()
        hits = opened.search(text, k, filter=raw_filter, mode=mode, diversity=diversity, explain=explain)
        took = round((time.perf_counter() - began) * 1000, 1)
    context.print_result({"hits": hits, "took_ms": took}, lambda: printing.format_hits(hits))


@cli.command()
@click.argument("question")
@_collection_option
@click.option(
    "-k", type=int, help=f"How many hits to answer from: else what the profile says, else {DEFAULT_ANSWER_K}."
)
@_filter_option
@click.option("--session", metavar="ID", help="Continue this conversation; `new` begins one.")
@click.option("--profile", metavar="NAME", help="support, assistant, writer, or one of semsearch.toml.")
@click.option(
    "--policy",
    type=click.Choice(["strict", "flag", "off"]),
    help="Sentences that their citations do not support: leave out, mark, or do not look.",
)
@click.option("--model", help="Chat model for this answer.")
@click.option("--max-tokens", type=int, help="Longest answer of a chat model.")
@click.option("--temperature", type=float)
@click.option("--system", metavar="TEXT", help="Added to the instructions of a chat model.")
@_common
def ask(
    context: CliContext,
    question: str,
    collection: str,
    k: int | None,
    where: tuple[str, ...],
    session: str | None,
    profile: str | None,
    policy: Any,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    system: str | None,
) -> None:
    """Answer QUESTION from the collection, with citations (- reads it from stdin)."""
    options = GenerationOptions(model, max_tokens, temperature, system, policy, profile)
    with context.open_collection(collection) as opened:
        if session == "new":
            session = opened.create_session(profile).id
            printing.print_err(f"session {session}: continue it with --session {session}")
        raw_filter = arguments.parse_filters(where)
        answer_events = opened.stream(
            arguments.read_text(question), k=k, filter=raw_filter, options=options, session=session
        )
        with closing(answer_events) as events:
            if context.as_json:
                *_, last = events
                context.print_result(last, str)
                printing.print_hint(last)
            else:
                printing.print_answer(events)


@cli.command()
@_collection_option
@_common
def documents(context: CliContext, collection: str) -> None:
    """List the documents of a collection."""
    with context.open_collection(collection) as opened:
        rows = list(opened.documents())
    context.print_result(rows, lambda: printing.format_documents(rows))


@cli.command()
@click.argument("uri")
@_collection_option
@_common
def show(context: CliContext, uri: str, collection: str) -> None:
    """Print the stored text of a document, in which every citation counts its characters."""
    with context.open_collection(collection) as opened:
        document = opened.document(uri)
    context.print_result(document, lambda: document.text)


@cli.command()
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@_collection_option
@_common
def remove(context: CliContext, uris: tuple[str, ...], collection: str) -> int:
    """Remove documents from a collection."""
    with context.open_collection(collection) as opened:
        removed = opened.remove(uris)
    missing = [uri for uri in uris if uri not in removed]
    context.print_result({"removed": removed, "missing": missing}, lambda: printing.format_removed(removed))
    for uri in missing:
        printing.print_err(f"semsearch: there is no document {uri!r}; list them: semsearch documents -c {collection}")
    return exits.EXIT["not_found"] if missing else 0


@cli.group(invoke_without_command=True)
@_common
def collections(context: CliContext) -> int:
    """List the collections; make or delete one."""
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    failed: list[Failure] = []
    with context.open_library() as library:
        rows = library.collections(on_failure=failed.append)
    context.print_result(rows, lambda: printing.format_collections(rows))
    for each in failed:
        printing.print_err(printing.format_failure(each))
    return exits.SOME_FAILED if failed else 0


@collections.command()
@click.argument("name")
@click.option("--embedder", metavar="SPEC", help=f"One of {_EMBEDDER_HELP}.")
@_common
def create(context: CliContext, name: str, embedder: str | None) -> None:
    """Make an empty collection."""
    with context.open_library() as library:
        info = library.create(name, embedder=embedder).info()
    context.print_result(info, lambda: printing.format_collections([info]))


@collections.command()
@click.argument("name")
@_common
def delete(context: CliContext, name: str) -> None:
    """Delete a collection with everything in it."""
    with context.open_library() as library:
        library.delete(name)
    context.print_result({"deleted": name}, lambda: f"deleted {name}")


@cli.command()
@click.option("--accept-loss", is_flag=True, help="Go on with what is stored, although the last writes were lost.")
@_collection_option
@_common
def reindex(context: CliContext, accept_loss: bool, collection: str) -> None:
    """Rebuild everything derived from the stored documents; asks no upstream."""
    with context.open_collection(collection, accept_loss=accept_loss) as opened:
        opened.reindex()
        info = opened.info()
    context.print_result(info, lambda: f"rebuilt the index of {info.chunks} chunks in {info.name}")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that serve.")
@_common
def serve(context: CliContext, host: str, port: int, workers: int) -> None:
    """Serve search and answers over HTTP."""

    def on_listening(url: str) -> None:
        gc.freeze()
        gc.enable()
        printing.print_err(f"semsearch serves {url}, described at {url}/docs")

    if workers > 1:
        from ...library import Library
        from ..http import prefork as many

        settings = context.settings()  # once: what was decided about its files holds for every worker, also a later one
        many.serve(lambda: Library(context.data_dir, settings=settings), host, port, workers, on_listening)
        return
    gc.disable()  # until it listens: nothing of what is loaded is garbage, and looking takes a tenth of the time
    try:
        from ..http import server as serving

        with context.open_library() as library:
            serving.serve(library, host, port, on_listening)
    finally:
        gc.enable()


@cli.command()
@click.option(
    "--by", type=click.Choice(get_args(UsageGroupBy)), default="day", show_default=True, help="What to add up under."
)
@click.option("--since", metavar="DATE", help="From this day on (UTC), such as 2026-11-01.")
@_common
def usage(context: CliContext, by: Any, since: str | None) -> None:
    """Say what model servers were asked for and what it cost, and what is left of the budgets."""
    from . import usage as spending

    with context.open_library() as library:
        day = spending.validate_date(since)
        usage_report = library.usage(by, day)
    context.print_result(usage_report, lambda: spending.format_usage_report(usage_report, day))


_mode_choice = click.Choice(["hybrid", "dense", "lexical"])
_file_path = click.Path(dir_okay=False, path_type=Path)


@cli.command("eval")
@click.argument("queries", type=click.Path(path_type=Path))
@_collection_option
@click.option("--qrels", type=_file_path, help="Judgements, as TREC or BEIR has them, or of our own.")
@click.option("-k", default=10, show_default=True, help="How many documents count, at most 100.")
@click.option("--mode", type=_mode_choice, default="hybrid", show_default=True)
@click.option("--against", metavar="NAME", help="Compare with this collection.")
@click.option("--against-mode", type=_mode_choice, help="Compare with this mode.")
@click.option("--ask", is_flag=True, help="Answer each question too, after its history; a chat model costs money.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many questions.")
@click.option("--baseline", type=_file_path, help="Exit 1 if a measure is worse than in this saved run.")
@click.option("--tolerance", type=float, help="By how much it may be worse, from 0 to 1: else 0.01.")
@click.option("--save", type=_file_path, help="Write the run as JSON.")
@click.option("--html", "page", type=_file_path, help="Write a page with charts.")
@_common
def evaluate(
    context: CliContext,
    queries: Path,
    collection: str,
    qrels: Path | None,
    k: int,
    mode: Any,
    against: str | None,
    against_mode: Any,
    ask: bool,
    limit: int | None,
    baseline: Path | None,
    tolerance: float | None,
    save: Path | None,
    page: Path | None,
) -> int:
    """Measure rankings and answers on judged QUERIES: JSON Lines, TREC or BEIR files."""
    from .eval import EvalOptions
    from .eval import run_evaluation as evaluated

    eval_options = EvalOptions(
        queries, qrels, collection, against, k, mode, against_mode, ask, limit, baseline, tolerance, save, page
    )
    with context.open_library() as library:
        return evaluated(library, eval_options, context.print_result)


@cli.group()
def config() -> None:
    """Configuration files: semsearch.toml of the working folder, and your own."""


@config.command()
@click.argument("file", type=_file_path, default="semsearch.toml")
@_common
def trust(shell: CliContext, file: Path) -> None:
    """Let FILE (default: ./semsearch.toml) name servers, keys and folders, until it changes."""
    from .config import trust as run

    run(shell, file)
