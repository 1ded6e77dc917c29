"""Quote the best excerpt of the documents as the answer. Calls no model and writes nothing of its own."""

from collections.abc import AsyncGenerator, Sequence

from ...core.types.answers import AnalyzedQuery, GenerationEnd, NoAnswerReason, Quotation, RankedEvidence, Turn
from ...core.types.usage import RequestContext


class ExtractiveAnswerer:
    """Quotes one excerpt, or nothing if its confidence is below a threshold."""

    name = "extractive"
    neighbour_chunks = 0
    is_extractive = True
    no_answer_reason: NoAnswerReason = "low_score"

    def __init__(self, threshold: float) -> None:
        """`threshold` is compared with the confidence of the evidence, from 0 to 1."""
        self._threshold = threshold

    async def generate(
        self, question: AnalyzedQuery, evidence: RankedEvidence, context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[Quotation | GenerationEnd, None]:
        """Yield the excerpt, if it is likely to answer the question."""
        if evidence.quotation is not None and evidence.confidence >= self._threshold:
            yield evidence.quotation

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Return None: rewriting a question needs a chat model."""
        return None
