"""Answers without a chat model: the best sentences of the passages, word for word, each with its marker.

Does not reword; only a line that ends inside a sentence goes on.
"""

from collections.abc import AsyncGenerator, Sequence
from itertools import accumulate, pairwise

from ..accounts import Errand
from ..analysis import language
from ..chunking import HEADING_SEPARATOR
from ..grounding import CONSIDERED, Candidate, answerable, evidence
from ..ports import Embedder
from ..types import Finish, Passage, Question, Reason, Support, Turn

MAX_SENTENCES = 3

AS_GOOD = 0.03
"""A further sentence is given if its score is this near to the best one's; so the mean answer has 29 words."""


class ExtractiveAnswerer:
    """Yields one to three sentences word for word, or nothing where the evidence is weak."""

    name = "extractive"
    reach = 0
    support: Support = "supported"
    silence: Reason = "low_score"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def write(
        self, question: Question, passages: Sequence[Passage], errand: Errand, *, rejected: str = ""
    ) -> AsyncGenerator[str | Finish, None]:
        """Yield each sentence as a paragraph that ends in ` [[passage.number]]`, the best first."""
        read = passages[:CONSIDERED]
        cosines = await self._cosines(question.text, read, errand)
        found = evidence(question, read, cosines)
        if not answerable(found, with_cosines=cosines is not None):
            return
        for place, candidate in enumerate(_chosen(found)):
            gap = "\n\n" if place else ""  # rows and list items have no stop that would tell them apart
            text = " ".join(candidate.sentence.text.split())
            yield f"{gap}{text} [[{candidate.passage.id}.{candidate.number}]]"

    async def condense(self, question: str, history: Sequence[Turn], errand: Errand) -> str | None:
        """Nothing: rewording takes a model."""
        return None

    async def _cosines(self, question: str, passages: Sequence[Passage], errand: Errand) -> list[list[float]] | None:
        """Each sentence's cosine with the question, by passage; None in a language that the embedder does not know."""
        if not self._embedder.weights[language(question)]:
            return None
        texts = [f"{_context(passage)}\n{sentence.text}" for passage in passages for sentence in passage.sentences]
        asked = (await self._embedder.embed([question], errand, query=True))[0]
        cosines = ((await self._embedder.embed(texts, errand)) @ asked).tolist()
        ends = accumulate((len(passage.sentences) for passage in passages), initial=0)
        return [cosines[start:end] for start, end in pairwise(ends)]


def _context(passage: Passage) -> str:
    """What is embedded in front of a sentence: without it "It was built in 1066." is near to no question."""
    return HEADING_SEPARATOR.join(
        dict.fromkeys(filter(None, [passage.title, *passage.heading.split(HEADING_SEPARATOR)]))
    )


def _chosen(found: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate and those as good; of a sentence that stands in two places, the better place."""
    distinct = {candidate.sentence.text: candidate for candidate in reversed(found)}
    best = found[0].score
    return [one for one in found if distinct[one.sentence.text] is one and one.score >= best - AS_GOOD][:MAX_SENTENCES]
