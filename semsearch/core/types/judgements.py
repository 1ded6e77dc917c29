"""Types of judged questions that are made from feedback."""

from dataclasses import dataclass
from typing import Literal

JudgementSource = Literal["right_chunk", "helpful", "wrong_marker"]
"""The passage was named as the right one; it was cited in a helpful answer; or its citation was called wrong."""

Split = Literal["training", "held-out"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage and what owners said about it: `text[start:end] == quote` in the document when it was exported."""

    uri: str
    start: int
    end: int
    quote: str
    source: JudgementSource
    owners: int
    """Owners who agree with the grade of the document."""


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question with grades of documents, as `semsearch eval` reads it, and the feedback that they come from."""

    id: str
    query: str
    relevant: dict[str, int]
    """Grade by uri: 2 for a passage that was named as the right one, 1 for one cited in a helpful answer, 0 for a
    citation that was called wrong."""
    split: Split
    """No document is judged in questions of both."""
    is_agreed: bool
    """Whether at least two owners agree on each grade. In the file `agreed`."""
    evidence: tuple[Evidence, ...]
    reviewed: bool = False
