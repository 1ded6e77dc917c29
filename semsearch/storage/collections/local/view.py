"""The searchable state of a collection as of one commit: vectors, terms and trigrams.

A view is derived from the one before by the change log, or built from the latest generation and the newer chunks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ....core.types.documents import Ids, Metadata
from ....core.types.search import StoredChunk
from . import tail
from .index.bm25 import BM25Index, PostingsSegment
from .index.checked_files import DamagedFileError
from .index.generations import Generation, load_removed_ids
from .index.sentence_terms import SentenceTerms
from .index.vector_index import NO_IDS, VectorView
from .rows import damage, header

DocumentFields = tuple[str, str, str, Metadata]
"""Uri, title, hash of the text, and metadata of a document."""

MAX_RESTRICTED_VIEWS = 16
"""Filters of access rights whose statistics are kept per commit; each takes 10 bytes a chunk."""


@dataclass(frozen=True, slots=True)
class View:
    """The state of commit `seq`. Immutable, but for its caches."""

    seq: int
    generation_id: int
    """Id of the latest generation when the view was built; another process may have published a newer one since."""
    vectors: VectorView
    term_index: BM25Index
    trigram_index: BM25Index
    """Character trigrams of the chunks that are not in English."""
    sentence_terms: SentenceTerms | None
    """Those of the chunks of the generation."""
    damaged_chunks: tail.DamagedChunks = field(default_factory=tail.DamagedChunks)
    """Damaged chunks that cannot be ranked: a search that may match them fails."""
    chunk_cache: dict[int, StoredChunk] = field(default_factory=dict)
    """Chunks that were loaded from this commit, by id."""
    document_cache: dict[int, DocumentFields] = field(default_factory=dict)
    """Fields that the chunks of a document share, by document id."""
    idf_cache: dict[str, float] = field(default_factory=dict)
    """Inverse document frequency of each term that a query had."""
    filter_cache: dict[str, Ids] = field(default_factory=dict)
    """Matching chunk ids by filter: a filter of access rights comes with every query of its caller."""

    restricted_views: dict[str, View] = field(default_factory=dict)
    """Views whose term statistics are those of a part of the chunks, by filter of access rights."""

    def restrict(self, key: str, visible_ids: Ids) -> View:
        """Return the view whose term statistics are those of these chunks alone; `key` stands for their filter."""
        restricted = self.restricted_views.get(key)
        if restricted is None:
            restricted = replace(
                self,
                term_index=self.term_index.restrict(visible_ids),
                trigram_index=self.trigram_index.restrict(visible_ids),
                idf_cache={},
                restricted_views={},
            )
            if len(self.restricted_views) >= MAX_RESTRICTED_VIEWS:
                self.restricted_views.clear()
            self.restricted_views[key] = restricted
        return restricted

    def is_latest(self, db: sqlite3.Connection) -> bool:
        """Return whether the collection and its generation are unchanged since, as `db`'s transaction sees them."""
        state = header.load_state(db)
        return (self.seq, self.generation_id) == (state.seq, state.generation)

    def has_all_chunks(self, chunk_count: int) -> bool:
        """Return whether the view has all chunks of the catalogue; it lacks some if the log or a row is damaged."""
        return len(self.vectors) == self.term_index.chunk_count == chunk_count


def refresh_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], Generation | None]
) -> View:
    """Return the view of the commit that `db`'s transaction sees: `view` itself, advanced, or rebuilt."""
    state = header.load_state(db)
    if view is not None and view.generation_id == state.generation:
        if view.seq == state.seq:
            return view
        if state.log_start <= view.seq < state.seq:
            advanced = _apply_changes(db, view, state.seq)
            if advanced.has_all_chunks(state.chunks):
                return advanced
    generation = load(db)
    built = _build_view(db, state.seq, state.generation, generation)
    if not built.has_all_chunks(state.chunks):
        if generation is not None:
            raise DamagedFileError("the index does not match the catalogue")
        raise damage.collection_error(f"{len(built.vectors)} of {state.chunks} chunks can be read")
    return built


def _apply_changes(db: sqlite3.Connection, view: View, seq: int) -> View:
    sql = "SELECT CAST(chunk_id AS INTEGER), op < 0 FROM change WHERE seq > ?"
    changes = db.execute(sql, (view.seq,)).fetchall()
    stored_ids = _select_stored(db, {chunk_id for chunk_id, _ in changes})  # the log may have damaged rows
    removed_ids = np.array(
        sorted({chunk_id for chunk_id, was_removed in changes if was_removed} - stored_ids), np.int64
    )
    added_ids = {chunk_id for chunk_id, was_removed in changes if not was_removed} & stored_ids
    added = tail.load(db, np.array(sorted(added_ids), np.int64))
    return View(
        seq,
        view.generation_id,
        view.vectors.apply_changes(added.ids, added.vectors, removed_ids),
        view.term_index.apply_changes(added.postings, removed_ids),
        view.trigram_index.apply_changes(added.trigram_postings, removed_ids),
        view.sentence_terms,
        view.damaged_chunks.apply_changes(removed_ids, added.damaged_chunks),
    )


def _select_stored(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> set[int]:
    """Return those of these chunks that are stored."""
    return {row[0] for chunk_id in chunk_ids for row in db.execute("SELECT id FROM chunk WHERE id = ?", (chunk_id,))}


def _build_view(db: sqlite3.Connection, seq: int, latest: int, generation: Generation | None) -> View:
    last_id = generation.last_id if generation else 0
    removed_ids = load_removed_ids(db, last_id)
    deleted = (
        np.sort(generation.vector_segment.ids[generation.vector_segment.find_rows(removed_ids)])
        if generation
        else NO_IDS
    )
    added = tail.load_after(db, last_id)
    term_index, trigram_index = (
        BM25Index.from_segments([PostingsSegment(postings)] if postings else [])
        for postings in (generation and generation.postings, generation and generation.trigram_postings)
    )
    return View(
        seq,
        latest,
        VectorView(generation.vector_segment if generation else None, deleted, added.ids, added.vectors),
        term_index.apply_changes(added.postings, removed_ids),
        trigram_index.apply_changes(added.trigram_postings, removed_ids),
        generation.sentence_terms if generation else None,
        added.damaged_chunks,
    )
