"""Chunks are spans of the right size, and an edit changes few of them."""

import random
from itertools import pairwise
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.documents import Block, BlockKind, Document, Locator
from semsearch.ingest.chunking import MAX_CHUNK_WORDS, MIN_CHUNK_WORDS, chunk
from semsearch.text.analyzer import count_words

KINDS: tuple[BlockKind, ...] = ("heading", "paragraph", "list", "table", "code")
WORDS = "the sea wall lamp keeper tide rope boat signal storm glass oil stair door night".split()


def make_document(*blocks: Block, title: str = "Title") -> Document:
    """Return a document of these blocks."""
    return Document("a/b.md", title, "text/markdown", blocks, sha256="0", reader_version="1")


def prose(sentences: int, seed: int = 0) -> str:
    """Return this many sentences of five to fifteen words."""
    random_source = random.Random(seed)
    return " ".join(
        " ".join(random_source.choices(WORDS, k=random_source.randint(5, 15))).capitalize() + "."
        for _ in range(sentences)
    )


_texts = st.text(min_size=1).map(str.strip).filter(bool)
_blocks = st.builds(
    Block,
    text=_texts | st.integers(1, 40).map(prose),
    kind=st.sampled_from(KINDS),
    locator=st.builds(Locator, headings=st.lists(_texts, max_size=3).map(tuple), page=st.none() | st.integers(1, 3)),
)


@given(st.lists(_blocks, min_size=1, max_size=12), _texts)
def test_chunk_is_a_span_of_the_text(blocks: list[Block], title: str) -> None:
    """`document.text[start:end] == text` for any document, and each sentence is a non-blank span of its chunk."""
    document = make_document(*blocks, title=title)
    for part in chunk(document):
        assert document.text[part.start : part.end] == part.text
        assert part.text.strip()
        assert part.sentences
        for start, end in part.sentences:
            assert 0 <= start < end <= len(part.text)
            assert part.text[start:end].strip()


@given(st.lists(_blocks, min_size=1, max_size=12))
def test_every_word_is_in_a_chunk(blocks: list[Block]) -> None:
    """Every character is in a chunk, except headings, which are in the context, and white space."""
    document = make_document(*blocks)
    covered = bytearray(len(document.text))
    for part in chunk(document):
        covered[part.start : part.end] = b"\1" * (part.end - part.start)
    for block, (start, end) in zip(document.blocks, document.block_spans, strict=True):
        if block.kind != "heading":
            assert not any(document.text[i].strip() and not covered[i] for i in range(start, end))


@given(st.lists(_blocks, min_size=1, max_size=12))
def test_chunk_stays_on_its_page(blocks: list[Block]) -> None:
    """No chunk contains text of two pages."""
    document = make_document(*blocks)
    for part in chunk(document):
        pages = {
            block.locator.page
            for block, (start, end) in zip(document.blocks, document.block_spans, strict=True)
            if start < part.end and end > part.start
        }
        assert pages == {part.page}


def test_chunk_size_and_overlap() -> None:
    """Chunks of prose have at most 100 words, or 25 more at the end of a run, and overlap by about a fifth."""
    document = make_document(*(Block(prose(6, seed)) for seed in range(200)))
    chunks = chunk(document)
    sizes = [count_words(part.text) for part in chunks]
    assert max(sizes) <= MAX_CHUNK_WORDS + MIN_CHUNK_WORDS
    assert sum(60 <= size <= MAX_CHUNK_WORDS for size in sizes) / len(sizes) > 0.75
    overlap = sum(max(0, left.end - right.start) for left, right in pairwise(chunks))
    assert 0.1 < overlap / len(document.text) < 0.3


def test_headings_are_in_the_embedding_prefix() -> None:
    """The embedding prefix is the title and the heading path; the heading is not repeated in the text."""
    document = make_document(
        Block("Leave", "heading", Locator(("Leave",))),
        Block("Parental", "heading", Locator(("Leave", "Parental"))),
        Block(prose(8), "paragraph", Locator(("Leave", "Parental"))),
        title="Handbook",
    )
    (part,) = chunk(document)
    assert part.embedding_prefix == "Handbook › Leave › Parental"
    assert part.heading == "Leave › Parental"
    assert part.text == prose(8)


def test_document_of_headings_has_chunks() -> None:
    """A document that has only headings can be searched and cited."""
    document = make_document(
        Block("Hours", "heading", Locator(("Hours",))), Block("Rules", "heading", Locator(("Hours", "Rules")))
    )
    for part in chunk(document):
        assert document.text[part.start : part.end] == part.text
        assert all(part.text[start:end] for start, end in part.sentences)
    assert "Rules" in "".join(part.embedding_text for part in chunk(document))


def test_tiny_sections_share_a_chunk() -> None:
    """Sections of a few words are joined under their common heading, with their own headings in the text."""
    document = make_document(
        Block("Opening", "heading", Locator(("Hours", "Opening"))),
        Block("At nine.", "paragraph", Locator(("Hours", "Opening"))),
        Block("Closing", "heading", Locator(("Hours", "Closing"))),
        Block("At five, in winter at four.", "paragraph", Locator(("Hours", "Closing"))),
    )
    text = "\n\n".join(part.text for part in chunk(document))
    assert "Opening\n\nAt nine." in text
    assert "At five" in text


def test_table_chunks_are_embedded_with_the_header_row() -> None:
    """Every chunk of a long table is embedded with the header row."""
    rows = "\n".join(f"item {n} | {n} pieces in store | shelf {n % 7}" for n in range(100))
    parts = chunk(make_document(Block(f"name | count | place\n{rows}", "table")))
    assert len(parts) > 3
    assert all("name | count | place" in part.embedding_text for part in parts)


class CopyCountingText(str):
    """A string that counts the characters copied_characters from it."""

    copied_characters = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        """Count the copied_characters slice."""
        return self._counted(super().__getitem__(key))

    def partition(self, separator: str, /) -> tuple[str, str, str]:
        """Count a copy of the whole text."""
        self._counted(self)
        return super().partition(separator)

    def _counted(self, piece: str) -> str:
        self.copied_characters += len(piece)
        return piece


@pytest.mark.parametrize("separator", [" | ", "\n"])
def test_long_table_is_not_copied_for_every_chunk(separator: str) -> None:
    """A table of one row or of many is split in linear time."""
    text = CopyCountingText(separator.join(["cell"] * 20_000))
    assert len(chunk(make_document(Block(text, "table")))) > 200
    assert text.copied_characters < 30 * len(text)


def test_endless_word_is_split() -> None:
    """Text without any space is split too, in linear time."""
    parts = chunk(make_document(Block("x" * 2_000_000)))
    assert max(len(part.text) for part in parts) <= 2_000
    assert "".join(part.text for part in parts)[:10] == "x" * 10


@pytest.mark.parametrize("kind", ["paragraph", "list", "table", "code"])
def test_long_runs_of_spaces_are_not_units(kind: BlockKind) -> None:
    """Lines that are indented by more than the maximum length of a unit are split after their spaces."""
    lines = [f"{' ' * 1500}{number} tide rope boat" for number in range(200)]
    parts = chunk(make_document(Block("\n".join(["begin", *lines]), kind)))
    assert all(start < end for part in parts for start, end in part.sentences)
    assert all(any(line.strip() in part.text for part in parts) for line in lines)


@pytest.mark.slow
def test_edit_changes_few_chunks() -> None:
    """Changing one paragraph of a long text changes at most 20 chunks; all others keep their exact text."""
    paragraphs = [prose(6, seed) for seed in range(400)]
    old_hashes = {part.text_hash for part in chunk(make_document(*map(Block, paragraphs)))}
    random_source = random.Random(7)
    for _ in range(40):
        index = random_source.randrange(len(paragraphs))
        edited = [
            *paragraphs[:index],
            random_source.choice(["Rewritten.", prose(9, 1000 + index)]),
            *paragraphs[index + 1 :],
        ]
        new_hashes = [part.text_hash for part in chunk(make_document(*map(Block, edited)))]
        assert sum(text_hash not in old_hashes for text_hash in new_hashes) <= 20


@pytest.mark.parametrize("kind", ["table", "list", "code", "paragraph"])
def test_new_line_changes_few_chunks(kind: BlockKind) -> None:
    """Inserting a row, item or line among 4,000 short ones changes at most 20 chunks."""
    random_source = random.Random(5)
    lines = [f"{number} {' '.join(random_source.choices(WORDS, k=3))}" for number in range(4_000)]
    old_hashes = {part.text_hash for part in chunk(make_document(Block("\n".join(lines), kind)))}
    for index in random_source.sample(range(1, len(lines)), 12):
        longer_document = make_document(Block("\n".join([*lines[:index], "9999 new tide rope", *lines[index:]]), kind))
        assert sum(part.text_hash not in old_hashes for part in chunk(longer_document)) <= 20


def test_new_record_changes_few_chunks() -> None:
    """Inserting a paragraph among 4,000 short ones, such as records of one field, changes at most 20 chunks."""
    random_source = random.Random(6)
    records = [Block(f"{number} {' '.join(random_source.choices(WORDS, k=8))}") for number in range(4_000)]
    old_hashes = {part.text_hash for part in chunk(make_document(*records))}
    for index in random_source.sample(range(1, len(records)), 12):
        longer_document = make_document(*records[:index], Block("9999 new tide rope"), *records[index:])
        assert sum(part.text_hash not in old_hashes for part in chunk(longer_document)) <= 20


def test_log_is_split_at_its_lines() -> None:
    """Lines without a full stop are separate sentences of their chunk."""
    lines = [f"2026-11-02 10:{number // 60:02}:{number % 60:02} worker {number % 7} woke up" for number in range(600)]
    parts = chunk(make_document(Block("\n".join(lines))))
    sentences = [part.text[start:end] for part in parts for start, end in part.sentences]
    assert list(dict.fromkeys(sentences)) == lines


def test_long_sentence_over_many_lines_is_one_sentence() -> None:
    """Lines that continue in lower case are one sentence."""
    line = "of the sea, and of all that is carried by it, and of what it leaves behind"
    (part, *_) = chunk(make_document(Block("\n".join([line] * 100))))
    assert len(part.sentences) == 1


def test_new_first_paragraph_changes_few_chunks() -> None:
    """A new first paragraph changes at most 20 chunks, although all others move."""
    paragraphs = [Block(prose(6, seed)) for seed in range(300)]
    old_hashes = {part.text_hash for part in chunk(make_document(*paragraphs))}
    new_chunks = chunk(make_document(Block(prose(4, 999)), *paragraphs))
    assert sum(part.text_hash not in old_hashes for part in new_chunks) <= 20
