"""The verbs `recommend` and `similar`: documents that are like examples, or like one document."""

from typing import TYPE_CHECKING, Any

import click

from . import arguments, output
from .context import CliContext, accept_global_options
from .options import collection_option
from .terminal import uses_color

if TYPE_CHECKING:
    from ...collection import Collection
    from ...core.types.search import Hit

_k_option = click.option("-k", default=10, show_default=True, help="Number of hits.")


@click.command()
@click.argument("uris", nargs=-1, metavar="[URI]...")
@collection_option
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="A text to recommend for; repeatable.")
@click.option("--chunk", "chunks", type=int, multiple=True, metavar="ID", help="A chunk_id to recommend for.")
@click.option("--session", metavar="ID", help="Recommend for the questions of this conversation.")
@click.option("--not-like", multiple=True, metavar="URI", help="A document that is not wanted; repeatable.")
@click.option("--exclude", multiple=True, metavar="URI", help="A document not to recommend; repeatable.")
@click.option(
    "--strategy",
    type=click.Choice(["average", "best", "sum"]),
    default="average",
    show_default=True,
    help="How several examples count: by their mean, the nearest one, or all of those that are near.",
)
@_k_option
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="JSON|K=V",
    help='Filter on metadata, such as team=hr or {"year": {"$gte": 2024}}; several are joined with AND.',
)
@click.option("--diversity", default=0.1, show_default=True, metavar="0..1", help="Diversity of the hits (MMR).")
@click.option("--per-document", default=1, show_default=True, help="Passages of one document; 0 for no limit.")
@accept_global_options
def recommend(
    context: CliContext,
    uris: tuple[str, ...],
    collection: str,
    texts: tuple[str, ...],
    chunks: tuple[int, ...],
    session: str | None,
    not_like: tuple[str, ...],
    exclude: tuple[str, ...],
    strategy: Any,
    k: int,
    filters: tuple[str, ...],
    diversity: float,
    per_document: int,
) -> None:
    """Print passages of the documents that are most like the documents URI.

    The examples themselves are not recommended.
    """
    from ...core.types.recommendations import Example

    positive: list[Example | str] = [*uris, *(Example(text=text) for text in texts)]
    positive += [Example(chunk_id=chunk) for chunk in chunks]
    if not positive and session is None:
        raise click.UsageError("Name a document, or give --text, --chunk or --session.")
    raw_filter = arguments.parse_filters(filters)
    with context.open_collection(collection) as opened:
        hits = opened.recommend(
            positive,
            negative=not_like,
            session=session,
            strategy=strategy,
            k=k,
            filter=raw_filter,
            exclude=exclude,
            diversity=diversity,
            per_document=per_document,
        )
        _print_hits(context, opened, hits)


@click.command()
@click.argument("uri")
@collection_option
@_k_option
@accept_global_options
def similar(context: CliContext, uri: str, collection: str, k: int) -> None:
    """Print a passage of each of the documents that are most like the document URI."""
    with context.open_collection(collection) as opened:
        _print_hits(context, opened, opened.similar(uri, k))


def _print_hits(context: CliContext, collection: "Collection", hits: "list[Hit]") -> None:
    from .hit_text import format_hits

    if links := context.make_links(collection):
        links.set_urls(hits)
    context.print_result({"hits": hits}, lambda: output.fit_terminal(format_hits(hits, "", is_colored=uses_color())))
