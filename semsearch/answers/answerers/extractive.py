"""Answer without a chat model: quote the best sentences of the passages as they are stored.

Generates no text, and so nothing that could be mistaken for a marker.
"""

from collections.abc import AsyncGenerator, Sequence

from ...core.ports import Embedder
from ...core.types.answers import AnalyzedQuery, NoAnswerReason, Passage, Quotation, Turn
from ...core.types.usage import RequestContext
from ..evidence import Candidate, is_answerable
from .similarity import score_sentences

MAX_SENTENCES = 3

MAX_SCORE_GAP = 0.6
"""A further sentence is quoted if its score is at most this much below the best score. On squad2_a the first sentence
contains the expected words for 71 of 100 questions; with a gap of .03 the quotes contain them for 72, with .6 for 83 in
59 words, and with always three sentences for 84 in 79 words."""

MIN_SENTENCE_SCORE_SHARE = 0.4
"""Its `sentence_score` must be at least this share of the highest one; with token similarity nearly every sentence
reaches it."""


class ExtractiveAnswerer:
    """Quotes one to three sentences, or none if the evidence is weak."""

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
        candidates = await score_sentences(self._embedder, question, passages, context)
        if is_answerable(candidates):
            for candidate in select_sentences(candidates):
                yield Quotation(candidate.passage, candidate.number)

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Return None: rewriting a question needs a chat model."""
        return None


def select_sentences(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the best candidate and those with nearly its score, best first; equal sentences once, the better one."""
    best_by_text = {candidate.sentence.text: candidate for candidate in reversed(candidates)}
    best, *others = candidates
    min_score = best.score - MAX_SCORE_GAP
    min_sentence_score = MIN_SENTENCE_SCORE_SHARE * max(candidate.sentence_score for candidate in candidates)
    good = [other for other in others if other.score >= min_score and other.sentence_score >= min_sentence_score]
    return [choice for choice in [best, *good] if best_by_text[choice.sentence.text] is choice][:MAX_SENTENCES]
