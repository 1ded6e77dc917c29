"""Score the sentences of passages by their similarity to a question, with an embedder. Selects nothing."""

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
    """Return the scored sentences of the best passages, best first.

    They are scored by words alone if the embedder does not know the language of the question.
    """
    question = question.query_with_history or question
    best_passages = passages[:MAX_PASSAGES]
    texts = [
        f"{_make_embedding_prefix(passage)}\n{sentence.text}"
        for passage in best_passages
        for sentence in passage.sentences
    ]
    knows_language = embedder.dense_weights[detect_language(question.text)] > 0
    return rank_sentences(
        question,
        best_passages,
        await _compute_similarity(embedder, question.text, texts, context) if knows_language else None,
    )


async def _compute_similarity(
    embedder: Embedder, question: str, texts: Sequence[str], context: RequestContext
) -> Similarity:
    """Return token similarities if the embedder offers them, else those of whole sentences."""
    if (
        isinstance(embedder, LateInteractionEmbedder)
        and (cosines := await embedder.token_similarities(question, texts)) is not None
    ):
        return Similarity(cosines, is_by_token=True)
    query_vectors = await embedder.embed([question], context, query=True)
    return Similarity(await embedder.embed(texts, context) @ query_vectors.T, is_by_token=False)


def _make_embedding_prefix(passage: Passage) -> str:
    """Return the title and headings; without them "It was built in 1066." is similar to no question."""
    return HEADING_SEPARATOR.join(
        dict.fromkeys(filter(None, [passage.title, *passage.heading.split(HEADING_SEPARATOR)]))
    )
