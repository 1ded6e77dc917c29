"""The verbs `approve` and `verify-answers`: keep reviewed answers, and check them against the documents."""

import click

from . import arguments
from .context import CliContext, accept_global_options
from .exit_codes import PROBLEMS_FOUND
from .options import collection_option

_DEFAULT_COMMAND = "answer"
_ID_PREFIX = "ans_"


class _ApproveGroup(click.Group):
    """A group whose first argument may be the id of an answer, which is then approved."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the command that approves an answer also where its options come first."""
        return super().parse_args(ctx, self._insert_default(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or the one that approves an answer."""
        return super().resolve_command(ctx, self._insert_default(args))

    def _insert_default(self, args: list[str]) -> list[str]:
        first = next((arg for arg in args if arg in self.commands or arg.startswith(_ID_PREFIX)), None)
        return args if first is None or first in self.commands else [_DEFAULT_COMMAND, *args]


@click.group(
    cls=_ApproveGroup, invoke_without_command=True, subcommand_metavar="[ANSWER_ID | list | remove ANSWER_ID] [OPTIONS]"
)
@accept_global_options
def approve(context: CliContext) -> None:
    """Approve the answer ANSWER_ID: it is returned for its question, as long as its quotes stand in the documents.

    The id is `id` in the output of ask --json. --question TEXT and --answer TEXT replace its question and its text.
    Without an id, the approved answers of the collection `default` are listed.
    """
    if click.get_current_context().invoked_subcommand is None:
        _print_approved(context, "default")


@approve.command(name=_DEFAULT_COMMAND)
@click.argument("answer_id")
@click.option("--question", metavar="TEXT", help="The question that it answers (default: the one that was asked).")
@click.option("--answer", metavar="TEXT", help="Another text, with the citation numbers [1]...; - reads it from stdin.")
@accept_global_options
def approve_answer(context: CliContext, answer_id: str, question: str | None, answer: str | None) -> None:
    """Approve one answer, which `semsearch approve ANSWER_ID` does too."""
    from ..approval_view import encode_view, view_approved
    from .approval_text import format_approved

    text = None if answer is None else arguments.read_text(answer)
    with context.open_library() as library:
        view = view_approved(library.approve(answer_id, question=question, answer=text))
    context.print_result(encode_view(view), lambda: format_approved([view]))


@approve.command(name="list")
@collection_option
@accept_global_options
def list_approved(context: CliContext, collection: str) -> None:
    """List the approved answers of a collection; stale ones with what they have lost."""
    _print_approved(context, collection)


@approve.command()
@click.argument("answer_id")
@accept_global_options
def remove(context: CliContext, answer_id: str) -> None:
    """Return the approved answer ANSWER_ID no longer."""
    with context.open_library() as library:
        library.remove_approval(answer_id)
    context.print_result({"removed": answer_id}, lambda: f"removed {answer_id}")


@click.command()
@collection_option
@accept_global_options
def verify_answers(context: CliContext, collection: str) -> int:
    """Check every approved answer against the documents; exit with 1 if one is stale.

    A quote stands while the document has its words in their order; spaces, line breaks and punctuation around words do
    not count.
    """
    from ..approval_view import encode_view, view_approved
    from .approval_text import format_verification

    with context.open_collection(collection) as opened:
        views = list(map(view_approved, opened.verify_answers()))
    stale = [view for view in views if view.stale]
    result = {"collection": collection, "checked": len(views), "stale": list(map(encode_view, stale))}
    context.print_result(result, lambda: format_verification(views))
    return PROBLEMS_FOUND if stale else 0


def _print_approved(context: CliContext, collection: str) -> None:
    from ..approval_view import encode_view, view_approved
    from .approval_text import format_approved

    with context.open_collection(collection) as opened:
        views = list(map(view_approved, opened.approved_answers()))
    context.print_result({"approved": list(map(encode_view, views))}, lambda: format_approved(views))
