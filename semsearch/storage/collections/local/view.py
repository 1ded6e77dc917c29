"""What one search sees of a collection: its vectors and its words as of one commit.

A view is made from the one before by the change log, or anew from the latest generation and what came after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....core.types.documents import Ids, Metadata
from ....core.types.search import Language, Scored, StoredChunk
from ....search.ranking import fuse
from ....text.analyzer import grams
from . import tail
from .index.bm25 import Part, Words
from .index.checked_files import Damaged
from .index.generations import Generation, removed
from .index.sentence_terms import Sentences
from .index.vector_index import NO_IDS, Points
from .rows import damage, header

About = tuple[str, str, str, Metadata]
"""A document's uri, title, hash of its text, and metadata."""


@dataclass(frozen=True, slots=True)
class View:
    """Immutable; of commit `seq`."""

    seq: int
    generation: int
    """Number of the one that was the latest when it was made: a newer one, perhaps of another process, holds more."""
    points: Points
    words: Words
    grams: Words
    """Of the chunks that are not in English, by the characters of their terms."""
    sentences: Sentences | None
    """Of the chunks of the generation."""
    lost: tail.Lost = field(default_factory=tail.Lost)
    """Chunks that cannot be ranked: a search that may find them is an error."""
    chunks: dict[int, StoredChunk] = field(default_factory=dict)
    """Some that were loaded from this commit."""
    documents: dict[int, About] = field(default_factory=dict)
    """What their documents' chunks share, once for all of them."""
    weights: dict[str, float] = field(default_factory=dict)
    """Inverse document frequencies of terms that were asked for."""
    allowed: dict[str, Ids] = field(default_factory=dict)
    """What passes the filters that were asked for: rights of access come with every question again."""

    def is_latest(self, db: sqlite3.Connection) -> bool:
        """Whether nothing was written or built since, as `db`'s transaction sees it."""
        state = header.state(db)
        return (self.seq, self.generation) == (state.seq, state.generation)

    def has(self, chunks: int) -> bool:
        """Whether it holds as many chunks as the catalogue counts: the log of changes may be damaged, or a row."""
        return len(self.points) == self.words.chunks == chunks


def next_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], Generation | None]
) -> View:
    """The view of the commit that `db`'s transaction sees: the given one, that one advanced, or a new one."""
    state = header.state(db)
    if view is not None and view.generation == state.generation:
        if view.seq == state.seq:
            return view
        if state.log_start <= view.seq < state.seq and (next_one := _advanced(db, view, state.seq)).has(state.chunks):
            return next_one
    base = load(db)
    made = _new(db, state.seq, state.generation, base)
    if not made.has(state.chunks):
        if base is not None:
            raise Damaged("the index does not fit the catalogue")
        raise damage.of_collection(f"{len(made.points)} of {state.chunks} chunks can be read")
    return made


def matched(view: View, terms: Sequence[str], k: int, allowed: Ids | None, language: Language) -> Scored:
    """The best chunks by their words; off English half by their words and half by the characters of these.

    Whether a question of few words in Latin script is English is not certain: then most of the collection decides.
    """
    words = view.words.match(terms, k, allowed)
    spelled = language == "other" or (language == "latin" and 2 * view.grams.chunks > view.words.chunks)
    if not spelled or not view.grams.chunks:
        return words
    by_characters = view.grams.match(grams(term for term in terms if " " not in term), k, allowed)
    found = fuse([(words, 0.5), (by_characters, 0.5)], len(words.ids) + len(by_characters.ids))
    if len(found.ids) <= k:
        return found
    kept = int(np.searchsorted(-found.scores, -found.scores[k - 1], "right"))
    return Scored(found.ids[:kept], found.scores[:kept])


def _advanced(db: sqlite3.Connection, view: View, seq: int) -> View:
    sql = "SELECT CAST(chunk_id AS INTEGER), op < 0 FROM change WHERE seq > ?"
    changes = db.execute(sql, (view.seq,)).fetchall()
    living = _living(db, {chunk for chunk, _ in changes})  # whatever damaged rows of the log say
    gone = np.array(sorted({chunk for chunk, was_removed in changes if was_removed} - living), np.int64)
    added = {chunk for chunk, was_removed in changes if not was_removed} & living
    newer = tail.of(db, np.array(sorted(added), np.int64))
    return View(
        seq,
        view.generation,
        view.points.advance(newer.ids, newer.vectors, gone),
        view.words.advance(newer.words, gone),
        view.grams.advance(newer.grams, gone),
        view.sentences,
        view.lost.but(gone, newer.lost),
    )


def _living(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> set[int]:
    """Those of these chunks that are there."""
    return {row[0] for each in chunk_ids for row in db.execute("SELECT id FROM chunk WHERE id = ?", (each,))}


def _new(db: sqlite3.Connection, seq: int, latest: int, base: Generation | None) -> View:
    last = base.last_id if base else 0
    gone = removed(db, last)
    dead = np.sort(base.base.ids[base.base.rows_of(gone)]) if base else NO_IDS
    newer = tail.after(db, last)
    words, spelled = (Words.of([Part(each)] if each else []) for each in (base and base.postings, base and base.grams))
    return View(
        seq,
        latest,
        Points(base.base if base else None, dead, newer.ids, newer.vectors),
        words.advance(newer.words, gone),
        spelled.advance(newer.grams, gone),
        base.sentences if base else None,
        newer.lost,
    )
