"""Lines on pages as headings, paragraphs, lists and tables, by where they stand. Does not open any file."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ....core.types.documents import Locator
from ..block_builder import Outline, line, row

HEADING_SIZE = 1.15
"""Times the height of the body's letters."""
MAX_HEADING_CHARACTERS = 200
MAX_HEADING_LEVELS = 4
FULL_LINE = 0.75
"""A line shorter than this share of the usual width ends its paragraph."""

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_BULLET = re.compile(r"^[•●▪■◦‣∙·○◆➢✓*–—-]\s+")
_NUMBERED = re.compile(r"^(?:\d{1,3}[.)]|\(?[a-z]\)|\[\d{1,3}\])\s")
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


def add_pages(outline: Outline, pages: Sequence[Sequence[Line]]) -> None:
    """Append the pages' blocks; letters larger than most make a heading, its level by their size."""
    sizes = Counter[float]()
    for page in pages:
        for one in page:
            sizes[_size(one)] += len(one.text)
    body = sizes.most_common(1)[0][0]
    levels = _levels(sizes, body)
    for number, page in enumerate(pages, 1):
        for group in _groups(_merged(page)):
            _add(outline, group, levels, Locator(page=number))


def _size(one: Line) -> float:
    return round(one.height * 2) / 2


def _levels(sizes: Counter[float], body: float) -> dict[float, int]:
    larger = sorted((size for size in sizes if size >= body * HEADING_SIZE), reverse=True)
    return {size: min(level, MAX_HEADING_LEVELS) for level, size in enumerate(larger, 1)}


def _merged(page: Sequence[Line]) -> list[Line]:
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
        last = _add_beside(lines, beside)
        if last and _is_row(last) and _is_cut(last.text) and one.text[:1].islower() and not _is_cut(one.text):
            # one line only: a row that grew with each would cost the square of its lines
            lines[-1] = replace(last, text=_open_ended(last.text, one.text) + one.text)
        else:
            lines.append(one)
    _add_beside(lines, beside)
    return lines


def _add_beside(lines: list[Line], beside: list[str]) -> Line | None:
    """Let the last line have the pieces that stand beside it; return it, if there is one."""
    if beside:
        lines[-1] = replace(lines[-1], text="".join([lines[-1].text, *beside]))
        beside.clear()
    return lines[-1] if lines else None


def _groups(page: Sequence[Line]) -> Iterator[list[Line]]:
    """Cut a page into the lines of one paragraph, heading, item or table each."""
    if not page:
        return
    leading = _leading(page)
    width = sorted(one.right - one.left for one in page)[len(page) * 4 // 5]
    group = [page[0]]
    for one in page[1:]:
        if _ends(group[-1], one, leading, width):
            yield group
            group = []
        group.append(one)
    yield group


def _leading(page: Sequence[Line]) -> float:
    """The usual distance from line to line, in heights of letters."""
    steps = [(above.bottom - below.bottom) / above.height for above, below in pairwise(page)]
    return median([step for step in steps if 0.5 < step < 3] or [1.2])


def _ends(above: Line, below: Line, leading: float, width: float) -> bool:
    """Whether a paragraph ends between two lines."""
    if _is_row(above) or _is_row(below):
        return not (_is_row(above) and _is_row(below) and above.bottom > below.bottom)
    if below.text[:1].islower() and _is_cut(above.text):
        return False
    if abs(_size(above) - _size(below)) > 0.12 * above.height or _starts_item(below.text):
        return True
    step = (above.bottom - below.bottom) / above.height
    if step > leading * 1.35:
        return True
    ended = above.text.endswith(_SENTENCE_END)
    if step < 0:
        return ended or below.text[:1].isupper()
    if above.right - above.left < width * FULL_LINE:
        return not above.text.endswith(_HYPHENS)
    return ended and below.left - above.left > 0.8 * above.height


def _is_row(one: Line) -> bool:
    return "\t" in one.text


def _starts_item(text: str) -> bool:
    return bool(_BULLET.match(text) or _NUMBERED.match(text))


def _add(outline: Outline, group: Sequence[Line], levels: dict[float, int], at: Locator) -> None:
    if len(group) > 1 and _is_row(group[0]):
        outline.add("\n".join(row(one.cells) for one in group), "table", at)
        return
    text = _joined(group)
    level = levels.get(_size(group[0]))
    if _BULLET.match(text):
        outline.add("- " + _BULLET.sub("", text), "list", at)
    elif level and len(text) <= MAX_HEADING_CHARACTERS and sum(map(str.isalpha, text)) > 1:
        outline.heading(text, level, at)
    else:
        outline.add(text, "paragraph", at)


def _joined(group: Sequence[Line]) -> str:
    """The lines as one; a word cut at the end of a line is whole again."""
    parts = [_open_ended(above.text, below.text) for above, below in pairwise(group)]
    return line("".join([*parts, group[-1].text]))


def _is_cut(text: str) -> bool:
    return text.endswith(_HYPHENS) and text[-2:-1].isalnum()


def _open_ended(text: str, following: str) -> str:
    """A line as the next one goes on from it: `inter-` as `inter` before `national`, `COVID-` as it is before `19`."""
    if not _is_cut(text):
        return f"{text} "
    word = text[:-1].rsplit(maxsplit=1)[-1]
    cut = text.endswith("\xad") or (following[:1].islower() and not word.isdecimal() and "-" not in word)
    return text[:-1] if cut else f"{text[:-1]}-"
