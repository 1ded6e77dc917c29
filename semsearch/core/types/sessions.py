"""Types of stored answers and sessions."""

from dataclasses import dataclass
from typing import Literal

from ..short_repr import count, format_repr, shorten
from .answers import Answer, Turn


@dataclass(frozen=True, slots=True)
class CitationChange:
    """A change to the source of a citation since the answer was created."""

    marker: int
    uri: str
    change: Literal["edited", "moved", "gone"]
    """Edited: the quote is no longer in the document. Moved: it is at other offsets. Gone: the document was deleted."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer as it was returned, with its question and origin."""

    answer: Answer
    owner: str
    collection: str
    question: str
    search_question: str
    """The question as it was searched for: a follow-up rewritten to a standalone question."""
    prompt_version: str
    """Name and hash of the prompt; empty without a chat model."""
    created: float
    """Seconds since 1970."""

    def __repr__(self) -> str:
        """Return its collection and question."""
        return format_repr(self, shorten(self.collection), shorten(self.question))


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one owner about one collection.

    >>> handbook.create_session(profile="support").profile
    'support'
    """

    id: str
    collection: str
    created: float
    last_used: float
    profile: str | None = None
    collection_created_at: str | None = None
    """Creation time of the collection, which tells it from others of its name; None in sessions of earlier versions."""
    turns: tuple[Turn, ...] = ()

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, shorten(self.id), shorten(self.collection), count(len(self.turns), "turn"))


SessionPosition = tuple[float, str]
"""Position of a session in a list: when it was last used, and its id."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session without its turns.

    >>> session = handbook.create_session()
    >>> _ = handbook.ask("How long is parental leave?", session=session.id)
    >>> library.sessions()[0].title
    'How long is parental leave?'
    """

    id: str
    collection: str
    created: float
    """Seconds since 1970, as `last_used`."""
    last_used: float
    profile: str | None
    turns: int
    title: str
    """The beginning of its first question; empty if it has no turn."""

    @property
    def position(self) -> SessionPosition:
        """Return what continues a list behind this session."""
        return self.last_used, self.id

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, shorten(self.id), shorten(self.collection), count(self.turns, "turn"))
