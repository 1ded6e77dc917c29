"""The type of a recorded answer together with its feedback, for reports over many answers."""

from dataclasses import dataclass

from .feedback import Feedback
from .sessions import AnswerRecord


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """A recorded answer, and what its owner said about it; None if nothing was said."""

    record: AnswerRecord
    feedback: Feedback | None = None
    stored_owner: str = ""
    """`Caller.record_owner` of the caller who asked, which also has the sessions of that caller."""
