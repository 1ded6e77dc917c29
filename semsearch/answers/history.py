"""What of a conversation still counts when its next question is asked. Keeps nothing and asks nobody."""

from collections.abc import Sequence

from ..core.errors import Conflict
from ..core.types.answers import Answer, Turn
from ..core.types.sessions import Session

MAX_TURNS = 6
MAX_CHARACTERS = 6_000
"""Of all turns that are repeated to a model together: about 1,500 tokens."""

MAX_ANSWER_CHARACTERS = 2_000
"""Of one answer among them."""

SEARCHED_TURNS = 3
"""Questions that make the second search, the newest among them."""


def check_belongs(session: Session, collection: str, made: str) -> None:
    """Conflict where a conversation is with another collection, or with one of this name that is no more."""
    if session.collection != collection:
        raise Conflict(f"the session {session.id} belongs to the collection {session.collection}, not to {collection}")
    if session.collection_made not in (None, made):
        raise Conflict(
            f"the session {session.id} belongs to a collection {collection} that was deleted; begin a new session"
        )


def recent(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The last turns that fit, oldest first; long answers are cut."""
    kept: list[Turn] = []
    room = MAX_CHARACTERS
    for turn in reversed(turns[-MAX_TURNS:]):
        cut = Turn(turn.question, turn.answer[:MAX_ANSWER_CHARACTERS])
        room -= len(cut.question) + len(cut.answer)
        if room < 0:
            break
        kept.append(cut)
    return tuple(reversed(kept))


def together(earlier: Sequence[str], question: str) -> str:
    """The last questions as one: what a follow-up leaves out was said in one of them."""
    return " ".join([*earlier[-(SEARCHED_TURNS - 1) :], question])


def turn(question: str, answer: Answer) -> Turn:
    """What is remembered of an answer."""
    from .citations import plain_text  # late: a search needs none of it

    return Turn(question, plain_text(answer) if answer.answered else "")
