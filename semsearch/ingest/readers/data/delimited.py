"""Read CSV and TSV files as tables. Does not guess types: a cell is its text."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, format_row
from ..encodings import decode

_DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'\A"?sep=([^\w\s"]|\t)"?[ ]*\n', re.IGNORECASE)
"""The first line by which a file tells Excel its delimiter."""
_SAMPLE_LINES = 50
_SAMPLE_CHARACTERS = 100_000


def read(data: bytes) -> ParsedContent:
    """Read one table; its delimiter is the one that splits its first lines most evenly."""
    text = decode(data)
    separator_line = _SEPARATOR_LINE.match(text)
    return _read_table(text, separator_line[1]) if separator_line else _read_table(text, _detect_delimiter(text))


def read_tabs(data: bytes) -> ParsedContent:
    """Read one table whose cells are separated by tabs."""
    return _read_table(decode(data), "\t")


def _read_table(text: str, delimiter: str) -> ParsedContent:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    lines = text.split("\n")
    first = 1 if _SEPARATOR_LINE.match(text) else 0
    rows = csv.reader(_terminate_lines(lines[first:]), delimiter=delimiter)
    try:
        table = "\n".join(filter(None, map(format_row, rows)))
    except csv.Error as exc:
        raise UnsupportedMediaError(f"its line {first + rows.line_num} is not CSV: {exc}") from exc
    builder = BlockBuilder()
    builder.add(table, "table", Locator(lines=(1 + first, max(1 + first, len(lines) - (not lines[-1])))))
    return builder.build()


def _terminate_lines(lines: list[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)


def _detect_delimiter(text: str) -> str:
    """Return the delimiter that splits most of the first lines into equally many cells; a comma if none does."""
    sample = text[:_SAMPLE_CHARACTERS].split("\n")[:_SAMPLE_LINES]
    return max(_DELIMITERS, key=lambda delimiter: _score_delimiter(sample, delimiter))


def _score_delimiter(sample: list[str], delimiter: str) -> tuple[int, bool, int]:
    """Return (lines with the most common cell count, whether it is not a comma, cell count), to be maximised.

    A comma loses ties, because numbers contain commas too.
    """
    try:
        widths = Counter(
            len(cells) for cells in islice(csv.reader(_terminate_lines(sample), delimiter=delimiter), len(sample))
        )
    except csv.Error:
        return 0, False, 0
    width, count = max(
        ((width, count) for width, count in widths.items() if width > 1), default=(0, 0), key=lambda w: w[1]
    )
    return count, count > 0 and delimiter != ",", width
