"""Answers without a chat model: the best sentences of the passages, each quoted as it is stored.

Writes no text of its own, and so nothing that could be taken for a marker.
"""

from collections.abc import AsyncGenerator, Sequence

from ...core.ports import Embedder
from ...core.types.answers import Passage, Question, Quotation, Reason, Turn
from ...core.types.usage import Errand
from ..evidence import Candidate, answerable
from .similarity import weigh

MAX_SENTENCES = 3

AS_GOOD = 0.6
"""A further sentence is given if its score is this near to the best one's. On squad2_a the first sentence holds the
expected words of 71 of 100 questions, those within .03 of it of 72, within .6 of 83 with 59 words, and three of 84 with
79 words: who reads on finds more."""

AS_STRONG = 0.4
"""It must give this share of what the best one gives by itself, whatever passage it stands in: token by token nearly
every sentence does."""


class ExtractiveAnswerer:
    """Quotes one to three sentences, or nothing where the evidence is weak."""

    name = "extractive"
    reach = 0
    copies = True
    silence: Reason = "low_score"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def write(
        self, question: Question, passages: Sequence[Passage], errand: Errand, *, rejected: str = ""
    ) -> AsyncGenerator[Quotation, None]:
        """Yield the sentences to quote, the best first."""
        found = await weigh(self._embedder, question, passages, errand)
        if answerable(found):
            for candidate in chosen(found):
                yield Quotation(candidate.passage, candidate.number)

    async def condense(self, question: str, history: Sequence[Turn], errand: Errand) -> str | None:
        """Nothing: rewording takes a model."""
        return None


def chosen(found: Sequence[Candidate]) -> list[Candidate]:
    """Return the best of these, best first, and those about as good; of a sentence in two places, the better place."""
    distinct = {candidate.sentence.text: candidate for candidate in reversed(found)}
    least, weakest = found[0].score - AS_GOOD, AS_STRONG * max(one.alone for one in found)
    good = [one for one in found[1:] if one.score >= least and one.alone >= weakest]
    return [one for one in [found[0], *good] if distinct[one.sentence.text] is one][:MAX_SENTENCES]
