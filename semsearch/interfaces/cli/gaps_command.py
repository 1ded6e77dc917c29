"""The verb `gaps`: what people asked a collection and did not get, and the report of deflection."""

from typing import TYPE_CHECKING

import click

from ...core.errors import InvalidError
from .context import CliContext, accept_global_options
from .options import collection_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.types.gaps import Gap
    from ...learning.support_report import TopicCounts

_REASONS = {
    "no_match": "nothing in the collection matches",
    "low_score": "only the closest passages were shown",
    "unsupported": "the model found no supported answer",
    "empty_collection": "the collection was empty",
    "not_cited": "the model did not cite",
    "not_helpful": "the answer did not help",
    "wrong_citation": "a citation was wrong",
}

since_option = click.option("--since", metavar="DATE", help="Questions from this day on (UTC), such as 2026-11-01.")


@click.group(invoke_without_command=True)
@collection_option
@since_option
@click.option("--limit", default=20, show_default=True, help="Maximum number of gaps.")
@click.option("--verify", is_flag=True, help="Ask each question again and say which gaps are closed; a model costs.")
@accept_global_options
def gaps(context: CliContext, collection: str, since: str | None, limit: int, verify: bool) -> None:
    """List what people asked and did not get, by topic; or report on all answers.

    A topic is shown if at least two owners asked about it, or if there is only one owner in all.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    from ...learning.gaps import find_gaps
    from ..gap_view import encode_gap

    with context.open_library() as library:
        rows = find_gaps(library, collection, since=parse_since(since), limit=limit, verify=verify)
        if links := context.make_links(library.open(collection)):
            for gap in rows:
                links.set_urls(gap.nearest)
    context.print_result({"gaps": list(map(encode_gap, rows))}, lambda: format_gaps(rows))


@gaps.command()
@collection_option
@since_option
@accept_global_options
def report(context: CliContext, collection: str, since: str | None) -> None:
    """Count the questions that were answered, escalated and answered wrongly, by week and topic.

    The topic is the folder of the document that fits best. Topics of one owner are added up as (other).
    """
    from ...learning.support_report import report_support

    with context.open_library() as library:
        rows = report_support(library, collection, since=parse_since(since))
    context.print_result({"rows": rows}, lambda: format_report(rows))


def parse_since(text: str | None) -> float:
    """Return the time in seconds since 1970 at which a day begins; InvalidError if the text is no date."""
    from ..gap_view import parse_day

    try:
        return 0.0 if text is None else parse_day(text)
    except ValueError as exc:
        raise InvalidError(f"--since: {text!r:.40} is not a date such as 2026-11-01") from exc


def format_gaps(rows: "Sequence[Gap]") -> str:
    """Return a paragraph for each gap."""
    if not rows:
        return "no content gaps: no topic without a good answer was asked about by two owners, or by the only owner"
    return "\n\n".join(_format_gap(number, gap) for number, gap in enumerate(rows, 1))


def format_report(rows: "Sequence[TopicCounts]") -> str:
    """Return a table with a row for each week and topic."""
    from .tables import format_table

    if not rows:
        return "no recorded answers"
    header = ("week", "topic", "questions", "answered", "escalated", "wrong")
    cells = [(row.week, row.topic, row.questions, row.answered, row.escalated, row.wrong) for row in rows]
    return format_table(header, cells)


def _format_gap(number: int, gap: "Gap") -> str:
    from datetime import UTC, datetime

    from .answer_text import format_location
    from .output import format_count

    first, last = (datetime.fromtimestamp(seconds, UTC).date().isoformat() for seconds in (gap.first, gap.last))
    counts = f"asked {format_count(gap.count, 'time')} by {format_count(gap.owners, 'owner')}, {first} to {last}"
    status = {None: "", True: "closed: it is answered now. ", False: "still open. "}[gap.closed]
    nearest = [f"    nearest: {format_location(hit)}" for hit in gap.nearest]
    title = click.style(f"{number}. {' '.join(gap.question.split())}", bold=True)
    return "\n".join([title, f"    {counts}", f"    {status}Reason: {_REASONS[gap.reason]}", *nearest])
