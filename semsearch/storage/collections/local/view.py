"""What one search sees of a collection: its vectors and its words as of one commit.

A view is made from the one before by the change log, or anew from the latest generation and what came after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

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
"""A document's uri, title, hash of its text, and metadata."""


@dataclass(frozen=True, slots=True)
class View:
    """Immutable; of commit `seq`."""

    seq: int
    generation_id: int
    """Number of the one that was the latest when it was made: a newer one, perhaps of another process, holds more."""
    vectors: VectorView
    term_index: BM25Index
    trigram_index: BM25Index
    """Of the chunks that are not in English, by the characters of their terms."""
    sentence_terms: SentenceTerms | None
    """Of the chunks of the generation."""
    lost: tail.Lost = field(default_factory=tail.Lost)
    """Chunks that cannot be ranked: a search that may find them is an error."""
    chunk_cache: dict[int, StoredChunk] = field(default_factory=dict)
    """Some that were loaded from this commit."""
    document_cache: dict[int, DocumentFields] = field(default_factory=dict)
    """What their documents' chunks share, once for all of them."""
    idf_cache: dict[str, float] = field(default_factory=dict)
    """Inverse document frequencies of terms that were asked for."""
    filter_cache: dict[str, Ids] = field(default_factory=dict)
    """What passes the filters that were asked for: rights of access come with every question again."""

    def is_latest(self, db: sqlite3.Connection) -> bool:
        """Whether nothing was written or built since, as `db`'s transaction sees it."""
        state = header.state(db)
        return (self.seq, self.generation_id) == (state.seq, state.generation)

    def has(self, chunks: int) -> bool:
        """Whether it holds as many chunks as the catalogue counts: the log of changes may be damaged, or a row."""
        return len(self.vectors) == self.term_index.chunk_count == chunks


def refresh_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], Generation | None]
) -> View:
    """The view of the commit that `db`'s transaction sees: the given one, that one advanced, or a new one."""
    state = header.state(db)
    if view is not None and view.generation_id == state.generation:
        if view.seq == state.seq:
            return view
        if state.log_start <= view.seq < state.seq and (next_one := _apply_changes(db, view, state.seq)).has(
            state.chunks
        ):
            return next_one
    base = load(db)
    made = _build_view(db, state.seq, state.generation, base)
    if not made.has(state.chunks):
        if base is not None:
            raise DamagedFileError("the index does not fit the catalogue")
        raise damage.of_collection(f"{len(made.vectors)} of {state.chunks} chunks can be read")
    return made


def _apply_changes(db: sqlite3.Connection, view: View, seq: int) -> View:
    sql = "SELECT CAST(chunk_id AS INTEGER), op < 0 FROM change WHERE seq > ?"
    changes = db.execute(sql, (view.seq,)).fetchall()
    living = _living(db, {chunk for chunk, _ in changes})  # whatever damaged rows of the log say
    gone = np.array(sorted({chunk for chunk, was_removed in changes if was_removed} - living), np.int64)
    added = {chunk for chunk, was_removed in changes if not was_removed} & living
    newer = tail.of(db, np.array(sorted(added), np.int64))
    return View(
        seq,
        view.generation_id,
        view.vectors.apply_changes(newer.ids, newer.vectors, gone),
        view.term_index.apply_changes(newer.words, gone),
        view.trigram_index.apply_changes(newer.grams, gone),
        view.sentence_terms,
        view.lost.but(gone, newer.lost),
    )


def _living(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> set[int]:
    """Those of these chunks that are there."""
    return {row[0] for each in chunk_ids for row in db.execute("SELECT id FROM chunk WHERE id = ?", (each,))}


def _build_view(db: sqlite3.Connection, seq: int, latest: int, generation: Generation | None) -> View:
    last = generation.last_id if generation else 0
    gone = load_removed_ids(db, last)
    dead = np.sort(generation.vector_segment.ids[generation.vector_segment.find_rows(gone)]) if generation else NO_IDS
    newer = tail.after(db, last)
    words, spelled = (
        BM25Index.from_segments([PostingsSegment(each)] if each else [])
        for each in (generation and generation.postings, generation and generation.trigram_postings)
    )
    return View(
        seq,
        latest,
        VectorView(generation.vector_segment if generation else None, dead, newer.ids, newer.vectors),
        words.apply_changes(newer.words, gone),
        spelled.apply_changes(newer.grams, gone),
        generation.sentence_terms if generation else None,
        newer.lost,
    )
