"""The verb `feedback`: say whether an answer helped; export judged questions from feedback, and review them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from . import arguments
from .context import CliContext, accept_global_options
from .judged_commands import export, review

if TYPE_CHECKING:
    from ...core.types.feedback import Feedback


_GLOBAL_FLAGS, _GLOBAL_OPTIONS = ("--json",), ("--data-dir", "--config")


class _FeedbackGroup(click.Group):
    """`feedback ANSWER_ID` means `feedback add ANSWER_ID`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `add` in front of what is no subcommand."""
        first = _find_first_word(args)
        is_subcommand = first < len(args) and args[first] in {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if is_subcommand else [*args[:first], "add", *args[first:]])


def _find_first_word(args: list[str]) -> int:
    """Return the number of the first argument behind the global options."""
    first = 0
    while first < len(args):
        if args[first] in _GLOBAL_FLAGS or args[first].startswith(tuple(f"{name}=" for name in _GLOBAL_OPTIONS)):
            first += 1
        elif args[first] in _GLOBAL_OPTIONS:
            first += 2
        else:
            break
    return min(first, len(args))


@click.group(cls=_FeedbackGroup)
@accept_global_options
def feedback(context: CliContext) -> None:
    """Store feedback on an answer: feedback ANSWER_ID; export judged questions from feedback, and review them."""


feedback.add_command(export)
feedback.add_command(review)


@feedback.command()
@click.argument("answer_id")
@click.option("--helpful/--not-helpful", default=None, help="Whether the answer helped.")
@click.option("--wrong-marker", type=int, metavar="N", help="Number of a citation that does not support its sentence.")
@click.option("--right-chunk", type=int, metavar="ID", help="chunk_id of the passage that holds the answer.")
@click.option("--comment", metavar="TEXT", help="A comment; - reads it from stdin.")
@accept_global_options
def add(
    context: CliContext,
    answer_id: str,
    helpful: bool | None,
    wrong_marker: int | None,
    right_chunk: int | None,
    comment: str | None,
) -> None:
    """Store feedback on the answer ANSWER_ID, the `id` in the output of ask --json.

    A new value replaces the earlier one of the same option. The output is all that is stored about the answer.
    """
    text = None if comment is None else arguments.read_text(comment)
    with context.open_library() as library:
        stored = library.add_feedback(
            answer_id, helpful=helpful, wrong_marker=wrong_marker, right_chunk_id=right_chunk, comment=text
        )
    context.print_result(_encode(stored), lambda: format_feedback(stored))


def format_feedback(stored: "Feedback") -> str:
    """Return what is stored about an answer, one line for each field."""
    lines = [f"feedback on {stored.answer_id}"]
    if stored.helpful is not None:
        lines.append("helpful" if stored.helpful else "not helpful")
    if stored.wrong_marker is not None:
        lines.append(f"citation [{stored.wrong_marker}] is wrong")
    if stored.right_chunk_id is not None:
        lines.append(f"chunk {stored.right_chunk_id} holds the answer")
    if stored.comment is not None:
        lines.append(f"comment: {stored.comment}")
    return "\n  ".join(lines)


def _encode(stored: "Feedback") -> dict[str, object]:
    """Return the fields of the JSON output, which are those of HTTP."""
    from ...core.types.answers import encode_fields  # late: `--help` needs no types

    created = datetime.fromtimestamp(stored.created, UTC).isoformat().replace("+00:00", "Z")
    return {**encode_fields(stored), "created": created}
