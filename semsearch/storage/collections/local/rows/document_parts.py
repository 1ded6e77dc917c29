"""Read a part of a document with its table of contents, without the rest of its text."""

import sqlite3
from dataclasses import asdict

from .....core.types.stored_documents import ContentsEntry, DocumentPart
from . import damage
from .blocks import load_blocks
from .documents import find_row, to_document_info
from .filter_sql import SqlCondition

MAX_CONTENTS_ENTRIES = 1_000
MAX_ENTRY_CHARACTERS = 200


def load_part(db: sqlite3.Connection, uri: str, where: SqlCondition, start: int, end: int) -> DocumentPart | None:
    """Return the blocks that overlap a span, at least one; None if the document is absent or does not match.

    Of a block of more than 8,000 characters at either end of the span, only whole lines inside the span are returned.
    """
    row = find_row(db, uri, where)[0]
    if row is None:
        return None
    start = min(start, max(0, row.characters - 1))
    blocks = load_blocks(db, row.id, start, min(max(end, start + 1), row.characters))
    return DocumentPart(
        **asdict(to_document_info(row)),
        content_sha256=row.text_sha256,
        blocks=tuple(blocks),
        contents=_load_contents(db, row.id),
        last_page=_load_last_page(db, row.id),
    )


def _load_contents(db: sqlite3.Connection, document_id: int) -> tuple[ContentsEntry, ...]:
    """Return the first headings of a document; the last one of a heading's path is its own text."""
    sql = (
        "SELECT start, substr(json_extract(locator, '$.headings[#-1]'), 1, ?),"
        " coalesce(json_array_length(locator, '$.headings'), 1), json_extract(locator, '$.page') FROM block"
        " WHERE document_id = ? AND kind = 'heading' ORDER BY ordinal LIMIT ?"
    )
    rows = damage.fetch_all(db, sql, (MAX_ENTRY_CHARACTERS, document_id, MAX_CONTENTS_ENTRIES))
    return tuple([ContentsEntry(start, title or "", level, page) for start, title, level, page in rows])


def _load_last_page(db: sqlite3.Connection, document_id: int) -> int | None:
    sql = "SELECT json_extract(locator, '$.page') FROM block WHERE document_id = ? ORDER BY ordinal DESC LIMIT 1"
    [(page,)] = damage.fetch_all(db, sql, (document_id,))
    return page if isinstance(page, int) else None
