"""Approved answers as the JSON of the shell and of HTTP."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ..core.types.answers import AnswerKind, Citation, encode_fields
from ..core.types.approvals import ApprovedAnswer
from ..core.types.evidence import LostQuote
from .links import PageLinks


@dataclass(frozen=True, slots=True)
class ApprovedAnswerView:
    """An approved answer; `stale` if one of its quotes no longer stands in the documents, with the reason."""

    id: str
    collection: str
    question: str
    answer: str
    kind: AnswerKind
    citations: tuple[Citation, ...]
    approved: datetime
    owner: str
    stale: bool
    reason: str | None
    lost: tuple[LostQuote, ...]


def view_approved(approved: ApprovedAnswer, links: PageLinks | None = None) -> ApprovedAnswerView:
    """Return an approved answer as it is shown; with `links` its citations have their addresses."""
    return ApprovedAnswerView(
        approved.id,
        approved.collection,
        approved.question,
        approved.text,
        approved.kind,
        approved.citations if links is None else links.link_citations(approved.citations),
        datetime.fromtimestamp(approved.approved, UTC),
        approved.owner,
        approved.is_stale,
        "; ".join(dict.fromkeys(map(explain_loss, approved.lost))) or None,
        approved.lost,
    )


def encode_view(view: ApprovedAnswerView) -> dict[str, object]:
    """Return the fields of the JSON output, with the time in ISO 8601."""
    citations = [encode_fields(citation) for citation in view.citations]
    approved = view.approved.isoformat().replace("+00:00", "Z")
    return {**encode_fields(view), "citations": citations, "approved": approved}


def explain_loss(lost: LostQuote) -> str:
    """Return why a quote no longer counts as evidence."""
    if lost.reason == "gone":
        return f"{lost.uri} was removed"
    if lost.lost_words:
        return f"{lost.uri} has lost: {' '.join(lost.lost_words)}"
    return f"{lost.uri} has the quoted words in another order or place only"
