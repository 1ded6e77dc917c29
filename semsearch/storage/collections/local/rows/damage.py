"""Damage of the catalogue as an error that names the document, and queries that damaged rows do not end."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .....core.errors import StorageError

_COULD_NOT_DECODE = "Could not decode"
_MALFORMED_JSON = "malformed JSON"
_METADATA = "d.metadata"
_READABLE_METADATA = f"iif(json_valid({_METADATA}), {_METADATA}, '{{}}')"


class DamagedDocument(StorageError):
    """What is stored of a document is not what was written."""

    def __init__(self, uri: str, what: str) -> None:
        super().__init__(
            f"document {uri!r} is damaged on disk: its {what} is not what was stored;"
            " remove it and ingest it again, or restore the collection from a copy"
        )
        self.about = uri, what


def of_document(db: sqlite3.Connection, document_id: object, what: str) -> DamagedDocument:
    """Return the error for a document that is known by its id."""
    # the range makes SQLite read the index, whose copy of the uri is the one by which the document is found
    found = fetch(db, "SELECT uri FROM document WHERE uri >= '' AND +id = ?", (document_id,))
    return DamagedDocument(found[0][0] if found else f"number {document_id}", what)


def of_chunk(db: sqlite3.Connection, chunk_id: int, what: str) -> DamagedDocument:
    """Return the error for the document of a chunk."""
    # from the index again: the row may be what is damaged
    found = fetch(db, "SELECT document_id FROM chunk WHERE document_id >= 0 AND +id = ?", (chunk_id,))
    return of_document(db, found[0][0], what) if found else DamagedDocument(f"of chunk {chunk_id}", what)


def of_collection(what: str) -> StorageError:
    """Return the error for damage that belongs to no document."""
    return StorageError(
        f"the collection is damaged on disk: {what};"
        " restore it from a copy, or delete it and ingest its documents again"
    )


def fetch(db: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return all rows; text that is no UTF-8 has surrogates, and filters see no metadata where these are no JSON."""
    try:
        return db.execute(sql, values).fetchall()
    except sqlite3.OperationalError as exc:
        if not str(exc).startswith((_COULD_NOT_DECODE, _MALFORMED_JSON)):
            raise
    with undecodable_text(db):
        return db.execute(sql.replace(_METADATA, _READABLE_METADATA), values).fetchall()


@contextmanager
def undecodable_text(db: sqlite3.Connection) -> Iterator[None]:
    """Read text that is no UTF-8 with surrogates in the place of what cannot be decoded; no checksum fits it."""
    db.text_factory = lambda data: data.decode(errors="surrogateescape")
    try:
        yield
    finally:
        db.text_factory = str
