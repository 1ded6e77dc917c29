"""Weighs the sentences of passages against a question with a model that runs here. Decides nothing."""

from collections.abc import Sequence

from ...core.ports import Embedder, LateInteractionEmbedder
from ...core.types.answers import AnalyzedQuery, Passage
from ...core.types.documents import HEADING_SEPARATOR
from ...core.types.usage import RequestContext
from ...text.analyzer import detect_language
from ..evidence import MAX_PASSAGES, Candidate, Similarity, rank_sentences


async def score_sentences(
    embedder: Embedder, question: AnalyzedQuery, passages: Sequence[Passage], context: RequestContext
) -> list[Candidate]:
    """The sentences of the best passages, the best first; by the words alone in a language the embedder knows not."""
    question = question.query_with_history or question
    considered = passages[:MAX_PASSAGES]
    texts = [
        f"{_make_embedding_prefix(passage)}\n{sentence.text}"
        for passage in considered
        for sentence in passage.sentences
    ]
    knows_language = embedder.dense_weights[detect_language(question.text)] > 0
    return rank_sentences(
        question,
        considered,
        await _compute_similarity(embedder, question.text, texts, context) if knows_language else None,
    )


async def _compute_similarity(
    embedder: Embedder, question: str, texts: Sequence[str], context: RequestContext
) -> Similarity:
    """By token where the embedder tells tokens apart."""
    if (
        isinstance(embedder, LateInteractionEmbedder)
        and (cosines := await embedder.token_similarities(question, texts)) is not None
    ):
        return Similarity(cosines, is_by_token=True)
    query_vectors = await embedder.embed([question], context, query=True)
    return Similarity(await embedder.embed(texts, context) @ query_vectors.T, is_by_token=False)


def _make_embedding_prefix(passage: Passage) -> str:
    """What is embedded in front of a sentence: without it "It was built in 1066." is near to no question."""
    return HEADING_SEPARATOR.join(
        dict.fromkeys(filter(None, [passage.title, *passage.heading.split(HEADING_SEPARATOR)]))
    )
