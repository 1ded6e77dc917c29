"""Read the stored vectors of chunks; damaged ones are left out, or an error. Works inside the caller's transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .....core.types.documents import Ids, Vectors
from . import damage, header
from .checksums import vector_checksum
from .documents import split_into_batches
from .records import CHUNK_COLUMNS, ChunkRow, is_intact

_SELECT_VECTORS = "SELECT v.chunk_id, v.data, v.checksum FROM vector AS v WHERE v.space_id = ?"
_BATCH_SIZE = 500

VectorRow = tuple[int, Any, Any]
"""Chunk id, bytes of the vector, checksum."""


def load_by_text_hash(db: sqlite3.Connection, hashes: Iterable[str]) -> dict[str, Vectors]:
    """Return stored embeddings of the live space by text hash; damaged ones are left out."""
    space, vectors = header.load_space(db), {}
    for batch in split_into_batches(list(hashes)):
        rows = damage.fetch_all(
            db,
            f"SELECT {CHUNK_COLUMNS}, v.data, v.checksum FROM chunk AS c"
            " JOIN vector AS v ON v.space_id = ? AND v.chunk_id = c.id"
            f" WHERE c.text_hash IN ({','.join('?' * len(batch))}) GROUP BY c.text_hash",
            (space.id, *batch),
        )
        for *chunk, data, checksum in rows:
            row = ChunkRow(*chunk)
            if is_intact(row) and _is_intact(space, row.id, data, checksum):
                vectors[row.text_hash] = np.frombuffer(data, np.dtype("<f4"))
    return vectors


def load_intact_after(db: sqlite3.Connection, chunk_id: int) -> tuple[Ids, Vectors]:
    """Return ids and embeddings of all chunks with a higher id, ascending; damaged ones are left out."""
    space = header.load_space(db)
    count_vectors = "SELECT count(*) FROM vector WHERE space_id = ? AND chunk_id > ?"
    row_count = db.execute(count_vectors, (space.id, chunk_id)).fetchone()[0]
    return _collect(space, row_count, _iter_batches_after(db, space, chunk_id))


def load_intact(db: sqlite3.Connection, chunk_ids: Ids) -> tuple[Ids, Vectors]:
    """Return ids and embeddings of these chunks; `chunk_ids` is ascending; damaged ones are left out."""
    space = header.load_space(db)
    batches = (
        damage.fetch_all(
            db, f"{_SELECT_VECTORS} AND v.chunk_id IN ({','.join(map(str, batch))}) ORDER BY v.chunk_id", (space.id,)
        )
        for batch in split_into_batches(chunk_ids.tolist())
    )
    return _collect(space, len(chunk_ids), batches)


def load(db: sqlite3.Connection, chunk_ids: Ids) -> Vectors:
    """Return the embeddings of these chunks; `chunk_ids` is ascending; DamagedDocumentError if one is damaged."""
    ids, vectors = load_intact(db, chunk_ids)
    for chunk_id in np.setdiff1d(chunk_ids, ids).tolist():
        raise damage.chunk_error(db, chunk_id, "vector")
    return vectors


def _iter_batches_after(db: sqlite3.Connection, space: header.Space, chunk_id: int) -> Iterator[list[VectorRow]]:
    sql = f"{_SELECT_VECTORS} AND v.chunk_id > ? ORDER BY v.chunk_id LIMIT {_BATCH_SIZE}"
    while batch := damage.fetch_all(db, sql, (space.id, chunk_id)):
        yield batch
        chunk_id = batch[-1][0]


def _collect(space: header.Space, max_rows: int, batches: Iterable[Sequence[VectorRow]]) -> tuple[Ids, Vectors]:
    """Return the intact rows of these batches as arrays; all rows at once would take three times the memory."""
    ids, vectors, size = np.empty(max_rows, np.int64), np.empty((max_rows, space.dim), np.dtype("<f4")), 0
    for batch in batches:
        intact = [row for row in batch if _is_intact(space, *row)]
        end = size + len(intact)
        ids[size:end] = [chunk_id for chunk_id, _, _ in intact]
        vectors[size:end] = np.frombuffer(b"".join(data for _, data, _ in intact), vectors.dtype).reshape(-1, space.dim)
        size = end
    return ids[:size], vectors[:size]


def _is_intact(space: header.Space, chunk_id: int, data: object, checksum: object) -> bool:
    if not isinstance(data, bytes) or len(data) != 4 * space.dim:
        return False
    return vector_checksum(data, space.id, chunk_id) == checksum
