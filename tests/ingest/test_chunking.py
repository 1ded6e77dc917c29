"""Chunks are spans, of the right size, and an edit moves few of them."""

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


def document(*blocks: Block, title: str = "Title") -> Document:
    """A document of these blocks."""
    return Document("a/b.md", title, "text/markdown", blocks, sha256="0", reader_version="1")


def prose(sentences: int, seed: int = 0) -> str:
    """So many sentences of five to fifteen words."""
    source = random.Random(seed)
    return " ".join(
        " ".join(source.choices(WORDS, k=source.randint(5, 15))).capitalize() + "." for _ in range(sentences)
    )


_texts = st.text(min_size=1).map(str.strip).filter(bool)
_blocks = st.builds(
    Block,
    text=_texts | st.integers(1, 40).map(prose),
    kind=st.sampled_from(KINDS),
    locator=st.builds(Locator, headings=st.lists(_texts, max_size=3).map(tuple), page=st.none() | st.integers(1, 3)),
)


@given(st.lists(_blocks, min_size=1, max_size=12), _texts)
def test_a_chunk_is_a_span_of_the_text(blocks: list[Block], title: str) -> None:
    """`document.text[start:end] == text` for any document, and each sentence is a span of its chunk, not blank."""
    made = document(*blocks, title=title)
    for part in chunk(made):
        assert made.text[part.start : part.end] == part.text
        assert part.text.strip()
        assert part.sentences
        for start, end in part.sentences:
            assert 0 <= start < end <= len(part.text)
            assert part.text[start:end].strip()


@given(st.lists(_blocks, min_size=1, max_size=12))
def test_every_word_is_in_a_chunk(blocks: list[Block]) -> None:
    """Nothing but headings, which stand in the context, and white space falls between two chunks."""
    made = document(*blocks)
    covered = bytearray(len(made.text))
    for part in chunk(made):
        covered[part.start : part.end] = b"\1" * (part.end - part.start)
    for block, (start, end) in zip(made.blocks, made.block_spans, strict=True):
        if block.kind != "heading":
            assert not any(made.text[i].strip() and not covered[i] for i in range(start, end))


@given(st.lists(_blocks, min_size=1, max_size=12))
def test_a_chunk_stays_on_its_page(blocks: list[Block]) -> None:
    """No chunk holds text of two pages, so its page is the page of all of it."""
    made = document(*blocks)
    for part in chunk(made):
        pages = {
            block.locator.page
            for block, (start, end) in zip(made.blocks, made.block_spans, strict=True)
            if start < part.end and end > part.start
        }
        assert pages == {part.page}


def test_size_and_overlap() -> None:
    """Chunks of running text have at most 100 words, or a scrap more at a run's end, and about a fifth overlaps."""
    made = document(*(Block(prose(6, seed)) for seed in range(200)))
    chunks = chunk(made)
    sizes = [count_words(part.text) for part in chunks]
    assert max(sizes) <= MAX_CHUNK_WORDS + MIN_CHUNK_WORDS
    assert sum(60 <= size <= MAX_CHUNK_WORDS for size in sizes) / len(sizes) > 0.75
    shared = sum(max(0, left.end - right.start) for left, right in pairwise(chunks))
    assert 0.1 < shared / len(made.text) < 0.3


def test_headings_are_embedded_in_front() -> None:
    """The context is the title and the heading path; the heading is not repeated in the text."""
    made = document(
        Block("Leave", "heading", Locator(("Leave",))),
        Block("Parental", "heading", Locator(("Leave", "Parental"))),
        Block(prose(8), "paragraph", Locator(("Leave", "Parental"))),
        title="Handbook",
    )
    (part,) = chunk(made)
    assert part.embedding_prefix == "Handbook › Leave › Parental"
    assert part.heading == "Leave › Parental"
    assert part.text == prose(8)


def test_headings_alone_are_a_chunk() -> None:
    """A document of headings only can still be found, and what it holds can be cited."""
    made = document(
        Block("Hours", "heading", Locator(("Hours",))), Block("Rules", "heading", Locator(("Hours", "Rules")))
    )
    for part in chunk(made):
        assert made.text[part.start : part.end] == part.text
        assert all(part.text[start:end] for start, end in part.sentences)
    assert "Rules" in "".join(part.embedding_text for part in chunk(made))


def test_tiny_sections_share_a_chunk() -> None:
    """Sections of a few words are joined under the heading they have in common, their own headings in the text."""
    made = document(
        Block("Opening", "heading", Locator(("Hours", "Opening"))),
        Block("At nine.", "paragraph", Locator(("Hours", "Opening"))),
        Block("Closing", "heading", Locator(("Hours", "Closing"))),
        Block("At five, in winter at four.", "paragraph", Locator(("Hours", "Closing"))),
    )
    text = "\n\n".join(part.text for part in chunk(made))
    assert "Opening\n\nAt nine." in text
    assert "At five" in text


def test_rows_carry_their_header() -> None:
    """Every chunk of a long table is embedded with the header row in front."""
    rows = "\n".join(f"item {n} | {n} pieces in store | shelf {n % 7}" for n in range(100))
    parts = chunk(document(Block(f"name | count | place\n{rows}", "table")))
    assert len(parts) > 3
    assert all("name | count | place" in part.embedding_text for part in parts)


class Counting(str):
    """A text that counts the characters that are copied out of it."""

    copied = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        """Copy a piece."""
        return self._counted(super().__getitem__(key))

    def partition(self, separator: str, /) -> tuple[str, str, str]:
        """Copy all of it."""
        self._counted(self)
        return super().partition(separator)

    def _counted(self, piece: str) -> str:
        self.copied += len(piece)
        return piece


@pytest.mark.parametrize("separator", [" | ", "\n"])
def test_a_long_table_is_not_copied_for_every_chunk(separator: str) -> None:
    """Of one row or of many: it is cut in linear time."""
    text = Counting(separator.join(["cell"] * 20_000))
    assert len(chunk(document(Block(text, "table")))) > 200
    assert text.copied < 30 * len(text)


def test_a_word_without_end_is_cut() -> None:
    """Text without any space is cut too, and in linear time."""
    parts = chunk(document(Block("x" * 2_000_000)))
    assert max(len(part.text) for part in parts) <= 2_000
    assert "".join(part.text for part in parts)[:10] == "x" * 10


@pytest.mark.parametrize("kind", ["paragraph", "list", "table", "code"])
def test_spaces_without_end_are_no_piece(kind: BlockKind) -> None:
    """Lines that are indented by more than a piece may be long are cut, and found, behind their spaces."""
    lines = [f"{' ' * 1500}{number} tide rope boat" for number in range(200)]
    parts = chunk(document(Block("\n".join(["begin", *lines]), kind)))
    assert all(start < end for part in parts for start, end in part.sentences)
    assert all(any(line.strip() in part.text for part in parts) for line in lines)


def test_an_edit_changes_few_chunks() -> None:
    """Changing one paragraph of a long text embeds at most 20 chunks anew; all others keep their exact text."""
    paragraphs = [prose(6, seed) for seed in range(400)]
    before = {part.text_hash for part in chunk(document(*map(Block, paragraphs)))}
    source = random.Random(7)
    for _ in range(40):
        at = source.randrange(len(paragraphs))
        changed = [*paragraphs[:at], source.choice(["Rewritten.", prose(9, 1000 + at)]), *paragraphs[at + 1 :]]
        after = [part.text_hash for part in chunk(document(*map(Block, changed)))]
        assert sum(text_hash not in before for text_hash in after) <= 20


@pytest.mark.parametrize("kind", ["table", "list", "code", "paragraph"])
def test_a_new_line_changes_few_chunks(kind: BlockKind) -> None:
    """One more among 4,000 short rows, items or lines embeds at most 20 chunks anew, wherever it is put."""
    source = random.Random(5)
    lines = [f"{number} {' '.join(source.choices(WORDS, k=3))}" for number in range(4_000)]
    before = {part.text_hash for part in chunk(document(Block("\n".join(lines), kind)))}
    for at in source.sample(range(1, len(lines)), 12):
        more = document(Block("\n".join([*lines[:at], "9999 new tide rope", *lines[at:]]), kind))
        assert sum(part.text_hash not in before for part in chunk(more)) <= 20


def test_a_new_record_changes_few_chunks() -> None:
    """One more among 4,000 paragraphs of a few words, such as records of one field, embeds few chunks anew too."""
    source = random.Random(6)
    records = [Block(f"{number} {' '.join(source.choices(WORDS, k=8))}") for number in range(4_000)]
    before = {part.text_hash for part in chunk(document(*records))}
    for at in source.sample(range(1, len(records)), 12):
        more = document(*records[:at], Block("9999 new tide rope"), *records[at:])
        assert sum(part.text_hash not in before for part in chunk(more)) <= 20


def test_a_log_is_cut_at_its_lines() -> None:
    """Lines without a full stop are no sentence of a hundred words: each is found, and cited, by itself."""
    lines = [f"2026-11-02 10:{number // 60:02}:{number % 60:02} worker {number % 7} woke up" for number in range(600)]
    parts = chunk(document(Block("\n".join(lines))))
    cut = [part.text[start:end] for part in parts for start, end in part.sentences]
    assert list(dict.fromkeys(cut)) == lines


def test_a_long_sentence_over_many_lines_is_cut_as_one() -> None:
    """Lines that go on in lower case are no entries: a sentence is not cut at each of them."""
    line = "of the sea, and of all that is carried by it, and of what is left behind"
    (part, *_) = chunk(document(Block("\n".join([line] * 100))))
    assert len(part.sentences) == 1


def test_inserting_in_front_changes_the_beginning_only() -> None:
    """A new first paragraph leaves the chunks of the rest alone, though each of them has moved."""
    paragraphs = [Block(prose(6, seed)) for seed in range(300)]
    before = {part.text_hash for part in chunk(document(*paragraphs))}
    after = chunk(document(Block(prose(4, 999)), *paragraphs))
    assert sum(part.text_hash not in before for part in after) <= 20
