"""Select the part of a conversation that the next question needs. Stores nothing and calls no model."""

from collections.abc import Sequence

from ..core.errors import ConflictError
from ..core.types.answers import Answer, Turn
from ..core.types.sessions import Session

MAX_TURNS = 6
MAX_HISTORY_CHARACTERS = 6_000
"""Total of all turns that are sent to a model: about 1,500 tokens."""

MAX_ANSWER_CHARACTERS = 2_000
"""Of each of these answers."""


def validate_session_collection(session: Session, collection: str, collection_created_at: str) -> None:
    """Raise ConflictError if the session belongs to another collection, or to a deleted one of this name."""
    if session.collection != collection:
        raise ConflictError(
            f"the session {session.id} belongs to the collection {session.collection}, not to {collection}"
        )
    if session.collection_created_at not in (None, collection_created_at):
        raise ConflictError(
            f"the session {session.id} belongs to a collection {collection} that was deleted; begin a new session"
        )


def truncate_history(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the last turns that fit the limits, oldest first; long answers are truncated."""
    kept: list[Turn] = []
    remaining_characters = MAX_HISTORY_CHARACTERS
    for turn in reversed(turns[-MAX_TURNS:]):
        truncated = Turn(turn.question, turn.answer[:MAX_ANSWER_CHARACTERS])
        remaining_characters -= len(truncated.question) + len(truncated.answer)
        if remaining_characters < 0:
            break
        kept.append(truncated)
    return tuple(reversed(kept))


def make_turn(question: str, answer: Answer) -> Turn:
    """Return the turn that a session stores for an answer."""
    from .plain_text import extract_plain_text

    return Turn(question, extract_plain_text(answer) if answer.answered else "")
