"""Documents and their chunks as rows: the statements behind the store. Each works inside the caller's transaction."""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np

from ...analysis import language as language_of
from ...types import Chunk, Document, DocumentInfo, Ids, Stored, StoredDocument, Vectors, Version
from . import terms
from .where import Condition

_T = TypeVar("_T")

SEGMENT = 16_384
"""Characters of the canonical text in one row."""

_AT_ONCE = 500
_VECTORS = "SELECT v.chunk_id, v.data FROM meta JOIN vector AS v ON v.space_id = meta.live_space"
_COLUMNS = "sha256, text_sha256, reader, title, media_type, language, metadata, characters, chunks"
_NEW = ", ".join(f"excluded.{column}" for column in _COLUMNS.split(", "))
_INFO = "d.uri, d.title, d.media_type, d.language, d.chunks, d.characters, d.metadata"


def versions(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, Version]:
    """What is stored for these uris."""
    found = {}
    for some in _batches(uris):
        marks = ",".join("?" * len(some))
        for uri, sha256, reader, title, metadata in db.execute(
            f"SELECT uri, sha256, reader, title, metadata FROM document WHERE uri IN ({marks})", some
        ):
            found[uri] = Version(sha256, reader, title, json.loads(metadata))
    return found


def vectors(db: sqlite3.Connection, hashes: Iterable[str]) -> dict[str, Vectors]:
    """Stored embeddings of the live space by the hash of their text."""
    found = {}
    for some in _batches(list(hashes)):
        marks = ",".join("?" * len(some))
        rows = db.execute(
            "SELECT c.text_hash, v.data FROM chunk AS c JOIN meta"
            " JOIN vector AS v ON v.space_id = meta.live_space AND v.chunk_id = c.id"
            f" WHERE c.text_hash IN ({marks}) GROUP BY c.text_hash",
            some,
        )
        found.update({text_hash: np.frombuffer(data, np.dtype("<f4")) for text_hash, data in rows})
    return found


def vectors_after(db: sqlite3.Connection, chunk_id: int) -> tuple[Ids, Vectors]:
    """Ids and embeddings in the live space of all chunks behind this one, by id."""
    rows = db.execute(f"{_VECTORS} WHERE v.chunk_id > ? ORDER BY v.chunk_id", (chunk_id,)).fetchall()
    return _table(db, rows)


def vectors_of(db: sqlite3.Connection, chunk_ids: Ids) -> tuple[Ids, Vectors]:
    """Ids and embeddings in the live space of these chunks, whose ids are ascending."""
    found = []
    for some in _batches(chunk_ids.tolist()):
        found += db.execute(
            f"{_VECTORS} WHERE v.chunk_id IN ({','.join(map(str, some))}) ORDER BY v.chunk_id"
        ).fetchall()
    return _table(db, found)


def _table(db: sqlite3.Connection, rows: list[tuple[int, bytes]]) -> tuple[Ids, Vectors]:
    dim = db.execute("SELECT dim FROM meta JOIN space ON space.id = live_space").fetchone()[0]
    ids = np.array([row[0] for row in rows], np.int64)
    return ids, np.frombuffer(b"".join(row[1] for row in rows), np.dtype("<f4")).reshape(-1, dim)


def put(db: sqlite3.Connection, document: Document, chunks: Sequence[Chunk], embedded: Mapping[str, Vectors]) -> Stored:
    """Replace a document: rows of chunks whose embedded text is the same stay and only move."""
    old = db.execute("SELECT chunks FROM document WHERE uri = ?", (document.uri,)).fetchone()
    seq = _next_seq(db, 0 if old else 1, len(chunks) - (old[0] if old else 0))
    document_id = _write_document(db, document, len(chunks))
    kept = _kept_ids(db, document_id)
    for ordinal, chunk in enumerate(chunks):
        same = kept.get(chunk.text_hash)
        if same:
            _move(db, same.pop(0), ordinal, chunk)
        else:
            _insert(db, seq, document_id, ordinal, chunk, embedded[chunk.text_hash])
    _remove_chunks(db, seq, [chunk_id for ids in kept.values() for chunk_id in ids])
    return Stored(document.uri, "updated" if old else "added", len(chunks))


def remove(db: sqlite3.Connection, uris: Sequence[str]) -> list[str]:
    """Remove documents with all that belongs to them; return those that were there."""
    removed = []
    for uri in dict.fromkeys(uris):
        for document_id, chunks in db.execute("SELECT id, chunks FROM document WHERE uri = ?", (uri,)).fetchall():
            seq = _next_seq(db, -1, -chunks)
            ids = [row[0] for row in db.execute("SELECT id FROM chunk WHERE document_id = ?", (document_id,))]
            _remove_chunks(db, seq, ids)
            _clear_text(db, document_id)
            db.execute("DELETE FROM document WHERE id = ?", (document_id,))
            removed.append(uri)
    return removed


def listed(db: sqlite3.Connection, where: Condition, limit: int, after: str) -> list[DocumentInfo]:
    """Documents by uri, behind `after`."""
    sql, values = where
    rows = db.execute(
        f"SELECT {_INFO} FROM document AS d WHERE d.uri > ? AND {sql} ORDER BY d.uri LIMIT ?", (after, *values, limit)
    )
    return [_info(row) for row in rows]


def whole(db: sqlite3.Connection, uri: str, where: Condition) -> StoredDocument | None:
    """A document with its text."""
    sql, values = where
    row = db.execute(
        f"SELECT {_INFO}, d.id, d.text_sha256 FROM document AS d WHERE d.uri = ? AND {sql}", (uri, *values)
    ).fetchone()
    if row is None:
        return None
    info, document_id, sha256 = _info(row), row[7], row[8]
    text = span(db, document_id, 0, info.characters)
    return StoredDocument(**asdict(info), text=text, content_sha256=sha256)


def _info(row: tuple[Any, ...]) -> DocumentInfo:
    uri, title, media_type, language, chunks, characters, metadata = row[:7]
    return DocumentInfo(uri, title, media_type, language, chunks, characters, json.loads(metadata))


def span(db: sqlite3.Connection, document_id: int, start: int, end: int) -> str:
    """Part of a document's canonical text."""
    first = start // SEGMENT
    pieces = db.execute(
        "SELECT text FROM segment WHERE document_id = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
        (document_id, first, end // SEGMENT),
    )
    return "".join(piece for (piece,) in pieces)[start - first * SEGMENT : end - first * SEGMENT]


def reanalyse(db: sqlite3.Connection) -> None:
    """Make the words of every chunk again from the stored text."""
    terms.clear(db)
    rows = db.execute(
        "SELECT id, document_id, start, end, heading, page, context, sentences FROM chunk ORDER BY id"
    ).fetchall()
    for chunk_id, document_id, start, end, heading, page, context, sentences in rows:
        text = span(db, document_id, start, end)
        terms.add(db, chunk_id, Chunk(start, end, text, heading, page, context, pairs(sentences)))


def pairs(stored: str) -> tuple[tuple[int, int], ...]:
    """Sentence spans as they were stored: a flat JSON list."""
    numbers = iter(json.loads(stored))
    return tuple(zip(numbers, numbers, strict=True))


def _next_seq(db: sqlite3.Connection, documents: int, chunks: int) -> int:
    """The number of this change, by which there are so many documents and chunks more."""
    return int(
        db.execute(
            "UPDATE meta SET seq = seq + 1, documents = documents + ?, chunks = chunks + ? RETURNING seq",
            (documents, chunks),
        ).fetchone()[0]
    )


def _write_document(db: sqlite3.Connection, document: Document, chunks: int) -> int:
    text = document.text
    row = (
        document.uri,
        document.sha256,
        hashlib.sha256(text.encode()).hexdigest(),
        document.reader,
        document.title,
        document.media_type,
        language_of(text),
        json.dumps(document.metadata, ensure_ascii=False),
        len(text),
        chunks,
    )
    document_id = db.execute(
        f"INSERT INTO document (uri, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        f" ON CONFLICT (uri) DO UPDATE SET ({_COLUMNS}) = ({_NEW}) RETURNING id",
        row,
    ).fetchone()[0]
    _clear_text(db, document_id)
    db.executemany(
        "INSERT INTO segment VALUES (?, ?, ?)",
        ((document_id, at // SEGMENT, text[at : at + SEGMENT]) for at in range(0, len(text), SEGMENT)),
    )
    db.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", _block_rows(document_id, document))
    return int(document_id)


def _block_rows(document_id: int, document: Document) -> Iterator[tuple[object, ...]]:
    for ordinal, (block, (start, end)) in enumerate(zip(document.blocks, document.spans, strict=True)):
        locator = {name: value for name, value in asdict(block.locator).items() if value}
        yield document_id, ordinal, start, end, block.kind, json.dumps(locator, ensure_ascii=False)


def _clear_text(db: sqlite3.Connection, document_id: int) -> None:
    db.execute("DELETE FROM segment WHERE document_id = ?", (document_id,))
    db.execute("DELETE FROM block WHERE document_id = ?", (document_id,))


def _kept_ids(db: sqlite3.Connection, document_id: int) -> dict[str, list[int]]:
    """Ids of a document's chunks by the hash of their text, in order."""
    kept: dict[str, list[int]] = defaultdict(list)
    for chunk_id, text_hash in db.execute(
        "SELECT id, text_hash FROM chunk WHERE document_id = ? ORDER BY ordinal", (document_id,)
    ):
        kept[text_hash].append(chunk_id)
    return kept


def _move(db: sqlite3.Connection, chunk_id: int, ordinal: int, chunk: Chunk) -> None:
    db.execute(
        "UPDATE chunk SET ordinal = ?, start = ?, end = ?, heading = ?, page = ? WHERE id = ?",
        (ordinal, chunk.start, chunk.end, chunk.heading, chunk.page, chunk_id),
    )


def _insert(db: sqlite3.Connection, seq: int, document_id: int, ordinal: int, chunk: Chunk, vector: Vectors) -> None:
    flat = json.dumps([place for sentence in chunk.sentences for place in sentence], separators=(",", ":"))
    chunk_id = db.execute(
        "INSERT INTO chunk (document_id, ordinal, start, end, heading, context, page, text_hash, sentences)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (document_id, ordinal, chunk.start, chunk.end, chunk.heading, chunk.context, chunk.page, chunk.text_hash, flat),
    ).fetchone()[0]
    db.execute("INSERT INTO vector SELECT live_space, ?, ? FROM meta", (chunk_id, vector.astype("<f4").tobytes()))
    terms.add(db, chunk_id, chunk)
    db.execute("INSERT INTO change VALUES (?, ?, 1)", (seq, chunk_id))


def _remove_chunks(db: sqlite3.Connection, seq: int, ids: Sequence[int]) -> None:
    terms.remove(db, ids)
    for chunk_id in ids:
        db.execute("DELETE FROM vector WHERE chunk_id = ?", (chunk_id,))
        db.execute("DELETE FROM chunk WHERE id = ?", (chunk_id,))
        db.execute("INSERT INTO change VALUES (?, ?, -1)", (seq, chunk_id))


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))
