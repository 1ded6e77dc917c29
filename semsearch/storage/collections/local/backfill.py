"""Gives the rows of earlier versions their checksums. Works inside the migration's transaction, row by row.

What is known to be damaged, because it does not fit a hash that was stored before, gets none, and so stays an error.
"""

import hashlib
import sqlite3

from .rows.checksums import COUNTS_FACTOR, of_row, of_segment, of_vector
from .rows.records import ChunkRow, DocumentRow, WordRow

_NUMBERS = frozenset({"id", "document_id", "chunk_id", "ordinal", "start", "end", "characters", "chunks"})
_GENERATION = ("kind", "space_id", "seq", "last_id", "folder", "files", "rows")


def add_checksums(db: sqlite3.Connection) -> None:
    """Fill the columns for checksums, in bounded memory."""
    db.create_function("row_checksum", -1, _of_row)
    db.create_function("vector_checksum", 3, of_vector)
    for table, row in (("document", DocumentRow), ("chunk", ChunkRow), ("word", WordRow)):
        _fill(db, table, row._fields[:-1])
    _fill(db, "space", ("id", "name", "dim"))
    _fill(db, "generation", _GENERATION)
    db.execute("UPDATE vector SET checksum = vector_checksum(data, space_id, chunk_id) WHERE typeof(data) = 'blob'")
    db.execute(f"UPDATE meta SET checksum = {COUNTS_FACTOR} * documents + chunks")
    for document_id, text_sha256 in db.execute("SELECT id, CAST(text_sha256 AS BLOB) FROM document"):
        _fill_segments(db, document_id, text_sha256)


def _fill(db: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
    # as bytes: a text that cannot be decoded would end the migration
    values = ", ".join(column if column in _NUMBERS else f"CAST({column} AS BLOB)" for column in columns)
    are_numbers = [f"typeof({column}) = 'integer'" for column in columns if column in _NUMBERS]
    where = " AND ".join(are_numbers or ["1"])
    db.execute(f"UPDATE {table} SET checksum = row_checksum({values}) WHERE {where}")


def _of_row(*values: int | bytes | None) -> int | None:
    try:
        return of_row(*(value.decode() if isinstance(value, bytes) else value for value in values))
    except UnicodeDecodeError:
        return None


def _fill_segments(db: sqlite3.Connection, document_id: int, text_sha256: bytes) -> None:
    """Fill those of one document, if its text is still that of which the hash was stored."""
    whole, found = hashlib.sha256(), []
    for ordinal, data in db.execute(
        "SELECT ordinal, CAST(text AS BLOB) FROM segment WHERE document_id = ? ORDER BY ordinal", (document_id,)
    ):
        whole.update(data)
        text = data.decode(errors="surrogateescape")
        found.append((of_segment(document_id, ordinal, text), document_id, ordinal))
    if whole.hexdigest().encode() == text_sha256:
        db.executemany("UPDATE segment SET sha256 = ? WHERE document_id = ? AND ordinal = ?", found)
