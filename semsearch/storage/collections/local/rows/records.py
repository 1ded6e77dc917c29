"""Rows of documents, chunks and words with their checksums; a damaged row is an error that names the document."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from .....core.types.documents import Metadata
from .....core.types.packed_terms import PackedSpans
from . import damage
from .checksums import row_checksum


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
    role: str
    checksum: int


class WordRow(NamedTuple):
    """A row of `word`."""

    chunk_id: int
    title: str
    body: str
    checksum: int


DOCUMENT_COLUMNS = ", ".join(f"d.{name}" for name in DocumentRow._fields)
CHUNK_COLUMNS = ", ".join(f"c.{name}" for name in ChunkRow._fields)
WORD_COLUMNS = ", ".join(f"w.{name}" for name in WordRow._fields)
"""Columns for a SELECT from `document AS d`, `chunk AS c` and `word AS w`."""


def is_intact(row: Sequence[Any]) -> bool:
    """Return whether a row matches its checksum, which is its last value."""
    return cast(bool, row_checksum(*row[:-1]) == row[-1])


def check_document(db: sqlite3.Connection, document_id: int, row: Sequence[Any]) -> DocumentRow:
    """Return the row of a document; DamagedDocumentError if it does not match its checksum."""
    if not is_intact(row):
        raise damage.document_error(db, document_id, "entry")
    return DocumentRow._make(row)


def parse_metadata(row: DocumentRow) -> Metadata:
    """Return the metadata of a document; DamagedDocumentError if they are not a JSON object."""
    try:
        metadata = json.loads(row.metadata)
    except (ValueError, TypeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):  # the row may have been damaged before it had a checksum
        raise damage.DamagedDocumentError(row.uri, "metadata")
    return metadata


def check_chunk(db: sqlite3.Connection, row: Sequence[Any]) -> ChunkRow:
    """Return the row of a chunk; DamagedDocumentError if it does not match its checksum."""
    if not is_intact(row):
        raise damage.chunk_error(db, row[0], "chunk")
    return ChunkRow._make(row)


def check_text(db: sqlite3.Connection, row: ChunkRow, text: str) -> PackedSpans:
    """Return the spans of the sentences of a checked row; DamagedDocumentError if the text does not match its hash."""
    embedding_text = f"{row.context}\n{text}" if row.context else text
    if hashlib.sha256(embedding_text.encode("utf-8", "surrogateescape")).hexdigest() != row.text_hash:
        raise damage.chunk_error(db, row.id, "text")
    if (spans := _parse_sentence_spans(row)) is None:
        raise damage.chunk_error(db, row.id, "chunk")
    return spans


def _parse_sentence_spans(row: ChunkRow) -> PackedSpans | None:
    try:
        spans = PackedSpans(json.loads(row.sentences))
        end = spans[len(spans) - 1][1] if len(spans) else 0
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return spans if end <= row.end - row.start else None
