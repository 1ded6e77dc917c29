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
        """Insert the name of the command that approves an answer where no other command is named."""
        first = next((arg for arg in args if arg in self.commands or arg.startswith(_ID_PREFIX)), None)
        if first is not None and first not in self.commands:
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ApproveGroup, subcommand_metavar="ANSWER_ID | list | remove [ARGS]...")
@accept_global_options
def approve(context: CliContext) -> None:
    """Approve the answer ANSWER_ID: it is returned for its question, as long as its quotes stand in the documents.

    The id is `id` in the output of ask --json. --question TEXT and --answer TEXT replace its question and its text.
    """


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
    from ..approval_view import encode_view, view_approved
    from .approval_text import format_approved

    with context.open_collection(collection) as opened:
        views = list(map(view_approved, opened.approved_answers()))
    context.print_result({"approved": list(map(encode_view, views))}, lambda: format_approved(views))


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
