"""Documents and their chunks as rows, to be read. Works inside the caller's transaction; `writes` changes them."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, islice
from operator import itemgetter
from typing import TypeVar

from .....core.types.documents import Chunk, DocumentInfo, StoredDocument, StoredVersion
from . import damage, terms
from .checksums import of_segment
from .filter_sql import SqlCondition
from .records import CHUNK, DOCUMENT, ChunkRow, DocumentRow, check_chunk, check_document, is_sound, metadata_of

_T = TypeVar("_T")

SEGMENT_CHARACTERS = 16_384
"""Characters of the canonical text in one row."""

_BATCH_SIZE = 500
_SEGMENTS = "SELECT document_id, ordinal, text, sha256 FROM segment"
_CHUNKS = f"SELECT {CHUNK} FROM chunk AS c"


def load_versions(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, StoredVersion]:
    """What is stored for these uris; what is damaged counts as not stored, so that it is stored anew."""
    found = {}
    for some in split_into_batches(uris):
        marks = ",".join("?" * len(some))
        for row in damage.fetch(db, f"SELECT {DOCUMENT} FROM document AS d WHERE d.uri IN ({marks})", some):
            if is_sound(row):
                of = DocumentRow(*row)
                found[of.uri] = StoredVersion(of.sha256, of.reader, of.title, of.media_type, metadata_of(of), of.root)
    return found


def list_file_uris(db: sqlite3.Connection, prefix: str) -> list[str]:
    """The uris of documents that came from below a folder, which begin so."""
    sql = "SELECT uri FROM document WHERE root IS NOT NULL AND uri BETWEEN ? AND ? || char(0x10FFFF)"
    return [uri for (uri,) in db.execute(sql, (prefix, prefix))]


def list_documents(db: sqlite3.Connection, where: SqlCondition, limit: int, after: str) -> list[DocumentInfo]:
    """Documents by uri, behind `after`; DamagedDocument for the first one that is damaged."""
    sql, values = where
    rows = damage.fetch(
        db,
        f"SELECT {DOCUMENT} FROM document AS d WHERE d.uri > ? AND {sql} ORDER BY d.uri LIMIT ?",
        (after, *values, limit),
    )
    return [_to_document_info(check_document(db, DocumentRow(*row))) for row in rows]


def count_documents(db: sqlite3.Connection, where: SqlCondition) -> tuple[int, int]:
    """How many documents pass, and how many chunks they have."""
    sql, values = where
    found: tuple[int, int] = db.execute(
        f"SELECT count(*), coalesce(sum(chunks), 0) FROM document AS d WHERE {sql}", values
    ).fetchone()
    return found


def load_document(db: sqlite3.Connection, uri: str, where: SqlCondition) -> StoredDocument | None:
    """A document with its text."""
    sql, values = where
    # a document that the damaged index of the uris misses is there all the same: then all rows are looked through
    for hint in ("", "NOT INDEXED"):
        select = f"SELECT {sql}, {DOCUMENT} FROM document AS d {hint} WHERE d.uri = ?"
        if found := damage.fetch(db, select, (*values, uri)):
            break
    if not found or not found[0][0]:
        return None
    row = check_document(db, DocumentRow(*found[0][1:]))
    if hint:
        raise damage.DamagedDocument(uri, "entry in the index")
    text = load_text_span(db, row.id, 0, row.characters)
    return StoredDocument(**asdict(_to_document_info(row)), text=text, content_sha256=row.text_sha256)


def _to_document_info(row: DocumentRow) -> DocumentInfo:
    return DocumentInfo(row.uri, row.title, row.media_type, row.language, row.chunks, row.characters, metadata_of(row))


def load_text_span(db: sqlite3.Connection, document_id: int, start: int, end: int) -> str:
    """Part of a document's canonical text; DamagedDocument if a segment of it is not as it was written."""
    first = start // SEGMENT_CHARACTERS
    sql = f"{_SEGMENTS} WHERE document_id = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal"
    segments = damage.fetch(db, sql, (document_id, first, end // SEGMENT_CHARACTERS))
    text = "".join(_segment(db, *row) for row in segments)[
        start - first * SEGMENT_CHARACTERS : end - first * SEGMENT_CHARACTERS
    ]
    if len(text) != end - start:
        raise damage.of_document(db, document_id, "text")
    return text


def _segment(db: sqlite3.Connection, document_id: int, ordinal: int, text: str, sha256: bytes) -> str:
    if of_segment(document_id, ordinal, text) != sha256:
        raise damage.of_document(db, document_id, "text")
    return text


def analysed(db: sqlite3.Connection, chunk_id: int) -> terms.TermRow:
    """The words of a chunk, made again from the stored text; DamagedDocument if that is damaged too."""
    found = damage.fetch(db, f"{_CHUNKS} WHERE c.id = ?", (chunk_id,))
    if not found or not is_sound(found[0]):
        raise damage.of_chunk(db, chunk_id, "chunk")
    row = ChunkRow(*found[0])
    return next(
        terms.analyze_chunks([(row.id, _chunk(db, row, load_text_span(db, row.document_id, row.start, row.end)))])
    )


def reanalyze(db: sqlite3.Connection) -> None:
    """Make the words of every chunk again from the stored text."""
    terms.clear(db)
    rows = (row for chunks in _iter_chunks_by_document(db) for row in terms.analyze_chunks(chunks))
    while some := list(islice(rows, _BATCH_SIZE)):
        terms.add(db, some)


def _iter_chunks_by_document(db: sqlite3.Connection) -> Iterator[list[tuple[int, Chunk]]]:
    """The chunks of each document that has some, with their ids; texts and chunks are read once, side by side."""
    with damage.undecodable_text(db):
        segments = db.execute(f"{_SEGMENTS} ORDER BY document_id, ordinal")
        texts = groupby(segments, itemgetter(0))
        rows = map(ChunkRow._make, db.execute(f"{_CHUNKS} ORDER BY c.document_id, c.ordinal"))
        for document_id, chunks in groupby(rows, lambda row: row.document_id):
            segments_of_it = next((found for each, found in texts if each == document_id), iter(()))
            text = "".join(_segment(db, *row) for row in segments_of_it)
            yield [(row.id, _chunk(db, row, text[row.start : row.end] if is_sound(row) else "")) for row in chunks]


def _chunk(db: sqlite3.Connection, row: ChunkRow, text: str) -> Chunk:
    places = check_chunk(db, row, text)
    return Chunk(row.start, row.end, text, row.heading, row.page, row.context, tuple(places))


def split_into_batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """So many at once as a statement takes."""
    return (items[at : at + _BATCH_SIZE] for at in range(0, len(items), _BATCH_SIZE))
