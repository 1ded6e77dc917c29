"""Write and read the maps from stored texts to the pages of PDF files. Works inside the transaction of the caller."""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence

from . import damage
from .checksums import row_checksum
from .filter_sql import SqlCondition

PageMapRow = tuple[int, bytes, int]


def make_row(document_id: int, data: bytes) -> PageMapRow:
    """Return the row of a map, with a checksum of the map and its document."""
    return document_id, data, _compute_checksum(document_id, data)


def insert(db: sqlite3.Connection, rows: Iterable[PageMapRow]) -> None:
    """Add the maps of documents that have none."""
    db.executemany("INSERT INTO page_map (document_id, data, checksum) VALUES (?, ?, ?)", rows)


def delete(db: sqlite3.Connection, parameters: Sequence[tuple[int]]) -> None:
    """Delete the maps of documents, given as one-tuples of their ids."""
    db.executemany("DELETE FROM page_map WHERE document_id = ?", parameters)


def load(db: sqlite3.Connection, uri: str, where: SqlCondition) -> bytes:
    """Return the map of a document; empty if it has none, is absent or does not match."""
    sql, values = where
    rows = damage.fetch_all(
        db,
        "SELECT m.document_id, m.data, m.checksum FROM document AS d JOIN page_map AS m ON m.document_id = d.id"
        f" WHERE d.uri = ? AND {sql}",
        (uri, *values),
    )
    if not rows:
        return b""
    document_id, data, checksum = rows[0]
    if not isinstance(data, bytes) or _compute_checksum(document_id, data) != checksum:
        raise damage.document_error(db, document_id, "map of pages")
    return data


def _compute_checksum(document_id: int, data: bytes) -> int:
    return zlib.crc32(data, row_checksum(document_id))
