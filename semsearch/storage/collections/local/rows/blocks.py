"""Read the blocks of a document around a span of its text. `writes` stores them."""

import sqlite3
from collections.abc import Sequence
from typing import Any, get_args

from .....core.types.documents import BLOCK_SEPARATOR, BlockKind, TextBlock
from . import damage
from .documents import load_text_span

_KINDS = frozenset(get_args(BlockKind))


def load_blocks(db: sqlite3.Connection, document_id: int, start: int, end: int) -> list[TextBlock]:
    """Return the blocks that overlap a span, in reading order; DamagedDocumentError if they are damaged."""
    first = _find_first_block(db, document_id, start)
    sql = (
        "SELECT start, end, kind, json_extract(locator, '$.page') FROM block"
        " WHERE document_id = ? AND ordinal >= ? AND start < ? ORDER BY ordinal"
    )
    rows = _fetch(db, document_id, sql, (document_id, first, end))
    if not rows or not _are_consecutive(rows):
        raise damage.document_error(db, document_id, "list of blocks")
    text_start = rows[0][0]
    text = load_text_span(db, document_id, text_start, rows[-1][1])
    return [
        TextBlock(block_start, block_end, text[block_start - text_start : block_end - text_start], kind, page)
        for block_start, block_end, kind, page in rows
    ]


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


def _are_consecutive(rows: Sequence[tuple[Any, Any, Any, Any]]) -> bool:
    """Return whether the rows are blocks of known kinds, one behind the other."""
    previous_end: int | None = None
    for start, end, kind, page in rows:
        has_types = isinstance(start, int) and isinstance(end, int) and isinstance(page, (int, type(None)))
        if not has_types or kind not in _KINDS or start > end:
            return False
        if previous_end is not None and start != previous_end + len(BLOCK_SEPARATOR):
            return False
        previous_end = end
    return True
