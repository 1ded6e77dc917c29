"""Add and renew checksums of rows of earlier versions, row by row, inside the transaction of the migration.

A text that does not match its stored hash is damaged: it gets no checksum, and reading it stays an error.
"""

import hashlib
import sqlite3

from .rows.checksums import COUNTS_FACTOR, row_checksum, segment_digest, vector_checksum
from .rows.records import DocumentRow, WordRow

_NUMBERS = frozenset({"id", "document_id", "chunk_id", "ordinal", "start", "end", "characters", "chunks"})
_CHUNK = tuple("id document_id ordinal start end heading context page text_hash sentences".split())
_GENERATION = ("kind", "space_id", "seq", "last_id", "folder", "files", "rows")


def add_checksums(db: sqlite3.Connection) -> None:
    """Fill the checksum columns, in bounded memory."""
    db.create_function("row_checksum", -1, _checksum_decoded)
    db.create_function("vector_checksum", 3, vector_checksum)
    for table, columns in (("document", DocumentRow._fields[:-1]), ("chunk", _CHUNK), ("word", WordRow._fields[:-1])):
        _fill_table(db, table, columns)
    _fill_table(db, "space", ("id", "name", "dim"))
    _fill_table(db, "generation", _GENERATION)
    db.execute("UPDATE vector SET checksum = vector_checksum(data, space_id, chunk_id) WHERE typeof(data) = 'blob'")
    db.execute(f"UPDATE meta SET checksum = {COUNTS_FACTOR} * documents + chunks")
    for document_id, text_sha256 in db.execute("SELECT id, CAST(text_sha256 AS BLOB) FROM document"):
        _fill_segments(db, document_id, text_sha256)


def add_role_to_checksums(db: sqlite3.Connection) -> None:
    """Renew the checksums of chunks, which include the role now; that of a damaged chunk stays wrong."""
    db.create_function("row_checksum", -1, _checksum_decoded)
    values = _format_values(_CHUNK)
    db.execute(
        f"UPDATE chunk SET checksum = row_checksum({values}, CAST(role AS BLOB))"
        f" WHERE checksum = row_checksum({values})"
    )


def _fill_table(db: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
    are_numbers = [f"typeof({column}) = 'integer'" for column in columns if column in _NUMBERS]
    where = " AND ".join(are_numbers or ["1"])
    db.execute(f"UPDATE {table} SET checksum = row_checksum({_format_values(columns)}) WHERE {where}")


def _format_values(columns: tuple[str, ...]) -> str:
    # as bytes: a text that is not valid UTF-8 would abort the migration
    return ", ".join(column if column in _NUMBERS else f"CAST({column} AS BLOB)" for column in columns)


def _checksum_decoded(*values: int | bytes | None) -> int | None:
    try:
        return row_checksum(*(value.decode() if isinstance(value, bytes) else value for value in values))
    except UnicodeDecodeError:
        return None


def _fill_segments(db: sqlite3.Connection, document_id: int, text_sha256: bytes) -> None:
    """Fill the checksums of one document's segments, if its text still matches the stored hash."""
    digest, rows = hashlib.sha256(), []
    for ordinal, data in db.execute(
        "SELECT ordinal, CAST(text AS BLOB) FROM segment WHERE document_id = ? ORDER BY ordinal", (document_id,)
    ):
        digest.update(data)
        text = data.decode(errors="surrogateescape")
        rows.append((segment_digest(document_id, ordinal, text), document_id, ordinal))
    if digest.hexdigest().encode() == text_sha256:
        db.executemany("UPDATE segment SET sha256 = ? WHERE document_id = ? AND ordinal = ?", rows)
