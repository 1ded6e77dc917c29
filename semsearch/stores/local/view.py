"""What one search sees of a collection: its vectors and its words as of one commit.

A view is made from the one before by the change log, or anew from the latest generation and what came after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...analysis import Language, grams
from ...ranking import fuse
from ...types import Ids, Metadata, Scored, StoredChunk
from . import terms
from .documents import vectors_after, vectors_of
from .generations import Generation, removed
from .points import NO_IDS, Points
from .postings import both
from .sentences import Sentences
from .words import Part, Words

_STATE = "SELECT seq, log_start, (SELECT coalesce(max(id), 0) FROM generation) FROM meta"


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
        seq, _, latest = db.execute(_STATE).fetchone()
        return (self.seq, self.generation) == (seq, latest)


def next_view(
    db: sqlite3.Connection, view: View | None, load: Callable[[sqlite3.Connection], Generation | None]
) -> View:
    """The view of the commit that `db`'s transaction sees: the given one, that one advanced, or a new one."""
    seq, log_start, latest = db.execute(_STATE).fetchone()
    if view is not None and view.generation == latest:
        if view.seq == seq:
            return view
        if log_start <= view.seq < seq:
            return _advanced(db, view, seq)
    return _new(db, seq, latest, load(db))


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
    changes = db.execute("SELECT chunk_id, op FROM change WHERE seq > ? ORDER BY seq", (view.seq,)).fetchall()
    removed = {chunk for chunk, op in changes if op < 0}
    added = sorted({chunk for chunk, op in changes if op > 0} - removed)
    gone = np.array(sorted(removed), np.int64)
    words, spelled = both(terms.of(db, added))
    return View(
        seq,
        view.generation,
        view.points.advance(*vectors_of(db, np.array(added, np.int64)), gone),
        view.words.advance(words, gone),
        view.grams.advance(spelled, gone),
        view.sentences,
    )


def _new(db: sqlite3.Connection, seq: int, latest: int, base: Generation | None) -> View:
    last = base.last_id if base else 0
    gone = removed(db, last)
    dead = np.sort(base.base.ids[base.base.rows_of(gone)]) if base else NO_IDS
    points = Points(base.base if base else None, dead, *vectors_after(db, last))
    words, spelled = (Words.of([Part(each)] if each else []) for each in (base and base.postings, base and base.grams))
    newer, newer_spelled = both(terms.after(db, last))
    return View(
        seq,
        latest,
        points,
        words.advance(newer, gone),
        spelled.advance(newer_spelled, gone),
        base.sentences if base else None,
    )
