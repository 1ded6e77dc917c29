"""The analysed terms of each chunk, from which postings are built. Works inside the caller's transaction."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from .....core.types.documents import Chunk
from .....text import chunk_terms as text_terms
from . import damage
from .checksums import row_checksum
from .records import WORD_COLUMNS, is_intact

TermRow = tuple[int, str, str]
"""Chunk id; terms of its context; terms of its sentences, one per line, and a last line for text outside them."""

_BATCH_SIZE = 500
_WORDS = f"SELECT {WORD_COLUMNS} FROM word AS w"

Repair = Callable[[int], TermRow]
"""Returns a replacement for the damaged row of a chunk."""


def analyze_chunks(chunks: Sequence[tuple[int, Chunk]]) -> Iterator[TermRow]:
    """Yield the term rows of chunks of one document, of those analysed already from their terms."""
    new = [chunk for _, chunk in chunks if chunk.terms is None]
    analyzed = text_terms.analyze_chunks(new)
    for chunk_id, chunk in chunks:
        yield chunk_id, *(chunk.terms or next(analyzed))


def add(db: sqlite3.Connection, rows: Iterable[TermRow]) -> None:
    """Insert term rows."""
    sql = "INSERT INTO word (chunk_id, title, body, checksum) VALUES (?, ?, ?, ?)"
    db.executemany(sql, ((*row, row_checksum(*row)) for row in rows))


def remove(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> None:
    """Delete the rows of these chunks."""
    db.executemany("DELETE FROM word WHERE chunk_id = ?", ((chunk_id,) for chunk_id in chunk_ids))


def clear(db: sqlite3.Connection) -> None:
    """Delete all rows."""
    db.execute("DELETE FROM word")


def load_after(db: sqlite3.Connection, chunk_id: int, repair: Repair) -> Iterator[TermRow]:
    """Yield the rows of all chunks with a higher id, ascending."""
    while batch := damage.fetch_all(
        db, f"{_WORDS} WHERE w.chunk_id > ? ORDER BY w.chunk_id LIMIT {_BATCH_SIZE}", (chunk_id,)
    ):
        chunk_id = batch[-1][0]
        yield from (row[:-1] if is_intact(row) else repair(row[0]) for row in batch)


def load(db: sqlite3.Connection, chunk_ids: list[int], repair: Repair) -> Iterator[TermRow]:
    """Yield the rows of these chunks; `chunk_ids` is ascending."""
    for start in range(0, len(chunk_ids), _BATCH_SIZE):
        batch = chunk_ids[start : start + _BATCH_SIZE]
        rows = damage.fetch_all(db, f"{_WORDS} WHERE w.chunk_id IN ({','.join(map(str, batch))})")
        intact = {row[0]: row[:-1] for row in rows if is_intact(row)}
        yield from (intact.get(chunk_id) or repair(chunk_id) for chunk_id in batch)
