"""Load the chunks that no generation covers: their vectors and postings, and which of them cannot be ranked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ....core.types.documents import Ids, Vectors
from .index.new_postings import build_postings
from .index.postings import Postings
from .rows import damage, documents, embeddings, terms

_IDS = "SELECT id FROM chunk WHERE id > ? ORDER BY id"


@dataclass(frozen=True, slots=True)
class DamagedChunks:
    """Damaged chunks that cannot be ranked, by id: the uri of the document, and the damaged part."""

    vectors: dict[int, tuple[str, str]] = field(default_factory=dict)
    terms: dict[int, tuple[str, str]] = field(default_factory=dict)

    def apply_changes(self, removed_ids: Ids, added: DamagedChunks) -> DamagedChunks:
        """Return these without the removed chunks, and with the added ones."""
        removed = set(removed_ids.tolist())
        pairs = ((self.vectors, added.vectors), (self.terms, added.terms))
        return DamagedChunks(
            *(
                {chunk_id: damage_info for chunk_id, damage_info in earlier.items() if chunk_id not in removed} | later
                for earlier, later in pairs
            )
        )


@dataclass(frozen=True, slots=True)
class UnindexedChunks:
    """Chunks that no generation covers, by ascending id; a damaged one has a vector of zeros, or no terms."""

    ids: Ids
    vectors: Vectors
    postings: Postings
    trigram_postings: Postings
    damaged_chunks: DamagedChunks


def load_after(db: sqlite3.Connection, chunk_id: int) -> UnindexedChunks:
    """Return all chunks with a higher id."""
    ids, vectors = embeddings.load_intact_after(db, chunk_id)
    damaged_ids: list[int] = []
    row_count, rows = _count(db, chunk_id), terms.load_after(db, chunk_id, partial(_record_damaged, damaged_ids))
    postings, trigram_postings = build_postings(rows, row_count)
    if not damaged_ids and len(ids) == len(postings) == row_count:
        return UnindexedChunks(ids, vectors, postings, trigram_postings, DamagedChunks())
    return load(db, np.array([row[0] for row in db.execute(_IDS, (chunk_id,))], np.int64))


def load(db: sqlite3.Connection, ids: Ids) -> UnindexedChunks:
    """Return these chunks; `ids` is ascending."""
    intact_ids, vectors = embeddings.load_intact(db, ids)
    if len(intact_ids) < len(ids):
        intact_vectors, vectors = vectors, np.zeros((len(ids), vectors.shape[1]), vectors.dtype)
        vectors[np.searchsorted(ids, intact_ids)] = intact_vectors
    missing_ids = np.setdiff1d(ids, intact_ids).tolist()
    damaged_chunks = DamagedChunks()
    for chunk_id in missing_ids:
        error = damage.chunk_error(db, chunk_id, "vector")
        damaged_chunks.vectors[chunk_id] = error.uri, error.part
    rows = terms.load(db, ids.tolist(), _make_repair(db, damaged_chunks))
    postings, trigram_postings = build_postings(rows, len(ids))
    return UnindexedChunks(ids, vectors, postings, trigram_postings, damaged_chunks)


def _count(db: sqlite3.Connection, chunk_id: int) -> int:
    return int(db.execute("SELECT count(*) FROM chunk WHERE id > ?", (chunk_id,)).fetchone()[0])


def _record_damaged(damaged_ids: list[int], chunk_id: int) -> terms.TermRow:
    damaged_ids.append(chunk_id)
    return chunk_id, "", ""


def _make_repair(db: sqlite3.Connection, damaged_chunks: DamagedChunks) -> Callable[[int], terms.TermRow]:
    """Return a function that analyses a chunk again, or records in `damaged_chunks` why it cannot be."""

    def repair(chunk_id: int) -> terms.TermRow:
        try:
            return documents.analyze_chunk(db, chunk_id)
        except damage.DamagedDocumentError as exc:
            damaged_chunks.terms[chunk_id] = exc.uri, exc.part
            return chunk_id, "", ""

    return repair
