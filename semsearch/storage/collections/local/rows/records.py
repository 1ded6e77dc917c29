"""Rows of documents and chunks with their checksums: as they were written, or an error that names the document."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from .....core.types.documents import Metadata
from .....core.types.packed_terms import PackedSpans
from . import damage
from .checksums import of_row


class DocumentRow(NamedTuple):
    """A row of `document`."""

    id: int
    uri: str
    sha256: str
    text_sha256: str
    reader: str
    title: str
    media_type: str
    language: str
    metadata: str
    characters: int
    chunks: int
    root: str | None
    checksum: int


class ChunkRow(NamedTuple):
    """A row of `chunk`."""

    id: int
    document_id: int
    ordinal: int
    start: int
    end: int
    heading: str
    context: str
    page: int | None
    text_hash: str
    sentences: str
    checksum: int


class WordRow(NamedTuple):
    """A row of `word`."""

    chunk_id: int
    title: str
    body: str
    checksum: int


DOCUMENT = ", ".join(f"d.{name}" for name in DocumentRow._fields)
CHUNK = ", ".join(f"c.{name}" for name in ChunkRow._fields)
WORD = ", ".join(f"w.{name}" for name in WordRow._fields)
"""Columns for a SELECT, under the names of tables that are usual here."""


def is_sound(row: Sequence[Any]) -> bool:
    """Whether a row is as it was written; its last value is its checksum."""
    return cast(bool, of_row(*row[:-1]) == row[-1])


def check_document(db: sqlite3.Connection, row: DocumentRow) -> DocumentRow:
    """Return the row; DamagedDocument if it is not as it was written."""
    if not is_sound(row):
        raise damage.of_document(db, row.id, "entry")
    return row


def metadata_of(row: DocumentRow) -> Metadata:
    """Return a document's metadata; DamagedDocument if they are no JSON object."""
    try:
        found = json.loads(row.metadata)
    except (ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):  # a row may have been damaged before it had a checksum
        raise damage.DamagedDocument(row.uri, "metadata")
    return found


def check_chunk(db: sqlite3.Connection, row: ChunkRow, text: object) -> PackedSpans:
    """Return the places of a chunk's sentences; DamagedDocument if its row or its text is not as it was written."""
    if not is_sound(row):
        raise damage.of_chunk(db, row.id, "chunk")
    embedded = f"{row.context}\n{text}" if row.context else str(text)
    if hashlib.sha256(embedded.encode(errors="surrogateescape")).hexdigest() != row.text_hash:
        raise damage.of_chunk(db, row.id, "text")
    if (places := _places(row)) is None:
        raise damage.of_chunk(db, row.id, "chunk")
    return places


def _places(row: ChunkRow) -> PackedSpans | None:
    try:
        places = PackedSpans(json.loads(row.sentences))
        last = places[len(places) - 1][1] if len(places) else 0
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return places if last <= row.end - row.start else None
