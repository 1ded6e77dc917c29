"""The analysed terms of each chunk as rows: what word indexes are made of. Works inside the caller's transaction."""

import sqlite3
from collections.abc import Iterable, Iterator

from ...analysis import terms_of_each
from ...types import Chunk

Row = tuple[int, str, str]
"""Chunk id; terms of its context; terms of its sentences, line by line, and a last line for all that is in none."""

_AT_ONCE = 500


def rows(chunks: Iterable[tuple[int, Chunk]]) -> Iterator[Row]:
    """The terms of chunks of one document, each with its id; what they share is analysed once."""
    cut = [(chunk_id, chunk.context, _lines(chunk)) for chunk_id, chunk in chunks]
    texts = list(dict.fromkeys(text for _, context, lines in cut for text in (context, *lines)))
    known = dict(zip(texts, terms_of_each(texts), strict=True))
    for chunk_id, context, lines in cut:
        yield chunk_id, known[context], "\n".join([known[line] for line in lines])


def add(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Keep the terms of chunks."""
    db.executemany("INSERT INTO word (chunk_id, title, body) VALUES (?, ?, ?)", rows)


def remove(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> None:
    """Forget these chunks."""
    db.executemany("DELETE FROM word WHERE chunk_id = ?", ((chunk_id,) for chunk_id in chunk_ids))


def clear(db: sqlite3.Connection) -> None:
    """Forget every chunk."""
    db.execute("DELETE FROM word")


def after(db: sqlite3.Connection, chunk_id: int) -> Iterator[Row]:
    """The rows of all chunks behind this one, by id."""
    return db.execute("SELECT chunk_id, title, body FROM word WHERE chunk_id > ? ORDER BY chunk_id", (chunk_id,))


def of(db: sqlite3.Connection, chunk_ids: list[int]) -> Iterator[Row]:
    """The rows of these chunks, by id; `chunk_ids` is ascending."""
    for at in range(0, len(chunk_ids), _AT_ONCE):
        some = ",".join(map(str, chunk_ids[at : at + _AT_ONCE]))
        yield from db.execute(f"SELECT chunk_id, title, body FROM word WHERE chunk_id IN ({some}) ORDER BY chunk_id")


def _lines(chunk: Chunk) -> list[str]:
    """Each sentence, and what is in none."""
    at = 0
    lines, rest = [], []
    for start, end in chunk.sentences:
        lines.append(chunk.text[start:end])
        rest.append(chunk.text[at:start])
        at = end
    return [*lines, " ".join([*rest, chunk.text[at:]])]
