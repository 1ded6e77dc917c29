"""Align the cleaned text of a page with the characters that PDFium counts on it. Does not open files.

Reading a page keeps the order of its letters, and changes only white space, hyphens at line ends, bullets, separators
of cells and the Unicode form. So one pass over both texts pairs equal letters, and no pair can be wrong: what does not
match is left out of the map.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import sub
from typing import NamedTuple

from ....core.types.documents import BLOCK_SEPARATOR, Block
from ....core.types.pages import PageRun
from ....text.cleaning import clean
from ...page_map import encode_page_map
from .layout import BULLETS, HYPHENS, LIGATURES

_SEPARATOR = "|"
_HYPHEN = "-"
_MAX_SKIPPED_LETTERS = 32
"""How far to look for the next equal letter, where a letter is on one side only."""
_COMPARED_LETTERS = 64
_MAX_CACHED_CHARACTERS = 20_000


class Letters(NamedTuple):
    """The letters of a text in canonical decomposition, without white space, invisible and combining characters."""

    letters: str
    starts: Sequence[int]
    ends: Sequence[int] | None
    """Ends of the spans of the letters, combining characters included; None if each letter is one character."""

    def get_end(self, position: int) -> int:
        """Return the end of the span of a letter."""
        return self.starts[position] + 1 if self.ends is None else self.ends[position]


class _Decompositions(dict[str, str | None]):
    """The letters that a character stands for, none if it is white space or invisible; None if it combines."""

    def __missing__(self, character: str) -> str | None:
        if len(self) >= _MAX_CACHED_CHARACTERS:
            self.clear()
        self[character] = letters = _decompose(character)
        return letters


def _decompose(character: str) -> str | None:
    if not clean(character).strip():
        return ""
    decomposed = unicodedata.normalize("NFD", character.translate(LIGATURES))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)) or None


_DECOMPOSITIONS = _Decompositions()


def split_text(text: str, offset: int = 0) -> Letters:
    """Return the letters of a text, which starts at `offset` of its source."""
    decomposed = list(map(_DECOMPOSITIONS.__getitem__, text))
    if None not in decomposed:
        letters = "".join(filter(None, decomposed))
        starts = [start for start, letter in enumerate(decomposed, offset) if letter]
        if len(letters) == len(starts):
            return Letters(letters, starts, None)
    return _split_characters(text, range(offset, offset + len(text) + 1))


def split_codes(codes: Sequence[int], offset: int = 0) -> Letters:
    """Return the letters of UTF-16 code units, of which the first has the index `offset`."""
    if not any(0xD800 <= code < 0xE000 for code in set(codes)):
        return split_text("".join([chr(code) if code < 0x110000 else " " for code in codes]), offset)
    characters, bounds, index = "", [offset], 0
    while index < len(codes):
        code, following = codes[index], codes[index + 1] if index + 1 < len(codes) else 0
        is_pair = 0xD800 <= code < 0xDC00 <= following < 0xE000
        characters += chr(0x10000 + ((code - 0xD800) << 10) + following - 0xDC00) if is_pair else chr(code)
        index += 1 + is_pair
        bounds.append(offset + index)
    return _split_characters(characters, bounds)


def _split_characters(text: str, bounds: Sequence[int]) -> Letters:
    """Return the letters of characters, the n-th of which is between the bounds n and n + 1 of its source."""
    letters, starts, ends = list[str](), list[int](), list[int]()
    for number, character in enumerate(text):
        decomposed = _DECOMPOSITIONS[character]
        if decomposed is None:
            if ends and ends[-1] == bounds[number]:
                ends[-1] = bounds[number + 1]
            continue
        for letter in decomposed:
            letters.append(letter)
            starts.append(bounds[number])
            ends.append(bounds[number + 1])
    return Letters("".join(letters), starts, ends)


def have_equal_letters(text: str, codes: Sequence[int]) -> bool:
    """Return whether a text stands for these code units of a page."""
    letters, page_letters = split_text(text).letters, split_codes(codes).letters
    return len(letters) == len(page_letters) and all(map(_are_equal, letters, page_letters))


def _are_equal(letter: str, page_letter: str) -> bool:
    """Return whether a letter of the text stands for this one of the page; a hyphen may stand for a bullet."""
    return letter == page_letter or (letter == _HYPHEN and (page_letter in HYPHENS or page_letter in BULLETS))


def map_pages(blocks: Sequence[Block], pages: Sequence[Sequence[int]]) -> bytes:
    """Return the encoded map of a document from its blocks and the code units of its pages."""
    return encode_page_map(_iter_runs(blocks, pages))


def _iter_runs(blocks: Sequence[Block], pages: Sequence[Sequence[int]]) -> Iterator[PageRun]:
    offset, first = 0, 0
    for number, codes in enumerate(pages, 1):
        last = first
        while last < len(blocks) and blocks[last].locator.page == number:
            last += 1
        if last == first:
            continue
        text = BLOCK_SEPARATOR.join(block.text for block in blocks[first:last])
        for text_start, text_end, start, end in _align(split_text(text, offset), split_codes(codes)):
            yield PageRun(number, text_start, text_end - text_start, start, end - start)
        offset += len(text) + len(BLOCK_SEPARATOR)
        first = last


def _align(text: Letters, page: Letters) -> Iterator[tuple[int, int, int, int]]:
    """Yield start and end in the text, and on the page, of the runs of one page."""
    if text.ends is not None or page.ends is not None:
        yield from _join_units(text, page)
        return
    for position, page_position, count in _pair_letters(text.letters, page.letters):
        starts, page_starts = (
            text.starts[position : position + count],
            page.starts[page_position : page_position + count],
        )
        # between letters that follow each other on both sides is only white space: equal distances are one run
        first = 0
        for _, group in groupby(map(sub, starts, page_starts)):
            last = first + sum(1 for _ in group) - 1
            yield starts[first], starts[last] + 1, page_starts[first], page_starts[last] + 1
            first = last + 1


def _join_units(text: Letters, page: Letters) -> Iterator[tuple[int, int, int, int]]:
    """`_align` for texts with ligatures or combining characters: a unit has all letters that share a character.

    Units of one character on both sides are one run while their distances are equal.
    """
    run: tuple[int, int, int, int] | None = None
    for unit in _iter_units(text, page):
        if run is not None and _is_next(run, unit):
            run = (run[0], unit[1], run[2], unit[3])
            continue
        if run is not None:
            yield run
        run = unit
    if run is not None:
        yield run


def _is_next(run: Sequence[int], unit: Sequence[int]) -> bool:
    has_equal_counts = run[1] - run[0] == run[3] - run[2] and unit[1] - unit[0] == unit[3] - unit[2] == 1
    return has_equal_counts and unit[0] - run[1] == unit[2] - run[3] <= 1


def _iter_units(text: Letters, page: Letters) -> Iterator[tuple[int, int, int, int]]:
    unit: tuple[int, int, int, int] | None = None
    for position, page_position, count in _pair_letters(text.letters, page.letters):
        for step in range(count):
            start, end = text.starts[position + step], text.get_end(position + step)
            page_start, page_end = page.starts[page_position + step], page.get_end(page_position + step)
            if unit is not None and (start < unit[1] or page_start < unit[3]):
                unit = (unit[0], max(unit[1], end), unit[2], max(unit[3], page_end))
                continue
            if unit is not None:
                yield unit
            unit = (start, end, page_start, page_end)
    if unit is not None:
        yield unit


def _pair_letters(letters: str, page_letters: str) -> Iterator[tuple[int, int, int]]:
    """Yield the positions of equal stretches and how many letters they have, ascending in both texts."""
    position = page_position = 0
    while position < len(letters) and page_position < len(page_letters):
        if count := _count_equal(letters, position, page_letters, page_position):
            yield position, page_position, count
            position += count
            page_position += count
            continue
        letter, page_letter = letters[position], page_letters[page_position]
        if letter == _SEPARATOR:
            position += 1
        elif page_letter in HYPHENS or page_letter in BULLETS:
            page_position += 1
        elif letter == _HYPHEN:
            position += 1
        else:
            position, page_position = _find_next_pair(letters, position, page_letters, page_position)


def _count_equal(letters: str, position: int, page_letters: str, page_position: int) -> int:
    """Return how many letters are equal from these positions on."""
    count, limit = 0, min(len(letters) - position, len(page_letters) - page_position)
    while count < limit:
        start, page_start = position + count, page_position + count
        if letters[start : start + _COMPARED_LETTERS] == page_letters[page_start : page_start + _COMPARED_LETTERS]:
            count = min(count + _COMPARED_LETTERS, limit)
            continue
        while count < limit and _are_equal(letters[position + count], page_letters[page_position + count]):
            count += 1
        return count
    return count


def _find_next_pair(letters: str, position: int, page_letters: str, page_position: int) -> tuple[int, int]:
    """Return the nearest positions at which one side goes on with the letter of the other; else skip one on each."""
    page_skip = page_letters.find(letters[position], page_position, page_position + _MAX_SKIPPED_LETTERS)
    skip = letters.find(page_letters[page_position], position, position + _MAX_SKIPPED_LETTERS)
    if page_skip >= 0 and (skip < 0 or page_skip - page_position <= skip - position):
        return position, page_skip
    return (skip, page_position) if skip >= 0 else (position + 1, page_position + 1)
