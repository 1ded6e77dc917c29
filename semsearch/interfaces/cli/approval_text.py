"""Approved answers, and those that a change breaks, as text for people. Only formats."""

from collections.abc import Sequence

from ...core.escapes import escape_name, escape_text
from ...core.types.evidence import BrokenAnswer, LostQuote
from ..approval_view import ApprovedAnswerView, explain_loss

MAX_LISTED_QUESTIONS = 10


def format_broken(broken: Sequence[BrokenAnswer], *, dry_run: bool) -> list[str]:
    """Return lines that name the approved answers whose evidence an ingestion breaks; none if it breaks none."""
    if not broken:
        return []
    noun = f"{len(broken):,} approved answer{'s' * (len(broken) != 1)}"
    lines = [f"{'breaks' if dry_run else 'broke'} the evidence of {noun}:"]
    for answer in broken[:MAX_LISTED_QUESTIONS]:
        lines += [f"  {escape_text(answer.question)}", *map(_format_lost, answer.lost)]
    omitted = len(broken) - MAX_LISTED_QUESTIONS
    return [*lines, *([f"  and of {omitted:,} more: see --json"] if omitted > 0 else [])]


def format_approved(views: Sequence[ApprovedAnswerView]) -> str:
    """Return the approved answers, each with its state, or a hint if there is none."""
    if not views:
        return "no approved answers; approve one: semsearch approve ANSWER_ID"
    return "\n".join(map(_format_view, views))


def format_verification(views: Sequence[ApprovedAnswerView]) -> str:
    """Return the stale answers with the words they have lost, then how many stand."""
    stale = [view for view in views if view.stale]
    total = f"{len(views):,} approved answer{'s' * (len(views) != 1)}"
    summary = (
        f"{len(stale):,} of {total} {'is' if len(stale) == 1 else 'are'} stale" if stale else f"{total}: all stand"
    )
    return "\n".join([*map(_format_view, stale), summary])


def _format_view(view: ApprovedAnswerView) -> str:
    uris = ", ".join(dict.fromkeys(escape_name(citation.uri) for citation in view.citations))
    state = f"{'stale' if view.stale else 'approved'} · {view.approved:%Y-%m-%d} · {view.owner} · {uris}"
    return "\n".join([f"{view.id} · {state}", f"  {escape_text(view.question)}", *map(_format_lost, view.lost)])


def _format_lost(lost: LostQuote) -> str:
    return f"    {escape_name(explain_loss(lost))}"
