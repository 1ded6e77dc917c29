"""Lines on pages as headings, paragraphs, lists and tables, by where they stand. Does not open any file."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ....core.types.documents import Locator
from ..block_builder import BlockBuilder, collapse_whitespace, format_row

MIN_HEADING_SIZE_RATIO = 1.15
"""Times the height of the body's letters."""
MAX_HEADING_CHARACTERS = 200
MAX_HEADING_LEVELS = 4
MIN_FULL_LINE_RATIO = 0.75
"""A line shorter than this share of the usual width ends its paragraph."""

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_BULLET = re.compile(r"^[•●▪■◦‣∙·○◆➢✓*–—-]\s+")
_ITEM_NUMBER = re.compile(r"^(?:\d{1,3}[.)]|\(?[a-z]\)|\[\d{1,3}\])\s")
_SENTENCE_END = (".", "!", "?", ":", "。", "”", '"')
_HYPHENS = ("-", "\xad", "\u2010", "\ufffe")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a page, with a tab where a gap separates cells; measured in points from the lower left."""

    text: str
    left: float
    bottom: float
    right: float
    height: float

    @property
    def cells(self) -> list[str]:
        """What the gaps separate."""
        return self.text.split("\t")


def add_pages(builder: BlockBuilder, pages: Sequence[Sequence[Line]]) -> None:
    """Append the pages' blocks; letters larger than most make a heading, its level by their size."""
    sizes = Counter[float]()
    for page in pages:
        for one in page:
            sizes[_round_height(one)] += len(one.text)
    body = sizes.most_common(1)[0][0]
    levels = _map_heading_levels(sizes, body)
    for number, page in enumerate(pages, 1):
        for group in _group_lines(_merge_lines(page)):
            _add_group(builder, group, levels, Locator(page=number))


def _round_height(text_line: Line) -> float:
    return round(text_line.height * 2) / 2


def _map_heading_levels(sizes: Counter[float], body_size: float) -> dict[float, int]:
    larger = sorted((size for size in sizes if size >= body_size * MIN_HEADING_SIZE_RATIO), reverse=True)
    return {size: min(level, MAX_HEADING_LEVELS) for level, size in enumerate(larger, 1)}


def _merge_lines(page: Sequence[Line]) -> list[Line]:
    """Join pieces that stand side by side on one line, and the word that is cut at the end of a row."""
    lines: list[Line] = []
    beside: list[str] = []
    for one in page:
        one = replace(one, text=one.text.translate(_LIGATURES))
        last = lines[-1] if lines else None
        if last and abs(last.bottom - one.bottom) < last.height * 0.4 and one.left >= last.right - last.height:
            beside += ["\t" if one.left - last.right > last.height else " ", one.text]
            lines[-1] = replace(last, right=one.right)
            continue
        last = _append_adjacent_texts(lines, beside)
        if (
            last
            and _is_row(last)
            and _ends_with_hyphen(last.text)
            and one.text[:1].islower()
            and not _ends_with_hyphen(one.text)
        ):
            # one line only: a row that grew with each would cost the square of its lines
            lines[-1] = replace(last, text=_prepare_continuation(last.text, one.text) + one.text)
        else:
            lines.append(one)
    _append_adjacent_texts(lines, beside)
    return lines


def _append_adjacent_texts(lines: list[Line], adjacent_texts: list[str]) -> Line | None:
    """Let the last line have the pieces that stand beside it; return it, if there is one."""
    if adjacent_texts:
        lines[-1] = replace(lines[-1], text="".join([lines[-1].text, *adjacent_texts]))
        adjacent_texts.clear()
    return lines[-1] if lines else None


def _group_lines(page: Sequence[Line]) -> Iterator[list[Line]]:
    """Cut a page into the lines of one paragraph, heading, item or table each."""
    if not page:
        return
    leading = _measure_leading(page)
    width = sorted(one.right - one.left for one in page)[len(page) * 4 // 5]
    group = [page[0]]
    for one in page[1:]:
        if _is_paragraph_end(group[-1], one, leading, width):
            yield group
            group = []
        group.append(one)
    yield group


def _measure_leading(page: Sequence[Line]) -> float:
    """The usual distance from line to line, in heights of letters."""
    steps = [(above.bottom - below.bottom) / above.height for above, below in pairwise(page)]
    return median([step for step in steps if 0.5 < step < 3] or [1.2])


def _is_paragraph_end(above: Line, below: Line, leading: float, width: float) -> bool:
    """Whether a paragraph ends between two lines."""
    if _is_row(above) or _is_row(below):
        return not (_is_row(above) and _is_row(below) and above.bottom > below.bottom)
    if below.text[:1].islower() and _ends_with_hyphen(above.text):
        return False
    if abs(_round_height(above) - _round_height(below)) > 0.12 * above.height or _starts_item(below.text):
        return True
    step = (above.bottom - below.bottom) / above.height
    if step > leading * 1.35:
        return True
    ended = above.text.endswith(_SENTENCE_END)
    if step < 0:
        return ended or below.text[:1].isupper()
    if above.right - above.left < width * MIN_FULL_LINE_RATIO:
        return not above.text.endswith(_HYPHENS)
    return ended and below.left - above.left > 0.8 * above.height


def _is_row(text_line: Line) -> bool:
    return "\t" in text_line.text


def _starts_item(text: str) -> bool:
    return bool(_BULLET.match(text) or _ITEM_NUMBER.match(text))


def _add_group(builder: BlockBuilder, group: Sequence[Line], levels: dict[float, int], locator: Locator) -> None:
    if len(group) > 1 and _is_row(group[0]):
        builder.add("\n".join(format_row(one.cells) for one in group), "table", locator)
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
    """The lines as one; a word cut at the end of a line is whole again."""
    parts = [_prepare_continuation(above.text, below.text) for above, below in pairwise(group)]
    return collapse_whitespace("".join([*parts, group[-1].text]))


def _ends_with_hyphen(text: str) -> bool:
    return text.endswith(_HYPHENS) and text[-2:-1].isalnum()


def _prepare_continuation(text: str, following: str) -> str:
    """A line as the next one goes on from it: `inter-` as `inter` before `national`, `COVID-` as it is before `19`."""
    if not _ends_with_hyphen(text):
        return f"{text} "
    word = text[:-1].rsplit(maxsplit=1)[-1]
    cut = text.endswith("\xad") or (following[:1].islower() and not word.isdecimal() and "-" not in word)
    return text[:-1] if cut else f"{text[:-1]}-"
