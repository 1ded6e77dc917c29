"""The verb `feedback`: say whether an answer helped, which citation is wrong, or which passage is right."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from . import arguments
from .context import CliContext, accept_global_options

if TYPE_CHECKING:
    from ...core.types.feedback import Feedback


@click.command()
@click.argument("answer_id")
@click.option("--helpful/--not-helpful", default=None, help="Whether the answer helped.")
@click.option("--wrong-marker", type=int, metavar="N", help="Number of a citation that does not support its sentence.")
@click.option("--right-chunk", type=int, metavar="ID", help="chunk_id of the passage that holds the answer.")
@click.option("--comment", metavar="TEXT", help="A comment; - reads it from stdin.")
@accept_global_options
def feedback(
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
