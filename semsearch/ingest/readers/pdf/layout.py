"""Group the lines of pages into headings, paragraphs, lists and tables by position. Does not open files."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder, collapse_whitespace, format_row

MIN_HEADING_SIZE_RATIO = 1.15
"""Smallest ratio of a heading's letter height to that of body text."""
MAX_HEADING_CHARACTERS = 200
MAX_HEADING_LEVELS = 4
MIN_FULL_LINE_RATIO = 0.75
"""A line shorter than this share of the usual line width ends its paragraph."""

LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
BULLETS = "•●▪■◦‣∙·○◆➢✓*–—-"
"""At the start of a line; the text has a hyphen instead."""
_BULLET = re.compile(rf"^[{BULLETS}]\s+")
_ITEM_NUMBER = re.compile(r"^(?:\d{1,3}[.)]|\(?[a-z]\)|\[\d{1,3}\])\s")
_SENTENCE_END = (".", "!", "?", ":", "。", "”", '"')
HYPHENS = ("-", "\xad", "\u2010", "\ufffe")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a page, with a tab between table cells; coordinates in points from the lower left corner."""

    text: str
    left: float
    bottom: float
    right: float
    height: float

    @property
    def cells(self) -> list[str]:
        """The table cells of the line."""
        return self.text.split("\t")


def add_pages(builder: BlockBuilder, pages: Sequence[Sequence[Line]]) -> None:
    """Append the blocks of the pages; text larger than body text is a heading, and its size gives the level."""
    sizes = Counter[float]()
    for page in pages:
        for line in page:
            sizes[_round_height(line)] += len(line.text)
    body_size = sizes.most_common(1)[0][0]
    levels = _map_heading_levels(sizes, body_size)
    for number, page in enumerate(pages, 1):
        for group in _group_lines(_merge_lines(page)):
            _add_group(builder, group, levels, Locator(page=number))


def _round_height(text_line: Line) -> float:
    return round(text_line.height * 2) / 2


def _map_heading_levels(sizes: Counter[float], body_size: float) -> dict[float, int]:
    larger = sorted((size for size in sizes if size >= body_size * MIN_HEADING_SIZE_RATIO), reverse=True)
    return {size: min(level, MAX_HEADING_LEVELS) for level, size in enumerate(larger, 1)}


def _merge_lines(page: Sequence[Line]) -> list[Line]:
    """Join pieces that are side by side on one line, and a word that is hyphenated at the end of a table row."""
    lines: list[Line] = []
    adjacent_texts: list[str] = []
    for line in page:
        line = replace(line, text=line.text.translate(LIGATURES))
        last = lines[-1] if lines else None
        if last and abs(last.bottom - line.bottom) < last.height * 0.4 and line.left >= last.right - last.height:
            adjacent_texts += ["\t" if line.left - last.right > last.height else " ", line.text]
            lines[-1] = replace(last, right=line.right)
            continue
        last = _append_adjacent_texts(lines, adjacent_texts)
        if (
            last
            and _is_row(last)
            and _ends_with_hyphen(last.text)
            and line.text[:1].islower()
            and not _ends_with_hyphen(line.text)
        ):
            # joins one line only: a row that grows with each line would take quadratic time
            lines[-1] = replace(last, text=_prepare_continuation(last.text, line.text) + line.text)
        else:
            lines.append(line)
    _append_adjacent_texts(lines, adjacent_texts)
    return lines


def _append_adjacent_texts(lines: list[Line], adjacent_texts: list[str]) -> Line | None:
    """Append the adjacent pieces to the last line; return the last line, if there is one."""
    if adjacent_texts:
        lines[-1] = replace(lines[-1], text="".join([lines[-1].text, *adjacent_texts]))
        adjacent_texts.clear()
    return lines[-1] if lines else None


def _group_lines(page: Sequence[Line]) -> Iterator[list[Line]]:
    """Split a page into groups of lines, each a paragraph, heading, item or table."""
    if not page:
        return
    leading = _measure_leading(page)
    width = sorted(line.right - line.left for line in page)[len(page) * 4 // 5]
    group = [page[0]]
    for line in page[1:]:
        if _is_paragraph_end(group[-1], line, leading, width):
            yield group
            group = []
        group.append(line)
    yield group


def _measure_leading(page: Sequence[Line]) -> float:
    """Return the median distance between lines, in letter heights."""
    steps = [(above.bottom - below.bottom) / above.height for above, below in pairwise(page)]
    return median([step for step in steps if 0.5 < step < 3] or [1.2])


def _is_paragraph_end(above: Line, below: Line, leading: float, width: float) -> bool:
    """Return whether a paragraph ends between two lines."""
    if _is_row(above) or _is_row(below):
        return not (_is_row(above) and _is_row(below) and above.bottom > below.bottom)
    if below.text[:1].islower() and _ends_with_hyphen(above.text):
        return False
    if abs(_round_height(above) - _round_height(below)) > 0.12 * above.height or _starts_item(below.text):
        return True
    step = (above.bottom - below.bottom) / above.height
    if step > leading * 1.35:
        return True
    ends_sentence = above.text.endswith(_SENTENCE_END)
    if step < 0:
        return ends_sentence or below.text[:1].isupper()
    if above.right - above.left < width * MIN_FULL_LINE_RATIO:
        return not above.text.endswith(HYPHENS)
    return ends_sentence and below.left - above.left > 0.8 * above.height


def _is_row(text_line: Line) -> bool:
    return "\t" in text_line.text


def _starts_item(text: str) -> bool:
    return bool(_BULLET.match(text) or _ITEM_NUMBER.match(text))


def _add_group(builder: BlockBuilder, group: Sequence[Line], levels: dict[float, int], locator: Locator) -> None:
    if len(group) > 1 and _is_row(group[0]):
        builder.add("\n".join(format_row(line.cells) for line in group), "table", locator)
        return
    text = _join_lines(group)
    level = levels.get(_round_height(group[0]))
    if _BULLET.match(text):
        builder.add("- " + _BULLET.sub("", text), "list", locator)
    elif level and len(text) <= MAX_HEADING_CHARACTERS and sum(map(str.isalpha, text)) > 1:
        builder.add_heading(text, level, locator)
    else:
        builder.add(text, "paragraph", locator)


def _join_lines(group: Sequence[Line]) -> str:
    """Return the lines as one text; words hyphenated at a line end are joined."""
    parts = [_prepare_continuation(above.text, below.text) for above, below in pairwise(group)]
    return collapse_whitespace("".join([*parts, group[-1].text]))


def _ends_with_hyphen(text: str) -> bool:
    return text.endswith(HYPHENS) and text[-2:-1].isalnum()


def _prepare_continuation(text: str, following: str) -> str:
    """Return a line as it precedes the next one: `inter-` as `inter` before `national`, `COVID-` unchanged before `19`.

    A line without a hyphen gets a space at its end.
    """
    if not _ends_with_hyphen(text):
        return f"{text} "
    word = text[:-1].rsplit(maxsplit=1)[-1]
    drops_hyphen = text.endswith("\xad") or (following[:1].islower() and not word.isdecimal() and "-" not in word)
    return text[:-1] if drops_hyphen else f"{text[:-1]}-"
