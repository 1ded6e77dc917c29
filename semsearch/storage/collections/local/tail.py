"""The chunks that no generation covers: their vectors and words, and which of them cannot be ranked any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ....core.types.documents import Ids, Vectors
from .index.postings import Postings, index_rows
from .rows import damage, documents, embeddings, terms

_IDS = "SELECT id FROM chunk WHERE id > ? ORDER BY id"


@dataclass(frozen=True, slots=True)
class Lost:
    """Chunks by id, each with the uri of its document and what of it is damaged, so that it cannot be ranked."""

    vectors: dict[int, tuple[str, str]] = field(default_factory=dict)
    words: dict[int, tuple[str, str]] = field(default_factory=dict)

    def but(self, gone: Ids, newer: Lost) -> Lost:
        """Those that are left when some are gone, and newer ones."""
        dead = set(gone.tolist())
        pairs = ((self.vectors, newer.vectors), (self.words, newer.words))
        return Lost(*({chunk: why for chunk, why in old.items() if chunk not in dead} | new for old, new in pairs))


@dataclass(frozen=True, slots=True)
class Tail:
    """Chunks by ascending id; one that is lost has a vector of zeros, or no words."""

    ids: Ids
    vectors: Vectors
    words: Postings
    grams: Postings
    lost: Lost


def after(db: sqlite3.Connection, chunk_id: int) -> Tail:
    """All chunks behind this one."""
    ids, vectors = embeddings.sound_after(db, chunk_id)
    damaged: list[int] = []
    words, grams = index_rows(terms.load_after(db, chunk_id, partial(_note, damaged)))
    if not damaged and len(ids) == len(words) == _count(db, chunk_id):
        return Tail(ids, vectors, words, grams, Lost())
    return of(db, np.array([row[0] for row in db.execute(_IDS, (chunk_id,))], np.int64))


def of(db: sqlite3.Connection, ids: Ids) -> Tail:
    """These chunks; their ids are ascending."""
    found, sound = embeddings.sound_of(db, ids)
    vectors = np.zeros((len(ids), sound.shape[1]), sound.dtype)
    vectors[np.searchsorted(ids, found)] = sound
    missing = np.setdiff1d(ids, found).tolist()
    lost = Lost({chunk_id: damage.of_chunk(db, chunk_id, "vector").about for chunk_id in missing})
    words, grams = index_rows(terms.load(db, ids.tolist(), _mended(db, lost)))
    return Tail(ids, vectors, words, grams, lost)


def _count(db: sqlite3.Connection, chunk_id: int) -> int:
    return int(db.execute("SELECT count(*) FROM chunk WHERE id > ?", (chunk_id,)).fetchone()[0])


def _note(damaged: list[int], chunk_id: int) -> terms.TermRow:
    damaged.append(chunk_id)
    return chunk_id, "", ""


def _mended(db: sqlite3.Connection, lost: Lost) -> Callable[[int], terms.TermRow]:
    """What makes the words of a chunk again, or notes why that cannot be."""

    def mend(chunk_id: int) -> terms.TermRow:
        try:
            return documents.analysed(db, chunk_id)
        except damage.DamagedDocument as exc:
            lost.words[chunk_id] = exc.about
            return chunk_id, "", ""

    return mend
