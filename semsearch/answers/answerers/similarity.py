"""Weighs the sentences of passages against a question with a model that runs here. Decides nothing."""

from collections.abc import Sequence

from ...core.ports import Embedder, TokenEmbedder
from ...core.types.answers import Passage, Question
from ...core.types.documents import HEADING_SEPARATOR
from ...core.types.usage import Errand
from ...text.analyzer import language
from ..evidence import CONSIDERED, Candidate, Nearness, evidence


async def weigh(embedder: Embedder, question: Question, passages: Sequence[Passage], errand: Errand) -> list[Candidate]:
    """The sentences of the best passages, the best first; by the words alone in a language the embedder knows not."""
    question = question.wider or question
    read = passages[:CONSIDERED]
    texts = [f"{_context(passage)}\n{sentence.text}" for passage in read for sentence in passage.sentences]
    knows = embedder.weights[language(question.text)] > 0
    return evidence(question, read, await _nearness(embedder, question.text, texts, errand) if knows else None)


async def _nearness(embedder: Embedder, question: str, texts: Sequence[str], errand: Errand) -> Nearness:
    """By token where the embedder tells tokens apart."""
    if isinstance(embedder, TokenEmbedder) and (cosines := await embedder.by_token(question, texts)) is not None:
        return Nearness(cosines, by_token=True)
    asked = await embedder.embed([question], errand, query=True)
    return Nearness(await embedder.embed(texts, errand) @ asked.T, by_token=False)


def _context(passage: Passage) -> str:
    """What is embedded in front of a sentence: without it "It was built in 1066." is near to no question."""
    return HEADING_SEPARATOR.join(
        dict.fromkeys(filter(None, [passage.title, *passage.heading.split(HEADING_SEPARATOR)]))
    )
