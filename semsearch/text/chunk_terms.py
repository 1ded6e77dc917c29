"""Analyse the sentences of chunks for the lexical index. Stores nothing."""

from collections.abc import Iterator, Sequence

from ..core.types.documents import Chunk, ChunkTerms
from .analyzer import analyze_many


def analyze_chunks(chunks: Sequence[Chunk]) -> Iterator[ChunkTerms]:
    """Yield the terms of each chunk of one document; texts that chunks share are analysed once."""
    contexts_and_lines = [(chunk.embedding_prefix, _split_lines(chunk)) for chunk in chunks]
    texts = list(dict.fromkeys(text for context, lines in contexts_and_lines for text in (context, *lines)))
    terms_by_text = dict(zip(texts, analyze_many(texts), strict=True))
    for context, lines in contexts_and_lines:
        yield ChunkTerms(terms_by_text[context], "\n".join([terms_by_text[line] for line in lines]))


def _split_lines(chunk: Chunk) -> list[str]:
    """Return the text of each sentence, and last the text outside the sentences."""
    position = 0
    lines, between = [], []
    for start, end in chunk.sentences:
        lines.append(chunk.text[start:end])
        between.append(chunk.text[position:start])
        position = end
    return [*lines, " ".join([*between, chunk.text[position:]])]
