"""CSV and TSV. Does not guess types: a cell is the text that stands in it."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from ....core.errors import UnsupportedMedia
from ....core.types.documents import Content, Locator
from ..block_builder import Outline, row
from ..encodings import decode

_DELIMITERS = ",;\t|"
_STATED = re.compile(r'\A"?sep=([^\w\s"]|\t)"?[ ]*\n', re.IGNORECASE)
"""How a file tells Excel its delimiter."""
_SAMPLE_LINES = 50
_SAMPLE_CHARACTERS = 100_000


def read(data: bytes) -> Content:
    """Read one table, whose delimiter is the one that cuts its first lines most evenly."""
    text = decode(data)
    stated = _STATED.match(text)
    return _table(text, stated[1]) if stated else _table(text, _delimiter(text))


def read_tabs(data: bytes) -> Content:
    """Read one table whose cells are separated by tabs."""
    return _table(decode(data), "\t")


def _table(text: str, delimiter: str) -> Content:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    lines = text.split("\n")
    first = 1 if _STATED.match(text) else 0
    rows = csv.reader(_lines(lines[first:]), delimiter=delimiter)
    try:
        table = "\n".join(filter(None, map(row, rows)))
    except csv.Error as exc:
        raise UnsupportedMedia(f"line {first + rows.line_num} of it is not CSV: {exc}") from exc
    outline = Outline()
    outline.add(table, "table", Locator(lines=(1 + first, max(1 + first, len(lines) - (not lines[-1])))))
    return outline.content()


def _lines(lines: list[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)


def _delimiter(text: str) -> str:
    """The delimiter most often agreed on by the first lines, quotes respected; a comma if none is."""
    sample = text[:_SAMPLE_CHARACTERS].split("\n")[:_SAMPLE_LINES]
    return max(_DELIMITERS, key=lambda delimiter: _agreement(sample, delimiter))


def _agreement(sample: list[str], delimiter: str) -> tuple[int, bool, int]:
    """How many lines have the same number of cells, and how many that are; a comma, which numbers have too, is last."""
    try:
        widths = Counter(len(cells) for cells in islice(csv.reader(_lines(sample), delimiter=delimiter), len(sample)))
    except csv.Error:
        return 0, False, 0
    width, count = max(
        ((width, count) for width, count in widths.items() if width > 1), default=(0, 0), key=lambda w: w[1]
    )
    return count, count > 0 and delimiter != ",", width
