"""Types of approved answers: reviewed answers with the evidence that they depend on."""

from dataclasses import dataclass, field

from ..short_repr import format_repr, shorten
from .answers import AnswerKind, AnswerSentence, Citation
from .evidence import BrokenAnswer, LostQuote, QuotedWords


@dataclass(frozen=True, slots=True)
class ApprovedAnswer:
    """A reviewed answer that near-identical questions get, as long as its quotes stand in the documents.

    >>> approved = library.approve(handbook.ask("How long is parental leave?").id)
    >>> approved.is_stale, handbook.ask("how long is the parental leave").approved.id == approved.id
    (False, True)
    """

    id: str
    """That of the answer which was approved."""
    collection: str
    owner: str
    question: str
    text: str = field(metadata={"alias": "answer"})
    """With citation numbers. Named `answer` in JSON."""
    kind: AnswerKind
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    quoted_words: tuple[QuotedWords, ...]
    """Of each citation."""
    model: str
    confidence: float
    approved: float
    """Seconds since 1970."""
    lost: tuple[LostQuote, ...] = ()
    """The quotes that no longer stand in the documents."""

    @property
    def is_stale(self) -> bool:
        """Whether a quote no longer stands in the documents, so that the answer is not returned."""
        return bool(self.lost)

    def __repr__(self) -> str:
        """Return its question, and whether it is stale."""
        return format_repr(self, shorten(self.question), *(["stale"] if self.is_stale else []))

    def as_broken(self) -> BrokenAnswer:
        """Return what is reported about it when its evidence breaks."""
        return BrokenAnswer(self.id, self.question, self.lost)
