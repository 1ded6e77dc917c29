"""The stored vectors of chunks, to be read; those that are not as they were written are left out or an error.

Works inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .....core.types.documents import Ids, Vectors
from . import damage, header
from .checksums import of_vector
from .documents import split_into_batches
from .records import CHUNK, ChunkRow, is_sound

_SELECT_VECTORS = "SELECT v.chunk_id, v.data, v.checksum FROM vector AS v WHERE v.space_id = ?"


def by_text(db: sqlite3.Connection, hashes: Iterable[str]) -> dict[str, Vectors]:
    """Stored embeddings of the live space by the hash of their text; damaged ones are left out."""
    space, found = header.space(db), {}
    for some in split_into_batches(list(hashes)):
        rows = damage.fetch(
            db,
            f"SELECT {CHUNK}, v.data, v.checksum FROM chunk AS c"
            " JOIN vector AS v ON v.space_id = ? AND v.chunk_id = c.id"
            f" WHERE c.text_hash IN ({','.join('?' * len(some))}) GROUP BY c.text_hash",
            (space.id, *some),
        )
        for *chunk, data, checksum in rows:
            row = ChunkRow(*chunk)
            if is_sound(row) and _is_sound(space, row.id, data, checksum):
                found[row.text_hash] = np.frombuffer(data, np.dtype("<f4"))
    return found


def sound_after(db: sqlite3.Connection, chunk_id: int) -> tuple[Ids, Vectors]:
    """Ids and embeddings in the live space of all chunks behind this one, by id; damaged ones are left out."""
    space = header.space(db)
    return _to_arrays(
        space, damage.fetch(db, f"{_SELECT_VECTORS} AND v.chunk_id > ? ORDER BY v.chunk_id", (space.id, chunk_id))
    )


def sound_of(db: sqlite3.Connection, chunk_ids: Ids) -> tuple[Ids, Vectors]:
    """Ids and embeddings in the live space of these chunks, whose ids are ascending; damaged ones are left out."""
    space, found = header.space(db), []
    for some in split_into_batches(chunk_ids.tolist()):
        sql = f"{_SELECT_VECTORS} AND v.chunk_id IN ({','.join(map(str, some))}) ORDER BY v.chunk_id"
        found += damage.fetch(db, sql, (space.id,))
    return _to_arrays(space, found)


def of(db: sqlite3.Connection, chunk_ids: Ids) -> Vectors:
    """The embeddings of these chunks, whose ids are ascending; DamagedDocument if one is damaged."""
    ids, vectors = sound_of(db, chunk_ids)
    for chunk_id in np.setdiff1d(chunk_ids, ids).tolist():
        raise damage.of_chunk(db, chunk_id, "vector")
    return vectors


def _to_arrays(space: header.Space, rows: Sequence[tuple[int, Any, Any]]) -> tuple[Ids, Vectors]:
    sound = [(chunk_id, data) for chunk_id, data, checksum in rows if _is_sound(space, chunk_id, data, checksum)]
    ids = np.array([chunk_id for chunk_id, _ in sound], np.int64)
    return ids, np.frombuffer(b"".join(data for _, data in sound), np.dtype("<f4")).reshape(-1, space.dim)


def _is_sound(space: header.Space, chunk_id: int, data: object, checksum: object) -> bool:
    if not isinstance(data, bytes) or len(data) != 4 * space.dim:
        return False
    return of_vector(data, space.id, chunk_id) == checksum
