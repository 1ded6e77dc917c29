"""Passages are neighbouring chunks of one section, up to a number of words."""

from collections.abc import Sequence
from dataclasses import replace

from semsearch.answers.evidence import MAX_PASSAGES
from semsearch.answers.passages import MARGIN_CHARACTERS, MAX_PASSAGE_WORDS, build_passages
from semsearch.core.types.packed_terms import PackedSpans, PackedTerms
from semsearch.core.types.search import StoredChunk
from semsearch.core.types.stored_documents import TextBlock

SECTIONS = {0: ("A", 1), 1: ("A", 1), 2: ("A", 1), 3: ("B", 1), 4: ("B", 2), 5: ("B", 2)}
"""Heading and page of each chunk by its ordinal."""


def make_chunk(ordinal: int, document_id: int = 1, words: int = 10) -> StoredChunk:
    """Return a chunk of two sentences; the second is the first one of the next chunk."""
    sentences = [" ".join(["word"] * (words // 2 - 1)) + f" {ordinal + n}." for n in range(2)]
    text, start = " ".join(sentences), ordinal * (len(sentences[0]) + 1)
    spans = PackedSpans([0, len(sentences[0]), len(sentences[0]) + 1, len(text)])
    heading, page = SECTIONS.get(ordinal, ("C", 3))
    return StoredChunk(
        id=100 * document_id + ordinal,
        document_id=document_id,
        ordinal=ordinal,
        uri=f"doc{document_id}",
        title="T",
        heading=heading,
        page=page,
        start=start,
        end=start + len(text),
        text=text,
        sentences=spans,
        terms=PackedTerms.pack([["word"], ["word"]]),
        content_sha256="0",
        metadata={},
    )


class FakeSnapshot:
    """A snapshot that only knows the neighbours of a chunk and the blocks around a passage."""

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """Return chunks of a document with six chunks."""
        return [make_chunk(ordinal, document_id) for ordinal in range(max(0, first), min(5, last) + 1)]

    def blocks(self, document_id: int, start: int, end: int) -> list[TextBlock]:
        """Return one block, as long as what was asked for."""
        return [TextBlock(start, end, "x" * (end - start))]


def summarize_passages(
    ranked: Sequence[tuple[StoredChunk, float]], neighbour_chunks: int = 0
) -> list[tuple[str, int, int, float]]:
    """Return document, first chunk, last chunk and score of each passage; chunks by the numbers in their sentences."""
    passages = build_passages(FakeSnapshot(), ranked, neighbour_chunks)  # type: ignore[arg-type]  # needs no more
    return [
        (
            passage.uri,
            _chunk_number(passage.sentences[0].text),
            _chunk_number(passage.sentences[-1].text) - 1,
            passage.score,
        )
        for passage in passages
    ]


def _chunk_number(sentence: str) -> int:
    return int(sentence.split()[-1][:-1])


def test_consecutive_hits_are_one_passage() -> None:
    """Consecutive chunks of one section are joined and keep their best score; the best passage comes first."""
    assert summarize_passages([(make_chunk(5), 0.9), (make_chunk(1), 0.8), (make_chunk(0), 0.7)]) == [
        ("doc1", 5, 5, 0.9),
        ("doc1", 0, 1, 0.8),
    ]


def test_passage_has_the_role_of_all_its_chunks() -> None:
    """A changelog inside a section is a passage of its own."""
    ranked = [(replace(make_chunk(n), role="changelog" if n == 1 else ""), 1 - n / 10) for n in range(3)]
    passages = build_passages(FakeSnapshot(), ranked, 0)  # type: ignore[arg-type]  # needs neighbours only
    assert [(passage.score, passage.role) for passage in passages] == [(1.0, ""), (0.9, "changelog"), (0.8, "")]


def test_passage_does_not_cross_a_page_or_heading() -> None:
    """The page of a passage is the page of each of its sentences."""
    ranked = [(make_chunk(n), 1 - n / 10) for n in range(6)]
    assert [(first, last) for _, first, last, _ in summarize_passages(ranked)] == [(0, 2), (3, 3), (4, 5)]


def test_neighbours_of_a_hit_are_added() -> None:
    """One neighbour chunk on each side adds the chunks before and after the hit."""
    assert summarize_passages([(make_chunk(1), 0.5)], neighbour_chunks=1) == [("doc1", 0, 2, 0.5)]


def test_passage_has_chunks_of_one_document() -> None:
    """Chunks of two documents are never joined."""
    assert summarize_passages([(make_chunk(1), 0.9), (make_chunk(2, document_id=2), 0.8)]) == [
        ("doc1", 1, 1, 0.9),
        ("doc2", 2, 2, 0.8),
    ]


def test_sentence_in_two_chunks_appears_once() -> None:
    """The overlap of two chunks appears once, and sentences are in text order."""
    (passage,) = build_passages(FakeSnapshot(), [(make_chunk(0), 0.9), (make_chunk(1), 0.8)], 0)  # type: ignore[arg-type]
    spans = [(sentence.start, sentence.end) for sentence in passage.sentences]
    assert len(spans) == 3
    assert spans == sorted(set(spans))


def test_passages_are_limited_by_words() -> None:
    """The best hits are added until the limit is reached, and at least one."""
    ranked = [(make_chunk(n, document_id=n, words=MAX_PASSAGE_WORDS // 2 - 10), 1 - n / 10) for n in range(1, 6)]
    assert [uri for uri, *_ in summarize_passages(ranked)] == ["doc1", "doc2"]
    assert len(summarize_passages([(make_chunk(0, words=3 * MAX_PASSAGE_WORDS), 0.5)])) == 1


def test_passage_ids_are_random() -> None:
    """The same passage has a new id in each request, so that a document cannot know it."""
    ids = {build_passages(FakeSnapshot(), [(make_chunk(0), 0.9)], 0)[0].id for _ in range(50)}  # type: ignore[arg-type]
    assert len(ids) == 50


def test_only_passages_that_are_scored_have_blocks() -> None:
    """They reach a little beyond the passage, as an excerpt may."""
    ranked = [(make_chunk(1, document_id=n), 1 - n / 100) for n in range(MAX_PASSAGES + 2)]
    passages = build_passages(FakeSnapshot(), ranked, 0)  # type: ignore[arg-type]
    assert [bool(passage.blocks) for passage in passages] == [True] * MAX_PASSAGES + [False] * 2
    (block,) = passages[0].blocks
    assert (block.start, block.end) == (
        max(0, passages[0].start - MARGIN_CHARACTERS),
        passages[0].end + MARGIN_CHARACTERS,
    )
