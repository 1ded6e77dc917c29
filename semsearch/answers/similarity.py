"""Score the sentences of passages by their similarity to a question, with an embedder. Selects nothing."""

from collections.abc import Sequence

from ..core.ports import Embedder, LateInteractionEmbedder
from ..core.types.answers import AnalyzedQuery, Passage
from ..core.types.usage import RequestContext
from ..text.analyzer import detect_language
from .evidence import MAX_PASSAGES, Candidate, Similarity, rank_sentences


async def score_sentences(
    embedder: Embedder | None, question: AnalyzedQuery, passages: Sequence[Passage], context: RequestContext
) -> list[Candidate]:
    """Return the scored sentences of the best passages, best first.

    They are scored by words alone without an embedder, or if it does not know the language of the question.
    """
    question = question.query_with_history or question
    best_passages = passages[:MAX_PASSAGES]
    if embedder is None or not knows_language(embedder, question):
        return rank_sentences(question, best_passages, None)
    texts = [f"{passage.heading_path}\n{sentence.text}" for passage in best_passages for sentence in passage.sentences]
    similarity = await _compute_similarity(embedder, question.text, texts, context)
    return rank_sentences(question, best_passages, similarity)


def knows_language(embedder: Embedder | None, question: AnalyzedQuery) -> bool:
    """Return whether sentences are compared with a question by vectors, not by terms alone."""
    return embedder is not None and embedder.dense_weights[detect_language(question.text)] > 0


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
