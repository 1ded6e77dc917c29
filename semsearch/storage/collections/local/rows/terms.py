"""The analysed terms of each chunk, from which postings are built. Works inside the caller's transaction."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator

from .....core.types.documents import Chunk
from .....text.analyzer import analyze_many
from . import damage
from .checksums import row_checksum
from .records import WORD_COLUMNS, is_intact

TermRow = tuple[int, str, str]
"""Chunk id; terms of its context; terms of its sentences, one per line, and a last line for text outside them."""

_BATCH_SIZE = 500
_WORDS = f"SELECT {WORD_COLUMNS} FROM word AS w"

Repair = Callable[[int], TermRow]
"""Returns a replacement for the damaged row of a chunk."""


def analyze_chunks(chunks: Iterable[tuple[int, Chunk]]) -> Iterator[TermRow]:
    """Yield the term rows of chunks of one document; texts that chunks share are analysed once."""
    lines_by_chunk = [(chunk_id, chunk.embedding_prefix, _split_lines(chunk)) for chunk_id, chunk in chunks]
    texts = list(dict.fromkeys(text for _, context, lines in lines_by_chunk for text in (context, *lines)))
    terms_by_text = dict(zip(texts, analyze_many(texts), strict=True))
    for chunk_id, context, lines in lines_by_chunk:
        yield chunk_id, terms_by_text[context], "\n".join([terms_by_text[line] for line in lines])


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


def _split_lines(chunk: Chunk) -> list[str]:
    """Return the text of each sentence, and last the text outside the sentences."""
    position = 0
    lines, between = [], []
    for start, end in chunk.sentences:
        lines.append(chunk.text[start:end])
        between.append(chunk.text[position:start])
        position = end
    return [*lines, " ".join([*between, chunk.text[position:]])]
