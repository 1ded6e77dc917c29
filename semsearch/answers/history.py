"""What of a conversation still counts when its next question is asked. Keeps nothing and asks nobody."""

from collections.abc import Sequence

from ..core.errors import ConflictError
from ..core.types.answers import Answer, Turn
from ..core.types.sessions import Session

MAX_TURNS = 6
MAX_HISTORY_CHARACTERS = 6_000
"""Of all turns that are repeated to a model together: about 1,500 tokens."""

MAX_ANSWER_CHARACTERS = 2_000
"""Of one answer among them."""


def validate_session_collection(session: Session, collection: str, collection_created_at: str) -> None:
    """Conflict where a conversation is with another collection, or with one of this name that is no more."""
    if session.collection != collection:
        raise ConflictError(
            f"the session {session.id} belongs to the collection {session.collection}, not to {collection}"
        )
    if session.collection_made not in (None, collection_created_at):
        raise ConflictError(
            f"the session {session.id} belongs to a collection {collection} that was deleted; begin a new session"
        )


def truncate_history(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The last turns that fit, oldest first; long answers are cut."""
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
    """What is remembered of an answer."""
    from .citations import extract_plain_text  # late: a search needs none of it

    return Turn(question, extract_plain_text(answer) if answer.answered else "")
