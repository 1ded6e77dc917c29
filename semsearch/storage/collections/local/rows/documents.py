"""Read documents and chunks. Works inside the transaction of the caller; `writes` changes rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, islice
from operator import itemgetter
from typing import TypeVar

import numpy as np

from .....core.types.documents import Chunk, Ids
from .....core.types.originals import OriginalState, StoredOriginal
from .....core.types.stored_documents import DocumentInfo, StoredDocument, StoredVersion
from . import damage, terms
from .checksums import segment_digest
from .filter_sql import SqlCondition
from .records import (
    CHUNK_COLUMNS,
    DOCUMENT_COLUMNS,
    ChunkRow,
    DocumentRow,
    check_chunk,
    check_document,
    check_text,
    is_intact,
    parse_metadata,
)

_T = TypeVar("_T")

SEGMENT_CHARACTERS = 16_384
"""Characters of the canonical text in one row."""

_BATCH_SIZE = 500
_SEGMENTS = "SELECT document_id, ordinal, text, sha256 FROM segment"
_CHUNKS = f"SELECT {CHUNK_COLUMNS} FROM chunk AS c"


def load_versions(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, StoredVersion]:
    """Return the stored versions of these uris; a damaged one is left out, so that it is ingested again."""
    versions = {}
    for batch in split_into_batches(uris):
        placeholders = ",".join("?" * len(batch))
        for original, *row in damage.fetch_all(
            db, f"SELECT d.original, {DOCUMENT_COLUMNS} FROM document AS d WHERE d.uri IN ({placeholders})", batch
        ):
            if is_intact(row):
                document = DocumentRow(*row)
                versions[document.uri] = StoredVersion(
                    document.sha256,
                    document.reader,
                    document.title,
                    document.media_type,
                    parse_metadata(document),
                    document.root,
                    original,
                )
    return versions


def list_file_uris(db: sqlite3.Connection, prefix: str) -> list[str]:
    """Return the uris with this prefix that are files of a registered folder."""
    sql = "SELECT uri FROM document WHERE root IS NOT NULL AND uri BETWEEN ? AND ? || char(0x10FFFF)"
    return [uri for (uri,) in db.execute(sql, (prefix, prefix))]


def list_documents(db: sqlite3.Connection, where: SqlCondition, limit: int, after: str) -> list[DocumentInfo]:
    """Return up to `limit` documents by uri, after `after`; DamagedDocumentError for the first damaged one."""
    sql, values = where
    rows = damage.fetch_all(
        db,
        f"SELECT {DOCUMENT_COLUMNS} FROM document AS d WHERE d.uri > ? AND {sql} ORDER BY d.uri LIMIT ?",
        (after, *values, limit),
    )
    return [to_document_info(check_document(db, row[0], row)) for row in rows]


def list_uris(db: sqlite3.Connection, where: SqlCondition) -> list[str]:
    """Return the uris of the documents that match, in order; a damaged document is not an error."""
    sql, values = where
    rows = damage.fetch_all(db, f"SELECT d.uri FROM document AS d WHERE {sql} ORDER BY d.uri", values)
    return [uri for (uri,) in rows]


def count_documents(db: sqlite3.Connection, where: SqlCondition) -> tuple[int, int]:
    """Return how many documents match, and how many chunks they have."""
    sql, values = where
    counts: tuple[int, int] = db.execute(
        f"SELECT count(*), coalesce(sum(chunks), 0) FROM document AS d WHERE {sql}", values
    ).fetchone()
    return counts


def load_document(db: sqlite3.Connection, uri: str, where: SqlCondition) -> StoredDocument | None:
    """Return a document with its text; None if it is absent or does not match."""
    row = find_row(db, uri, where)[0]
    if row is None:
        return None
    text = load_text_span(db, row.id, 0, row.characters)
    return StoredDocument(**asdict(to_document_info(row)), text=text, content_sha256=row.text_sha256)


def load_original(db: sqlite3.Connection, uri: str, where: SqlCondition) -> StoredOriginal | None:
    """Return the record of the source of a document, without its bytes; None if it is absent or does not match."""
    row, original = find_row(db, uri, where)
    return None if row is None else StoredOriginal(row.sha256, row.media_type, row.root, original)


def find_row(db: sqlite3.Connection, uri: str, where: SqlCondition) -> tuple[DocumentRow | None, OriginalState | None]:
    """Return the row of a document that matches, and the state of its original."""
    sql, values = where
    # a damaged index of the uris may miss a document, so that a miss is repeated by a scan of the table
    for hint in ("", "NOT INDEXED"):
        select = f"SELECT {sql}, d.original, {DOCUMENT_COLUMNS} FROM document AS d {hint} WHERE d.uri = ?"
        if rows := damage.fetch_all(db, select, (*values, uri)):
            break
    if not rows or not rows[0][0]:
        return None, None
    _, original, *row = rows[0]
    document = check_document(db, row[0], row)
    if hint:
        raise damage.DamagedDocumentError(uri, "entry in the index")
    return document, original


def has_chunk(db: sqlite3.Connection, chunk_id: int, where: SqlCondition) -> bool:
    """Return whether there is a chunk of this id in a document that matches."""
    sql, values = where
    select = f"SELECT 1 FROM chunk AS c JOIN document AS d ON d.id = c.document_id WHERE c.id = ? AND {sql}"
    return bool(damage.fetch_all(db, select, (chunk_id, *values)))


def load_chunk_ids(db: sqlite3.Connection, uris: Sequence[str], where: SqlCondition) -> dict[str, Ids]:
    """Return the ids of the chunks of each of these documents that matches, in reading order; others are left out."""
    sql, values = where
    ids: dict[str, list[int]] = {}
    for batch in split_into_batches(uris):
        select = (
            "SELECT d.uri, c.id FROM document AS d LEFT JOIN chunk AS c ON c.document_id = d.id"
            f" WHERE d.uri IN ({','.join('?' * len(batch))}) AND {sql} ORDER BY d.id, c.ordinal"
        )
        for uri, chunk_id in damage.fetch_all(db, select, (*batch, *values)):
            document_ids = ids.setdefault(uri, [])
            if chunk_id is not None:  # None for a document without chunks
                document_ids.append(chunk_id)
    return {uri: np.array(ids[uri], np.int64) for uri in dict.fromkeys(uris) if uri in ids}


def to_document_info(row: DocumentRow) -> DocumentInfo:
    """Return what a row says about its document."""
    return DocumentInfo(
        row.uri, row.title, row.media_type, row.language, row.chunks, row.characters, parse_metadata(row)
    )


def load_text_span(db: sqlite3.Connection, document_id: int, start: int, end: int) -> str:
    """Return a span of the canonical text; DamagedDocumentError if a segment does not match its hash."""
    first = start // SEGMENT_CHARACTERS
    sql = f"{_SEGMENTS} WHERE document_id = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal"
    segments = damage.fetch_all(db, sql, (document_id, first, end // SEGMENT_CHARACTERS))
    text = "".join(_check_segment(db, *row) for row in segments)[
        start - first * SEGMENT_CHARACTERS : end - first * SEGMENT_CHARACTERS
    ]
    if len(text) != end - start:
        raise damage.document_error(db, document_id, "text")
    return text


def _check_segment(db: sqlite3.Connection, document_id: int, ordinal: int, text: str, sha256: bytes) -> str:
    if segment_digest(document_id, ordinal, text) != sha256:
        raise damage.document_error(db, document_id, "text")
    return text


def analyze_chunk(db: sqlite3.Connection, chunk_id: int) -> terms.TermRow:
    """Analyse a chunk again, from its stored text; DamagedDocumentError if that is damaged."""
    rows = damage.fetch_all(db, f"{_CHUNKS} WHERE c.id = ?", (chunk_id,))
    if not rows:
        raise damage.chunk_error(db, chunk_id, "chunk")
    row = check_chunk(db, rows[0])
    return next(
        terms.analyze_chunks([(row.id, _to_chunk(db, row, load_text_span(db, row.document_id, row.start, row.end)))])
    )


def reanalyze(db: sqlite3.Connection) -> None:
    """Analyse every chunk again, from its stored text."""
    terms.clear(db)
    rows = (row for chunks in _iter_chunks_by_document(db) for row in terms.analyze_chunks(chunks))
    while batch := list(islice(rows, _BATCH_SIZE)):
        terms.add(db, batch)


def _iter_chunks_by_document(db: sqlite3.Connection) -> Iterator[list[tuple[int, Chunk]]]:
    """Yield the chunks of each document with their ids; segments and chunks are read in parallel, once."""
    with damage.undecodable_text(db):
        segments = db.execute(f"{_SEGMENTS} ORDER BY document_id, ordinal")
        texts = groupby(segments, itemgetter(0))
        rows = (check_chunk(db, row) for row in db.execute(f"{_CHUNKS} ORDER BY c.document_id, c.ordinal"))
        for document_id, chunks in groupby(rows, lambda row: row.document_id):
            document_segments = next(
                (group for segment_document_id, group in texts if segment_document_id == document_id), iter(())
            )
            text = "".join(_check_segment(db, *row) for row in document_segments)
            yield [(row.id, _to_chunk(db, row, text[row.start : row.end])) for row in chunks]


def _to_chunk(db: sqlite3.Connection, row: ChunkRow, text: str) -> Chunk:
    spans = check_text(db, row, text)
    return Chunk(row.start, row.end, text, row.heading, row.page, row.context, tuple(spans), row.role)


def split_into_batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield slices of at most `_BATCH_SIZE` items, the parameters of one statement."""
    return (items[start : start + _BATCH_SIZE] for start in range(0, len(items), _BATCH_SIZE))
