"""Insert, replace and delete documents. Works inside the caller's transaction.

Batches of documents are written table by table: `executemany` takes a fraction of the time of single statements.
"""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .....core.types.documents import Chunk, ChunkedDocument, Document, Locator, PutResult, Vectors
from .....text.analyzer import detect_language
from . import damage, page_maps, terms
from .checksums import counts_checksum, row_checksum, segment_digest, vector_checksum
from .documents import SEGMENT_CHARACTERS, split_into_batches

SqlRow = tuple[object, ...]

_MAX_PENDING_CHUNKS = 2_048
_MAX_PENDING_BLOCKS = 8_192
_MAX_PENDING_SEGMENTS = 256
"""Rows that wait in memory until they are written, so that a large document takes no more of it than a small one."""

_DOCUMENT_COLUMNS = (
    "sha256, text_sha256, reader, title, media_type, language, metadata, characters, chunks, root, checksum"
)
_EXCLUDED_COLUMNS = ", ".join(f"excluded.{column}" for column in _DOCUMENT_COLUMNS.split(", "))
_UPSERT_DOCUMENT = (
    f"INSERT INTO document (id, uri, {_DOCUMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT (uri) DO UPDATE SET ({_DOCUMENT_COLUMNS}) = ({_EXCLUDED_COLUMNS})"
)
_INSERT_CHUNK = (
    "INSERT INTO chunk (id, document_id, ordinal, start, end, heading, context, page, text_hash, sentences, role,"
    " checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE_CHUNK_POSITION = (
    "UPDATE chunk SET ordinal = ?, start = ?, end = ?, heading = ?, context = ?, page = ?, role = ?, checksum = ?"
    " WHERE id = ?"
)
_SELECT_LAST_ID = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"


def put(
    db: sqlite3.Connection, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]
) -> list[PutResult]:
    """Insert or replace documents; chunks with the same text and sentences keep their rows, and get new positions."""
    return [result for batch in _split_at_repeated_uris(documents) for result in _put_batch(db, batch, vectors)]


def remove(db: sqlite3.Connection, uris: Sequence[str]) -> list[str]:
    """Delete documents with their chunks; return the uris that were stored."""
    stored = _find_stored(db, list(dict.fromkeys(uris)))
    if not stored:
        return []
    ids = list(stored.values())
    chunk_ids = _flatten_ids(_load_chunk_ids(db, ids))
    _delete_chunks(db, _count_change(db, -len(stored), -len(chunk_ids)), chunk_ids)
    _delete_texts(db, ids)
    db.executemany("DELETE FROM document WHERE id = ?", ((document_id,) for document_id in ids))
    return [uri for uri in dict.fromkeys(uris) if uri in stored]


@dataclass(slots=True)
class _PendingRows:
    """Rows to write, by table."""

    documents: list[SqlRow] = field(default_factory=list)
    segments: list[SqlRow] = field(default_factory=list)
    blocks: list[SqlRow] = field(default_factory=list)
    page_map_rows: list[page_maps.PageMapRow] = field(default_factory=list)
    moves: list[SqlRow] = field(default_factory=list)
    chunks: list[SqlRow] = field(default_factory=list)
    vectors: list[SqlRow] = field(default_factory=list)
    term_rows: list[terms.TermRow] = field(default_factory=list)
    changes: list[SqlRow] = field(default_factory=list)

    def write(self, db: sqlite3.Connection) -> None:
        """Write the rows in the order of their references, and forget them."""
        db.executemany(_UPSERT_DOCUMENT, self.documents)
        db.executemany("INSERT INTO segment (document_id, ordinal, text, sha256) VALUES (?, ?, ?, ?)", self.segments)
        db.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", self.blocks)
        page_maps.insert(db, self.page_map_rows)
        db.executemany(_UPDATE_CHUNK_POSITION, self.moves)
        db.executemany(_INSERT_CHUNK, self.chunks)
        db.executemany("INSERT INTO vector (space_id, chunk_id, data, checksum) VALUES (?, ?, ?, ?)", self.vectors)
        terms.add(db, self.term_rows)
        db.executemany("INSERT INTO change VALUES (?, ?, 1)", self.changes)
        for rows in (self.documents, self.segments, self.blocks, self.moves, self.chunks, self.vectors, self.changes):
            rows.clear()
        self.term_rows.clear()
        self.page_map_rows.clear()


def _put_batch(
    db: sqlite3.Connection, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]
) -> Iterator[PutResult]:
    """Put documents with distinct uris, as one change."""
    stored_ids = _find_stored(db, [chunked.document.uri for chunked in documents])
    reusable = _load_chunk_ids(db, stored_ids.values())
    added_chunks = sum(len(chunked.chunks) for chunked in documents) - len(_flatten_ids(reusable))
    seq = _count_change(db, len(documents) - len(stored_ids), added_chunks)
    space, next_document, next_chunk = (
        _load_space_id(db),
        _load_last_id(db, "document") + 1,
        _load_last_id(db, "chunk") + 1,
    )
    _delete_texts(db, reusable)
    rows = _PendingRows()
    for chunked in documents:
        stored_id = stored_ids.get(chunked.document.uri)
        document_id = stored_id or next_document
        next_document += not stored_id
        _add_document(db, rows, document_id, chunked)
        new_chunks = list[tuple[int, Chunk]]()
        for ordinal, chunk in enumerate(chunked.chunks):
            if len(new_chunks) + len(rows.moves) >= _MAX_PENDING_CHUNKS:
                rows.term_rows += terms.analyze_chunks(new_chunks)
                new_chunks = []
                rows.write(db)
            text_hash = chunk.text_hash
            offsets = _encode_sentence_offsets(chunk)
            if stored_id and (reusable_ids := reusable[document_id].get((text_hash, offsets))):
                *_, checksum = _to_chunk_row(reusable_ids[0], document_id, ordinal, chunk, text_hash, offsets)
                rows.moves.append((ordinal, *_position_columns(chunk), chunk.role, checksum, reusable_ids.pop(0)))
                continue
            rows.chunks.append(_to_chunk_row(next_chunk, document_id, ordinal, chunk, text_hash, offsets))
            rows.vectors.append(_vector_row(space, next_chunk, vectors[text_hash]))
            new_chunks.append((next_chunk, chunk))
            rows.changes.append((seq, next_chunk))
            next_chunk += 1
        rows.term_rows += terms.analyze_chunks(new_chunks)
    rows.write(db)
    _delete_chunks(db, seq, _flatten_ids(reusable))
    for chunked in documents:
        yield PutResult(
            chunked.document.uri, "updated" if chunked.document.uri in stored_ids else "added", len(chunked.chunks)
        )


def _split_at_repeated_uris(documents: Sequence[ChunkedDocument]) -> Iterator[list[ChunkedDocument]]:
    """Split the sequence before each repeated uri."""
    batch: dict[str, ChunkedDocument] = {}
    for chunked in documents:
        if chunked.document.uri in batch:
            yield list(batch.values())
            batch = {}
        batch[chunked.document.uri] = chunked
    if batch:
        yield list(batch.values())


def _find_stored(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, int]:
    """Return the ids of the stored documents, by uri."""
    ids = {}
    for batch in split_into_batches(uris):
        placeholders = ",".join("?" * len(batch))
        ids.update(dict(db.execute(f"SELECT uri, id FROM document WHERE uri IN ({placeholders})", batch)))
    return ids


def _load_chunk_ids(db: sqlite3.Connection, document_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], list[int]]]:
    """Return the chunk ids of each document, in order, by text hash and sentence offsets.

    The same text may have other sentences than before: code has one per line, and a newer reader may split it again.
    """
    ids_by_document: dict[int, dict[tuple[str, str], list[int]]] = {}
    for document_id in document_ids:
        ids_by_content = ids_by_document[document_id] = defaultdict(list)
        for chunk_id, *content in damage.fetch_all(
            db, "SELECT id, text_hash, sentences FROM chunk WHERE document_id = ? ORDER BY ordinal", (document_id,)
        ):
            ids_by_content[content[0], content[1]].append(chunk_id)
    return ids_by_document


def _flatten_ids(ids_by_document: Mapping[int, Mapping[tuple[str, str], Sequence[int]]]) -> list[int]:
    return [
        chunk_id for ids_by_content in ids_by_document.values() for ids in ids_by_content.values() for chunk_id in ids
    ]


def _count_change(db: sqlite3.Connection, documents: int, chunks: int) -> int:
    """Add to the counts of documents and chunks, and return the number that this commit will have."""
    return int(
        db.execute(
            "UPDATE meta SET documents = documents + ?, chunks = chunks + ?, checksum = checksum + ? RETURNING seq + 1",
            (documents, chunks, counts_checksum(documents, chunks)),
        ).fetchone()[0]
    )


def _load_last_id(db: sqlite3.Connection, table: str) -> int:
    """Return the highest id that this table ever had."""
    return int(db.execute(_SELECT_LAST_ID, (table,)).fetchone()[0])


def _load_space_id(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT live_space FROM meta").fetchone()[0])


def _add_document(db: sqlite3.Connection, rows: _PendingRows, document_id: int, chunked: ChunkedDocument) -> None:
    """Add the rows of a document but those of its chunks; write them where they are many."""
    document = chunked.document
    characters, text_sha256, language = _describe_text(document)
    row = (
        document_id,
        document.uri,
        document.sha256,
        text_sha256,
        document.reader_version,
        document.title,
        document.media_type,
        language,
        json.dumps(document.metadata, ensure_ascii=False),
        characters,
        len(chunked.chunks),
        document.root_name,
    )
    rows.documents.append((*row, row_checksum(*row)))
    if document.page_map:
        rows.page_map_rows.append(page_maps.make_row(document_id, document.page_map))
    for segment_row in _segment_rows(document_id, document):
        rows.segments.append(segment_row)
        if len(rows.segments) >= _MAX_PENDING_SEGMENTS:
            rows.write(db)
    for block_row in _to_block_rows(document_id, document):
        rows.blocks.append(block_row)
        if len(rows.blocks) >= _MAX_PENDING_BLOCKS:
            rows.write(db)


def _describe_text(document: Document) -> tuple[int, str, str]:
    """Return the number of characters of the text, its hash, and its language, which its first segment decides."""
    characters, digest, language = 0, hashlib.sha256(), None
    for segment in document.iter_segments(SEGMENT_CHARACTERS):
        language = language or detect_language(segment)
        characters += len(segment)
        digest.update(segment.encode())
    return characters, digest.hexdigest(), language or detect_language("")


def _segment_rows(document_id: int, document: Document) -> Iterator[SqlRow]:
    for ordinal, segment in enumerate(document.iter_segments(SEGMENT_CHARACTERS)):
        yield document_id, ordinal, segment, segment_digest(document_id, ordinal, segment)


def _to_block_rows(document_id: int, document: Document) -> Iterator[SqlRow]:
    for ordinal, block in enumerate(document.iter_block_positions()):
        yield document_id, ordinal, block.start, block.end, block.kind, _encode_locator(block.locator)


def _encode_locator(locator: Locator) -> str:
    fields = {
        "headings": locator.headings,
        "page": locator.page,
        "sheet": locator.sheet,
        "lines": locator.lines,
    }
    return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False)


def _to_chunk_row(
    chunk_id: int, document_id: int, ordinal: int, chunk: Chunk, text_hash: str, sentence_offsets: str
) -> SqlRow:
    row = chunk_id, document_id, ordinal, *_position_columns(chunk), text_hash, sentence_offsets, chunk.role
    return *row, row_checksum(*row)


def _position_columns(chunk: Chunk) -> SqlRow:
    return chunk.start, chunk.end, chunk.heading, chunk.embedding_prefix, chunk.page


def _vector_row(space: int, chunk_id: int, vector: Vectors) -> SqlRow:
    data = vector.astype("<f4").tobytes()
    return space, chunk_id, data, vector_checksum(data, space, chunk_id)


def _encode_sentence_offsets(chunk: Chunk) -> str:
    """Return the starts and ends of the sentences as a flat JSON list."""
    return json.dumps([offset for sentence in chunk.sentences for offset in sentence], separators=(",", ":"))


def _delete_texts(db: sqlite3.Connection, document_ids: Iterable[int]) -> None:
    parameters = [(document_id,) for document_id in document_ids]
    db.executemany("DELETE FROM segment WHERE document_id = ?", parameters)
    db.executemany("DELETE FROM block WHERE document_id = ?", parameters)
    page_maps.delete(db, parameters)


def _delete_chunks(db: sqlite3.Connection, seq: int, chunk_ids: Sequence[int]) -> None:
    terms.remove(db, chunk_ids)
    db.executemany("DELETE FROM vector WHERE chunk_id = ?", ((chunk_id,) for chunk_id in chunk_ids))
    db.executemany("DELETE FROM chunk WHERE id = ?", ((chunk_id,) for chunk_id in chunk_ids))
    db.executemany("INSERT INTO change VALUES (?, ?, -1)", ((seq, chunk_id) for chunk_id in chunk_ids))
