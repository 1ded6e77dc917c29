"""The commands of the command line: each parses its arguments, calls the library and prints the result."""

from contextlib import closing
from typing import Any, get_args

import click

from ...answers.profiles import DEFAULT_ANSWER_K
from ...core.types.answer_requests import GenerationOptions
from ...core.types.answers import Answer, encode_fields
from ...core.types.documents import IngestReport
from ...core.types.usage import UsageGroupBy
from . import arguments, output
from .approve_command import approve, verify_answers
from .collection_commands import collections
from .completion import complete_paths, show_completion
from .config_commands import config
from .context import CliContext, accept_global_options, global_options
from .doctor_command import doctor
from .escalations import EscalationWatch
from .eval_command import evaluate
from .exit_codes import EXIT, NO_ANSWER
from .feedback_command import feedback
from .finetune_commands import finetune
from .gaps_command import gaps
from .help import add_epilogs
from .init import init
from .keys_commands import keys
from .options import EMBEDDER_HELP, collection_option
from .recommendation_commands import recommend, similar
from .serve_command import serve
from .terminal import uses_color

_quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Show no progress and no summary, only failures (and the JSON of --json)."
)
_filter_option = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="JSON|K=V",
    help='Filter on metadata, such as team=hr or {"year": {"$gte": 2024}}; several are joined with AND.',
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="semsearch")
@click.option(
    "--show-completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=show_completion,
    help="Print the script that completes verbs, options and collections in this shell, and exit.",
)
@global_options
@click.pass_context
def cli(context: click.Context, data_dir: str | None, config: str | None, as_json: bool) -> None:
    """Search your documents by meaning, and get answers with verified citations."""
    context.obj = CliContext(data_dir, config, as_json)


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=complete_paths)
@collection_option
@click.option("--embedder", metavar="SPEC", help=f"For a new collection: {EMBEDDER_HELP}.")
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Ingest only files that match, such as '*.md'; repeatable."
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out files and folders that match, such as drafts/; repeatable.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove documents whose files no longer exist in the ingested folders, or are ignored or left out now.",
)
@click.option("--yes", is_flag=True, help="Allow --prune to remove most of a collection.")
@click.option("--dry-run", is_flag=True, help="Report what the command would do; change nothing.")
@click.option("--batch", is_flag=True, help="Embed with the Batch API of the server: half the price, within a day.")
@click.option("--metadata", multiple=True, metavar="K=V", help="Add a metadata field to each document; repeatable.")
@click.option("--root", metavar="NAME", help="Name of the folder: the first part of the URIs of its files.")
@click.option("--uri", metavar="NAME", help="URI of a single file or of stdin (-).")
@click.option("-v", "--verbose", is_flag=True, help="Name the documents that are stored, and the skipped files.")
@_quiet_option
@accept_global_options
def ingest(
    context: CliContext,
    paths: tuple[str, ...],
    collection: str,
    embedder: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    prune: bool,
    yes: bool,
    dry_run: bool,
    batch: bool,
    metadata: tuple[str, ...],
    root: str | None,
    uri: str | None,
    verbose: bool,
    quiet: bool,
) -> int:
    """Ingest files and folders into a collection.

    The collection is made if it does not exist. - reads one document from stdin.

    Below a folder, files that are no documents are skipped and counted: images, archives, caches, node_modules,
    generated search indexes, and what .gitignore or .semsearchignore name. A file named on the command line is read.
    """
    from .ingest import IngestOptions, run_ingest

    ingest_options = IngestOptions(
        paths,
        collection,
        embedder,
        prune,
        yes,
        dry_run,
        batch,
        arguments.parse_pairs(metadata),
        root,
        uri,
        include,
        exclude,
        is_verbose=verbose,
        is_quiet=quiet,
    )

    def print_report(report: IngestReport, storage_failed: bool) -> None:
        if context.as_json or not quiet:
            context.print_result(
                report, lambda: output.format_report(report, dry_run=dry_run, storage_failed=storage_failed)
            )

    with context.open_library() as library:
        return run_ingest(library, ingest_options, print_report)


@cli.command()
@click.argument("query")
@collection_option
@click.option("-k", default=10, show_default=True, help="Number of hits.")
@_filter_option
@click.option("--mode", type=click.Choice(["hybrid", "dense", "lexical"]), default="hybrid", show_default=True)
@click.option(
    "--diversity", default=0.0, metavar="0..1", help="Diversity of the hits (MMR); 0 ranks by relevance only."
)
@click.option("--explain", is_flag=True, help="Show the ranks and scores of each hit.")
@accept_global_options
def search(
    context: CliContext,
    query: str,
    collection: str,
    k: int,
    filters: tuple[str, ...],
    mode: Any,
    diversity: float,
    explain: bool,
) -> None:
    """Print the passages that match QUERY best.

    - reads the query from stdin.
    """
    import time

    from .hit_text import format_hits

    text, raw_filter = arguments.read_text(query), arguments.parse_filters(filters)
    with context.open_collection(collection) as opened:
        start = time.perf_counter()
        hits = opened.search(text, k, filter=raw_filter, mode=mode, diversity=diversity, explain=explain)
        took_ms = round((time.perf_counter() - start) * 1000, 1)
        if links := context.make_links(opened):
            links.set_urls(hits)
    context.print_result(
        {"hits": hits, "took_ms": took_ms},
        lambda: output.fit_terminal(format_hits(hits, text, is_colored=uses_color())),
    )


@cli.command()
@click.argument("question")
@collection_option
@click.option(
    "-k", type=int, help=f"Number of hits to answer from (default: that of the profile, else {DEFAULT_ANSWER_K})."
)
@_filter_option
@click.option("--session", metavar="ID", help="Continue this conversation; `new` starts one.")
@click.option("--profile", metavar="NAME", help="support, assistant, writer, or a profile of semsearch.toml.")
@click.option(
    "--policy",
    type=click.Choice(["strict", "flag", "off"]),
    help="Sentences that their citations do not support: strict drops them, flag marks them, off does not check.",
)
@click.option("--model", help="Chat model for this answer.")
@click.option("--max-tokens", type=int, help="Maximum tokens of an answer of the chat model.")
@click.option("--temperature", type=float, help="Sampling temperature of the chat model.")
@click.option("--system", metavar="TEXT", help="Text to add to the instructions of the chat model.")
@click.option("--require-answer", is_flag=True, help="Exit with 3 if only the closest passages are shown.")
@accept_global_options
def ask(
    context: CliContext,
    question: str,
    collection: str,
    k: int | None,
    filters: tuple[str, ...],
    session: str | None,
    profile: str | None,
    policy: Any,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    system: str | None,
    require_answer: bool,
) -> int:
    """Answer QUESTION from the collection, with citations.

    - reads the question from stdin.
    """
    options = GenerationOptions(model, max_tokens, temperature, system, policy, profile)
    with context.open_collection(collection) as opened:
        if session == "new":
            session = opened.create_session(profile).id
            output.print_err(f"session {session}: continue it with --session {session}")
        raw_filter = arguments.parse_filters(filters)
        answer_events = opened.stream(
            arguments.read_text(question), k=k, filter=raw_filter, options=options, session=session
        )
        links, escalation = context.make_links(opened), EscalationWatch()
        with closing(answer_events):
            events = escalation.watch(map(links.link_event, answer_events) if links else answer_events)
            if context.as_json:
                *_, answer = events
                context.print_result(answer, str)
                output.print_hint(answer)
                has_answer = isinstance(answer, Answer) and answer.answered
            else:
                has_answer = output.print_answer(events, is_generated=context.settings().chat_model is not None)
        escalation.deliver(opened, context.settings())
    return NO_ANSWER if require_answer and not has_answer else 0


@cli.command()
@collection_option
@accept_global_options
def documents(context: CliContext, collection: str) -> None:
    """List the documents of a collection."""
    with context.open_collection(collection) as opened:
        rows, links = list(opened.documents()), context.make_links(opened)
    context.print_result(
        [{**encode_fields(row), "url": links.make_document_url(row.uri)} for row in rows] if links else rows,
        lambda: output.format_documents(rows, links),
    )


@cli.command()
@click.argument("uri")
@collection_option
@accept_global_options
def show(context: CliContext, uri: str, collection: str) -> None:
    """Print the stored text of a document.

    The offsets of citations count its characters.
    """
    with context.open_collection(collection) as opened:
        document = opened.document(uri)
    context.print_result(document, lambda: document.text)


@cli.command()
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@collection_option
@accept_global_options
def remove(context: CliContext, uris: tuple[str, ...], collection: str) -> int:
    """Remove documents from a collection."""
    with context.open_collection(collection) as opened:
        removed = opened.remove(uris)
    missing = [uri for uri in uris if uri not in removed]
    context.print_result({"removed": removed, "missing": missing}, lambda: output.format_removed(removed))
    for uri in missing:
        output.print_err(f"semsearch: there is no document {uri!r}; list them: semsearch documents -c {collection}")
    return EXIT["not_found"] if missing else 0


@cli.command()
@click.option(
    "--accept-loss", is_flag=True, help="Accept that the last writes are lost, and continue with the stored state."
)
@collection_option
@accept_global_options
def reindex(context: CliContext, accept_loss: bool, collection: str) -> None:
    """Rebuild the index from the stored documents.

    No request is sent to a model server.
    """
    with context.open_collection(collection, accept_loss=accept_loss) as opened:
        opened.reindex()
        info = opened.info()
    context.print_result(
        info, lambda: f"rebuilt the index of {output.format_count(info.chunks, 'chunk')} in {info.name}"
    )


@cli.command()
@click.option(
    "--by", type=click.Choice(get_args(UsageGroupBy)), default="day", show_default=True, help="Group the rows by this."
)
@click.option("--since", metavar="DATE", help="First day (UTC), such as 2026-11-01.")
@accept_global_options
def usage(context: CliContext, by: Any, since: str | None) -> None:
    """Print the requests to model servers, their tokens and cost, and the state of the budgets."""
    from .usage import format_usage_report, validate_date

    with context.open_library() as library:
        day = validate_date(since)
        usage_report = library.usage(by, day)
    context.print_result(usage_report, lambda: format_usage_report(usage_report, day))


cli.add_command(collections)
cli.add_command(serve)
cli.add_command(init)
cli.add_command(evaluate)
cli.add_command(feedback)
cli.add_command(recommend)
cli.add_command(similar)
cli.add_command(gaps)
cli.add_command(finetune)
cli.add_command(approve)
cli.add_command(verify_answers)
cli.add_command(config)
cli.add_command(doctor)
cli.add_command(keys)
add_epilogs(cli)
