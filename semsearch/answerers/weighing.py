"""Weighs the sentences of passages against a question with the embedded model. Decides nothing."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from ..accounts import Errand
from ..analysis import language
from ..chunking import HEADING_SEPARATOR
from ..grounding import CONSIDERED, Candidate, evidence
from ..ports import Embedder
from ..types import Passage, Question


async def weigh(
    embedder: Embedder, question: Question, passages: Sequence[Passage], errand: Errand
) -> tuple[list[Candidate], bool]:
    """The sentences of the best passages, the best first; and whether vectors counted, or the words alone."""
    read = passages[:CONSIDERED]
    cosines = await _cosines(embedder, question.text, read, errand)
    return evidence(question, read, cosines), cosines is not None


async def _cosines(
    embedder: Embedder, question: str, passages: Sequence[Passage], errand: Errand
) -> list[list[float]] | None:
    """Each sentence's cosine with the question, by passage; None in a language that the embedder does not know."""
    if not embedder.weights[language(question)]:
        return None
    texts = [f"{_context(passage)}\n{sentence.text}" for passage in passages for sentence in passage.sentences]
    asked = (await embedder.embed([question], errand, query=True))[0]
    cosines = ((await embedder.embed(texts, errand)) @ asked).tolist()
    ends = accumulate((len(passage.sentences) for passage in passages), initial=0)
    return [cosines[start:end] for start, end in pairwise(ends)]


def _context(passage: Passage) -> str:
    """What is embedded in front of a sentence: without it "It was built in 1066." is near to no question."""
    return HEADING_SEPARATOR.join(
        dict.fromkeys(filter(None, [passage.title, *passage.heading.split(HEADING_SEPARATOR)]))
    )
