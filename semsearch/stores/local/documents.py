"""Documents and their chunks as rows, to be read. Works inside the caller's transaction; `writes` changes them."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from ...packed import PackedSpans
from ...types import Chunk, DocumentInfo, Ids, StoredDocument, Vectors, Version
from . import terms
from .where import Condition

_T = TypeVar("_T")

SEGMENT = 16_384
"""Characters of the canonical text in one row."""

_AT_ONCE = 500
_VECTORS = "SELECT v.chunk_id, v.data FROM meta JOIN vector AS v ON v.space_id = meta.live_space"
_INFO = "d.uri, d.title, d.media_type, d.language, d.chunks, d.characters, d.metadata"


def versions(db: sqlite3.Connection, uris: Sequence[str]) -> dict[str, Version]:
    """What is stored for these uris."""
    found = {}
    for some in batches(uris):
        marks = ",".join("?" * len(some))
        for uri, sha256, reader, title, media_type, metadata, root in db.execute(
            f"SELECT uri, sha256, reader, title, media_type, metadata, root FROM document WHERE uri IN ({marks})",
            some,
        ):
            found[uri] = Version(sha256, reader, title, media_type, json.loads(metadata), root)
    return found


def files(db: sqlite3.Connection, prefix: str) -> list[str]:
    """The uris of documents that came from below a folder, which begin so."""
    sql = "SELECT uri FROM document WHERE root IS NOT NULL AND uri BETWEEN ? AND ? || char(0x10FFFF)"
    return [uri for (uri,) in db.execute(sql, (prefix, prefix))]


def vectors(db: sqlite3.Connection, hashes: Iterable[str]) -> dict[str, Vectors]:
    """Stored embeddings of the live space by the hash of their text."""
    found = {}
    for some in batches(list(hashes)):
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
    for some in batches(chunk_ids.tolist()):
        found += db.execute(
            f"{_VECTORS} WHERE v.chunk_id IN ({','.join(map(str, some))}) ORDER BY v.chunk_id"
        ).fetchall()
    return _table(db, found)


def _table(db: sqlite3.Connection, rows: list[tuple[int, bytes]]) -> tuple[Ids, Vectors]:
    dim = db.execute("SELECT dim FROM meta JOIN space ON space.id = live_space").fetchone()[0]
    ids = np.array([row[0] for row in rows], np.int64)
    return ids, np.frombuffer(b"".join(row[1] for row in rows), np.dtype("<f4")).reshape(-1, dim)


def listed(db: sqlite3.Connection, where: Condition, limit: int, after: str) -> list[DocumentInfo]:
    """Documents by uri, behind `after`."""
    sql, values = where
    rows = db.execute(
        f"SELECT {_INFO} FROM document AS d WHERE d.uri > ? AND {sql} ORDER BY d.uri LIMIT ?", (after, *values, limit)
    )
    return [_info(row) for row in rows]


def counted(db: sqlite3.Connection, where: Condition) -> tuple[int, int]:
    """How many documents pass, and how many chunks they have."""
    sql, values = where
    found: tuple[int, int] = db.execute(
        f"SELECT count(*), coalesce(sum(chunks), 0) FROM document AS d WHERE {sql}", values
    ).fetchone()
    return found


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
    rows = (row for chunks in _chunks_by_document(db) for row in terms.rows(chunks))
    while some := list(islice(rows, _AT_ONCE)):
        terms.add(db, some)


def _chunks_by_document(db: sqlite3.Connection) -> Iterator[list[tuple[int, Chunk]]]:
    """The chunks of each document that has some, with their ids; texts and chunks are read once, side by side."""
    segments = db.execute("SELECT document_id, text FROM segment ORDER BY document_id, ordinal")
    texts = groupby(segments, itemgetter(0))
    rows = db.execute(
        "SELECT document_id, id, start, end, heading, page, context, sentences FROM chunk ORDER BY document_id, ordinal"
    )
    for document_id, chunks in groupby(rows, itemgetter(0)):
        text = "".join(piece for _, piece in next(found for each, found in texts if each == document_id))
        yield [
            (
                chunk_id,
                Chunk(start, end, text[start:end], heading, page, context, tuple(PackedSpans(json.loads(places)))),
            )
            for _, chunk_id, start, end, heading, page, context, places in chunks
        ]


def batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """So many at once as a statement takes."""
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))
