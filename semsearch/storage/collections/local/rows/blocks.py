"""Read the blocks of a document around a span of its text. `writes` stores them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from .....core.types.documents import BLOCK_SEPARATOR, BlockKind
from .....core.types.stored_documents import TextBlock
from . import damage
from .documents import load_text_span

_KINDS = frozenset(get_args(BlockKind))


MAX_BLOCK_CHARACTERS = 8_000
"""Of a longer block only the part inside the span is read, in whole lines: a table may have a million rows."""

MAX_TRIMMED_CHARACTERS = 800
"""At most so much is left out at each end of the span, which is less than the margin that callers ask for."""

MAX_HEADER_CHARACTERS = 300


def load_blocks(db: sqlite3.Connection, document_id: int, start: int, end: int) -> list[TextBlock]:
    """Return the blocks that overlap a span, in reading order; DamagedDocumentError if they are damaged.

    Of a long block at the begin or end of the span, only a part is returned.
    """
    first = _find_first_block(db, document_id, start)
    sql = (
        "SELECT start, end, kind, json_extract(locator, '$.page'), json_extract(locator, '$.sheet'),"
        " coalesce(json_array_length(locator, '$.headings'), 0) FROM block"
        " WHERE document_id = ? AND ordinal >= ? AND start < ? ORDER BY ordinal"
    )
    rows = _fetch(db, document_id, sql, (document_id, first, end))
    if not rows or not _are_consecutive(rows):
        raise damage.document_error(db, document_id, "list of blocks")
    (first_start, first_end, *_), (last_start, last_end, *_) = rows[0], rows[-1]
    text_start = max(first_start, start) if first_end - first_start > MAX_BLOCK_CHARACTERS else first_start
    text_end = min(last_end, end) if last_end - last_start > MAX_BLOCK_CHARACTERS else last_end
    raw, raw_start = load_text_span(db, document_id, text_start, text_end), text_start
    is_cut = text_start > first_start, text_end < last_end
    text_start, text_end = _trim_to_lines(raw, raw_start, *is_cut)
    text = raw[text_start - raw_start : text_end - raw_start]
    blocks = [_make_block(row, max(row[0], text_start), min(row[1], text_end), text, text_start) for row in rows]
    if blocks[0].kind == "table" and text_start > first_start:
        header_end = min(first_end, first_start + MAX_HEADER_CHARACTERS)
        header = load_text_span(db, document_id, first_start, header_end).partition("\n")[0]
        blocks[0] = replace(blocks[0], header=header)
    return blocks


def _make_block(row: Sequence[Any], start: int, end: int, text: str, text_start: int) -> TextBlock:
    """Return the block of a row, or its part between two offsets."""
    _, _, kind, page, sheet, depth = row
    level = depth if kind == "heading" else 0
    return TextBlock(start, end, text[start - text_start : end - text_start], kind, page, sheet=sheet, level=level)


def _trim_to_lines(text: str, offset: int, is_start_cut: bool, is_end_cut: bool) -> tuple[int, int]:
    """Return the span of the whole lines of a text, or of its whole words where a line is long."""
    start, end = 0, len(text)
    if is_start_cut:
        line = text.find("\n", 0, MAX_TRIMMED_CHARACTERS)
        start = (line if line >= 0 else text.find(" ", 0, MAX_TRIMMED_CHARACTERS)) + 1
    if is_end_cut:
        line = text.rfind("\n", max(start, end - MAX_TRIMMED_CHARACTERS))
        cut = line if line >= 0 else text.rfind(" ", max(start, end - MAX_TRIMMED_CHARACTERS))
        end = cut if cut > start else end
    return offset + start, offset + end


def _find_first_block(db: sqlite3.Connection, document_id: int, offset: int) -> int:
    """Return the ordinal of the first block that ends behind `offset`, by bisection: a document may have a million."""
    last_sql = "SELECT ordinal FROM block WHERE document_id = ? ORDER BY ordinal DESC LIMIT 1"
    end_sql = "SELECT end FROM block WHERE document_id = ? AND ordinal = ?"
    rows = _fetch(db, document_id, last_sql, (document_id,))
    low, high = 0, rows[0][0] if rows else 0
    while low < high:
        middle = (low + high) // 2
        ends = _fetch(db, document_id, end_sql, (document_id, middle))
        if not ends or not isinstance(ends[0][0], int):
            raise damage.document_error(db, document_id, "list of blocks")
        low, high = (middle + 1, high) if ends[0][0] <= offset else (low, middle)
    return low


def _fetch(db: sqlite3.Connection, document_id: int, sql: str, values: Sequence[int]) -> list[Any]:
    try:
        return damage.fetch_all(db, sql, values)
    except sqlite3.OperationalError as exc:
        if "malformed JSON" not in str(exc):
            raise
        raise damage.document_error(db, document_id, "list of blocks") from exc


def _are_consecutive(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Return whether the rows are blocks of known kinds, one behind the other."""
    previous_end: int | None = None
    for start, end, kind, page, sheet, depth in rows:
        has_types = all(isinstance(number, int) for number in (start, end, depth)) and isinstance(
            page, (int, type(None))
        )
        has_types = has_types and isinstance(sheet, (str, type(None)))
        if not has_types or kind not in _KINDS or start > end:
            return False
        if previous_end is not None and start != previous_end + len(BLOCK_SEPARATOR):
            return False
        previous_end = end
    return True
