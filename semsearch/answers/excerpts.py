"""Build excerpts: the contiguous span of a document that a sentence needs to be understood. Does not rank them.

An excerpt stays inside a section and a page. It is never a heading, a lead-in without what it introduces, code without
its explanation, or a fragment. A table row stands alone; the header of its table is its context.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from ..core.types.answers import Passage, Sentence
from ..core.types.documents import BLOCK_SEPARATOR, Span
from ..core.types.stored_documents import TextBlock
from ..text.sentences import split_lines, split_sentences

DEFAULT_TARGET_WORDS = 70
"""Words to which an excerpt grows around its sentence, as far as its section goes on."""

MAX_LIST_WORDS = 100
"""Words of a list or code block together with its lead-in."""

MAX_EXCERPT_WORDS = 150

MAX_JOINED_WORDS = 105
"""Words of two excerpts of one section that are shown as one; with 120, excerpts have more than 60 words on average."""

MIN_WORDS = 5
"""Fewer words without a full stop are a fragment."""

CHARACTERS_PER_WORD = 10
"""Every 10 characters count as at least one word, for languages without spaces."""

_CACHED_PASSAGES, _CACHED_BLOCKS = 32, 128
"""Many sentences of one question are in the same passage and block; a block has at most some kilobytes."""

_MAX_CODE_LINES = 20
_CODE_LINES_BEFORE, _CODE_LINES_AFTER = 3, 6
_ANAPHORA = re.compile(
    r"\W*(?:it|its|this|that|these|those|they|their|he|she|his|her|such|however|otherwise|therefore|instead|also|then)\b",
    re.IGNORECASE,
)
_FINAL_STOP = re.compile(r"[.!?。！？।]['\"”’)\]*_`]*\s*$")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A span of a document: `document.text[start:end] == text`."""

    start: int
    end: int
    text: str
    kind: str
    """Kind of the block of its best sentence."""
    context: str = ""
    """Header of the table that it is a row of."""

    def contains(self, sentence: Sentence) -> bool:
        """Return whether a sentence of the same document begins inside it."""
        return self.start <= sentence.start < self.end


def build_excerpt(passage: Passage, sentence: Sentence, target_words: int = DEFAULT_TARGET_WORDS) -> Excerpt | None:
    """Return the excerpt around a sentence of a passage; None if nothing coherent can be quoted there."""
    index = next((i for i, block in enumerate(passage.blocks) if block.start <= sentence.start < block.end), None)
    if index is None or passage.blocks[index].kind == "heading":
        return None
    builder = _ExcerptBuilder(passage.blocks, index, sentence, target_words)
    return builder.build_row() if builder.block.kind == "table" else builder.build()


def join_excerpts(passage: Passage, first: Excerpt, second: Excerpt) -> Excerpt | None:
    """Return `first` extended to `second`, with what is between them; None if they are apart, or with a table."""
    start, end = min(first.start, second.start), max(first.end, second.end)
    blocks = [block for block in passage.blocks if block.start < end and start < block.end]
    if not blocks or start < blocks[0].start or blocks[-1].end < end:
        return None
    if any(block.kind in ("heading", "table") or block.page != blocks[0].page for block in blocks):
        return None
    offset = passage.blocks[0].start
    text = join_blocks(passage.blocks)[start - offset : end - offset]
    return replace(first, start=start, end=end, text=text) if count_size(text) <= MAX_JOINED_WORDS else None


@lru_cache(_CACHED_PASSAGES)
def join_blocks(blocks: tuple[TextBlock, ...]) -> str:
    """Return the text of consecutive blocks, which begins where the first one does."""
    return BLOCK_SEPARATOR.join(block.text for block in blocks)


def count_size(text: str) -> int:
    """Return the length of a text in words; text without spaces counts by its characters."""
    return max(len(text.split()), len(text) // CHARACTERS_PER_WORD)


@lru_cache(_CACHED_BLOCKS)
def split_units(block: TextBlock) -> tuple[Span, ...]:
    """Return the spans of the sentences of a block, or of its lines if it is a table or code."""
    if block.kind == "heading":
        return ()
    if block.kind in ("table", "code"):
        spans = split_lines(block.text)
    else:
        spans = split_sentences(block.text, break_at_newlines=block.kind == "list")
    return tuple([(block.start + start, block.start + end) for start, end in spans])


def ends_as_lead_in(text: str) -> bool:
    """Return whether a text ends with a colon: what it introduces is missing."""
    return text.rstrip().rstrip("*_ ").endswith((":", "："))


def extend_to_blocks(passage: Passage, max_words: int) -> Span:
    """Return the span of a passage with whole neighbouring blocks of its section, the following ones first."""
    blocks, start, end = passage.blocks, passage.start, passage.end
    text, offset = join_blocks(blocks), blocks[0].start

    def can_add(block: TextBlock, new_start: int, new_end: int) -> bool:
        is_in_section = block.kind != "heading" and block.page == passage.page
        return is_in_section and count_size(text[new_start - offset : new_end - offset]) <= max_words

    for block in blocks:
        if block.end > end:
            if not can_add(block, start, block.end):
                break
            end = block.end
    for block in reversed(blocks):
        if block.start < start:
            if not can_add(block, block.start, end):
                break
            start = block.start
    return start, end


class _ExcerptBuilder:
    """Grows a span around one sentence."""

    def __init__(self, blocks: tuple[TextBlock, ...], index: int, sentence: Sentence, target_words: int) -> None:
        self.block = blocks[index]
        self._blocks = blocks
        self._target_words = target_words
        self._first = self._last = index
        """Indexes of the blocks that the span begins and ends in."""
        self._units = split_units(self.block)
        self._anchor = next((i for i, (_, end) in enumerate(self._units) if sentence.start < end), 0)
        self.start, self.end = self._units[self._anchor] if self._units else (self.block.start, self.block.end)
        self._text_start = blocks[0].start
        self._text = join_blocks(blocks)

    def build(self) -> Excerpt | None:
        if self.block.kind == "code":
            self._take_code()
        else:
            self._grow_in_block(self._target_words)
        if self.block.kind in ("list", "code"):
            self._add_lead_in()
        self._add_introduced_blocks()
        self._grow_in_section()
        if self._is_lone_code():
            self._add_explanation()
        if self._is_lone_code():
            self._add_heading()
        return self._finish()

    def build_row(self) -> Excerpt | None:
        """Return the row of a table, with further rows if it is very short."""
        first = last = self._anchor
        while last + 1 < len(self._units) and self._count_words(first, last) < MIN_WORDS:
            last += 1
        while first > 1 and self._count_words(first, last) < MIN_WORDS:
            first -= 1
        self.start, self.end = self._span(first, last)
        if self.block.header:
            return self._finish(context=self.block.header)
        if first == 0 and last == 0 and len(self._units) > 1:
            return None  # the header alone says nothing
        return self._finish(context="" if first == 0 else self._slice(*self._units[0]))

    def _count_words(self, first: int, last: int) -> int:
        return len(_WORD.findall(self._slice(*self._span(first, last))))

    def _finish(self, context: str = "") -> Excerpt | None:
        text = self._slice(self.start, self.end)
        is_short = len(_WORD.findall(text)) < MIN_WORDS and not context  # a row is complete with its header
        is_fragment = is_short and not (self._is_cjk(text) or _FINAL_STOP.search(text))
        if is_fragment or ends_as_lead_in(text) or self._is_lone_code() or count_size(text) > MAX_EXCERPT_WORDS:
            return None
        return Excerpt(self.start, self.end, text, self.block.kind, context)

    def _is_cjk(self, text: str) -> bool:
        return len(text) >= CHARACTERS_PER_WORD and len(text.split()) * CHARACTERS_PER_WORD < len(text)

    def _slice(self, start: int, end: int) -> str:
        return self._text[start - self._text_start : end - self._text_start]

    def _span(self, first: int, last: int) -> Span:
        return self._units[first][0], self._units[last][1]

    def _size(self, start: int, end: int) -> int:
        return count_size(self._slice(start, end))

    def _grow_in_block(self, limit: int) -> None:
        """Add sentences of the block: the following ones first, unless the sentence refers to the previous one."""
        first = last = self._anchor
        prefers_before = _ANAPHORA.match(self._slice(*self._units[self._anchor])) is not None if self._units else False
        while True:
            after = (first, last + 1) if last + 1 < len(self._units) else None
            before = (first - 1, last) if first > 0 else None
            steps = [before, after] if prefers_before else [after, before]
            step = next((step for step in steps if step and self._size(*self._span(*step)) <= limit), None)
            if step is None:
                break
            prefers_before = prefers_before and step is not before
            first, last = step
        if self._units:
            self.start, self.end = self._span(first, last)

    def _take_code(self) -> None:
        """Take all of a short code block, else the lines around the best one."""
        first, last = 0, len(self._units) - 1
        if self._size(self.block.start, self.block.end) > MAX_LIST_WORDS or len(self._units) > _MAX_CODE_LINES:
            first = max(0, self._anchor - _CODE_LINES_BEFORE)
            last = min(last, self._anchor + _CODE_LINES_AFTER)
        if self._units:
            self.start, self.end = self._span(first, last)

    def _in_section(self, index: int) -> bool:
        """Return whether a block exists and has no heading and no page break towards the span."""
        return (
            0 <= index < len(self._blocks)
            and self._blocks[index].kind != "heading"
            and self._blocks[index].page == self.block.page
        )

    def _add_lead_in(self) -> None:
        """Add the paragraph that introduces a list or code, or its last sentence if it is long."""
        if not self._in_section(self._first - 1):
            return
        lead = self._blocks[self._first - 1]
        if lead.kind != "paragraph":
            return
        is_long = self._size(lead.start, self.end) > MAX_LIST_WORDS
        start = split_units(lead)[-1][0] if is_long else lead.start
        is_needed = self.block.kind == "code" or ends_as_lead_in(lead.text)
        if self._size(start, self.end) <= (MAX_LIST_WORDS if is_needed else self._target_words):
            self._first -= 1
            self.start = start

    def _add_introduced_blocks(self) -> None:
        """Add what a lead-in at the end of the span introduces, as far as it fits."""
        while ends_as_lead_in(self._slice(self.start, self.end)):
            if self.end < self._blocks[self._last].end or not self._in_section(self._last + 1):
                return self._drop_lead_in()
            units = split_units(self._blocks[self._last + 1])
            fitting = [end for _, end in units if self._size(self.start, end) <= MAX_LIST_WORDS]
            if not fitting and (not units or self._size(self.start, units[0][1]) > MAX_EXCERPT_WORDS):
                return self._drop_lead_in()
            self._last += 1
            self.end = fitting[-1] if fitting else units[0][1]
        return None

    def _drop_lead_in(self) -> None:
        """Leave out a last sentence that introduces something which does not fit, unless it is the best one."""
        block = self._blocks[self._last]
        units = [unit for unit in split_units(block) if self.start <= unit[0] and unit[1] <= self.end]
        if len(units) > 1 and units[-1] != self._units[self._anchor]:
            self.end = units[-2][1]

    def _grow_in_section(self) -> None:
        """Add whole neighbouring blocks while the span is short: the following ones first."""
        while (
            self.end == self._blocks[self._last].end
            and self._in_section(self._last + 1)
            and (following := self._blocks[self._last + 1]).kind in ("paragraph", "list")
            and not ends_as_lead_in(following.text)
            and self._size(self.start, following.end) <= self._target_words
        ):
            self._last += 1
            self.end = following.end
        while (
            self.start == self._blocks[self._first].start
            and self._in_section(self._first - 1)
            and (previous := self._blocks[self._first - 1]).kind == "paragraph"
            and self._size(previous.start, self.end) <= self._target_words
        ):
            self._first -= 1
            self.start = previous.start

    def _is_lone_code(self) -> bool:
        return all(block.kind == "code" for block in self._blocks[self._first : self._last + 1])

    def _add_heading(self) -> None:
        """Add the heading right above code without any text: it says what the code is for."""
        above = self._blocks[self._first - 1] if self._first > 0 else None
        if above and above.kind == "heading" and above.page == self.block.page:
            self._first -= 1
            self.start = above.start

    def _add_explanation(self) -> None:
        """Add the paragraph behind code that nothing introduces."""
        if self._in_section(self._last + 1) and self._blocks[self._last + 1].kind == "paragraph":
            units = split_units(self._blocks[self._last + 1])
            fitting = [end for _, end in units if self._size(self.start, end) <= MAX_EXCERPT_WORDS]
            if fitting:
                self._last += 1
                self.end = fitting[0]
