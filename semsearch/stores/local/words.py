"""The word index of one collection: SQLite FTS5 over the analyser's terms. Works inside the caller's transaction.

The terms themselves are rows of `word`: FTS5 of SQLite 3.40 forgets a row only when it is told exactly what it held.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...analysis import terms
from ...types import Chunk, Ids, Scored

TITLE_WEIGHT = 2.0
"""Title and headings against the body, as measured on both judged collections."""

MAX_TERMS = 256
"""Different terms of one question that are looked up; the first ones count."""

_TIE_ROOM = 300
_UNQUOTED = re.compile(r'["\x00]')


def add(db: sqlite3.Connection, chunk_id: int, chunk: Chunk) -> None:
    """Index a chunk: its context as the title, its sentences line by line, and a last line for all that is in none."""
    row = (chunk_id, " ".join(terms(chunk.context)), "\n".join(" ".join(line) for line in _lines(chunk)))
    db.execute("INSERT INTO word (chunk_id, title, body) VALUES (?, ?, ?)", row)
    db.execute("INSERT INTO word_index (rowid, title, body) VALUES (?, ?, ?)", row)


def remove(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> None:
    """Forget these chunks."""
    for chunk_id in chunk_ids:
        db.execute(
            "INSERT INTO word_index (word_index, rowid, title, body)"
            " SELECT 'delete', chunk_id, title, body FROM word WHERE chunk_id = ?",
            (chunk_id,),
        )
        db.execute("DELETE FROM word WHERE chunk_id = ?", (chunk_id,))


def clear(db: sqlite3.Connection) -> None:
    """Forget every chunk."""
    db.execute("DELETE FROM word")
    db.execute("INSERT INTO word_index (word_index) VALUES ('rebuild')")


def match(db: sqlite3.Connection, wanted: Sequence[str], k: int, allowed: Ids | None) -> Scored:
    """The best k chunks by BM25 for any of the terms, and a few more where scores are equal at the end."""
    if not wanted:
        return Scored(np.empty(0, np.int64), np.empty(0))
    sql = "SELECT rowid, -bm25(word_index, ?, 1.0) AS score FROM word_index WHERE word_index MATCH ?"
    values: list[object] = [TITLE_WEIGHT, _any_of(wanted)]
    if allowed is not None:
        sql += " AND +rowid IN (SELECT value FROM json_each(?))"  # with the + the filter never drives the search
        values.append(json.dumps(allowed.tolist()))
    rows = db.execute(f"{sql} ORDER BY score DESC, rowid LIMIT ?", (*values, k + _TIE_ROOM)).fetchall()
    ids, scores = zip(*rows, strict=True) if rows else ((), ())
    found = np.array(scores, np.float64)
    kept = len(found) if len(found) <= k else int(np.searchsorted(-found, -found[k - 1], "right"))
    return Scored(np.array(ids[:kept], np.int64), found[:kept])


def weights(db: sqlite3.Connection, wanted: Iterable[str]) -> Mapping[str, float]:
    """Inverse document frequency of each term, above 0; a term that nothing holds weighs most."""
    distinct = list(dict.fromkeys(wanted))[:MAX_TERMS]
    total = db.execute("SELECT count(*) FROM word").fetchone()[0]
    marks = ", ".join("?" * len(distinct))
    found = dict(db.execute(f"SELECT term, doc FROM word_count WHERE term IN ({marks})", distinct).fetchall())
    return {term: math.log1p((total - found.get(term, 0) + 0.5) / (found.get(term, 0) + 0.5)) for term in distinct}


def _lines(chunk: Chunk) -> Iterable[list[str]]:
    at = 0
    rest = []
    for start, end in chunk.sentences:
        yield terms(chunk.text[start:end])
        rest.append(chunk.text[at:start])
        at = end
    yield terms(" ".join([*rest, chunk.text[at:]]))


def _any_of(wanted: Sequence[str]) -> str:
    """The FTS5 expression; every term is quoted, so that no part of a question is ever an operator."""
    known = set(list(dict.fromkeys(wanted))[:MAX_TERMS])
    return " OR ".join(f'"{_UNQUOTED.sub("", term)}"' for term in wanted[: 2 * MAX_TERMS] if term in known)
