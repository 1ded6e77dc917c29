"""Types of the evidence of approved answers: where quoted words stand, and which of them are lost."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class QuotedWords:
    """The words of a quote, and what tells them from the same words elsewhere in their document."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    """The words directly before them, the nearest first."""
    after: tuple[str, ...] = ()
    occurrences: int = 1
    """How often the document has these words."""
    rival_score: int = -1
    """Highest number of surrounding words that another occurrence shares; -1 without another one."""


@dataclass(frozen=True, slots=True)
class LostQuote:
    """A quote whose words are no longer where they were quoted."""

    uri: str
    quote: str
    reason: Literal["edited", "gone"]
    """Edited: its words have changed. Gone: its document was removed."""
    lost_words: tuple[str, ...] = ()
    """Words of the quote that the closest place in the document has not; none if only their order or place changed."""


@dataclass(frozen=True, slots=True)
class BrokenAnswer:
    """An approved answer whose evidence a change of the documents breaks."""

    id: str
    question: str
    lost: tuple[LostQuote, ...]
