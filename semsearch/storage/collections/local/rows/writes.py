"""What changes the rows of documents: putting them, and removing them. Works inside the caller's transaction.

Many documents are written table by table: a statement that is run for many rows costs a fraction of as many statements.
"""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .....core.types.documents import Chunk, ChunkedDocument, Document, Locator, PutResult, Vectors
from .....text.analyzer import detect_language as language_of
from . import damage, terms
from .checksums import of_counts, of_row, of_segment, of_vector
from .documents import SEGMENT_CHARACTERS, split_into_batches

SqlRow = tuple[object, ...]

_DOCUMENT_COLUMNS = (
    "sha256, text_sha256, reader, title, media_type, language, metadata, characters, chunks, root, checksum"
)
_EXCLUDED_COLUMNS = ", ".join(f"excluded.{column}" for column in _DOCUMENT_COLUMNS.split(", "))
_UPSERT_DOCUMENT = (
    f"INSERT INTO document (id, uri, {_DOCUMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT (uri) DO UPDATE SET ({_DOCUMENT_COLUMNS}) = ({_EXCLUDED_COLUMNS})"
)
_INSERT_CHUNK = (
    "INSERT INTO chunk (id, document_id, ordinal, start, end, heading, context, page, text_hash, sentences, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE_CHUNK_POSITION = (
    "UPDATE chunk SET ordinal = ?, start = ?, end = ?, heading = ?, context = ?, page = ?, checksum = ? WHERE id = ?"
)
_SELECT_LAST_ID = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"


def put(
    db: sqlite3.Connection, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]
) -> list[PutResult]:
    """Replace documents: rows of chunks whose text and sentences are the same stay and only move."""
    return [stored for some in _split_at_repeated_uris(documents) for stored in _put_batch(db, some, vectors)]


def remove(db: sqlite3.Connection, uris: Sequence[str]) -> list[str]:
    """Remove documents with all that belongs to them; return those that were there."""
    found = _find_stored(db, list(dict.fromkeys(uris)))
    if not found:
        return []
    ids = list(found.values())
    gone = _all_of(_load_chunk_ids(db, ids))
    _delete_chunks(db, _advance_seq(db, -len(found), -len(gone)), gone)
    _delete_texts(db, ids)
    db.executemany("DELETE FROM document WHERE id = ?", ((each,) for each in ids))
    return [uri for uri in dict.fromkeys(uris) if uri in found]


@dataclass(slots=True)
class _PendingRows:
    """Rows to be written, by table."""

    documents: list[SqlRow] = field(default_factory=list)
    segments: list[SqlRow] = field(default_factory=list)
    blocks: list[SqlRow] = field(default_factory=list)
    moves: list[SqlRow] = field(default_factory=list)
    chunks: list[SqlRow] = field(default_factory=list)
    vectors: list[SqlRow] = field(default_factory=list)
    term_rows: list[terms.TermRow] = field(default_factory=list)
    changes: list[SqlRow] = field(default_factory=list)

    def write(self, db: sqlite3.Connection) -> None:
        db.executemany(_UPSERT_DOCUMENT, self.documents)
        db.executemany("INSERT INTO segment (document_id, ordinal, text, sha256) VALUES (?, ?, ?, ?)", self.segments)
        db.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", self.blocks)
        db.executemany(_UPDATE_CHUNK_POSITION, self.moves)
        db.executemany(_INSERT_CHUNK, self.chunks)
        db.executemany("INSERT INTO vector (space_id, chunk_id, data, checksum) VALUES (?, ?, ?, ?)", self.vectors)
        terms.add(db, self.term_rows)
        db.executemany("INSERT INTO change VALUES (?, ?, 1)", self.changes)


def _put_batch(
    db: sqlite3.Connection, documents: Sequence[ChunkedDocument], vectors: Mapping[str, Vectors]
) -> Iterator[PutResult]:
    """Put documents of different uris in one change."""
    old = _find_stored(db, [cut.document.uri for cut in documents])
    kept = _load_chunk_ids(db, old.values())
    more = sum(len(cut.chunks) for cut in documents) - len(_all_of(kept))
    seq = _advance_seq(db, len(documents) - len(old), more)
    space, next_document, next_chunk = (
        _load_space_id(db),
        _load_last_id(db, "document") + 1,
        _load_last_id(db, "chunk") + 1,
    )
    rows = _PendingRows()
    for cut in documents:
        known = old.get(cut.document.uri)
        document_id = known or next_document
        next_document += not known
        _add_document(rows, document_id, cut)
        new = list[tuple[int, Chunk]]()
        for ordinal, chunk in enumerate(cut.chunks):
            name = chunk.text_hash
            places = _encode_sentence_offsets(chunk)
            if known and (same := kept[document_id].get((name, places))):
                *_, checksum = _to_chunk_row(same[0], document_id, ordinal, chunk, name, places)
                rows.moves.append((ordinal, *_place(chunk), checksum, same.pop(0)))
                continue
            rows.chunks.append(_to_chunk_row(next_chunk, document_id, ordinal, chunk, name, places))
            rows.vectors.append(_vector_row(space, next_chunk, vectors[name]))
            new.append((next_chunk, chunk))
            rows.changes.append((seq, next_chunk))
            next_chunk += 1
        rows.term_rows += terms.analyze_chunks(new)
    _delete_texts(db, kept)
    rows.write(db)
    _delete_chunks(db, seq, _all_of(kept))
    for cut in documents:
        yield PutResult(cut.document.uri, "updated" if cut.document.uri in old else "added", len(cut.chunks))


def _split_at_repeated_uris(documents: Sequence[ChunkedDocument]) -> Iterator[list[ChunkedDocument]]:
    """Cut the sequence where a uri comes again."""
    some: dict[str, ChunkedDocument] = {}
    for cut in documents:
        if cut.document.uri in some:
            yield list(some.values())
            some = {}
        some[cut.document.uri] = cut
    if some:
        yield list(some.values())


def _find_stored(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, int]:
    """Ids of those documents that are there."""
    found = {}
    for some in split_into_batches(uris):
        marks = ",".join("?" * len(some))
        found.update(dict(db.execute(f"SELECT uri, id FROM document WHERE uri IN ({marks})", some)))
    return found


def _load_chunk_ids(db: sqlite3.Connection, document_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], list[int]]]:
    """Ids of each document's chunks by the hash of their text and the places of their sentences, in order.

    A text may have other sentences than before: code has one in each line, and a newer reader may see more in it.
    """
    kept: dict[int, dict[tuple[str, str], list[int]]] = {}
    for document_id in document_ids:
        named = kept[document_id] = defaultdict(list)
        for chunk_id, *same in damage.fetch(
            db, "SELECT id, text_hash, sentences FROM chunk WHERE document_id = ? ORDER BY ordinal", (document_id,)
        ):
            named[same[0], same[1]].append(chunk_id)
    return kept


def _all_of(kept: Mapping[int, Mapping[tuple[str, str], Sequence[int]]]) -> list[int]:
    return [chunk_id for named in kept.values() for ids in named.values() for chunk_id in ids]


def _advance_seq(db: sqlite3.Connection, documents: int, chunks: int) -> int:
    """The number that this commit will have, by which there are so many documents and chunks more."""
    return int(
        db.execute(
            "UPDATE meta SET documents = documents + ?, chunks = chunks + ?, checksum = checksum + ? RETURNING seq + 1",
            (documents, chunks, of_counts(documents, chunks)),
        ).fetchone()[0]
    )


def _load_last_id(db: sqlite3.Connection, table: str) -> int:
    """The largest id that this table ever had."""
    return int(db.execute(_SELECT_LAST_ID, (table,)).fetchone()[0])


def _load_space_id(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT live_space FROM meta").fetchone()[0])


def _add_document(rows: _PendingRows, document_id: int, chunked: ChunkedDocument) -> None:
    document, text = chunked.document, chunked.document.text
    row = (
        document_id,
        document.uri,
        document.sha256,
        hashlib.sha256(text.encode()).hexdigest(),
        document.reader_version,
        document.title,
        document.media_type,
        language_of(text),
        json.dumps(document.metadata, ensure_ascii=False),
        len(text),
        len(chunked.chunks),
        document.root_name,
    )
    rows.documents.append((*row, of_row(*row)))
    rows.segments += _segment_rows(document_id, text)
    rows.blocks += _to_block_rows(document_id, document)


def _segment_rows(document_id: int, text: str) -> Iterator[SqlRow]:
    for ordinal, at in enumerate(range(0, len(text), SEGMENT_CHARACTERS)):
        segment = text[at : at + SEGMENT_CHARACTERS]
        yield document_id, ordinal, segment, of_segment(document_id, ordinal, segment)


def _to_block_rows(document_id: int, document: Document) -> Iterator[SqlRow]:
    for ordinal, (block, (start, end)) in enumerate(zip(document.blocks, document.block_spans, strict=True)):
        yield document_id, ordinal, start, end, block.kind, _encode_locator(block.locator)


def _encode_locator(locator: Locator) -> str:
    found = {
        "headings": locator.headings,
        "page": locator.page,
        "sheet": locator.sheet,
        "lines": locator.lines,
    }
    return json.dumps({name: value for name, value in found.items() if value}, ensure_ascii=False)


def _to_chunk_row(
    chunk_id: int, document_id: int, ordinal: int, chunk: Chunk, text_hash: str, sentence_offsets: str
) -> SqlRow:
    row = chunk_id, document_id, ordinal, *_place(chunk), text_hash, sentence_offsets
    return *row, of_row(*row)


def _place(chunk: Chunk) -> SqlRow:
    return chunk.start, chunk.end, chunk.heading, chunk.embedding_prefix, chunk.page


def _vector_row(space: int, chunk_id: int, vector: Vectors) -> SqlRow:
    data = vector.astype("<f4").tobytes()
    return space, chunk_id, data, of_vector(data, space, chunk_id)


def _encode_sentence_offsets(chunk: Chunk) -> str:
    """The starts and ends of its sentences, in JSON."""
    return json.dumps([place for sentence in chunk.sentences for place in sentence], separators=(",", ":"))


def _delete_texts(db: sqlite3.Connection, document_ids: Iterable[int]) -> None:
    of = [(document_id,) for document_id in document_ids]
    db.executemany("DELETE FROM segment WHERE document_id = ?", of)
    db.executemany("DELETE FROM block WHERE document_id = ?", of)


def _delete_chunks(db: sqlite3.Connection, seq: int, chunk_ids: Sequence[int]) -> None:
    terms.remove(db, chunk_ids)
    db.executemany("DELETE FROM vector WHERE chunk_id = ?", ((each,) for each in chunk_ids))
    db.executemany("DELETE FROM chunk WHERE id = ?", ((each,) for each in chunk_ids))
    db.executemany("INSERT INTO change VALUES (?, ?, -1)", ((seq, each) for each in chunk_ids))
