"""What is kept of answers and conversations: the nouns of what was said. Does nothing by itself."""

from dataclasses import dataclass
from typing import Literal

from .answers import Answer, Turn


@dataclass(frozen=True, slots=True)
class CitationChange:
    """What has become of the source of a citation since the answer was given."""

    marker: int
    uri: str
    change: Literal["edited", "moved", "gone"]
    """The quote is no longer where it was; it stands at other offsets now; the document is not there any more."""


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer as it was given, with what it was made from."""

    answer: Answer
    owner: str
    collection: str
    question: str
    search_question: str
    """The question as it was searched for: a follow-up stands alone in it."""
    prompt_version: str
    created: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation of one owner with one collection."""

    id: str
    collection: str
    created: float
    last_used: float
    profile: str | None = None
    collection_created_at: str | None = None
    """When the collection was made, which tells it from another of its name; None in sessions of earlier versions."""
    turns: tuple[Turn, ...] = ()
