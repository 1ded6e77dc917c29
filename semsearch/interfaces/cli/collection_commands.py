"""The verb `collections`: list the collections; create or delete one."""

import click

from ...core.types.documents import Failure
from . import output
from .context import CliContext, accept_global_options
from .exit_codes import SOME_FAILED
from .options import EMBEDDER_HELP


@click.group(invoke_without_command=True)
@accept_global_options
def collections(context: CliContext) -> int:
    """List the collections; create or delete one."""
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    failures: list[Failure] = []
    with context.open_library() as library:
        rows = library.collections(on_failure=failures.append)
    context.print_result(rows, lambda: output.format_collections(rows))
    for failure in failures:
        output.print_err(output.format_failure(failure))
    return SOME_FAILED if failures else 0


@collections.command()
@click.argument("name")
@click.option("--embedder", metavar="SPEC", help=f"Embedder: {EMBEDDER_HELP}.")
@accept_global_options
def create(context: CliContext, name: str, embedder: str | None) -> None:
    """Create an empty collection."""
    with context.open_library() as library:
        info = library.create(name, embedder=embedder).info()
    context.print_result(info, lambda: output.format_collections([info]))


@collections.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@accept_global_options
def delete(context: CliContext, name: str, yes: bool) -> None:
    """Delete a collection with all its documents; ask before, on a terminal."""
    from .confirmation import confirm_deletion

    with context.open_library() as library:
        if not yes and library.exists(name):
            confirm_deletion(library, name)
        library.delete(name)
    context.print_result({"deleted": name}, lambda: f"deleted {name}")
