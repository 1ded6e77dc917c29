"""Answers without a chat model: the best sentences of the passages, word for word, each with its marker.

Does not reword; only a line that ends inside a sentence goes on.
"""

from collections.abc import AsyncGenerator, Sequence

from ..accounts import Errand
from ..grounding import Candidate, answerable
from ..ports import Embedder
from ..types import Finish, Passage, Question, Reason, Turn
from .weighing import weigh

MAX_SENTENCES = 3

AS_GOOD = 0.03
"""A further sentence is given if its score is this near to the best one's; so the mean answer has 29 words."""


class ExtractiveAnswerer:
    """Yields one to three sentences word for word, or nothing where the evidence is weak."""

    name = "extractive"
    reach = 0
    copies = True
    silence: Reason = "low_score"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def write(
        self, question: Question, passages: Sequence[Passage], errand: Errand, *, rejected: str = ""
    ) -> AsyncGenerator[str | Finish, None]:
        """Yield each sentence as a paragraph that ends in ` [[passage.number]]`, the best first."""
        found, with_cosines = await weigh(self._embedder, question, passages, errand)
        if not answerable(found, with_cosines=with_cosines):
            return
        for place, candidate in enumerate(_chosen(found)):
            gap = "\n\n" if place else ""  # rows and list items have no stop that would tell them apart
            text = " ".join(candidate.sentence.text.split())
            yield f"{gap}{text} [[{candidate.passage.id}.{candidate.number}]]"

    async def condense(self, question: str, history: Sequence[Turn], errand: Errand) -> str | None:
        """Nothing: rewording takes a model."""
        return None


def _chosen(found: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate and those as good; of a sentence that stands in two places, the better place."""
    distinct = {candidate.sentence.text: candidate for candidate in reversed(found)}
    best = found[0].score
    return [one for one in found if distinct[one.sentence.text] is one and one.score >= best - AS_GOOD][:MAX_SENTENCES]
