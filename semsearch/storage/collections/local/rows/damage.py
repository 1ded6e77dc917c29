"""Errors that name a damaged document, and queries that read past damaged rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .....core.errors import StorageError

_COULD_NOT_DECODE = "Could not decode"
_MALFORMED_JSON = "malformed JSON"
_METADATA = "d.metadata"
_READABLE_METADATA = f"iif(json_valid({_METADATA}), {_METADATA}, '{{}}')"


class DamagedDocumentError(StorageError):
    """A stored part of a document has changed since it was written. `uri` and `part` name them."""

    def __init__(self, uri: str, part: str) -> None:
        super().__init__(
            f"document {uri!r} is damaged on disk: its {part} has changed since it was stored;"
            " remove it and ingest it again, or restore the collection from a copy"
        )
        self.uri = uri
        self.part = part


def document_error(db: sqlite3.Connection, document_id: object, part: str) -> DamagedDocumentError:
    """Return the error for a document id."""
    # the range condition makes SQLite read the uri from the index, by which documents are looked up
    rows = fetch_all(db, "SELECT uri FROM document WHERE uri >= '' AND +id = ?", (document_id,))
    return DamagedDocumentError(rows[0][0] if rows else f"number {document_id}", part)


def chunk_error(db: sqlite3.Connection, chunk_id: int, part: str) -> DamagedDocumentError:
    """Return the error for the document of a chunk id."""
    # from the index too: the row itself may be damaged
    rows = fetch_all(db, "SELECT document_id FROM chunk WHERE document_id >= 0 AND +id = ?", (chunk_id,))
    return document_error(db, rows[0][0], part) if rows else DamagedDocumentError(f"of chunk {chunk_id}", part)


def collection_error(part: str) -> StorageError:
    """Return the error for damage outside the documents."""
    return StorageError(
        f"the collection is damaged on disk: {part};"
        " restore it from a copy, or delete it and ingest its documents again"
    )


def fetch_all(db: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return all rows. Invalid UTF-8 is read with surrogates, and metadata that are not JSON as empty."""
    try:
        return db.execute(sql, values).fetchall()
    except sqlite3.OperationalError as exc:
        if not str(exc).startswith((_COULD_NOT_DECODE, _MALFORMED_JSON)):
            raise
    with undecodable_text(db):
        return db.execute(sql.replace(_METADATA, _READABLE_METADATA), values).fetchall()


@contextmanager
def undecodable_text(db: sqlite3.Connection) -> Iterator[None]:
    """Read invalid UTF-8 with surrogates for the undecodable bytes; no checksum matches such a text."""
    db.text_factory = lambda data: data.decode(errors="surrogateescape")
    try:
        yield
    finally:
        db.text_factory = str
