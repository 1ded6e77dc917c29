"""build_answer_queries: what is searched for a question and for a follow-up."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from semsearch.answers.requests import build_answer_queries
from semsearch.core.types.answers import AnalyzedQuery, NoAnswerReason, RankedEvidence, Turn
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.search.retrieval import Query


class CondensingAnswerer:
    """Condenses each follow-up to a given question."""

    name = "condensing"
    neighbour_chunks: ClassVar[int] = 0
    is_extractive: ClassVar[bool] = False
    no_answer_reason: ClassVar[NoAnswerReason] = "unsupported"

    def __init__(self, condensed: str | None = None) -> None:
        self.condensed = condensed

    async def generate(
        self, question: AnalyzedQuery, evidence: RankedEvidence, context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[str, None]:
        """Generate nothing."""
        for passage in evidence.passages[:0]:
            yield passage.title

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Return the given question."""
        return self.condensed


def build(question: str, *history: str, condensed: str | None = None) -> list[Query]:
    """Return the queries of a question after these earlier questions."""
    turns = [Turn(text, "") for text in history]
    return asyncio.run(
        build_answer_queries(
            question, turns, None, LocalEmbedder(), CondensingAnswerer(condensed), RequestContext("answer")
        )
    )


def test_question_is_searched_without_its_instructions() -> None:
    """The whole question stays in `full_text`, for a chat model."""
    (query,) = build("How long is leave? Answer with the full number.")
    assert (query.text, query.full_text) == ("How long is leave?", "How long is leave? Answer with the full number.")


def test_follow_up_is_joined_with_earlier_questions_without_their_instructions() -> None:
    """Alone and joined, no query has an instruction."""
    first, joined = build("And in May? Thanks!", "How long is leave? Be brief.")
    assert (first.text, joined.text) == ("And in May?", "How long is leave? And in May?")


def test_condensed_question_is_searched_without_its_instructions() -> None:
    """A model may repeat an instruction in the question that it rewrites."""
    (query,) = build("And in May?", "How long is leave?", condensed="How long is leave in May? Answer in German.")
    assert (query.text, query.full_text) == (
        "How long is leave in May?",
        "How long is leave in May? Answer in German.",
    )
