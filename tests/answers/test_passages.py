"""Passages: neighbouring chunks of one section, within the room there is."""

from collections.abc import Sequence

from semsearch.answers.passages import MAX_PASSAGE_WORDS, build_passages
from semsearch.core.types.packed_terms import PackedSpans, PackedTerms
from semsearch.core.types.search import StoredChunk

SECTIONS = {0: ("A", 1), 1: ("A", 1), 2: ("A", 1), 3: ("B", 1), 4: ("B", 2), 5: ("B", 2)}
"""Heading and page of each chunk by its ordinal."""


def chunk(ordinal: int, document_id: int = 1, words: int = 10) -> StoredChunk:
    """A chunk of two sentences; the second is the first one of the next chunk."""
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


class Shelf:
    """Stands for a snapshot: gives neighbours."""

    def neighbours(self, document_id: int, first: int, last: int) -> list[StoredChunk]:
        """Chunks of a document of six."""
        return [chunk(ordinal, document_id) for ordinal in range(max(0, first), min(5, last) + 1)]


def made(ranked: Sequence[tuple[StoredChunk, float]], reach: int = 0) -> list[tuple[str, int, int, float]]:
    """Passages of these hits: document, first and last chunk by the numbers in their sentences, score."""
    found = build_passages(Shelf(), ranked, reach)  # type: ignore[arg-type]  # only its neighbours are asked for
    return [(one.uri, _number(one.sentences[0].text), _number(one.sentences[-1].text) - 1, one.score) for one in found]


def _number(sentence: str) -> int:
    return int(sentence.split()[-1][:-1])


def test_neighbouring_hits_are_one_passage() -> None:
    """Consecutive chunks of one section are joined, with the best score among them; the best passage comes first."""
    assert made([(chunk(5), 0.9), (chunk(1), 0.8), (chunk(0), 0.7)]) == [("doc1", 5, 5, 0.9), ("doc1", 0, 1, 0.8)]


def test_a_passage_keeps_to_its_page_and_heading() -> None:
    """Chunks of another heading or page are another passage, so that a citation's page is the sentence's own."""
    ranked = [(chunk(n), 1 - n / 10) for n in range(6)]
    assert [(first, last) for _, first, last, _ in made(ranked)] == [(0, 2), (3, 3), (4, 5)]


def test_neighbours_are_read_with_a_hit() -> None:
    """With a reach of one a hit brings the chunk before it and the one behind."""
    assert made([(chunk(1), 0.5)], reach=1) == [("doc1", 0, 2, 0.5)]


def test_documents_do_not_mix() -> None:
    """Chunks of two documents are never one passage."""
    assert made([(chunk(1), 0.9), (chunk(2, document_id=2), 0.8)]) == [("doc1", 1, 1, 0.9), ("doc2", 2, 2, 0.8)]


def test_a_sentence_in_two_chunks_is_there_once() -> None:
    """The overlap of two chunks is read once, in the order of the text, each sentence with its chunk."""
    (passage,) = build_passages(Shelf(), [(chunk(0), 0.9), (chunk(1), 0.8)], 0)  # type: ignore[arg-type]
    spans = [(sentence.start, sentence.end) for sentence in passage.sentences]
    assert len(spans) == 3
    assert spans == sorted(set(spans))


def test_there_is_room_for_so_many_words() -> None:
    """The best hits are taken until the room is full, and at least one."""
    ranked = [(chunk(n, document_id=n, words=MAX_PASSAGE_WORDS // 2 - 10), 1 - n / 10) for n in range(1, 6)]
    assert [uri for uri, *_ in made(ranked)] == ["doc1", "doc2"]
    assert len(made([(chunk(0, words=3 * MAX_PASSAGE_WORDS), 0.5)])) == 1


def test_ids_live_for_one_request() -> None:
    """The same passage has another id each time, which no document can know."""
    ids = {build_passages(Shelf(), [(chunk(0), 0.9)], 0)[0].id for _ in range(50)}  # type: ignore[arg-type]
    assert len(ids) == 50
