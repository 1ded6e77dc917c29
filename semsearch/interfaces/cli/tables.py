"""Tables of text that fit the terminal. Needs no rich, which loads slowly."""

import shutil
import sys
from collections.abc import Sequence

from ...core.escapes import escape_name
from .terminal import format_link

_GAP = "  "
_CUT = "…"
_MIN_COLUMN_WIDTH = 8


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]], urls: Sequence[str | None] = ()) -> str:
    """Return a table. On a terminal the middle of long cells is left out where a row would not fit one line.

    The first cell of each row is a hyperlink to its item of `urls`, if there is one.
    """
    is_number = [all(isinstance(row[column], int) for row in rows) and bool(rows) for column in range(len(header))]
    lines = [list(header), *([_format_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    if sys.stdout.isatty():
        widths = _shrink_widths(widths, shutil.get_terminal_size().columns)
    line_urls = [None, *(urls or [None] * len(rows))]
    return "\n".join(_format_line(line, widths, is_number, url) for line, url in zip(lines, line_urls, strict=True))


def _format_cell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else escape_name(str(cell))


def _format_line(line: Sequence[str], widths: Sequence[int], is_number: Sequence[bool], url: str | None) -> str:
    cells = [
        cell.rjust(width) if right else _leave_out_middle(cell, width).ljust(width)
        for cell, width, right in zip(line, widths, is_number, strict=True)
    ]
    text = cells[0].rstrip()
    return _GAP.join([format_link(text, url) + cells[0][len(text) :], *cells[1:]]).rstrip()


def _shrink_widths(widths: Sequence[int], available: int) -> list[int]:
    """Return widths that fit together, taken from the widest columns; none becomes narrower than a few characters."""
    shrunk = list(widths)
    while sum(shrunk) + len(_GAP) * (len(shrunk) - 1) > available and max(shrunk) > _MIN_COLUMN_WIDTH:
        shrunk[shrunk.index(max(shrunk))] -= 1
    return shrunk


def _leave_out_middle(text: str, width: int) -> str:
    """Return a text of at most `width` characters; more of its end is kept, where the names of files differ.

    >>> _leave_out_middle("docs/library/asyncio-task.html", 20)
    'docs/l…cio-task.html'
    """
    if len(text) <= width:
        return text
    start = (width - 1) // 3
    return f"{text[:start]}{_CUT}{text[len(text) - (width - 1 - start) :]}"
