"""Passages made of blocks, for tests of what an answer quotes."""

from collections.abc import Sequence

from semsearch.answers.excerpts import split_units
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence
from semsearch.core.types.documents import BLOCK_SEPARATOR, BlockKind
from semsearch.core.types.stored_documents import TextBlock
from semsearch.text.analyzer import analyze, extract_query_terms

BlockText = tuple[BlockKind, str]


def make_blocks(contents: Sequence[BlockText], pages: Sequence[int | None] = ()) -> tuple[TextBlock, ...]:
    """Return consecutive blocks, as a document that consists of them stores them."""
    blocks, start = list[TextBlock](), 0
    for number, (kind, text) in enumerate(contents):
        blocks.append(TextBlock(start, start + len(text), text, kind, pages[number] if pages else None))
        start += len(text) + len(BLOCK_SEPARATOR)
    return tuple(blocks)


def make_block_passage(
    *contents: BlockText,
    name: str = "p",
    title: str = "",
    heading: str = "",
    pages: Sequence[int | None] = (),
    score: float = 1.0,
) -> Passage:
    """Return a passage of all these blocks, with their sentences."""
    blocks = make_blocks(contents, pages)
    spans = [
        span for block in blocks for span in (split_units(block) or [(block.start, block.end)]) if block.text.strip()
    ]
    text = BLOCK_SEPARATOR.join(block.text for block in blocks)
    sentences = tuple(Sentence(a, b, text[a:b], tuple(analyze(text[a:b])), 1) for a, b in spans)
    return Passage(name, f"{name}.txt", title, heading, None, 0, len(text), sentences, "", score, blocks=blocks)


def make_text_passage(name: str, text: str, score: float = 1.0, title: str = "", heading: str = "") -> Passage:
    """Return a passage of one paragraph."""
    return make_block_passage(("paragraph", text), name=name, score=score, title=title, heading=heading)


def make_question(text: str, idf: float = 1.0) -> AnalyzedQuery:
    """Return a question whose terms all have the same idf."""
    terms = tuple(extract_query_terms(text))
    return AnalyzedQuery(text, terms, dict.fromkeys(terms, idf))
