"""Types of content gaps: questions that the documents of a collection did not answer well."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..short_repr import count, format_repr, shorten
from .answers import NoAnswerReason
from .search import Hit

GapReason = NoAnswerReason | Literal["not_helpful", "wrong_citation"]
"""Why a question was not answered; or that its owner said that the answer did not help, or that a citation is wrong."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Similar questions that got no good answer. Times are seconds since 1970."""

    question: str
    """The one that is most similar to the others, as it was searched for."""
    count: int
    """Times that it was asked; at most five for each owner, where there are several."""
    owners: int
    first: float
    last: float
    reason: GapReason
    """Of most owners."""
    reasons: Mapping[GapReason, int]
    """Number of owners by reason."""
    nearest: tuple[Hit, ...] = ()
    """What a search for the question returns now."""
    closed: bool | None = None
    """Whether the question is answered now; None if it was not asked again."""
    rejected_quotes: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    """Uri and quote of citations in answers that got negative feedback."""

    def __repr__(self) -> str:
        """Return its question and counts."""
        return format_repr(self, shorten(self.question), count(self.owners, "owner"), self.reason)
