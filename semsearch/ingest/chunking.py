"""Cuts a document into chunks that are spans of its text. Does not read files and does not embed.

Packing restarts at every page, sheet, heading and anchor, and nothing overlaps across a restart; so an edit changes the
chunks of its own run, and all others keep their exact text, and with it their ids and their embeddings.
"""

import zlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import NamedTuple

from ..core.types.documents import HEADING_SEPARATOR, Block, Chunk, Document, Span
from ..text.analyzer import count_words
from ..text.sentences import split_sentences

VERSION = "3"
"""Changes whenever the same document would be cut otherwise."""

MAX_CHUNK_WORDS = 100
"""Best for a fixed number of words handed to a model: small chunks are ranked, their neighbours are read with them."""
MAX_OVERLAP_WORDS = 30
"""Whole sentences up to this many words are repeated at the start of the next chunk: about a fifth on average."""
MIN_CHUNK_WORDS = 25
"""A shorter rest joins the chunk before it, and a shorter section the one after it."""
MIN_RUN_WORDS = 200
MAX_RUN_WORDS = 1000
ANCHOR_MODULUS = 3
"""Words between two anchors, and which share of the paragraph ends may be one. Of 120 random edits of texts of 60,000
words and more none changed over 13 chunks; with 400, 1,200 and 4 the worst changed 29."""
ANCHOR_SPACING_CHARACTERS = 700
"""Characters that short lines and paragraphs wait for an anchor, on average: fewer of them may be one. If every third
may, runs are nearly of one length, and those behind an edit keep step beside the old ones without meeting them."""
LONG_PARAGRAPH_CHARACTERS = 6_000
"""Characters from which any sentence of a paragraph may be an anchor: of a log, say, which is a single paragraph."""

MAX_UNIT_CHARACTERS = 1000
CHARACTERS_PER_WORD = 12
"""Characters that count for a word at least, so that what has no spaces fills no more of a chunk than words do."""

MAX_CONTEXT_CHARACTERS = 300


_LINE_BASED_KINDS = ("table", "list", "code")


class _Unit(NamedTuple):  # made for every sentence, in a third of a dataclass's time
    """The smallest thing that is never cut: a sentence, a row, a line, a heading."""

    start: int
    end: int
    word_count: int
    block_index: int
    """Of its block."""
    block: Block
    ends_block: bool


def chunk(document: Document) -> list[Chunk]:
    """Cut the whole document; each chunk satisfies `document.text[start:end] == chunk.text`."""
    cutter = _Chunker(document)
    return [cutter.make_chunk(part) for group in cutter.iter_groups() for part in _pack_chunks(group)]


@dataclass(frozen=True, slots=True)
class _Chunker:
    document: Document

    def _is_table_header(self, unit: _Unit) -> bool:
        """Whether it is the header row of a table, which says nothing by itself."""
        return (
            unit.block.kind == "table"
            and unit.start == self.document.block_spans[unit.block_index][0]
            and not unit.ends_block
        )

    def iter_units(self) -> Iterator[_Unit]:
        for number, (block, (at, _)) in enumerate(zip(self.document.blocks, self.document.block_spans, strict=True)):
            pieces = [piece for span in _split_block(block) for piece in _split_long_sentence(block.text, span)]
            for left, (start, end, count) in enumerate(pieces, 1 - len(pieces)):
                size = max(1, count, (end - start) // CHARACTERS_PER_WORD)
                yield _Unit(at + start, at + end, size, number, block, ends_block=not left)

    def iter_runs(self) -> Iterator[list[_Unit]]:
        """Cut where packing restarts: before a heading, at a new page or sheet, after an anchor."""
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
        """Whether a run of `size` words ends after `last`: by content, so that it does so after an edit too.

        Any line may end one; of prose only a whole paragraph, but each sentence of a very long one.
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
        """Join a tiny section to the next on its page; a marked one ends a group, lest an edit shift all others."""
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
        """The chunk of these units; a heading in front that its context names anyway is left out of the span."""
        telling = [unit for unit in units if unit.block.kind != "heading" and not self._is_table_header(unit)]
        path = _find_common_headings({unit.block.locator.headings for unit in telling or units})
        named = takewhile(lambda unit: unit.block.kind == "heading" and _is_heading_of(path, unit), units)
        body = units[len(list(named)) :] or units
        start, end = body[0].start, body[-1].end
        return Chunk(
            start=start,
            end=end,
            text=self.document.text[start:end],
            heading=HEADING_SEPARATOR.join(path),
            page=body[0].block.locator.page,
            embedding_prefix=self._build_context(path, body[0]),
            sentences=tuple([(unit.start - start, unit.end - start) for unit in telling or body]),
        )

    def _build_context(self, headings: Sequence[str], first: _Unit) -> str:
        titles = [self.document.title, *(heading for heading in headings if heading != self.document.title)]
        context = HEADING_SEPARATOR.join(title for title in titles if title)[:MAX_CONTEXT_CHARACTERS]
        block, (at, _) = first.block, self.document.block_spans[first.block_index]
        if block.kind == "table" and first.start > at:
            header = block.text[:MAX_CONTEXT_CHARACTERS].partition("\n")[0]  # of a slice: the table may be long
            return f"{context}\n{header}" if context else header
        return context


def _get_page_and_sheet(unit: _Unit) -> tuple[int | None, str | None]:
    locator = unit.block.locator
    return locator.page, locator.sheet


def _is_heading_of(path: tuple[str, ...], unit: _Unit) -> bool:
    """Whether it is a heading that `path` names."""
    headings = unit.block.locator.headings
    return headings[-1:] == (unit.block.text,) and path[: len(headings)] == headings


def _split_block(block: Block) -> list[Span]:
    if block.kind == "heading":
        return [(0, len(block.text))]
    if block.kind in ("table", "code"):
        return _split_lines(block.text)
    return split_sentences(block.text, break_at_newlines=block.kind == "list")


def _split_lines(text: str) -> list[Span]:
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    spans = ((start, start + len(text[start:end].rstrip())) for start, end in pairwise(starts))
    return [(start, end) for start, end in spans if end > start]


def _split_long_sentence(text: str, span: Span) -> Iterator[tuple[int, int, int]]:
    """Start, end and words of a sentence; one that is longer than a chunk may be is cut between its entries."""
    start, end = span
    if start < end and (count := _count_words_if_fits(text, start, end)):
        yield start, end, count
        return
    for first, last in _split_entries(text[start:end]):
        yield from _split_long_entry(text, start + first, start + last)


def _split_entries(text: str) -> list[Span]:
    """The lines of what has no full stops, such as a log; one that goes on in lower case belongs to the one before."""
    entries: list[Span] = []
    for start, end in _split_lines(text):
        if entries and text[start:end].lstrip()[:1].islower():
            start = entries.pop()[0]
        entries.append((start, end))
    return entries


def _split_long_entry(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """An entry, cut at spaces, else anywhere, where it is longer than a chunk may be."""
    while start < end and not (count := _count_words_if_fits(text, start, end)):
        stop = _find_split(text, start, min(end, start + MAX_UNIT_CHARACTERS))
        cut = start + len(text[start:stop].rstrip())
        if cut > start:  # else it begins with as many spaces
            yield start, cut, count_words(text[start:cut])
        start = _skip_spaces(text, stop)
    if start < end:
        yield start, end, count


def _count_words_if_fits(text: str, start: int, end: int) -> int:
    """The words of a piece that fits into a chunk; none of a longer one."""
    if end - start > MAX_UNIT_CHARACTERS:
        return 0
    return count if (count := count_words(text[start:end])) <= MAX_CHUNK_WORDS else 0


def _skip_spaces(text: str, start: int) -> int:
    return next((i for i in range(start, len(text)) if not text[i].isspace()), len(text))


def _find_split(text: str, start: int, limit: int) -> int:
    """The last place up to `limit` where at most MAX_WORDS lie behind `start`, after a space if there is one."""
    while count_words(text[start:limit]) > MAX_CHUNK_WORDS:
        limit = start + (limit - start) * 3 // 4
    space = text.rfind(" ", start + 1, limit)
    return space if space > start else limit


def _pack_chunks(units: Sequence[_Unit]) -> Iterator[Sequence[_Unit]]:
    """Fill chunks up to MAX_WORDS, each but the first starting with the last sentences of the one before."""
    total = [0, *accumulate(unit.word_count for unit in units)]
    first, done = 0, 0
    while True:
        last = done + 1
        while last < len(units) and total[last + 1] - total[first] <= MAX_CHUNK_WORDS:
            last += 1
        if total[-1] - total[last] < MIN_CHUNK_WORDS:
            last = len(units)
        yield units[first:last]
        if last == len(units):
            return
        done, room = last, min(MAX_OVERLAP_WORDS, MAX_CHUNK_WORDS - units[last].word_count)
        while first + 1 < last and total[done] - total[last - 1] <= room:
            last -= 1
        first = last


def _find_common_headings(paths: Set[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of them."""
    shared = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return tuple(shared)
