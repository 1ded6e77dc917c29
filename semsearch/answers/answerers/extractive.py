"""Answers without a chat model: the best sentences of the passages, each quoted as it is stored.

Writes no text of its own, and so nothing that could be taken for a marker.
"""

from collections.abc import AsyncGenerator, Sequence

from ...core.ports import Embedder
from ...core.types.answers import AnalyzedQuery, NoAnswerReason, Passage, Quotation, Turn
from ...core.types.usage import RequestContext
from ..evidence import Candidate, is_answerable
from .similarity import score_sentences

MAX_SENTENCES = 3

MAX_SCORE_GAP = 0.6
"""A further sentence is given if its score is this near to the best one's. On squad2_a the first sentence holds the
expected words of 71 of 100 questions, those within .03 of it of 72, within .6 of 83 with 59 words, and three of 84 with
79 words: who reads on finds more."""

MIN_OWN_SHARE = 0.4
"""It must give this share of what the best one gives by itself, whatever passage it stands in: token by token nearly
every sentence does."""


class ExtractiveAnswerer:
    """Quotes one to three sentences, or nothing where the evidence is weak."""

    name = "extractive"
    neighbour_chunks = 0
    is_extractive = True
    no_answer_reason: NoAnswerReason = "low_score"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def generate(
        self, question: AnalyzedQuery, passages: Sequence[Passage], context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[Quotation, None]:
        """Yield the sentences to quote, the best first."""
        found = await score_sentences(self._embedder, question, passages, context)
        if is_answerable(found):
            for candidate in select_sentences(found):
                yield Quotation(candidate.passage, candidate.number)

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Nothing: rewording takes a model."""
        return None


def select_sentences(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the best of these, best first, and those about as good; of a sentence in two places, the better place."""
    distinct = {candidate.sentence.text: candidate for candidate in reversed(candidates)}
    min_score, min_own_score = (
        candidates[0].score - MAX_SCORE_GAP,
        MIN_OWN_SHARE * max(one.own_score for one in candidates),
    )
    good = [one for one in candidates[1:] if one.score >= min_score and one.own_score >= min_own_score]
    return [one for one in [candidates[0], *good] if distinct[one.sentence.text] is one][:MAX_SENTENCES]
