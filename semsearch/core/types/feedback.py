"""The type of the feedback on an answer."""

from dataclasses import dataclass

from ..short_repr import format_fields

MAX_COMMENT_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the owner of an answer said about it. None in a field: nothing was said.

    >>> answer = handbook.ask("How long is parental leave?")
    >>> library.add_feedback(answer.id, helpful=True).helpful
    True
    """

    answer_id: str
    helpful: bool | None = None
    wrong_marker: int | None = None
    """Marker of a citation that does not support its sentence."""
    right_chunk_id: int | None = None
    """Id of the chunk that holds the answer."""
    comment: str | None = None
    created: float = 0.0
    """Time of the last change, in seconds since 1970."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)
