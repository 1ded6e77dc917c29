"""The analysed terms of each chunk as rows: what word indexes are made of. Works inside the caller's transaction."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator

from .....core.types.documents import Chunk
from .....text.analyzer import analyze_many
from . import damage
from .checksums import of_row
from .records import WORD, is_sound

TermRow = tuple[int, str, str]
"""Chunk id; terms of its context; terms of its sentences, line by line, and a last line for all that is in none."""

_BATCH_SIZE = 500
_WORDS = f"SELECT {WORD} FROM word AS w"

Mend = Callable[[int], TermRow]
"""Gives the row of a chunk in the place of a damaged one."""


def analyze_chunks(chunks: Iterable[tuple[int, Chunk]]) -> Iterator[TermRow]:
    """The terms of chunks of one document, each with its id; what they share is analysed once."""
    cut = [(chunk_id, chunk.embedding_prefix, _split_lines(chunk)) for chunk_id, chunk in chunks]
    texts = list(dict.fromkeys(text for _, context, lines in cut for text in (context, *lines)))
    known = dict(zip(texts, analyze_many(texts), strict=True))
    for chunk_id, context, lines in cut:
        yield chunk_id, known[context], "\n".join([known[line] for line in lines])


def add(db: sqlite3.Connection, rows: Iterable[TermRow]) -> None:
    """Keep the terms of chunks."""
    sql = "INSERT INTO word (chunk_id, title, body, checksum) VALUES (?, ?, ?, ?)"
    db.executemany(sql, ((*row, of_row(*row)) for row in rows))


def remove(db: sqlite3.Connection, chunk_ids: Iterable[int]) -> None:
    """Forget these chunks."""
    db.executemany("DELETE FROM word WHERE chunk_id = ?", ((chunk_id,) for chunk_id in chunk_ids))


def clear(db: sqlite3.Connection) -> None:
    """Forget every chunk."""
    db.execute("DELETE FROM word")


def load_after(db: sqlite3.Connection, chunk_id: int, mend: Mend) -> Iterator[TermRow]:
    """The rows of all chunks behind this one, by id."""
    while some := damage.fetch(
        db, f"{_WORDS} WHERE w.chunk_id > ? ORDER BY w.chunk_id LIMIT {_BATCH_SIZE}", (chunk_id,)
    ):
        chunk_id = some[-1][0]
        yield from (row[:-1] if is_sound(row) else mend(row[0]) for row in some)


def load(db: sqlite3.Connection, chunk_ids: list[int], mend: Mend) -> Iterator[TermRow]:
    """The rows of these chunks, by id; `chunk_ids` is ascending."""
    for at in range(0, len(chunk_ids), _BATCH_SIZE):
        some = chunk_ids[at : at + _BATCH_SIZE]
        rows = damage.fetch(db, f"{_WORDS} WHERE w.chunk_id IN ({','.join(map(str, some))})")
        sound = {row[0]: row[:-1] for row in rows if is_sound(row)}
        yield from (sound.get(chunk_id) or mend(chunk_id) for chunk_id in some)


def _split_lines(chunk: Chunk) -> list[str]:
    """Each sentence, and what is in none."""
    at = 0
    lines, rest = [], []
    for start, end in chunk.sentences:
        lines.append(chunk.text[start:end])
        rest.append(chunk.text[at:start])
        at = end
    return [*lines, " ".join([*rest, chunk.text[at:]])]
