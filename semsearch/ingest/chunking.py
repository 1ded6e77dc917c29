"""Split a document into chunks that are spans of its text. Does not read files or compute embeddings.

Packing restarts at every page, sheet, heading and anchor, and chunks do not overlap across a restart. So an edit
changes the chunks of its own run only; all others keep their exact text, and with it their ids and embeddings.
"""

import zlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import NamedTuple

from ..core.types.documents import HEADING_SEPARATOR, Block, Chunk, Document, Span
from ..text.analyzer import count_words
from ..text.sentences import split_lines, split_sentences
from .limits import check_chunk_count

VERSION = "3"
"""Increased whenever the same document would be split differently."""

MAX_CHUNK_WORDS = 100
"""Best for a fixed number of words per prompt: small chunks are ranked, and their neighbours are added for reading."""
MAX_OVERLAP_WORDS = 30
"""The next chunk repeats whole sentences of up to this many words: about a fifth of a chunk on average."""
MIN_CHUNK_WORDS = 25
"""A shorter remainder joins the previous chunk; a shorter section joins the next one."""
MIN_RUN_WORDS = 200
MAX_RUN_WORDS = 1000
ANCHOR_MODULUS = 3
"""Words between two anchors, and the share of paragraph ends that are anchors (one in three). Of 120 random edits of
texts of 60,000 words and more, none changed more than 13 chunks; with 400, 1,200 and 4 the worst changed 29."""
ANCHOR_SPACING_CHARACTERS = 700
"""Average distance between anchors among short lines and paragraphs, of which fewer may be anchors. If every third may
be one, runs have nearly equal lengths, and the runs after an edit stay shifted against the old ones."""
LONG_PARAGRAPH_CHARACTERS = 6_000
"""In longer paragraphs any sentence may be an anchor: a log, for example, is a single paragraph."""

MAX_UNIT_CHARACTERS = 1000
CHARACTERS_PER_WORD = 12
"""Every 12 characters count as at least one word, so that text without spaces does not overfill a chunk."""

MAX_CONTEXT_CHARACTERS = 300


_LINE_BASED_KINDS = ("table", "list", "code")


class _Unit(NamedTuple):  # created for every sentence, in a third of the time of a dataclass
    """The smallest span that is never split: a sentence, a row, a line, a heading."""

    start: int
    end: int
    word_count: int
    block_index: int
    """Index of its block in the document."""
    block: Block
    ends_block: bool


def chunk(document: Document) -> list[Chunk]:
    """Return the chunks of a document; each satisfies `document.text[start:end] == chunk.text`.

    TooLargeError if there are more than a document may have.
    """
    chunker = _Chunker(document)
    chunks = []
    for group in chunker.iter_groups():
        chunks += [chunker.make_chunk(units) for units in _pack_chunks(group)]
        check_chunk_count(len(chunks))
    return chunks


@dataclass(frozen=True, slots=True)
class _Chunker:
    document: Document

    def _is_table_header(self, unit: _Unit) -> bool:
        """Return whether the unit is the header row of a table, which carries no content by itself."""
        return (
            unit.block.kind == "table"
            and unit.start == self.document.block_spans[unit.block_index][0]
            and not unit.ends_block
        )

    def iter_units(self) -> Iterator[_Unit]:
        for block_index, (block, (block_start, _)) in enumerate(
            zip(self.document.blocks, self.document.block_spans, strict=True)
        ):
            pieces = [piece for span in _split_block(block) for piece in _split_long_sentence(block.text, span)]
            for piece_number, (start, end, word_count) in enumerate(pieces, 1):
                size = max(1, word_count, (end - start) // CHARACTERS_PER_WORD)
                yield _Unit(
                    block_start + start,
                    block_start + end,
                    size,
                    block_index,
                    block,
                    ends_block=piece_number == len(pieces),
                )

    def iter_runs(self) -> Iterator[list[_Unit]]:
        """Yield the runs between restarts of packing: before a heading, at a new page or sheet, after an anchor."""
        run: list[_Unit] = []
        size = 0
        for unit in self.iter_units():
            if run and (self._is_restart(run[-1], unit) or self._ends_at_anchor(run[-1], size)):
                yield run
                run, size = [], 0
            run.append(unit)
            size += unit.word_count
        if run:
            yield run

    def _is_restart(self, previous: _Unit, unit: _Unit) -> bool:
        if previous.block_index == unit.block_index:
            return False
        return unit.block.kind == "heading" or _get_page_and_sheet(previous) != _get_page_and_sheet(unit)

    def _ends_at_anchor(self, last: _Unit, size: int) -> bool:
        """Return whether a run of `size` words ends after `last`; decided by content, so that edits do not move it.

        Any line may end a run. In prose only the end of a paragraph may, or any sentence of a very long paragraph.
        """
        if size >= MAX_RUN_WORDS:
            return True
        if size < MIN_RUN_WORDS:
            return False
        length = len(last.block.text)
        if last.block.kind in _LINE_BASED_KINDS or length > LONG_PARAGRAPH_CHARACTERS:
            length = last.end - last.start
        elif not last.ends_block:
            return False
        return self._is_anchor(last, max(ANCHOR_MODULUS, ANCHOR_SPACING_CHARACTERS // length))

    def _is_anchor(self, unit: _Unit, modulus: int = ANCHOR_MODULUS) -> bool:
        return zlib.crc32(self.document.text[unit.start : unit.end].encode()) % modulus == 0

    def iter_groups(self) -> Iterator[list[_Unit]]:
        """Yield the runs, with tiny sections joined to the next one on their page.

        A section that ends at an anchor always ends its group, so that an edit does not shift all later groups.
        """
        group: list[_Unit] = []
        for run in self.iter_runs():
            if group and _get_page_and_sheet(group[-1]) != _get_page_and_sheet(run[0]):
                yield group
                group = []
            group = group + run
            size = sum(unit.word_count for unit in group)
            if size >= MIN_CHUNK_WORDS or (self._is_anchor(run[-1]) and run[-1].block.kind != "heading"):
                yield group
                group = []
        if group:
            yield group

    def make_chunk(self, units: Sequence[_Unit]) -> Chunk:
        """Return the chunk of these units; leading headings that its context already names are not in the span."""
        content_units = [unit for unit in units if unit.block.kind != "heading" and not self._is_table_header(unit)]
        heading_path = _find_common_headings({unit.block.locator.headings for unit in content_units or units})
        context_headings = takewhile(
            lambda unit: unit.block.kind == "heading" and _is_heading_of(heading_path, unit), units
        )
        body_units = units[len(list(context_headings)) :] or units
        start, end = body_units[0].start, body_units[-1].end
        return Chunk(
            start=start,
            end=end,
            text=self.document.text[start:end],
            heading=HEADING_SEPARATOR.join(heading_path),
            page=body_units[0].block.locator.page,
            embedding_prefix=self._build_context(heading_path, body_units[0]),
            sentences=tuple([(unit.start - start, unit.end - start) for unit in content_units or body_units]),
        )

    def _build_context(self, headings: Sequence[str], first: _Unit) -> str:
        titles = [self.document.title, *(heading for heading in headings if heading != self.document.title)]
        context = HEADING_SEPARATOR.join(title for title in titles if title)[:MAX_CONTEXT_CHARACTERS]
        block, (block_start, _) = first.block, self.document.block_spans[first.block_index]
        if block.kind == "table" and first.start > block_start:
            # slice first: partition would copy a long table
            header = block.text[:MAX_CONTEXT_CHARACTERS].partition("\n")[0]
            return f"{context}\n{header}" if context else header
        return context


def _get_page_and_sheet(unit: _Unit) -> tuple[int | None, str | None]:
    locator = unit.block.locator
    return locator.page, locator.sheet


def _is_heading_of(path: tuple[str, ...], unit: _Unit) -> bool:
    """Return whether the unit is a heading that `path` contains."""
    headings = unit.block.locator.headings
    return headings[-1:] == (unit.block.text,) and path[: len(headings)] == headings


def _split_block(block: Block) -> list[Span]:
    if block.kind == "heading":
        return [(0, len(block.text))]
    if block.kind in ("table", "code"):
        return split_lines(block.text)
    return split_sentences(block.text, break_at_newlines=block.kind == "list")


def _split_long_sentence(text: str, span: Span) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and word count of a sentence; one that is longer than a chunk is split between its entries."""
    start, end = span
    if start < end and (word_count := _count_words_if_fits(text, start, end)):
        yield start, end, word_count
        return
    for first, last in _split_entries(text[start:end]):
        yield from _split_long_entry(text, start + first, start + last)


def _split_entries(text: str) -> list[Span]:
    """Return the lines of text without full stops, such as a log; a line in lower case continues the previous one."""
    entries: list[Span] = []
    for start, end in split_lines(text):
        if entries and text[start:end].lstrip()[:1].islower():
            start = entries.pop()[0]
        entries.append((start, end))
    return entries


def _split_long_entry(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the pieces of an entry, split at spaces, or anywhere if it has none, to fit into a chunk."""
    while start < end and not (word_count := _count_words_if_fits(text, start, end)):
        split = _find_split(text, start, min(end, start + MAX_UNIT_CHARACTERS))
        piece_end = start + len(text[start:split].rstrip())
        if piece_end > start:  # false where the entry begins with a long run of spaces
            yield start, piece_end, count_words(text[start:piece_end])
        start = _skip_spaces(text, split)
    if start < end:
        yield start, end, word_count


def _count_words_if_fits(text: str, start: int, end: int) -> int:
    """Return the word count of a piece that fits into a chunk; 0 if it is longer."""
    if end - start > MAX_UNIT_CHARACTERS:
        return 0
    return word_count if (word_count := count_words(text[start:end])) <= MAX_CHUNK_WORDS else 0


def _skip_spaces(text: str, start: int) -> int:
    return next((i for i in range(start, len(text)) if not text[i].isspace()), len(text))


def _find_split(text: str, start: int, limit: int) -> int:
    """Return the last offset up to `limit` with at most MAX_CHUNK_WORDS since `start`, at a space if there is one."""
    while count_words(text[start:limit]) > MAX_CHUNK_WORDS:
        limit = start + (limit - start) * 3 // 4
    space = text.rfind(" ", start + 1, limit)
    return space if space > start else limit


def _pack_chunks(units: Sequence[_Unit]) -> Iterator[Sequence[_Unit]]:
    """Yield the units of each chunk, up to MAX_CHUNK_WORDS; a chunk repeats the last sentences of the one before."""
    cumulative_words = [0, *accumulate(unit.word_count for unit in units)]
    first, packed_end = 0, 0
    while True:
        last = packed_end + 1
        while last < len(units) and cumulative_words[last + 1] - cumulative_words[first] <= MAX_CHUNK_WORDS:
            last += 1
        if cumulative_words[-1] - cumulative_words[last] < MIN_CHUNK_WORDS:
            last = len(units)
        yield units[first:last]
        if last == len(units):
            return
        packed_end, overlap_words = last, min(MAX_OVERLAP_WORDS, MAX_CHUNK_WORDS - units[last].word_count)
        while first + 1 < last and cumulative_words[packed_end] - cumulative_words[last - 1] <= overlap_words:
            last -= 1
        first = last


def _find_common_headings(paths: Set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the headings that all paths begin with."""
    common = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return tuple(common)
